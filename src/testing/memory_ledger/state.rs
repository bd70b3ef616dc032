//! The database of the ledger in memory: its tables, and the effect of every write.
//!
//! Every function checks everything before it changes anything, which makes it a transaction.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};

use super::rows::{BeliefEditRow, ChangeRow, MissedRow, RequestRow, RunRow};
use crate::ledger::{LedgerError, NewRun, Result};
use crate::record::RequestSizes;
use crate::record::{
    Action, Change, Counts, EmailCustomer, EmailHash, Entry, InvalidRow, Key, KnownAttribute, ObservedValue,
    Outcome, Pin, Reading, ReportedDrift, RunKind, RunStatus, StoreName, Trigger, WaitTotal,
};

/// A row of `stores`, and the handle that has its lock.
#[derive(Debug)]
pub(super) struct StoreRow {
    pub(super) name: StoreName,
    pub(super) sizes: RequestSizes,
    pub(super) scheduled_until: Option<DateTime<Utc>>,
    pub(super) owner_run_id: Option<i64>,
    pub(super) locked_by: Option<u64>,
}

/// All tables. A store is known by its index in `stores`, runs and requests by their index plus one.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) stores: Vec<StoreRow>,
    pub(super) runs: Vec<(usize, RunRow)>,
    pub(super) missed: Vec<(usize, MissedRow)>,
    pub(super) requests: Vec<RequestRow>,
    pub(super) changes: BTreeMap<(i64, Key), ChangeRow>,
    pub(super) entries: BTreeMap<(usize, Key), Entry>,
    pub(super) invalid: Vec<(i64, InvalidRow)>,
    pub(super) waits: Vec<(i64, WaitTotal)>,
    pub(super) belief_edits: Vec<BeliefEditRow>,
    pub(super) pins: BTreeMap<(usize, Key), Pin>,
    pub(super) attributes: BTreeMap<(usize, i64), KnownAttribute>,
    pub(super) readings: BTreeMap<(usize, &'static str), Reading>,
    pub(super) observed: BTreeMap<(usize, Key), ObservedValue>,
    pub(super) drift: BTreeMap<(usize, Key), ReportedDrift>,
    pub(super) emails: BTreeMap<(usize, EmailHash), EmailCustomer>,
    /// Customers with rejected values: whether each is deleted, and the run that checked last (0 for none).
    pub(super) rejected_customers: BTreeMap<(usize, i64), (bool, i64)>,
    /// How many handles there were.
    pub(super) handles: u64,
    /// How many writes still succeed before all fail, if the test asked for that.
    pub(super) writes_left: Option<u64>,
}

impl State {
    /// The place of a store, which is made if it is not there.
    pub(super) fn store(&mut self, name: &StoreName) -> usize {
        match self.stores.iter().position(|store| store.name == *name) {
            Some(place) => place,
            None => {
                self.stores.push(StoreRow {
                    name: name.clone(),
                    sizes: RequestSizes::default(),
                    scheduled_until: None,
                    owner_run_id: None,
                    locked_by: None,
                });
                self.stores.len() - 1
            }
        }
    }

    /// The newest run of a store.
    pub(super) fn newest_run(&self, store: usize) -> Option<&RunRow> {
        self.runs.iter().rev().find(|(of, _)| *of == store).map(|(_, run)| run)
    }

    pub(super) fn run(&self, run_id: i64) -> Option<&RunRow> {
        row_index(run_id).and_then(|index| self.runs.get(index)).map(|(_, run)| run)
    }

    /// The run, if it owns the store.
    pub(super) fn owned(&mut self, store: usize, run_id: i64, doing: &'static str) -> Result<&mut RunRow> {
        let owner_run_id = self.stores[store].owner_run_id;
        if owner_run_id != Some(run_id) {
            let newest = self.newest_run(store).map_or(0, |run| run.id);
            return Err(LedgerError::LostLock { run_id: owner_run_id.unwrap_or(newest) });
        }
        row_index(run_id)
            .and_then(|index| self.runs.get_mut(index))
            .map(|(_, run)| run)
            .ok_or_else(|| wrong(doing, format!("there is no run {run_id}")))
    }

    pub(super) fn open_run(&mut self, store: usize, run: &NewRun) -> i64 {
        let interrupted = self.stores[store].owner_run_id.and_then(row_index);
        if let Some((_, left)) = interrupted.and_then(|index| self.runs.get_mut(index)) {
            left.status = RunStatus::Interrupted;
            left.finished_at = Some(run.started_at);
            let left = left.id;
            self.make_pins(store, left);
        }
        let id = next_id(self.runs.len());
        if let Some(scheduled) = &run.scheduled {
            self.claim(store, id, scheduled, run.started_at);
        }
        self.stores[store].owner_run_id = Some(id);
        self.runs.push((
            store,
            RunRow {
                id,
                kind: run.kind,
                trigger: run.trigger,
                status: RunStatus::Planning,
                started_at: run.started_at,
                planned_at: None,
                finished_at: None,
                scheduled_for: run.scheduled.as_ref().map(|scheduled| scheduled.scheduled_for),
                filtered: run.filtered,
                digest: None,
                by_digest: false,
                of_run_id: run.of_run_id,
                counts: Counts::default(),
                message: None,
            },
        ));
        id
    }

    pub(super) fn close_run(
        &mut self,
        store: usize,
        run_id: i64,
        status: RunStatus,
        message: Option<&str>,
        at: DateTime<Utc>,
    ) -> Result<()> {
        let run = self.owned(store, run_id, "close the run")?;
        run.status = status;
        run.message = message.map(str::to_owned);
        run.finished_at = Some(at);
        self.stores[store].owner_run_id = None;
        self.make_pins(store, run_id);
        Ok(())
    }

