//! The queries, each with its statement.

use super::log::AuditLog;
use super::rows::{BeliefEditRow, Rejection, Rejections, RequestRow, RunRow, StoreRow};
use crate::ledger::Result;
use crate::ledger::cells::{Cells, unexpected};
use crate::ledger::sql::Param;
use crate::record::{InvalidRow, KeyScope, RunKind, RunStatus, StoreName, WaitReason, WaitTotal};

/// A query whose columns are those of [`run_row`].
macro_rules! runs {
    ($condition:literal) => {
        concat!(
            "select r.id, r.store_id, s.api_url, s.hash, r.kind, r.trigger, r.status, r.started_at, r.planned_at,
                r.finished_at, r.scheduled_for, r.of_run_id, r.source_rows, r.no_value, r.unchanged, r.still_rejected, r.acknowledged, r.invalid, r.orphans,
                r.stored_without_row, r.pinned, r.planned, r.deletes, r.confirmed, r.altered, r.rejected, r.unknown, r.deferred, r.requests, r.filtered,
                r.by_digest, r.message, r.version
            from runs r join stores s on s.id = r.store_id ",
            $condition
        )
    };
}

/// Completes a statement about the rejected entries of store `$1` in a scope: customer `$2` and attribute `$3`, NULL for
/// any.
macro_rules! rejected {
    ($columns:literal, $rest:literal) => {
        concat!(
            "select ",
            $columns,
            " from entries where store_id = $1 and belief = 'rejected'
                and customer_id between coalesce($2, 0) and coalesce($2, 9223372036854775807)
                and attribute_id between coalesce($3, 0) and coalesce($3, 9223372036854775807)",
            $rest
        )
    };
}

const REJECTED_TOTALS: &str = rejected!("count(*), cast(coalesce(sum(acknowledged), 0) as bigint)", "");

const REJECTED: &str = rejected!(
    "customer_id, attribute_id, value, reason, acknowledged, run_id, updated_at",
    " order by customer_id, attribute_id limit $4"
);

impl AuditLog {
    /// All stores of the ledger.
    ///
    /// # Errors
    /// The database failed; the same for all queries.
    pub async fn stores(&self) -> Result<Vec<StoreRow>> {
        let sql = "select id, api_url, hash, owner_run_id from stores order by id";
        self.query(sql, Vec::new(), |row| {
            Ok(StoreRow {
                id: row.int()?,
                api_url: row.text()?,
                hash: row.text()?,
                owner_run_id: row.maybe_int()?,
            })
        })
        .await
    }

    /// The ledger's id of a store; `None` if the store had no run yet.
    ///
    /// # Errors
    /// The database failed.
    pub async fn store_id(&self, store: &StoreName) -> Result<Option<i64>> {
        let params = vec![Param::from(store.api_url.as_str()), Param::from(store.hash.as_str())];
        let rows = self.query("select id from stores where api_url = $1 and hash = $2", params, Cells::int);
        Ok(rows.await?.pop())
    }

