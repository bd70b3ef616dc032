//! The ledger in a SQLite file.
//!
//! One connection writes, on a thread of its own that also holds the lock beside the file; scans read past it
//! through read-only connections. Every method is one transaction in a module below.

mod attempts;
mod failure;
mod file;
mod catalog;
mod lock;
mod open;
mod plan;
mod belief_edits;
mod runs;
mod scan;
mod stamp;
mod writer;

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use self::attempts::Place;
use self::file::OpenFile;
pub(crate) use self::lock::{is_held, makeable};
use self::open::Opened;
pub(crate) use self::open::refuse_foreign;
pub(crate) use self::scan::scan;
use self::writer::Writer;
use super::{
    EntryPages, LearnedSize, Ledger, LedgerReader, NewRequest, NewRun, Refused, RequestEnd, Result, TimeOut,
};
use crate::record::{
    Change, Counts, Filter, InvalidRow, Key, KeyScope, KnownAttribute, News, RunStatus, StoreName, Verdict,
};

/// The write side of one store in a SQLite file. Having it is having the file's lock, for all its stores.
#[derive(Debug)]
pub struct SqliteLedger {
    path: PathBuf,
    file: OpenFile,
    store_id: i64,
    created: bool,
    writer: Writer,
}

impl SqliteLedger {
    /// Opens the ledger at `path` for one store. Makes the file if it is not there, and brings its tables up to date.
    ///
    /// # Errors
    /// Another process holds the lock; the file is of a newer build, is something else, or cannot be written.
    pub async fn open(path: &Path, store: &StoreName) -> Result<Self> {
        let path = path.to_owned();
        let (file, store) = (path.clone(), store.clone());
        let (writer, opened) = Writer::start(move || open::open(&file, &store)).await?;
        let Opened { file, store_id, created } = opened;
        Ok(Self { path, file, store_id, created, writer })
    }

    /// Whether opening made the file.
    #[must_use]
    pub const fn created(&self) -> bool {
        self.created
    }

    const fn place(&self, run_id: i64) -> Place {
        Place { store_id: self.store_id, run_id }
    }
}

#[async_trait]
impl LedgerReader for SqliteLedger {
    async fn known_attributes(&self) -> Result<Vec<KnownAttribute>> {
        let store_id = self.store_id;
        self.writer
            .call("read its attributes", move |connection| catalog::attributes(connection, store_id))
            .await
    }

    async fn missing_customers(&self, limit: usize) -> Result<Vec<i64>> {
        let store_id = self.store_id;
        self.writer
            .call("read its missing customers", move |connection| {
                catalog::missing(connection, store_id, limit)
            })
            .await
    }

    async fn learned_size(&self) -> Result<Option<LearnedSize>> {
        let store_id = self.store_id;
        self.writer
            .call("read the learned size", move |connection| runs::learned_size(connection, store_id))
            .await
    }

    async fn has_unclear(&self, since: DateTime<Utc>) -> Result<bool> {
        let store_id = self.store_id;
        self.writer
            .call("look for unanswered requests", move |connection| {
                runs::has_unclear(connection, store_id, since)
            })
            .await
    }

    async fn timeouts(&self) -> Result<Vec<TimeOut>> {
        let store_id = self.store_id;
        self.writer.call("read its time-outs", move |connection| runs::timeouts(connection, store_id)).await
    }

    async fn entries(&self, filter: &Filter) -> Result<Box<dyn EntryPages>> {
        scan(&self.path, self.store_id, filter)
    }
}

#[async_trait]
impl Ledger for SqliteLedger {
    async fn open_run(&self, run: &NewRun) -> Result<i64> {
        let (store_id, run) = (self.store_id, run.clone());
        self.writer.write("open a run", move |tx| runs::open(tx, store_id, &run)).await
    }

    async fn distrust(&self, run_id: i64) -> Result<()> {
        let store_id = self.store_id;
        self.writer.write("distrust its entries", move |tx| runs::distrust(tx, store_id, run_id)).await
    }

    async fn save_plan(&self, run_id: i64, changes: Vec<Change>, invalid: Vec<InvalidRow>) -> Result<()> {
        let store_id = self.store_id;
        self.writer
            .write("save the plan", move |tx| plan::save(tx, store_id, run_id, &changes, &invalid))
            .await
    }

    async fn discard_plan(&self, run_id: i64) -> Result<()> {
        let store_id = self.store_id;
        self.writer.write("take the plan back", move |tx| plan::discard(tx, store_id, run_id)).await
    }

