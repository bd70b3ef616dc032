//! Rows of the ledger counted by what they have in common. Each query reads a bounded number of rows.

use chrono::{DateTime, Utc};

use super::log::AuditLog;
use crate::ledger::Result;
use crate::ledger::sql::Param;
use crate::record::Key;

/// The most rows that a query of this file counts.
pub const COUNTED_MAX: i64 = 100_000;

/// The most reasons that are listed.
const REASONS_MAX: i64 = 100;

/// Rows with the same reason.
#[derive(Debug, Clone)]
pub struct ReasonGroup {
    /// The reason that they share.
    pub reason: Option<String>,
    /// How many rows have it.
    pub rows: i64,
    /// How many of them are acknowledged.
    pub acknowledged: i64,
    /// The outcome that they share; `rejected` and `invalid` for entries and rows of the source.
    pub outcome: String,
    /// One of the rows, if it has a key.
    pub example: Option<Key>,
    /// When the newest of them was recorded, if that is known.
    pub newest: Option<DateTime<Utc>>,
}

/// The changes of a run that concern one attribute, with the same action and the same outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanGroup {
    /// The attribute.
    pub attribute_id: i64,
    /// `create`, `update` or `delete`.
    pub action: String,
    /// The outcome so far.
    pub outcome: String,
    /// How many changes there are.
    pub changes: i64,
}

/// The requests of a run with the same outcome and the same status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponseGroup {
    /// The outcome: `accepted`, `refused` and so on.
    pub outcome: String,
    /// The HTTP status, if there was a response.
    pub http_status: Option<i64>,
    /// How many requests there are.
    pub requests: i64,
    /// How many values they carried.
    pub items: i64,
}

/// A customer and an attribute as one number, so that `min` takes an example of a group. Both ids are below 2^31.
const EXAMPLE: i64 = 1 << 31;

impl AuditLog {
    /// The rejected values of a store by reason, the most frequent first.
    ///
    /// # Errors
    /// The database failed; the same for all queries.
    pub async fn rejected_by_reason(&self, store_id: i64) -> Result<Vec<ReasonGroup>> {
        let sql = "select 'rejected', reason, count(*), cast(sum(acknowledged) as bigint),
                min(customer_id * $2 + attribute_id), max(updated_at)
            from (
                select customer_id, attribute_id, reason, acknowledged, updated_at from entries
                where store_id = $1 and belief = 'rejected' limit $3
            ) r
            group by reason order by 3 desc, 2 limit $4";
        self.reasons(sql, store_id).await
    }

    /// The changes of a run that are rejected, unknown, or deferred for a reason, by outcome and reason, the most
    /// frequent first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn failures_by_reason(&self, run_id: i64) -> Result<Vec<ReasonGroup>> {
        let sql = "select outcome, reason, count(*), 0, min(customer_id * $2 + attribute_id), max(decided_at)
            from (
                select customer_id, attribute_id, outcome, reason, decided_at from outcomes
                where run_id = $1 limit $3
            ) c
            where outcome in ('rejected', 'unknown') or outcome = 'deferred' and reason is not null
            group by outcome, reason order by 3 desc, 1, 2 limit $4";
        self.reasons(sql, run_id).await
    }

    /// The source rows of a run that cannot be sent by reason, the most frequent first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn invalid_by_reason(&self, run_id: i64) -> Result<Vec<ReasonGroup>> {
        let sql = "select 'invalid', reason, count(*), 0, min(customer_id * $2 + attribute_id), null
            from (
                select customer_id, attribute_id, reason from invalid_rows
                where run_id = (select coalesce(invalid_rows_run_id, id) from runs where id = $1) limit $3
            ) i
            group by reason order by 3 desc, 2 limit $4";
        self.reasons(sql, run_id).await
    }

    async fn reasons(&self, sql: &'static str, id: i64) -> Result<Vec<ReasonGroup>> {
        let params = [id, EXAMPLE, COUNTED_MAX, REASONS_MAX].map(Param::from).to_vec();
        self.query(sql, params, |row| {
            Ok(ReasonGroup {
                outcome: row.text()?,
                reason: row.maybe_text()?,
                rows: row.int()?,
                acknowledged: row.int()?,
                example: row.maybe_int()?.map(|key| Key::new(key / EXAMPLE, key % EXAMPLE)),
                newest: row.maybe_time()?,
            })
        })
        .await
    }

    /// The changes of a run by attribute, action and outcome.
    ///
    /// # Errors
    /// The database failed.
    pub async fn plan_by_attribute(&self, run_id: i64) -> Result<Vec<PlanGroup>> {
        let sql = "select attribute_id, action, outcome, count(*)
            from (select attribute_id, action, outcome from outcomes where run_id = $1 limit $2) c
            group by attribute_id, action, outcome order by attribute_id, action, outcome";
        self.query(sql, vec![Param::from(run_id), Param::from(COUNTED_MAX)], |row| {
            Ok(PlanGroup {
                attribute_id: row.int()?,
                action: row.text()?,
                outcome: row.text()?,
                changes: row.int()?,
            })
        })
        .await
    }

    /// The requests of a run by outcome and status, the most frequent first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn requests_by_response(&self, run_id: i64) -> Result<Vec<ResponseGroup>> {
        let sql = "select outcome, http_status, count(*), cast(sum(items) as bigint)
            from (select outcome, http_status, items from requests where run_id = $1 limit $2) q
            group by outcome, http_status order by 3 desc, 1, 2";
        self.query(sql, vec![Param::from(run_id), Param::from(COUNTED_MAX)], |row| {
            Ok(ResponseGroup {
                outcome: row.text()?,
                http_status: row.maybe_int()?,
                requests: row.int()?,
                items: row.int()?,
            })
        })
        .await
    }
}
