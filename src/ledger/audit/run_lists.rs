//! What a run left: lists that can be long, and can therefore be read row by row.

use super::log::AuditLog;
use super::queries::{belief_edit, invalid_row, request_row};
use super::rows::{BeliefEditRow, FailedChange, RequestRow, RunTotals};
use crate::ledger::Result;
use crate::ledger::cells::Cells;
use crate::ledger::sql::{Param, Statement};
use crate::record::InvalidRow;

/// The changes of run `$1` that are rejected, unknown, or deferred for a reason.
macro_rules! failures {
    () => {
        "from outcomes where run_id = $1
            and (outcome in ('rejected', 'unknown') or outcome = 'deferred' and reason is not null)"
    };
}

/// The source rows of run `$1` that cannot be sent.
macro_rules! invalid_rows {
    () => {
        "from invalid_rows where run_id = (select coalesce(invalid_rows_run_id, id) from runs where id = $1)"
    };
}

/// A list of one kind of rows that a run left.
#[derive(Debug, Clone, Copy)]
pub struct RunList<T> {
    /// Selects the rows of run `$1`, at most `$2`.
    sql: &'static str,
    read: fn(&mut Cells) -> Result<T>,
}

impl RunList<RequestRow> {
    /// The requests, in order.
    pub const REQUESTS: Self = Self {
        sql: "select id, run_id, parent_id, method, attempt, customers, items, sent_at, answered_at, http_status,
                store_request_id, outcome, error
            from requests where run_id = $1 order by id limit $2",
        read: |row| {
            let id = row.int()?;
            request_row(id, row)
        },
    };
}

impl RunList<FailedChange> {
    /// The changes that are rejected, unknown, or deferred for a reason.
    pub const FAILURES: Self = Self {
        sql: concat!(
            "select customer_id, attribute_id, value, outcome, reason, request_id ",
            failures!(),
            " order by customer_id, attribute_id limit $2"
        ),
        read: |row| {
            Ok(FailedChange {
                customer_id: row.int()?,
                attribute_id: row.int()?,
                value: row.maybe_text()?,
                outcome: row.text()?,
                reason: row.maybe_text()?,
                request_id: row.maybe_int()?,
            })
        },
    };
}

impl RunList<BeliefEditRow> {
    /// The belief edits, in order.
    pub const BELIEF_EDITS: Self = Self {
        sql: "select run_id, customer_id, attribute_id, edit, count, reason, at from belief_edits
            where run_id = $1 order by at, customer_id, attribute_id limit $2",
        read: belief_edit,
    };
}

impl RunList<InvalidRow> {
    /// The source rows that cannot be sent.
    pub const INVALID_ROWS: Self = Self {
        sql: concat!(
            "select customer_id, attribute_id, value, reason ",
            invalid_rows!(),
            " order by customer_id, attribute_id limit $2"
        ),
        read: invalid_row,
    };
}

impl AuditLog {
    /// How many rows each list has.
    ///
    /// # Errors
    /// The database failed.
    pub async fn run_totals(&self, run_id: i64) -> Result<RunTotals> {
        let sql = concat!(
            "select (select count(*) from requests where run_id = $1), (select count(*) ",
            failures!(),
            "), (select count(*) from belief_edits where run_id = $1), (select count(*) ",
            invalid_rows!(),
            ")"
        );
        let totals = self.query(sql, vec![Param::from(run_id)], |row| {
            let (requests, failures) = (row.int()?, row.int()?);
            Ok(RunTotals { requests, failures, belief_edits: row.int()?, invalid_rows: row.int()? })
        });
        Ok(totals.await?.pop().unwrap_or_default())
    }

    /// The first rows of a list.
    ///
    /// # Errors
    /// The database failed.
    pub async fn list<T>(&self, list: RunList<T>, run_id: i64, limit: i64) -> Result<Vec<T>> {
        self.query(list.sql, vec![Param::from(run_id), Param::from(limit)], list.read).await
    }

    /// Passes the first rows of a list to `take` as they are read, with a state that is returned. Holds one row at a
    /// time.
    ///
    /// # Errors
    /// The database failed.
    pub async fn each<T: 'static, S: Send + 'static>(
        &self,
        list: RunList<T>,
        run_id: i64,
        limit: i64,
        state: S,
        take: fn(&mut S, T),
    ) -> Result<S> {
        let params = vec![Param::from(run_id), Param::from(limit)];
        let statement = Statement { sql: list.sql.into(), params };
        let step = move |(state, failed): &mut (S, Result<()>), row| {
            if failed.is_ok() {
                *failed = (list.read)(&mut Cells::of(row)).map(|row| take(state, row));
            }
        };
        let (state, failed) = self.session.fold("run a query", statement, (state, Ok(())), step).await?;
        failed.map(|()| state)
    }
}
