//! The ledger in memory: the reference implementation of the port.
//!
//! A [`MemoryStore`] is the database. It outlives its ledgers, so that a test can drop a run half-way and open the
//! ledger again, as after a crash.

mod attempts;
mod catalog;
mod digests;
mod emails;
mod pages;
mod readings;
mod belief_edits;
mod plans;
mod rows;
mod scheduled;
mod state;
mod undo;

use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use self::pages::MemoryPages;
pub use self::rows::{BeliefEditRow, ChangeRow, MissedRow, RequestRow, RunRow};
use self::state::{State, lock};
use crate::ledger::{CustomerToCheck, EntryPages, Ledger, LedgerError, LedgerReader, NewRun, Result};
use crate::record::{
    BeliefEdit, Change, ChangeOutcome, Claimed, Counts, Entry, Filter, InvalidRow, Key, KnownAttribute,
    KnownDigest, MissedTimes, Outcome, Pin, PlanOfRun, PlanPart, PlannedChange, RunStatus, RunToUndo,
    SavedChange, SentChange, StoreName, WaitTotal,
};
use crate::record::{NewRequest, RecordedIntent, RequestEnd, RequestSizes};

/// A database of any number of stores.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore(Arc<Mutex<State>>);

impl MemoryStore {
    /// An empty database.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the lock of one store. Dropping the ledger unlocks it.
    ///
    /// # Errors
    /// [`LedgerError::Locked`] if another ledger has it.
    pub fn lock(&self, name: &StoreName) -> Result<MemoryLedger> {
        let mut state = self.state();
        let store = state.store(name);
        if state.stores[store].locked_by.is_some() {
            let holder = match state.newest_run(store).filter(|run| run.finished_at.is_none()) {
                Some(run) => {
                    let started = run.started_at.format("%Y-%m-%d %H:%M:%S UTC");
                    format!("run {} ({}), started {started}", run.id, run.kind)
                }
                None => "a run that is just starting".to_owned(),
            };
            return Err(LedgerError::Locked { holder });
        }
        drop(state);
        Ok(self.seize(name))
    }

    /// Takes the lock even if another ledger has it, as if the other's session had ended unnoticed.
    #[must_use]
    pub fn seize(&self, name: &StoreName) -> MemoryLedger {
        let mut state = self.state();
        let store = state.store(name);
        state.handles += 1;
        let handle = state.handles;
        state.stores[store].locked_by = Some(handle);
        drop(state);
        MemoryLedger { database: self.clone(), store, handle }
    }

    /// Makes the `nth` write from now on (1 is the next) and all after it fail, until [`mend`](Self::mend).
    pub fn fail_writes_from(&self, nth: u64) {
        self.state().writes_left = Some(nth.saturating_sub(1));
    }

    /// Lets writes succeed again.
    pub fn mend(&self) {
        self.state().writes_left = None;
    }

    /// One entry of a store.
    #[must_use]
    pub fn entry(&self, name: &StoreName, key: Key) -> Option<Entry> {
        let mut state = self.state();
        let store = state.store(name);
        state.entries.get(&(store, key)).cloned()
    }

    /// The entries of a store, in key order.
    #[must_use]
    pub fn entries(&self, name: &StoreName) -> Vec<Entry> {
        let mut state = self.state();
        let store = state.store(name);
        state.entries.iter().filter(|((of, _), _)| *of == store).map(|(_, entry)| entry.clone()).collect()
    }

    /// The runs of a store, oldest first.
    #[must_use]
    pub fn runs(&self, name: &StoreName) -> Vec<RunRow> {
        let mut state = self.state();
        let store = state.store(name);
        state.runs.iter().filter(|(of, _)| *of == store).map(|(_, run)| run.clone()).collect()
    }

    /// What is known of a store's scheduled times, read without its lock, and whether the lock is taken.
    #[must_use]
    pub fn claims(&self, name: &StoreName) -> (Claimed, bool) {
        let mut state = self.state();
        let store = state.store(name);
        (state.claimed(store), state.stores[store].locked_by.is_some())
    }

    /// The scheduled times of a store without a run, in the order in which they were recorded.
    #[must_use]
    pub fn missed_times(&self, name: &StoreName) -> Vec<MissedRow> {
        let mut state = self.state();
        let store = state.store(name);
        state.missed.iter().filter(|(of, _)| *of == store).map(|(_, row)| row.clone()).collect()
    }

    /// The changes of a run, in key order.
    #[must_use]
    pub fn changes(&self, run_id: i64) -> Vec<ChangeRow> {
        let state = self.state();
        state.changes.values().filter(|change| change.run_id == run_id).cloned().collect()
    }

    /// The requests of a run, oldest first.
    #[must_use]
    pub fn requests(&self, run_id: i64) -> Vec<RequestRow> {
        self.state().requests.iter().filter(|request| request.run_id == run_id).cloned().collect()
    }

