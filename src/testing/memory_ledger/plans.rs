//! The plans of runs, as they are read back to be sent or applied.

use std::ops::Bound;

use chrono::{DateTime, Utc};

use super::rows::{ChangeRow, RunRow};
use super::state::State;
use crate::record::{
    Action, Belief, Change, Entry, Key, Outcome, PLAN_VALID_FOR, PlanOfRun, PlanPart, PlannedChange, RunKind,
    RunStatus, SavedChange,
};

impl State {
    /// The changes of a run that are still planned, after a key.
    fn left(&self, run_id: i64, after: Option<Key>) -> impl Iterator<Item = &ChangeRow> {
        let start = after.map_or(Bound::Included((run_id, Key::new(i64::MIN, i64::MIN))), |key| {
            Bound::Excluded((run_id, key))
        });
        let end = Bound::Included((run_id, Key::new(i64::MAX, i64::MAX)));
        let rows = self.changes.range((start, end)).map(|(_, change)| change);
        rows.filter(|row| row.outcome == Outcome::Planned)
    }

    pub(super) fn planned(
        &self,
        store: usize,
        run_id: i64,
        part: PlanPart,
        after: Option<Key>,
        limit: usize,
    ) -> Vec<PlannedChange> {
        let part_of =
            |row: &ChangeRow| PlanPart::with(row.action == Action::Delete, row.in_doubt_until.is_some());
        let rows = self.left(run_id, after).filter(|row| part_of(row) == part);
        let planned = rows.take(limit).map(|row| {
            let entry = self.entries.get(&(store, row.key));
            let is_open = |entry: &&Entry| matches!(entry.belief, Belief::Unconfirmed | Belief::Rejected);
            let open = entry.filter(is_open);
            let same = entry.filter(|entry| row.value.is_some() && entry.value == row.value);
            PlannedChange {
                change: Change {
                    previous_in_doubt: row.previous_in_doubt,
                    source_value: row.source_value.clone(),
                    value_id: row.value_id,
                    in_doubt_until: row.in_doubt_until,
                    ..change_of(row)
                },
                is_in_doubt: open.is_some(),
                in_doubt_value: open.and_then(|entry| entry.value.clone()),
                observed_value: same.and_then(|entry| entry.observed_value.clone()),
            }
        });
        planned.collect()
    }

    pub(super) fn saved_changes(
        &self,
        store: usize,
        run_id: i64,
        after: Option<Key>,
        limit: usize,
    ) -> Vec<SavedChange> {
        let saved = self.left(run_id, after).take(limit).map(|row| {
            let entry = self.entries.get(&(store, row.key));
            SavedChange {
                change: change_of(row),
                entry: entry.map(|entry| (entry.belief, entry.value.clone())),
            }
        });
        saved.collect()
    }

    pub(super) fn plan_of_run(&self, store: usize, run_id: i64) -> Option<PlanOfRun> {
        let (of, run) = self.runs.iter().find(|(_, run)| run.id == run_id)?;
        let is_kept = matches!(run.status, RunStatus::Saved | RunStatus::Blocked);
        let left = i64::try_from(self.left(run_id, None).count()).unwrap_or(i64::MAX);
        Some(PlanOfRun {
            run_id,
            is_of_store: *of == store,
            kind: run.kind,
            status: run.status,
            filtered: run.filtered,
            planned_at: run.planned_at,
            planned: run.counts.planned,
            is_removed: is_kept && left < run.counts.deferred,
            superseded_by: self.superseding(*of, run, i64::MAX).filter(|_| run.status == RunStatus::Blocked),
        })
    }

    /// Whether the plan of a run that has ended stays, when run `run_id` removes what was never sent.
    pub(super) fn keeps_plan(&self, store: usize, run: &RunRow, run_id: i64, at: DateTime<Utc>) -> bool {
        match run.status {
            RunStatus::Saved => run.planned_at.is_some_and(|planned_at| planned_at > at - PLAN_VALID_FOR),
            RunStatus::Blocked => self.superseding(store, run, run_id).is_none(),
            _ => false,
        }
    }

    /// The first sync of all rows with a complete plan after a run and before `run_id`.
    fn superseding(&self, store: usize, run: &RunRow, run_id: i64) -> Option<i64> {
        let runs = self.runs.iter().filter(|(of, _)| *of == store).map(|(_, run)| run);
        let mut later = runs.filter(|later| later.id > run.id && later.id < run_id);
        let is_whole =
            |later: &&RunRow| later.kind == RunKind::Sync && !later.filtered && later.planned_at.is_some();
        later.find(is_whole).map(|later| later.id)
    }
}

/// The change, without what a ledger does not read back of a saved plan.
pub(super) fn change_of(row: &ChangeRow) -> Change {
    Change {
        key: row.key,
        action: row.action,
        value: row.value.clone(),
        previous_value: row.previous_value.clone(),
        previous_in_doubt: false,
        source_value: None,
        value_id: None,
        in_doubt_until: None,
    }
}
