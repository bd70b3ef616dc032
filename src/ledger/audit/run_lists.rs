//! What a run left: lists that can be long, and can therefore be read row by row.

use super::log::AuditLog;
use super::queries::{belief_edit, invalid_row, request_row};
use super::rows::{BeliefEditRow, FailedChange, RequestRow, RunRow, RunTotals, outcome_of_cut_off};
use crate::ledger::Result;
use crate::ledger::cells::Cells;
use crate::ledger::sql::{Param, Statement};
use crate::record::InvalidRow;

/// A list of one kind of rows that a run left.
#[derive(Debug, Clone, Copy)]
pub struct RunList<T> {
    columns: &'static str,
    /// Where the rows of run `$1` are.
    from: &'static str,
    order: &'static str,
    read: fn(&mut Cells) -> Result<T>,
}

impl<T> RunList<T> {
    /// Selects the first rows.
    fn statement(&self, run_id: i64, limit: i64) -> Statement {
        let Self { columns, from, order, .. } = self;
        let sql = format!("select {columns} from {from} order by {order} limit $2");
        Statement { sql: sql.into(), params: vec![Param::from(run_id), Param::from(limit)] }
    }
}

impl RunList<RequestRow> {
    /// The requests, in order.
    pub const REQUESTS: Self = Self {
        columns:
            "id, run_id, parent_id, method, attempt, customers, items, sent_at, answered_at, http_status,
            store_request_id, outcome, error",
        from: "requests where run_id = $1",
        order: "id",
        read: |row| {
            let id = row.int()?;
            request_row(id, row)
        },
    };
}

impl RunList<FailedChange> {
    /// The changes that are rejected, unknown or deferred. Those that were never sent are last.
    pub const FAILURES: Self = Self {
        columns: "customer_id, attribute_id, value, outcome,
            coalesce(reason, case
                when outcome not in ('deferred', 'planned') then null
                when run_status = 'saved' then 'not sent: the plan was saved'
                when run_status = 'blocked' then 'not sent: a guard blocked the run'
                else 'not sent: the run ended before'
            end),
            request_id",
        from: "outcomes where run_id = $1 and outcome in ('rejected', 'unknown', 'deferred')",
        order: "case when outcome in ('deferred', 'planned') and reason is null then 1 else 0 end,
            customer_id, attribute_id",
        read: |row| {
            Ok(FailedChange {
                customer_id: row.int()?,
                attribute_id: row.int()?,
                value: row.maybe_text()?,
                outcome: outcome_of_cut_off(row.text()?),
                reason: row.maybe_text()?,
                request_id: row.maybe_int()?,
            })
        },
    };

    /// The same of a run that was cut off: what it was sending is unknown.
    const FAILURES_OF_CUT_OFF: Self = Self {
        from: "outcomes where run_id = $1
            and outcome in ('rejected', 'unknown', 'deferred', 'sending', 'planned')",
        ..Self::FAILURES
    };

    /// The changes of a run that are rejected, unknown or deferred.
    #[must_use]
    pub fn failures_of(run: &RunRow) -> Self {
        if run.is_cut_off() { Self::FAILURES_OF_CUT_OFF } else { Self::FAILURES }
    }
}

impl RunList<BeliefEditRow> {
    /// The belief edits, in order.
    pub const BELIEF_EDITS: Self = Self {
        columns: "run_id, customer_id, attribute_id, edit, count, reason, at, value, value_id",
        from: "belief_edits where run_id = $1",
        order: "at, customer_id, attribute_id",
        read: belief_edit,
    };
}

impl RunList<InvalidRow> {
    /// The source rows that cannot be sent.
    pub const INVALID_ROWS: Self = Self {
        columns: "customer_id, attribute_id, value, reason",
        from: "invalid_rows where run_id = (select coalesce(invalid_rows_run_id, id) from runs where id = $1)",
        order: "customer_id, attribute_id",
        read: invalid_row,
    };
}

impl AuditLog {
    /// How many rows each list has.
    ///
    /// # Errors
    /// The database failed.
    pub async fn run_totals(&self, run_id: i64, failures: RunList<FailedChange>) -> Result<RunTotals> {
        let sql = format!(
            "select (select count(*) from {}), (select count(*) from {}), (select count(*) from {}),
                (select count(*) from {}),
                (select case when finished_at is null then 0 else rejected + unknown + deferred end
                    from runs where id = $1)",
            RunList::REQUESTS.from,
            failures.from,
            RunList::BELIEF_EDITS.from,
            RunList::INVALID_ROWS.from
        );
        let totals = self.query(sql, vec![Param::from(run_id)], |row| {
            let (requests, failures) = (row.int()?, row.int()?);
            let (belief_edits, invalid_rows) = (row.int()?, row.int()?);
            // Without the run there is nothing.
            let not_confirmed = row.maybe_int()?.unwrap_or_default();
            let removed = (not_confirmed - failures).max(0);
            Ok(RunTotals { requests, failures, removed, belief_edits, invalid_rows })
        });
        Ok(totals.await?.pop().unwrap_or_default())
    }

    /// The first rows of a list.
    ///
    /// # Errors
    /// The database failed.
    pub async fn list<T>(&self, list: RunList<T>, run_id: i64, limit: i64) -> Result<Vec<T>> {
        let Statement { sql, params } = list.statement(run_id, limit);
        self.query(sql, params, list.read).await
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
        let statement = list.statement(run_id, limit);
        let step = move |(state, failed): &mut (S, Result<()>), row| {
            if failed.is_ok() {
                *failed = (list.read)(&mut Cells::of(row)).map(|row| take(state, row));
            }
        };
        let (state, failed) = self.session.fold("run a query", statement, (state, Ok(())), step).await?;
        failed.map(|()| state)
    }
}