    pub(super) fn save_plan(
        &mut self,
        store: usize,
        run_id: i64,
        changes: Vec<Change>,
        invalid: Vec<InvalidRow>,
    ) -> Result<()> {
        const DOING: &str = "save the plan";
        self.owned(store, run_id, DOING)?;
        let mut keys = BTreeSet::new();
        for Change { key, .. } in &changes {
            if !keys.insert(*key) || self.changes.contains_key(&(run_id, *key)) {
                return Err(wrong(DOING, format!("{key} is in the plan of run {run_id} already")));
            }
        }
        self.changes.extend(changes.into_iter().map(|change| ((run_id, change.key), row_of(run_id, change))));
        self.invalid.extend(invalid.into_iter().map(|row| (run_id, row)));
        Ok(())
    }

    pub(super) fn discard_plan(&mut self, store: usize, run_id: i64) -> Result<()> {
        self.owned(store, run_id, "discard the plan")?;
        self.changes.retain(|(of, _), _| *of != run_id);
        self.invalid.retain(|(of, _)| *of != run_id);
        Ok(())
    }

    pub(super) fn remove_deletes(&mut self, store: usize, run_id: i64) -> Result<()> {
        self.owned(store, run_id, "remove the deletes of the plan")?;
        self.changes.retain(|(of, _), change| *of != run_id || change.action != Action::Delete);
        Ok(())
    }

    pub(super) fn remove_unsent(&mut self, store: usize, run_id: i64, at: DateTime<Utc>) -> Result<bool> {
        self.owned(store, run_id, "remove a plan that was never sent")?;
        let ended = |run: &RunRow| {
            run.id < run_id && run.finished_at.is_some() && !self.keeps_plan(store, run, run_id, at)
        };
        let runs = self.runs.iter().filter(|(of, run)| *of == store && ended(run));
        let (sealed, unsealed): (Vec<&RunRow>, Vec<_>) =
            runs.map(|(_, run)| run).partition(|run| run.planned_at.is_some());
        let ids = |runs: Vec<&RunRow>| runs.iter().map(|run| run.id).collect::<BTreeSet<_>>();
        let (sealed, unsealed) = (ids(sealed), ids(unsealed));
        let before = self.changes.len();
        self.changes.retain(|(of, _), change| {
            change.outcome != Outcome::Planned || !(sealed.contains(of) || unsealed.contains(of))
        });
        self.invalid.retain(|(of, _)| !unsealed.contains(of));
        Ok(self.changes.len() < before)
    }

    pub(super) fn seal_plan(
        &mut self,
        store: usize,
        run_id: i64,
        counts: &Counts,
        digest: Option<&str>,
        at: DateTime<Utc>,
    ) -> Result<()> {
        let run = self.owned(store, run_id, "complete the plan")?;
        run.status = RunStatus::Running;
        run.planned_at = Some(at);
        run.digest = digest.map(str::to_owned);
        run.counts.source_rows = counts.source_rows;
        run.counts.no_value = counts.no_value;
        run.counts.unchanged = counts.unchanged;
        run.counts.still_rejected = counts.still_rejected;
        run.counts.acknowledged = counts.acknowledged;
        run.counts.invalid = counts.invalid;
        run.counts.orphans = counts.orphans;
        run.counts.stored_without_row = counts.stored_without_row;
        run.counts.pinned = counts.pinned;
        run.counts.planned = counts.planned;
        run.counts.deletes = counts.deletes;
        run.counts.deferred = counts.planned;
        let syncs = self.runs.iter().rev().filter(|(of, run)| *of == store && run.kind == RunKind::Sync);
        let is_change = |run: &RunRow| run.trigger == Trigger::Change;
        let whole = syncs.clone().filter(|(_, run)| !is_change(run)).nth(9).map_or(0, |(_, run)| run.id);
        if let Some(newest) = syncs.map(|(_, run)| run.id).nth(9) {
            let is_old = |(_, run): &&(usize, RunRow)| run.id < newest && (run.id < whole || is_change(run));
            let old = self.runs.iter().filter(|(of, _)| *of == store).filter(is_old);
            let old: BTreeSet<i64> = old.map(|(_, run)| run.id).collect();
            self.invalid.retain(|(of, _)| !old.contains(of));
        }
        Ok(())
    }
}

fn row_of(run_id: i64, change: Change) -> ChangeRow {
    let Change {
        key,
        action,
        value,
        previous_value,
        previous_in_doubt,
        source_value,
        value_id,
        in_doubt_until,
    } = change;
    ChangeRow {
        run_id,
        key,
        action,
        value,
        previous_value,
        previous_in_doubt,
        source_value,
        value_id,
        outcome: Outcome::Planned,
        reason: None,
        request_id: None,
        decided_at: None,
        in_doubt_until,
        observed_value: None,
    }
}

/// The error of a request that does not fit what the ledger holds.
pub(super) fn wrong(doing: &'static str, problem: String) -> LedgerError {
    LedgerError::Database { doing, source: problem.into() }
}

/// Locks the database. A panic of another test thread leaves whole rows behind, because every write checks first.
pub(super) fn lock(database: &Mutex<State>) -> MutexGuard<'_, State> {
    database.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The id of a row that is about to be added.
pub(super) fn next_id(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX - 1) + 1
}

/// The index of the row with this id.
pub(super) fn row_index(id: i64) -> Option<usize> {
    usize::try_from(id).ok()?.checked_sub(1)
}
