//! The questions, each with its statement.

use super::rows::{
    EntryHistory, EntryState, Failure, HistoryLine, InvalidLine, Learned, Rejection, Rejections, RequestLine,
    RunLine, StoreLine,
};
use super::{AuditLog, Cells};
use crate::ledger::Result;
use crate::ledger::sql::Param;
use crate::ledger::statements::LEARNED_SIZE;
use crate::record::{InvalidRow, StoreName};

/// The columns that [`run_line`] takes, before the condition.
macro_rules! runs {
    ($condition:literal) => {
        concat!(
            "select r.id, r.store_id, s.api_url, s.hash, r.kind, r.trigger, r.status, r.started_at, r.planned_at,
                r.finished_at, r.source_rows, r.no_value, r.unchanged, r.still_rejected, r.invalid, r.orphans,
                r.planned, r.confirmed, r.altered, r.rejected, r.unknown, r.deferred, r.requests, r.message, r.version
            from runs r join stores s on s.id = r.store_id ",
            $condition
        )
    };
}

impl AuditLog {
    /// All stores of the ledger.
    ///
    /// # Errors
    /// The database failed; so for all questions.
    pub async fn stores(&self) -> Result<Vec<StoreLine>> {
        let sql = "select id, api_url, hash, owner_run_id from stores order by id";
        self.ask(sql, Vec::new(), |row| {
            Ok(StoreLine {
                id: row.int()?,
                api_url: row.text()?,
                hash: row.text()?,
                owner_run_id: row.maybe_int()?,
            })
        })
        .await
    }

    /// The ledger's id of a store; `None` if no run has been made for it.
    ///
    /// # Errors
    /// The database failed.
    pub async fn store_id(&self, store: &StoreName) -> Result<Option<i64>> {
        let params = vec![Param::from(store.api_url.as_str()), Param::from(store.hash.as_str())];
        let rows = self.ask("select id from stores where api_url = $1 and hash = $2", params, Cells::int);
        Ok(rows.await?.pop())
    }

    /// The size that a store was found to accept.
    ///
    /// # Errors
    /// The database failed.
    pub async fn learned_size(&self, store_id: i64) -> Result<Option<Learned>> {
        let rows = self.ask(LEARNED_SIZE, vec![Param::from(store_id)], |row| {
            Ok(Learned { values_per_request: row.int()?, learned_at: row.time()? })
        });
        Ok(rows.await?.pop())
    }

