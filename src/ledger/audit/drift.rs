//! The drift that was reported and lasts.

use super::log::AuditLog;
use crate::ledger::Result;
use crate::ledger::cold_readings::reported_drift;
use crate::ledger::cold_readings::statements::reported;
use crate::ledger::sql::Param;
use crate::record::ReportedDrift;

/// Reported drift, as far as it is shown.
#[derive(Debug, Clone, Default)]
pub struct LastingDrift {
    /// The first values in key order, each with what was confirmed.
    pub values: Vec<(ReportedDrift, Option<String>)>,
    /// How many there are.
    pub total: i64,
}

impl AuditLog {
    /// The reported drift of a store: the first `limit` values, and how many there are.
    ///
    /// # Errors
    /// The database failed.
    pub async fn lasting_drift(&self, store_id: i64, limit: i64) -> Result<LastingDrift> {
        let sql = concat!(
            "select count(*) over (), coalesce(e.stored_value, e.value), ",
            reported!(),
            " from drift d join entries e
                on e.store_id = d.store_id and e.customer_id = d.customer_id and e.attribute_id = d.attribute_id
            where d.store_id = $1 and e.run_id < d.run_id
            order by d.customer_id, d.attribute_id limit $2"
        );
        let rows = self.query(sql, vec![Param::from(store_id), Param::from(limit)], |row| {
            let (total, confirmed) = (row.int()?, row.maybe_text()?);
            Ok((total, (reported_drift(row)?, confirmed)))
        });
        let rows = rows.await?;
        let total = rows.first().map_or(0, |(total, _)| *total);
        Ok(LastingDrift { values: rows.into_iter().map(|(_, row)| row).collect(), total })
    }
}
