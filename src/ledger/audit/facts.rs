//! What the runs of a store say about how it stands.
//!
//! The cost does not depend on how many values there are: only runs and belief edits are read, newest first.

use chrono::{DateTime, Utc};

use super::log::AuditLog;
use super::rows::RunRow;
use crate::attention::{Facts, PastRun};
use crate::ledger::Result;
use crate::ledger::cells::{Cells, unexpected};
use crate::ledger::sql::Param;
use crate::record::RunStatus;

/// The newest sync of store `$1` up to run `$2` that a condition admits; with `$3` = 1 none that was interrupted. An apply
/// counts once its plan is complete.
macro_rules! newest {
    ($column:literal, $condition:literal) => {
        concat!(
            "(select ",
            $column,
            " from runs where store_id = $1 and id <= $2 and kind in ('sync', 'apply')
                and (kind = 'sync' or planned_at is not null) and (status <> 'interrupted' or $3 = 0)",
            $condition,
            " order by id desc limit 1)"
        )
    };
}

/// The runs that count. The last one confirmed every change that it planned.
const NEWEST: &str = concat!(
    "select ",
    newest!("id", ""),
    ", ",
    newest!("id", " and finished_at is not null"),
    ", ",
    newest!("id", " and filtered = 0 and finished_at is not null"),
    ", ",
    newest!("id", " and filtered = 0 and planned_at is not null"),
    ", ",
    newest!("finished_at", " and filtered = 0 and status in ('succeeded', 'partial')"),
    ", ",
    newest!("id", " and filtered = 0 and status in ('succeeded', 'partial') and unknown = 0")
);

/// What happened up to run `$2` after the whole plan of run `$3`, what no whole sync after run `$4` has confirmed, how many
/// scheduled times were missed after the success of time `$5`, and the drift that was reported and lasts.
const LATER: &str = "
    select
        (select cast(coalesce(sum(rejected), 0) as bigint) from runs
            where store_id = $1 and id <= $2 and id > $3 and kind in ('sync', 'apply')),
        (select cast(coalesce(sum(b.count), 0) as bigint) from runs r join belief_edits b on b.run_id = r.id
            where r.store_id = $1 and r.id <= $2 and r.id > $3 and r.kind in ('requeue', 'acknowledge')),
        (select min(coalesce(planned_at, started_at)) from runs
            where store_id = $1 and id <= $2 and id > $4
                and (kind in ('sync', 'apply', 'undo') and planned_at is not null and unknown + deferred > 0
                    or kind = 'requeue' and belief_edits > 0)),
        (select cast(coalesce(sum(times), 0) as bigint) from missed_times
            where store_id = $1 and (at > $5 or cast($5 as text) is null)),
        (select count(*) from drift d join entries e
            on e.store_id = d.store_id and e.customer_id = d.customer_id and e.attribute_id = d.attribute_id
            where d.store_id = $1 and d.run_id <= $2 and e.run_id < d.run_id),
        (select pins from stores where id = $1)";

/// The ids of the newest runs, and the time of the last success.
struct Newest {
    run: Option<i64>,
    ended: Option<i64>,
    whole: Option<i64>,
    planned: Option<i64>,
    success_at: Option<DateTime<Utc>>,
    confirmed: Option<i64>,
}

impl AuditLog {
    /// What the runs of a store say at the moment.
    ///
    /// # Errors
    /// The database failed.
    pub async fn facts(&self, store_id: i64) -> Result<Facts> {
        let is_older_copy = self.older_copy(Some(store_id)).await?.is_some();
        Ok(Facts { is_older_copy, ..self.facts_up_to(store_id, i64::MAX, false).await? })
    }

    /// What the runs of a store said when this run had ended, without those that were interrupted: a notification
    /// was sent for none of them.
    ///
    /// # Errors
    /// The database failed.
    pub async fn facts_after(&self, store_id: i64, run_id: i64) -> Result<Facts> {
        let is_older_copy = self.was_older_copy(store_id, run_id);
        Ok(Facts { is_older_copy, ..self.facts_up_to(store_id, run_id, true).await? })
    }

    async fn facts_up_to(&self, store_id: i64, last: i64, ended_only: bool) -> Result<Facts> {
        let params = vec![Param::from(store_id), Param::from(last), Param::from(i64::from(ended_only))];
        let newest = self.query(NEWEST, params, |row| {
            let (run, ended, whole) = (row.maybe_int()?, row.maybe_int()?, row.maybe_int()?);
            let (planned, success_at) = (row.maybe_int()?, row.maybe_time()?);
            Ok(Newest { run, ended, whole, planned, success_at, confirmed: row.maybe_int()? })
        });
        let Some(newest) = newest.await?.pop() else { return Ok(Facts::default()) };
        let planned = newest.planned.unwrap_or(0);
        let confirmed = newest.confirmed.unwrap_or(0);
        let params = vec![
            Param::from(store_id),
            Param::from(last),
            Param::from(planned),
            Param::from(confirmed),
            Param::from(newest.success_at),
        ];
        let later = |row: &mut Cells| {
            Ok((row.int()?, row.int()?, row.maybe_time()?, row.int()?, row.int()?, row.int()?))
        };
        let (rejected_later, requeued_later, oldest_unconfirmed_at, missed_later, drift, pins) =
            self.query(LATER, params, later).await?.pop().unwrap_or_default();
        let mut read = Vec::new();
        Ok(Facts {
            last_run: self.past_run(newest.run, &mut read).await?,
            last_ended: self.past_run(newest.ended, &mut read).await?,
            last_whole: self.past_run(newest.whole, &mut read).await?,
            last_planned: self.past_run(newest.planned, &mut read).await?,
            last_success_at: newest.success_at,
            rejected_later,
            requeued_later,
            oldest_unconfirmed_at,
            missed_later,
            pins,
            is_older_copy: false,
            drift,
        })
    }

    /// Reads a run, unless `read` has it: most often the newest run is all of them.
    async fn past_run(&self, id: Option<i64>, read: &mut Vec<PastRun>) -> Result<Option<PastRun>> {
        let Some(id) = id else { return Ok(None) };
        if let Some(run) = read.iter().find(|run| run.id == id) {
            return Ok(Some(run.clone()));
        }
        let Some(row) = self.run(id).await? else { return Ok(None) };
        let run = past_run(&row)?;
        read.push(run.clone());
        Ok(Some(run))
    }
}

fn past_run(row: &RunRow) -> Result<PastRun> {
    Ok(PastRun {
        id: row.id,
        status: RunStatus::from_word(&row.status).ok_or_else(|| unexpected("a status"))?,
        started_at: row.started_at,
        finished_at: row.finished_at,
        filtered: row.filtered,
        counts: row.counts,
    })
}
