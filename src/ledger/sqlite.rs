//! The ledger in a SQLite file.
//!
//! One connection writes, on a thread of its own that also holds the lock beside the file; scans read past it through
//! read-only connections. Every method is one transaction.

mod attempts;
pub(in crate::ledger) mod failure;
mod file;
mod kind;
mod lock;
mod moves;
mod note;
mod open;
mod paths;
mod place;
mod plan;
pub(in crate::ledger) mod reader;
mod rights;
mod scan;
pub(in crate::ledger) mod session;
mod stamp;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use self::file::OpenFiles;
pub(crate) use self::kind::refuse_foreign;
pub(crate) use self::lock::is_locked;
use self::note::{LedgerEnd, Note};
pub(in crate::ledger) use self::open::END_OF_LEDGER;
use self::open::Opened;
pub(crate) use self::open::{in_memory, known_migrations, refuse_incomplete};
pub(crate) use self::scan::scan;
use self::writer::Writer;
use super::cold_readings::OverSql;
use super::sql::{Fence, Sql};
use super::{
    CustomerToCheck, EntryPages, Ledger, LedgerReader, NewRun, Result, by_digest, cold, discard, kept_plan,
    last_finished, pins, undo,
};
use crate::record::{
    BeliefEdit, Change, ChangeOutcome, Claimed, Counts, EditKind, Filter, InvalidRow, Key, KeyScope,
    KnownAttribute, KnownDigest, MissedTimes, Pin, PlanOfRun, PlanPart, PlannedChange, RunStatus, RunToUndo,
    SavedChange, SentChange, StoreName, WaitTotal,
};
use crate::record::{NewRequest, RecordedIntent, RequestEnd, RequestSizes};

/// The write side of one store in a SQLite file. It holds the file's lock, for all stores in the file.
#[derive(Debug)]
pub struct SqliteLedger {
    path: PathBuf,
    files: Arc<OpenFiles>,
    store_id: i64,
    created: bool,
    writer: Writer,
}

impl SqliteLedger {
    /// Opens the ledger at `path` for one store. Creates the file if there is none, and migrates its tables.
    ///
    /// # Errors
    /// Another process holds the lock; the file is of a newer build, is something else, or cannot be written.
    pub async fn open(path: &Path, store: &StoreName) -> Result<Self> {
        let (path, store) = (path.to_owned(), store.clone());
        let (writer, opened) = Writer::start(move || open::open(&path, &store)).await?;
        let Opened { path, files, store_id, created } = opened;
        Ok(Self { path, files, store_id, created, writer })
    }

    /// Whether opening created the file.
    #[must_use]
    pub const fn created(&self) -> bool {
        self.created
    }

    /// Checks what opening it for a run would check, and writes nothing.
    ///
    /// # Errors
    /// No ledger is safe at `path`, it is another program's, or this user may not write it.
    pub(crate) fn check(path: &Path) -> Result<()> {
        open::writable(path).map(drop)
    }

    /// Returns why the ledger at `path` may be lost or old, although nothing is wrong with it now.
    pub(crate) fn caution(path: &Path) -> Option<String> {
        place::caution(&place::resolve(path).ok()?)
    }

    /// Returns why what is read of the ledger at `path` may be old, although nothing is wrong with it now.
    pub(crate) fn caution_of_reader(path: &Path) -> Option<String> {
        place::caution_of_reader(&place::resolve(path).ok()?)
    }

    /// Returns why the ledger at `path`, which ends with this run and has this number, may believe what a store does not
    /// hold.
    pub(crate) fn older_copy(
        path: &Path,
        (newest_run, ledger_id): (i64, i64),
        store_id: Option<i64>,
    ) -> Option<String> {
        let path = place::resolve(path).ok()?;
        Note::read(&path).older_copy(&path, LedgerEnd { ledger_id, newest_run }, store_id)
    }

    /// Whether the ledger at `path` was known to be an older copy for a store at the end of a run.
    pub(crate) fn was_older_copy(path: &Path, store_id: i64, run_id: i64) -> bool {
        place::resolve(path).is_ok_and(|path| Note::read(&path).was_older_copy(store_id, run_id))
    }

    /// Checks whether a ledger is safe at `path`.
    ///
    /// # Errors
    /// Why it is not, with what to do.
    pub(crate) fn check_place(path: &Path) -> Result<()> {
        place::refuse_unsafe(&place::resolve(path)?)
    }

