//! The scheduled times of a store: which runs claimed them, and which were missed.

use chrono::{DateTime, TimeDelta, Utc};

use super::rows::{MissedRow, RunRow};
use super::state::State;
use crate::record::{Claimed, FINISHED_TIMES_MAX, MissedTimes, RunKind, RunStatus, ScheduledRun};

impl State {
    /// Claims the time of run `run_id`.
    pub(super) fn claim(&mut self, store: usize, run_id: i64, scheduled: &ScheduledRun, at: DateTime<Utc>) {
        self.record_missed(store, scheduled.missed.as_ref(), at, Some(run_id));
        self.stores[store].scheduled_until = Some(scheduled.until);
    }

    pub(super) fn claimed(&self, store: usize) -> Claimed {
        let until = self.stores[store].scheduled_until;
        let runs = || self.runs.iter().filter(|(of, _)| *of == store).map(|(_, run)| run);
        let newest = runs().rev().find(|run| run.scheduled_for.is_some());
        let is_covered = |at: &DateTime<Utc>| {
            let of_store = self.missed.iter().filter(|(of, _)| *of == store);
            of_store.map(|(_, row)| &row.times).any(|times| (times.first..=times.last).contains(at))
        };
        let interrupted = newest.filter(|run| !has_ended(run)).and_then(|run| run.scheduled_for);
        let mut finished: Vec<_> = runs()
            .filter(|run| has_ended(run))
            .filter_map(|run| run.scheduled_for)
            .filter(|at| until.is_some_and(|until| *at > until))
            .collect();
        finished.sort_unstable();
        finished.truncate(usize::try_from(FINISHED_TIMES_MAX).unwrap_or(usize::MAX));
        Claimed {
            until,
            interrupted: interrupted.filter(|at| !is_covered(at)),
            finished,
            last_run: runs()
                .rev()
                .find(|run| has_ended(run) && !matches!(run.kind, RunKind::Plan | RunKind::Reconcile))
                .and_then(|run| Some((run.started_at, run.finished_at?))),
        }
    }

    pub(super) fn pass_over(
        &mut self,
        store: usize,
        missed: Option<&MissedTimes>,
        until: DateTime<Utc>,
        at: DateTime<Utc>,
    ) {
        let after = |(of, row): &(usize, MissedRow)| *of == store && row.times.last > until;
        let first = self.missed.iter().filter(|row| after(row)).map(|(_, row)| row.times.first).min();
        let before_first = first.map(|first| first - TimeDelta::seconds(1));
        self.missed.retain(|row| !after(row));
        self.stores[store].scheduled_until = Some(before_first.map_or(until, |before| before.min(until)));
        self.record_missed(store, missed, at, None);
    }

    fn record_missed(
        &mut self,
        store: usize,
        missed: Option<&MissedTimes>,
        at: DateTime<Utc>,
        run_id: Option<i64>,
    ) {
        self.missed.extend(missed.map(|times| (store, MissedRow { times: times.clone(), at, run_id })));
    }
}

/// Whether the run ended other than interrupted.
fn has_ended(run: &RunRow) -> bool {
    run.finished_at.is_some() && run.status != RunStatus::Interrupted
}
