//! How many e-mail addresses the ledger knows.

use super::log::AuditLog;
use crate::ledger::Result;
use crate::ledger::cells::unexpected;
use crate::ledger::sql::Param;
use crate::record::EmailState;

impl AuditLog {
    /// Counts the addresses of a store by what the store said of them.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub async fn count_emails(&self, store_id: i64) -> Result<Vec<(EmailState, i64)>> {
        let sql =
            "select state, count(*) from email_customers where store_id = $1 group by state order by state";
        let counts =
            self.query(sql, vec![Param::from(store_id)], |row| Ok((row.text()?, row.int()?))).await?;
        let counts = counts.into_iter().map(|(state, count)| {
            let state = EmailState::from_word(&state).ok_or_else(|| unexpected("a state of an address"))?;
            Ok((state, count))
        });
        counts.collect()
    }
}