    const fn fence(&self, run_id: i64) -> Fence {
        Fence { store_id: self.store_id, run_id }
    }
}

impl OverSql for SqliteLedger {
    fn session(&self) -> &dyn Sql {
        &self.writer
    }

    fn store_id(&self) -> i64 {
        self.store_id
    }
}

#[async_trait]
impl LedgerReader for SqliteLedger {
    async fn attributes(&self) -> Result<Vec<KnownAttribute>> {
        cold::attributes(&self.writer, self.store_id).await
    }

    async fn customers_to_check(&self, before_run: i64, limit: usize) -> Result<Vec<CustomerToCheck>> {
        cold::customers_to_check(&self.writer, self.store_id, before_run, limit).await
    }

    async fn request_sizes(&self) -> Result<RequestSizes> {
        cold::request_sizes(&self.writer, self.store_id).await
    }

    async fn last_finished(&self) -> Result<Option<Counts>> {
        last_finished::last_finished(&self.writer, self.store_id).await
    }

    async fn claimed(&self) -> Result<Claimed> {
        cold::claimed(&self.writer, self.store_id).await
    }

    async fn entries(&self, filter: &Filter) -> Result<Box<dyn EntryPages>> {
        scan(&self.path, self.store_id, filter)
    }

    async fn pins(&self, filter: &Filter, after: Option<Key>, limit: usize) -> Result<Vec<Pin>> {
        pins::pins(&self.writer, self.store_id, filter, after, limit).await
    }

    async fn run_to_undo(&self, run_id: i64) -> Result<Option<RunToUndo>> {
        undo::run_to_undo(&self.writer, self.store_id, run_id).await
    }

    async fn sent_changes(&self, run_id: i64, after: Option<Key>, limit: usize) -> Result<Vec<SentChange>> {
        undo::sent_changes(&self.writer, undo::IN_SQLITE, self.store_id, run_id, after, limit).await
    }
}

#[async_trait]
impl Ledger for SqliteLedger {
    async fn open_run(&self, run: &NewRun) -> Result<i64> {
        let run_id = cold::open_run(&self.writer, self.store_id, run).await?;
        let mut note = Note::read(&self.path);
        note.newest_run = note.newest_run.max(run_id);
        note.write(&self.path);
        Ok(run_id)
    }

    async fn pass_over(
        &self,
        missed: Option<&MissedTimes>,
        until: DateTime<Utc>,
        at: DateTime<Utc>,
    ) -> Result<()> {
        cold::pass_over(&self.writer, self.store_id, missed, until, at).await
    }

    async fn unclosed_run(&self) -> Result<Option<i64>> {
        cold::unclosed_run(&self.writer, self.store_id).await
    }

    async fn save_plan(&self, run_id: i64, changes: Vec<Change>, invalid: Vec<InvalidRow>) -> Result<()> {
        let fence = self.fence(run_id);
        self.writer.write("save the plan", move |tx| plan::save_plan(tx, fence, &changes, &invalid)).await
    }

    async fn discard_plan(&self, run_id: i64) -> Result<()> {
        discard::discard_plan(&self.writer, self.fence(run_id)).await
    }

    async fn remove_deletes(&self, run_id: i64) -> Result<()> {
        discard::remove_deletes(&self.writer, self.fence(run_id)).await
    }

    async fn remove_unsent(&self, run_id: i64, at: DateTime<Utc>) -> Result<bool> {
        discard::remove_unsent(&self.writer, self.fence(run_id), at).await
    }

    async fn seal_plan(
        &self,
        run_id: i64,
        counts: &Counts,
        digest: Option<&str>,
        at: DateTime<Utc>,
    ) -> Result<()> {
        cold::seal_plan(&self.writer, self.fence(run_id), counts, digest, at).await
    }

    async fn known_digest(&self, run_id: i64) -> Result<Option<KnownDigest>> {
        if Note::read(&self.path).was_older_copy(self.store_id, run_id) {
            // The entries of an older copy are not as the run before left them, whatever they say of themselves.
            return Ok(None);
        }
        by_digest::known_digest(&self.writer, self.fence(run_id)).await
    }

