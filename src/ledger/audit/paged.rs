//! Lists that are read page by page, each page from where the one before ended.

use super::log::AuditLog;
use super::queries::{invalid_row, rejection, request_row};
use super::rows::{Rejection, RequestRow};
use crate::ledger::Result;
use crate::ledger::sql::Param;
use crate::record::{InvalidRow, Key};

/// Completes a statement about the rejected entries of store `$1` after the key `$2`, `$3`; at most `$4`.
macro_rules! rejected_after {
    ($condition:literal) => {
        concat!(
            "select customer_id, attribute_id, value, reason, acknowledged, run_id, updated_at from entries
            where store_id = $1 and belief = 'rejected' and (customer_id, attribute_id) > ($2, $3) ",
            $condition,
            " order by customer_id, attribute_id limit $4"
        )
    };
}

const REJECTED_AFTER: &str = rejected_after!("");

/// Those with the reason of the entry `$5`, `$6`.
const REJECTED_ALIKE: &str = rejected_after!(
    "and coalesce(reason, '') = (
        select coalesce(max(reason), '') from entries where store_id = $1 and customer_id = $5 and attribute_id = $6
    )"
);

impl AuditLog {
    /// The rejected values of a store after a key, in key order; only those with the same reason as that of `alike` if
    /// it is given.
    ///
    /// # Errors
    /// The database failed; the same for all queries.
    pub async fn rejected_after(
        &self,
        store_id: i64,
        after: Option<Key>,
        alike: Option<Key>,
        limit: i64,
    ) -> Result<Vec<Rejection>> {
        let after = after.unwrap_or(Key::new(0, 0));
        let mut params = [store_id, after.customer_id, after.attribute_id, limit].map(Param::from).to_vec();
        let sql = match alike {
            None => REJECTED_AFTER,
            Some(key) => {
                params.extend([key.customer_id, key.attribute_id].map(Param::from));
                REJECTED_ALIKE
            }
        };
        self.query(sql, params, rejection).await
    }

    /// The newest requests of a run that the store did not accept, the newest first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn failed_requests(&self, run_id: i64, limit: i64) -> Result<Vec<RequestRow>> {
        let sql = "select id, run_id, parent_id, method, attempt, customers, items, sent_at, answered_at, http_status,
                store_request_id, outcome, error
            from requests where run_id = $1 and outcome not in ('accepted', 'sending') order by id desc limit $2";
        self.query(sql, vec![Param::from(run_id), Param::from(limit)], |row| {
            let id = row.int()?;
            request_row(id, row)
        })
        .await
    }

    /// The requests of a run after one of them, the oldest first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn requests_after(&self, run_id: i64, after: i64, limit: i64) -> Result<Vec<RequestRow>> {
        let sql = "select id, run_id, parent_id, method, attempt, customers, items, sent_at, answered_at, http_status,
                store_request_id, outcome, error
            from requests where run_id = $1 and id > $2 order by id limit $3";
        self.query(sql, [run_id, after, limit].map(Param::from).to_vec(), |row| {
            let id = row.int()?;
            request_row(id, row)
        })
        .await
    }

    /// Returns the newest sync of all rows whose plan was complete. Its invalid rows are those of today.
    ///
    /// # Errors
    /// The database failed.
    pub async fn newest_planned(&self, store_id: i64) -> Result<Option<i64>> {
        let sql = "select id from runs where store_id = $1 and kind = 'sync' and filtered = 0 and planned_at is not null
            order by id desc limit 1";
        let ids = self.query(sql, vec![Param::from(store_id)], |row| row.int());
        Ok(ids.await?.pop())
    }

    /// The source rows of a run that cannot be sent, without the first `skip` of them. A run keeps at most
    /// [`INVALID_ROWS_KEPT`](crate::record::INVALID_ROWS_KEPT) of them, and they have no key.
    ///
    /// # Errors
    /// The database failed.
    pub async fn invalid_rows_from(&self, run_id: i64, skip: i64, limit: i64) -> Result<Vec<InvalidRow>> {
        let sql = "select customer_id, attribute_id, value, reason from invalid_rows
            where run_id = (select coalesce(invalid_rows_run_id, id) from runs where id = $1)
            order by customer_id, attribute_id, value, reason limit $2 offset $3";
        self.query(sql, [run_id, limit, skip].map(Param::from).to_vec(), invalid_row).await
    }
}