    /// The newest runs, newest first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn runs(&self, limit: i64) -> Result<Vec<RunLine>> {
        self.ask(runs!("order by r.id desc limit $1"), vec![Param::from(limit)], run_line).await
    }

    /// One run.
    ///
    /// # Errors
    /// The database failed.
    pub async fn run(&self, id: i64) -> Result<Option<RunLine>> {
        Ok(self.ask(runs!("where r.id = $1"), vec![Param::from(id)], run_line).await?.pop())
    }

    /// The run that owns a store and has not ended. It may have been cut off: only its lock tells.
    ///
    /// # Errors
    /// The database failed.
    pub async fn active_run(&self, store_id: i64) -> Result<Option<RunLine>> {
        let sql = runs!("where s.id = $1 and s.owner_run_id = r.id and r.finished_at is null");
        Ok(self.ask(sql, vec![Param::from(store_id)], run_line).await?.pop())
    }

    /// The calls of a run, in order.
    ///
    /// # Errors
    /// The database failed.
    pub async fn requests(&self, run_id: i64, limit: i64) -> Result<Vec<RequestLine>> {
        let sql = "select id, run_id, parent_id, method, attempt, customers, items, sent_at, answered_at, http_status,
                store_request_id, outcome, error
            from requests where run_id = $1 order by id limit $2";
        self.ask(sql, vec![Param::from(run_id), Param::from(limit)], |row| {
            let id = row.int()?;
            request_line(id, row)
        })
        .await
    }

    /// The changes of a run that the store refused, may not have, or that were given up for a reason.
    ///
    /// # Errors
    /// The database failed.
    pub async fn failures(&self, run_id: i64, limit: i64) -> Result<Vec<Failure>> {
        let sql = "select customer_id, attribute_id, value, outcome, reason, request_id from outcomes
            where run_id = $1
                and (outcome in ('rejected', 'unknown') or outcome = 'deferred' and reason is not null)
            order by customer_id, attribute_id limit $2";
        self.ask(sql, vec![Param::from(run_id), Param::from(limit)], |row| {
            Ok(Failure {
                customer_id: row.int()?,
                attribute_id: row.int()?,
                value: row.maybe_text()?.unwrap_or_default(),
                outcome: row.text()?,
                reason: row.maybe_text()?,
                request_id: row.maybe_int()?,
            })
        })
        .await
    }

    /// The source rows of a run that cannot be sent.
    ///
    /// # Errors
    /// The database failed.
    pub async fn invalid_rows(&self, run_id: i64, limit: i64) -> Result<Vec<InvalidRow>> {
        let sql = "select customer_id, attribute_id, value, reason from invalid_rows
            where run_id = $1 order by customer_id, attribute_id limit $2";
        self.ask(sql, vec![Param::from(run_id), Param::from(limit)], |row| {
            Ok(InvalidRow {
                customer_id: row.maybe_int()?,
                attribute_id: row.maybe_int()?,
                value: row.maybe_text()?,
                reason: row.text()?,
            })
        })
        .await
    }

    /// What is believed of a customer's values, or one of them, how that came about, and which of its rows the newest planned
    /// run could not send: at most `limit` changes and rows.
    ///
    /// # Errors
    /// The database failed.
    pub async fn explain(
        &self,
        store_id: i64,
        customer_id: i64,
        attribute_id: Option<i64>,
        limit: i64,
    ) -> Result<EntryHistory> {
        let mut params = vec![
            Param::from(store_id),
            Param::from(customer_id),
            Param::from(attribute_id.unwrap_or(i64::MIN)),
            Param::from(attribute_id.unwrap_or(i64::MAX)),
        ];
        let entries =
            "select customer_id, attribute_id, value, stored_value, observed_value, value_id, belief, reason,
                run_id, updated_at
            from entries where store_id = $1 and customer_id = $2 and attribute_id between $3 and $4
            order by attribute_id";
        let entries = self.ask(entries, params.clone(), entry_state).await?;
        params.push(Param::from(limit));
        let history = "select o.run_id, o.run_status, o.run_started_at, o.customer_id, o.attribute_id, o.action,
                o.value, o.previous_value, o.outcome, o.reason, o.decided_at, q.id, q.run_id, q.parent_id, q.method,
                q.attempt, q.customers, q.items, q.sent_at, q.answered_at, q.http_status, q.store_request_id, q.outcome, q.error
            from outcomes o left join requests q on q.id = o.request_id
            where o.store_id = $1 and o.customer_id = $2 and o.attribute_id between $3 and $4
            order by o.run_id desc, o.attribute_id limit $5";
        let history = self.ask(history, params.clone(), history_line).await?;
        // A row without an attribute stands beside all of them.
        let invalid = "select r.id, r.started_at, i.attribute_id, i.value, i.reason
            from runs r join invalid_rows i on i.run_id = r.id
            where r.id = (
                    select max(id) from runs where store_id = $1 and kind = 'sync' and planned_at is not null
                )
                and i.customer_id = $2 and coalesce(i.attribute_id, -1) between $3 and $4
            order by coalesce(i.attribute_id, -1), i.value limit $5";
        let invalid = self.ask(invalid, params, |row| {
            Ok(InvalidLine {
                run_id: row.int()?,
                run_started_at: row.time()?,
                attribute_id: row.maybe_int()?,
                value: row.maybe_text()?,
                reason: row.text()?,
            })
        });
        Ok(EntryHistory { invalid: invalid.await?, entries, history })
    }

    /// The values of a store that are set aside, at most `limit` of them, and how many there are.
    ///
    /// # Errors
    /// The database failed.
    pub async fn rejected(&self, store_id: i64, limit: i64) -> Result<Rejections> {
        let total = "select count(*) from entries where store_id = $1 and belief = 'rejected'";
        let total = self.ask(total, vec![Param::from(store_id)], Cells::int).await?.pop().unwrap_or_default();
        let sql = "select customer_id, attribute_id, value, reason, run_id, updated_at from entries
            where store_id = $1 and belief = 'rejected' order by customer_id, attribute_id limit $2";
        let values = self.ask(sql, vec![Param::from(store_id), Param::from(limit)], |row| {
            Ok(Rejection {
                customer_id: row.int()?,
                attribute_id: row.int()?,
                value: row.text()?,
                reason: row.maybe_text()?,
                run_id: row.int()?,
                since: row.time()?,
            })
        });
        Ok(Rejections { total, values: values.await? })
    }

    pub(super) async fn ask<T>(
        &self,
        sql: &'static str,
        params: Vec<Param>,
        read: impl Fn(&mut Cells) -> Result<T>,
    ) -> Result<Vec<T>> {
        let rows = self.port.rows(sql, params).await?;
        rows.into_iter().map(|row| read(&mut Cells::of(row))).collect()
    }
}

fn run_line(row: &mut Cells) -> Result<RunLine> {
    Ok(RunLine {
        id: row.int()?,
        store_id: row.int()?,
        api_url: row.text()?,
        hash: row.text()?,
        kind: row.text()?,
        trigger: row.text()?,
        status: row.text()?,
        started_at: row.time()?,
        planned_at: row.maybe_time()?,
        finished_at: row.maybe_time()?,
        counts: row.counts()?,
        message: row.maybe_text()?,
        version: row.text()?,
    })
}

/// The cells after the request's id, which may be NULL in a join.
fn request_line(id: i64, row: &mut Cells) -> Result<RequestLine> {
    Ok(RequestLine {
        id,
        run_id: row.int()?,
        parent_id: row.maybe_int()?,
        method: row.text()?,
        attempt: row.int()?,
        customers: row.int()?,
        items: row.int()?,
        sent_at: row.time()?,
        answered_at: row.maybe_time()?,
        http_status: row.maybe_int()?,
        store_request_id: row.maybe_text()?,
        outcome: row.text()?,
        error: row.maybe_text()?,
    })
}

fn entry_state(row: &mut Cells) -> Result<EntryState> {
    Ok(EntryState {
        customer_id: row.int()?,
        attribute_id: row.int()?,
        value: row.text()?,
        stored_value: row.maybe_text()?,
        observed_value: row.maybe_text()?,
        value_id: row.maybe_int()?,
        belief: row.text()?,
        reason: row.maybe_text()?,
        run_id: row.int()?,
        updated_at: row.time()?,
    })
}

fn history_line(row: &mut Cells) -> Result<HistoryLine> {
    Ok(HistoryLine {
        run_id: row.int()?,
        run_status: row.text()?,
        run_started_at: row.time()?,
        customer_id: row.int()?,
        attribute_id: row.int()?,
        action: row.text()?,
        value: row.maybe_text()?.unwrap_or_default(),
        previous_value: row.maybe_text()?,
        outcome: row.text()?,
        reason: row.maybe_text()?,
        decided_at: row.maybe_time()?,
        request: match row.maybe_int()? {
            Some(id) => Some(request_line(id, row)?),
            None => None,
        },
    })
}