    async fn seal_by_digest(&self, run_id: i64, same_as: i64, at: DateTime<Utc>) -> Result<()> {
        by_digest::seal_by_digest(&self.writer, self.fence(run_id), same_as, at).await
    }

    async fn planned(
        &self,
        run_id: i64,
        part: PlanPart,
        after: Option<Key>,
        limit: usize,
    ) -> Result<Vec<PlannedChange>> {
        cold::planned(&self.writer, plan::PLANNED, self.store_id, run_id, part, after, limit).await
    }

    async fn plan_of_run(&self, run_id: i64) -> Result<Option<PlanOfRun>> {
        kept_plan::plan_of_run(&self.writer, self.store_id, run_id).await
    }

    async fn saved_changes(&self, run_id: i64, after: Option<Key>, limit: usize) -> Result<Vec<SavedChange>> {
        kept_plan::saved_changes(&self.writer, plan::SAVED_CHANGES, self.store_id, run_id, after, limit).await
    }

    async fn record_intent(
        &self,
        run_id: i64,
        request: &NewRequest,
        changes: &[Change],
    ) -> Result<RecordedIntent> {
        let (fence, request, changes) = (self.fence(run_id), request.clone(), changes.to_vec());
        let files = Arc::clone(&self.files);
        self.writer
            .write("record an intent", move |tx| {
                files.check()?;
                attempts::record_intent(tx, fence, &request, &changes)
            })
            .await
    }

    async fn record_outcome(
        &self,
        run_id: i64,
        request_id: i64,
        end: &RequestEnd,
        outcomes: &[ChangeOutcome],
    ) -> Result<Counts> {
        let (fence, end, outcomes) = (self.fence(run_id), end.clone(), outcomes.to_vec());
        self.writer
            .write("record an outcome", move |tx| {
                attempts::record_outcome(tx, fence, request_id, &end, &outcomes)
            })
            .await
    }

    async fn record_unsent(
        &self,
        run_id: i64,
        outcomes: &[ChangeOutcome],
        at: DateTime<Utc>,
    ) -> Result<Counts> {
        let (fence, outcomes) = (self.fence(run_id), outcomes.to_vec());
        self.writer
            .write("record an outcome", move |tx| attempts::record_unsent(tx, fence, &outcomes, at))
            .await
    }

    async fn edit_beliefs(&self, run_id: i64, edit: &BeliefEdit, at: DateTime<Utc>) -> Result<i64> {
        let count = cold::edit_beliefs(&self.writer, self.fence(run_id), edit, at).await?;
        if edit.edit == EditKind::Invalidate && edit.scope == KeyScope::default() {
            // A full sync: what an older copy did not know no longer matters.
            let mut note = Note::read(&self.path);
            if let Some(older) = &mut note.older {
                older.full_syncs.entry(self.store_id).or_insert(run_id);
                note.write(&self.path);
            }
        }
        Ok(count)
    }

    async fn record_attributes(
        &self,
        run_id: i64,
        listed: &[KnownAttribute],
        at: DateTime<Utc>,
    ) -> Result<()> {
        cold::record_attributes(&self.writer, self.fence(run_id), listed, at).await
    }

    async fn record_customers(&self, run_id: i64, deleted: &[i64], existing: &[i64]) -> Result<()> {
        cold::record_customers(&self.writer, self.fence(run_id), deleted, existing).await
    }

    async fn record_waits(&self, run_id: i64, totals: &[WaitTotal]) -> Result<()> {
        cold::record_waits(&self.writer, self.fence(run_id), totals).await
    }

    async fn mark_unconfirmed(&self, keys: &[Key], at: DateTime<Utc>) -> Result<()> {
        cold::mark_unconfirmed(&self.writer, self.store_id, keys, at).await
    }

    async fn keep_request_sizes(&self, sizes: &RequestSizes) -> Result<()> {
        cold::keep_request_sizes(&self.writer, self.store_id, sizes).await
    }

    async fn end_pins(&self, run_id: i64, keys: &[Key]) -> Result<()> {
        pins::end_pins(&self.writer, self.fence(run_id), keys).await
    }

    async fn close_run(
        &self,
        run_id: i64,
        status: RunStatus,
        message: Option<&str>,
        at: DateTime<Utc>,
    ) -> Result<()> {
        cold::close_run(&self.writer, self.fence(run_id), status, message, at).await
    }
}