    /// The newest runs before one, or of all, newest first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn runs(&self, before: Option<i64>, limit: i64) -> Result<Vec<RunRow>> {
        let params = vec![Param::from(before.unwrap_or(i64::MAX)), Param::from(limit)];
        let sql = runs!("where r.id < $1 order by r.id desc limit $2");
        let mut runs = self.query(sql, params, run_row).await?;
        for run in &mut runs {
            self.tell_state(run).await?;
        }
        Ok(runs)
    }

    /// The newest runs of one store before one, or of all, newest first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn runs_of(&self, store_id: i64, before: Option<i64>, limit: i64) -> Result<Vec<RunRow>> {
        let params = [store_id, before.unwrap_or(i64::MAX), limit].map(Param::from).to_vec();
        let sql = runs!("where r.store_id = $1 and r.id < $2 order by r.id desc limit $3");
        let mut runs = self.query(sql, params, run_row).await?;
        for run in &mut runs {
            self.tell_state(run).await?;
        }
        Ok(runs)
    }

    /// One run.
    ///
    /// # Errors
    /// The database failed.
    pub async fn run(&self, id: i64) -> Result<Option<RunRow>> {
        let Some(mut run) = self.recorded_run(id).await? else { return Ok(None) };
        self.tell_state(&mut run).await?;
        Ok(Some(run))
    }

    /// The runs of this kind that applied the plan of a run, or undid it, the oldest first; at most a hundred.
    ///
    /// # Errors
    /// The database failed.
    pub async fn runs_of_run(&self, run_id: i64, kind: RunKind) -> Result<Vec<i64>> {
        let sql = "select id from runs where of_run_id = $1 and kind = $2 order by id limit 100";
        self.query(sql, vec![Param::from(run_id), Param::from(kind.as_str())], Cells::int).await
    }

    /// How many runs there are.
    ///
    /// # Errors
    /// The database failed.
    pub async fn runs_total(&self) -> Result<i64> {
        let total = self.query("select count(*) from runs", Vec::new(), Cells::int).await?;
        Ok(total.first().copied().unwrap_or(0))
    }

    async fn recorded_run(&self, id: i64) -> Result<Option<RunRow>> {
        Ok(self.query(runs!("where r.id = $1"), vec![Param::from(id)], run_row).await?.pop())
    }

    /// Tells an active run from one that was interrupted and that no later run has closed yet. What is not known yet
    /// of an active run is counted apart.
    async fn tell_state(&self, run: &mut RunRow) -> Result<()> {
        if run.finished_at.is_some() {
            return Ok(());
        }
        if !self.is_active(run.id, run.store_id).await? {
            // It may have ended just now.
            match self.recorded_run(run.id).await? {
                Some(ended) if ended.finished_at.is_some() => *run = ended,
                _ => {
                    run.status = RunStatus::Interrupted.as_str().to_owned();
                    run.needs_attention = true;
                }
            }
            return Ok(());
        }
        run.in_flight = std::mem::take(&mut run.counts.unknown);
        run.to_come = std::mem::take(&mut run.counts.deferred);
        Ok(())
    }

    /// How long a closed run waited, by reason, the longest first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn waits(&self, run_id: i64) -> Result<Vec<WaitTotal>> {
        let sql = "select reason, waits, milliseconds from waits where run_id = $1 order by milliseconds desc, reason";
        self.query(sql, vec![Param::from(run_id)], |row| {
            Ok(WaitTotal {
                reason: WaitReason::from_word(&row.text()?).ok_or_else(|| unexpected("a reason to wait"))?,
                waits: row.int()?,
                milliseconds: row.int()?,
            })
        })
        .await
    }

    /// The rejected values of a store in a scope: the first `limit` of them, and how many there are.
    ///
    /// # Errors
    /// The database failed.
    pub async fn rejected(&self, store_id: i64, scope: KeyScope, limit: i64) -> Result<Rejections> {
        let mut params =
            vec![Param::from(store_id), Param::from(scope.customer_id), Param::from(scope.attribute_id)];
        let totals = |row: &mut Cells| Ok((row.int()?, row.int()?));
        let totals = self.query(REJECTED_TOTALS, params.clone(), totals).await?.pop();
        let (total, acknowledged) = totals.unwrap_or_default();
        params.push(Param::from(limit));
        let values = self.query(REJECTED, params, rejection).await?;
        Ok(Rejections { total, acknowledged, values })
    }
}

pub(super) fn rejection(row: &mut Cells) -> Result<Rejection> {
    Ok(Rejection {
        customer_id: row.int()?,
        attribute_id: row.int()?,
        value: row.maybe_text()?,
        reason: row.maybe_text()?,
        acknowledged: row.int()? != 0,
        run_id: row.int()?,
        since: row.time()?,
    })
}

fn run_row(row: &mut Cells) -> Result<RunRow> {
    let (id, store_id, api_url, hash) = (row.int()?, row.int()?, row.text()?, row.text()?);
    let (kind, trigger, status) = (row.text()?, row.text()?, row.text()?);
    let (started_at, planned_at, finished_at) = (row.time()?, row.maybe_time()?, row.maybe_time()?);
    let (scheduled_for, of_run_id) = (row.maybe_time()?, row.maybe_int()?);
    // The end of an interrupted run is not known: the next run closed it.
    let ended_at = finished_at.filter(|_| status != RunStatus::Interrupted.as_str());
    Ok(RunRow {
        id,
        store_id,
        api_url,
        hash,
        kind,
        trigger,
        started_at,
        planned_at,
        finished_at,
        scheduled_for,
        of_run_id,
        duration_ms: ended_at.map(|ended_at| (ended_at - started_at).num_milliseconds()),
        needs_attention: finished_at.is_some()
            && ![RunStatus::Succeeded, RunStatus::Saved].iter().any(|good| status == good.as_str()),
        status,
        counts: row.counts()?,
        filtered: row.int()? != 0,
        by_digest: row.int()? != 0,
        in_flight: 0,
        to_come: 0,
        message: row.maybe_text()?,
        version: row.text()?,
    })
}

/// Reads the cells after the request's id, which may be NULL in a join.
pub(super) fn request_row(id: i64, row: &mut Cells) -> Result<RequestRow> {
    Ok(RequestRow {
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

pub(super) fn invalid_row(row: &mut Cells) -> Result<InvalidRow> {
    Ok(InvalidRow {
        customer_id: row.maybe_int()?,
        attribute_id: row.maybe_int()?,
        value: row.maybe_text()?,
        reason: row.text()?,
    })
}

pub(super) fn belief_edit(row: &mut Cells) -> Result<BeliefEditRow> {
    Ok(BeliefEditRow {
        run_id: row.int()?,
        customer_id: row.maybe_int()?,
        attribute_id: row.maybe_int()?,
        edit: row.text()?,
        count: row.int()?,
        reason: row.text()?,
        at: row.time()?,
        value: row.maybe_text()?,
        value_id: row.maybe_int()?,
    })
}