    /// The invalid rows of a run, in the order they were saved.
    #[must_use]
    pub fn invalid_rows(&self, run_id: i64) -> Vec<InvalidRow> {
        self.state().invalid.iter().filter(|(of, _)| *of == run_id).map(|(_, row)| row.clone()).collect()
    }

    /// How long a run waited.
    #[must_use]
    pub fn waits(&self, run_id: i64) -> Vec<WaitTotal> {
        self.state().waits.iter().filter(|(of, _)| *of == run_id).map(|(_, total)| *total).collect()
    }

    /// The edits of beliefs that a run made, in that order.
    #[must_use]
    pub fn belief_edits(&self, run_id: i64) -> Vec<BeliefEditRow> {
        self.state().belief_edits.iter().filter(|row| row.run_id == run_id).cloned().collect()
    }

    /// The outcomes of a run's changes, as in the view `outcomes`: none if its plan was never completed, and no change
    /// of a closed run is `planned` or `sending`.
    #[must_use]
    pub fn outcomes(&self, run_id: i64) -> Vec<(Key, Outcome)> {
        let state = self.state();
        let Some(run) = state.run(run_id).filter(|run| run.planned_at.is_some()) else { return Vec::new() };
        let closed = run.finished_at.is_some();
        let rows = state.changes.values().filter(|change| change.run_id == run_id);
        rows.map(|change| match change.outcome {
            Outcome::Planned if closed => (change.key, Outcome::Deferred),
            Outcome::Sending if closed => (change.key, Outcome::Unknown),
            outcome => (change.key, outcome),
        })
        .collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.0)
    }

    /// The state for a write; fails if the test asked for that.
    fn writable(&self, doing: &'static str) -> Result<MutexGuard<'_, State>> {
        let mut state = self.state();
        match &mut state.writes_left {
            None => {}
            Some(0) => {
                return Err(LedgerError::Database { doing, source: "it cannot be written now".into() });
            }
            Some(left) => *left -= 1,
        }
        Ok(state)
    }
}

/// The write side of one store in memory. It holds the store's lock.
#[derive(Debug)]
pub struct MemoryLedger {
    database: MemoryStore,
    store: usize,
    handle: u64,
}

impl Drop for MemoryLedger {
    fn drop(&mut self) {
        let locked_by = &mut self.database.state().stores[self.store].locked_by;
        locked_by.take_if(|handle| *handle == self.handle);
    }
}

#[async_trait]
impl LedgerReader for MemoryLedger {
    async fn attributes(&self) -> Result<Vec<KnownAttribute>> {
        Ok(self.database.state().attributes(self.store))
    }

    async fn customers_to_check(&self, before_run: i64, limit: usize) -> Result<Vec<CustomerToCheck>> {
        Ok(self.database.state().customers_to_check(self.store, before_run, limit))
    }

    async fn request_sizes(&self) -> Result<RequestSizes> {
        Ok(self.database.state().stores[self.store].sizes)
    }

    async fn last_finished(&self) -> Result<Option<Counts>> {
        Ok(self.database.state().last_finished(self.store))
    }

    async fn claimed(&self) -> Result<Claimed> {
        Ok(self.database.state().claimed(self.store))
    }

    async fn entries(&self, filter: &Filter) -> Result<Box<dyn EntryPages>> {
        let (database, filter) = (Arc::clone(&self.database.0), filter.clone());
        Ok(Box::new(MemoryPages::new(database, self.store, filter)))
    }

    async fn pins(&self, filter: &Filter, after: Option<Key>, limit: usize) -> Result<Vec<Pin>> {
        Ok(self.database.state().pins(self.store, filter, after, limit))
    }

    async fn run_to_undo(&self, run_id: i64) -> Result<Option<RunToUndo>> {
        Ok(self.database.state().run_to_undo(self.store, run_id))
    }

    async fn sent_changes(&self, run_id: i64, after: Option<Key>, limit: usize) -> Result<Vec<SentChange>> {
        Ok(self.database.state().sent_changes(self.store, run_id, after, limit))
    }
}

#[async_trait]
impl Ledger for MemoryLedger {
    async fn open_run(&self, run: &NewRun) -> Result<i64> {
        Ok(self.database.writable("open a run")?.open_run(self.store, run))
    }

    async fn pass_over(
        &self,
        missed: Option<&MissedTimes>,
        until: DateTime<Utc>,
        at: DateTime<Utc>,
    ) -> Result<()> {
        self.database.writable("pass over scheduled times")?.pass_over(self.store, missed, until, at);
        Ok(())
    }

    async fn unclosed_run(&self) -> Result<Option<i64>> {
        Ok(self.database.state().stores[self.store].owner_run_id)
    }