    async fn seal_plan(&self, run_id: i64, counts: &Counts, at: DateTime<Utc>) -> Result<()> {
        let (store_id, counts) = (self.store_id, *counts);
        self.writer.write("complete the plan", move |tx| plan::seal(tx, store_id, run_id, &counts, at)).await
    }

    async fn planned(
        &self,
        run_id: i64,
        late: bool,
        after: Option<Key>,
        limit: usize,
    ) -> Result<Vec<Change>> {
        let store_id = self.store_id;
        self.writer
            .call("read the plan", move |connection| {
                plan::planned(connection, store_id, run_id, late, after, limit)
            })
            .await
    }

    async fn begin(&self, run_id: i64, request: &NewRequest, changes: &[Change]) -> Result<i64> {
        let (place, request, changes) = (self.place(run_id), request.clone(), changes.to_vec());
        let (path, file) = (self.path.clone(), self.file);
        self.writer
            .write("begin a request", move |tx| {
                file.prove_at(&path)?;
                attempts::begin(tx, place, &request, &changes)
            })
            .await
    }

    async fn finish(
        &self,
        run_id: i64,
        request_id: i64,
        end: &RequestEnd,
        verdicts: &[(Key, Verdict)],
    ) -> Result<()> {
        let (place, end, verdicts) = (self.place(run_id), end.clone(), verdicts.to_vec());
        self.writer
            .write("finish a request", move |tx| attempts::finish(tx, place, request_id, &end, &verdicts))
            .await
    }

    async fn set_aside(&self, run_id: i64, verdicts: &[(Key, Verdict)], at: DateTime<Utc>) -> Result<()> {
        let (place, verdicts) = (self.place(run_id), verdicts.to_vec());
        self.writer.write("set changes aside", move |tx| attempts::set_aside(tx, place, &verdicts, at)).await
    }

    async fn release_by_hand(&self, run_id: i64, whose: KeyScope, at: DateTime<Utc>) -> Result<i64> {
        let place = self.place(run_id);
        self.writer.write("release values", move |tx| belief_edits::by_hand(tx, place, whose, at)).await
    }

    async fn release(
        &self,
        run_id: i64,
        whose: KeyScope,
        news: News,
        reason: &str,
        at: DateTime<Utc>,
    ) -> Result<i64> {
        let (place, reason) = (self.place(run_id), reason.to_owned());
        self.writer
            .write("release values", move |tx| belief_edits::by_news(tx, place, whose, news, &reason, at))
            .await
    }

    async fn note_attributes(&self, run_id: i64, listed: &[KnownAttribute], at: DateTime<Utc>) -> Result<()> {
        let (place, listed) = (self.place(run_id), listed.to_vec());
        self.writer
            .write("note the attributes", move |tx| catalog::note_attributes(tx, place, &listed, at))
            .await
    }

    async fn note_customers(&self, run_id: i64, missing: &[i64], back: &[i64]) -> Result<()> {
        let (place, missing, back) = (self.place(run_id), missing.to_vec(), back.to_vec());
        self.writer
            .write("note the customers", move |tx| catalog::note_customers(tx, place, &missing, &back))
            .await
    }

    async fn unasked_customers(&self, limit: usize) -> Result<Vec<Refused>> {
        let store_id = self.store_id;
        self.writer
            .call("read the refused customers", move |connection| {
                catalog::unasked(connection, store_id, limit)
            })
            .await
    }

    async fn note_asked(&self, run_id: i64, of: i64, through: Option<i64>) -> Result<()> {
        let place = self.place(run_id);
        self.writer
            .write("note who was asked about", move |tx| catalog::note_asked(tx, place, of, through))
            .await
    }

    async fn clear_certainty(&self, keys: &[Key], at: DateTime<Utc>) -> Result<()> {
        let (store_id, keys) = (self.store_id, keys.to_vec());
        self.writer
            .write("clear certainty", move |tx| attempts::clear_certainty(tx, store_id, &keys, at))
            .await
    }

    async fn learn_size(&self, size: Option<LearnedSize>) -> Result<()> {
        let store_id = self.store_id;
        self.writer.write("keep the learned size", move |tx| runs::learn_size(tx, store_id, size)).await
    }

    async fn counts(&self, run_id: i64) -> Result<Counts> {
        self.writer.call("count", move |connection| runs::counts(connection, run_id)).await
    }

    async fn close_run(
        &self,
        run_id: i64,
        status: RunStatus,
        message: Option<&str>,
        at: DateTime<Utc>,
    ) -> Result<()> {
        let (store_id, message) = (self.store_id, message.map(str::to_owned));
        self.writer
            .write("close the run", move |tx| {
                runs::close(tx, store_id, run_id, status, message.as_deref(), at)
            })
            .await
    }
}