    async fn save_plan(&self, run_id: i64, changes: Vec<Change>, invalid: Vec<InvalidRow>) -> Result<()> {
        self.database.writable("save the plan")?.save_plan(self.store, run_id, changes, invalid)
    }

    async fn discard_plan(&self, run_id: i64) -> Result<()> {
        self.database.writable("discard the plan")?.discard_plan(self.store, run_id)
    }

    async fn remove_deletes(&self, run_id: i64) -> Result<()> {
        self.database.writable("remove the deletes of the plan")?.remove_deletes(self.store, run_id)
    }

    async fn remove_unsent(&self, run_id: i64, at: DateTime<Utc>) -> Result<bool> {
        self.database.writable("remove a plan that was never sent")?.remove_unsent(self.store, run_id, at)
    }

    async fn seal_plan(
        &self,
        run_id: i64,
        counts: &Counts,
        digest: Option<&str>,
        at: DateTime<Utc>,
    ) -> Result<()> {
        self.database.writable("complete the plan")?.seal_plan(self.store, run_id, counts, digest, at)
    }

    async fn known_digest(&self, run_id: i64) -> Result<Option<KnownDigest>> {
        Ok(self.database.state().known_digest(self.store, run_id))
    }

    async fn seal_by_digest(&self, run_id: i64, same_as: i64, at: DateTime<Utc>) -> Result<()> {
        self.database.writable("complete the plan")?.seal_by_digest(self.store, run_id, same_as, at)
    }

    async fn planned(
        &self,
        run_id: i64,
        part: PlanPart,
        after: Option<Key>,
        limit: usize,
    ) -> Result<Vec<PlannedChange>> {
        Ok(self.database.state().planned(self.store, run_id, part, after, limit))
    }

    async fn plan_of_run(&self, run_id: i64) -> Result<Option<PlanOfRun>> {
        Ok(self.database.state().plan_of_run(self.store, run_id))
    }

    async fn saved_changes(&self, run_id: i64, after: Option<Key>, limit: usize) -> Result<Vec<SavedChange>> {
        Ok(self.database.state().saved_changes(self.store, run_id, after, limit))
    }

    async fn record_intent(
        &self,
        run_id: i64,
        request: &NewRequest,
        changes: &[Change],
    ) -> Result<RecordedIntent> {
        self.database.writable("record an intent")?.record_intent(self.store, run_id, request, changes)
    }

    async fn record_outcome(
        &self,
        run_id: i64,
        request_id: i64,
        end: &RequestEnd,
        outcomes: &[ChangeOutcome],
    ) -> Result<Counts> {
        let mut state = self.database.writable("record an outcome")?;
        state.record_outcome(self.store, run_id, request_id, end, outcomes)
    }

    async fn record_unsent(
        &self,
        run_id: i64,
        outcomes: &[ChangeOutcome],
        at: DateTime<Utc>,
    ) -> Result<Counts> {
        self.database.writable("record an outcome")?.record_unsent(self.store, run_id, outcomes, at)
    }

    async fn edit_beliefs(&self, run_id: i64, edit: &BeliefEdit, at: DateTime<Utc>) -> Result<i64> {
        self.database.writable("edit beliefs")?.edit_beliefs(self.store, run_id, edit, at)
    }

    async fn record_attributes(
        &self,
        run_id: i64,
        listed: &[KnownAttribute],
        _at: DateTime<Utc>,
    ) -> Result<()> {
        self.database.writable("record the attributes")?.record_attributes(self.store, run_id, listed)
    }

    async fn record_customers(&self, run_id: i64, deleted: &[i64], existing: &[i64]) -> Result<()> {
        self.database
            .writable("record the customers")?
            .record_customers(self.store, run_id, deleted, existing)
    }

    async fn record_waits(&self, run_id: i64, totals: &[WaitTotal]) -> Result<()> {
        let doing = "record how long the run waited";
        self.database.writable(doing)?.record_waits(self.store, run_id, totals)
    }

    async fn mark_unconfirmed(&self, keys: &[Key], at: DateTime<Utc>) -> Result<()> {
        self.database.writable("make entries unconfirmed")?.mark_unconfirmed(self.store, keys, at);
        Ok(())
    }

    async fn keep_request_sizes(&self, sizes: &RequestSizes) -> Result<()> {
        self.database.writable("keep the sizes of requests")?.stores[self.store].sizes = *sizes;
        Ok(())
    }

    async fn end_pins(&self, run_id: i64, keys: &[Key]) -> Result<()> {
        self.database.writable("end pins")?.end_pins(self.store, run_id, keys)
    }

    async fn close_run(
        &self,
        run_id: i64,
        status: RunStatus,
        message: Option<&str>,
        at: DateTime<Utc>,
    ) -> Result<()> {
        self.database.writable("close the run")?.close_run(self.store, run_id, status, message, at)
    }
}
