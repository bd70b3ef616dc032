//! The ledger in a Postgres schema, `attrsync`.
//!
//! One session holds the store's lock and does the writing, so that a lost session is a lost lock; every other page of a
//! plan is saved over a second one, since a server works on one page with one processor. Every write proves in its own
//! statement or transaction that the store still belongs to its run. What a run does side by side runs in tasks of its
//! own: whoever has the session must not depend on being polled by those who wait for it.

mod copy;
mod catalog;
pub(in crate::ledger) mod migrate;
mod liveness;
mod plan;
mod attempts;
mod belief_edits;
mod runs;
mod scan;
pub(in crate::ledger) mod session;
mod turns;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::timeout;

use super::{
    EntryPages, LearnedSize, Ledger, LedgerError, LedgerReader, NewRequest, NewRun, Refused, RequestEnd,
    Result, TimeOut,
};
use crate::config::Secret;
use crate::failpoint;
use crate::record::{
    Change, Counts, Filter, InvalidRow, Key, KeyScope, KnownAttribute, News, RunStatus, StoreName, Verdict,
};

use liveness::{PATIENCE, Patience, silent};
pub(crate) use scan::scan;
use session::failed;
use turns::Turns;

/// Puts the proof that the store `$1` belongs to the run `$2` before a statement. The row is locked, so that a run
/// that takes over waits for this write, or this write sees it.
macro_rules! fenced {
    ($statement:literal) => {
        concat!(
            "with fence as (select id from stores where id = $1 and owner_run_id = $2 for share) ",
            $statement
        )
    };
}
use fenced;

/// The ledger of one store, held.
#[derive(Debug)]
pub struct PostgresLedger {
    created: bool,
    held: Held,
    /// The run that was opened last; 0 is none.
    run: AtomicI64,
    turns: Turns,
}

/// A session, and the store that it writes for.
#[derive(Debug, Clone)]
struct Held {
    url: Secret,
    store_id: i64,
    writer: Arc<Mutex<PgConnection>>,
    patience: Arc<Patience>,
}

impl PostgresLedger {
    /// Connects, brings the tables up to date, finds or makes the store and takes its lock.
    ///
    /// # Errors
    /// [`LedgerError::Locked`] if another run holds the store, [`LedgerError::Version`] if a newer attrsync has
    /// migrated the ledger, [`LedgerError::Unusable`] for an address that cannot hold a lock.
    pub async fn open(url: &str, store: &StoreName) -> Result<Self> {
        let mut writer = session::connect_writer(url).await?;
        let patience = Arc::new(Patience::with(url, &mut writer).await?);
        let created = patience.wait(migrate::migrate(&mut writer)).await?;
        let store_id = patience.wait(find_or_make(&mut writer, store)).await?;
        failpoint::reach("migrated");
        patience.wait(session::lock_store(&mut writer, store_id)).await?;
        failpoint::reach("locked");
        let writer = Arc::new(Mutex::new(writer));
        let held = Held { url: Secret::new(url), store_id, writer, patience };
        Ok(Self { created, held, run: AtomicI64::default(), turns: Turns::default() })
    }

    /// Whether opening made the ledger's tables.
    #[must_use]
    pub const fn created(&self) -> bool {
        self.created
    }

    /// Waits for an answer that the run needs, if one was opened.
    async fn ask<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        match self.run.load(Ordering::Relaxed) {
            0 => self.held.wait(work).await,
            run_id => self.held.of_run(run_id, work).await,
        }
    }
}

impl Held {
    /// The session, unless somebody before has given it up in the middle of something.
    async fn writer(&self) -> Result<MutexGuard<'_, PgConnection>> {
        let writer = self.writer.lock().await;
        self.patience.left().map(|()| writer)
    }

    /// A fenced statement that touched its run's row was the owner's.
    async fn proven(&self, writer: &mut PgConnection, touched: u64) -> Result<()> {
        if touched == 0 { Err(lost(writer, self.store_id).await) } else { Ok(()) }
    }

    /// Waits for the database as long as it is at work.
    async fn wait<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        self.patience.wait(work).await
    }

    /// The same for a run; tells if it lost its store.
    async fn of_run<T>(&self, run_id: i64, work: impl Future<Output = Result<T>>) -> Result<T> {
        self.patience.left()?;
        self.told(run_id, self.wait(work).await).await
    }

    /// The same for work that goes on to its end also where nobody waits for it any more.
    async fn detached<T, F>(&self, run_id: i64, work: impl FnOnce(Self) -> F + Send + 'static) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let held = self.clone();
        let ended = tokio::spawn(async move { held.wait(work(held.clone())).await }).await;
        let failed = |error| Err(LedgerError::Database { doing: "work", source: Box::new(error) });
        self.told(run_id, ended.unwrap_or_else(failed)).await
    }

    /// A write that failed because its session was ended lost the lock with it, and its proof of ownership too. So another
    /// session is asked: a run that was taken over has to know it, since it may have sent something.
    async fn told<T>(&self, run_id: i64, written: Result<T>) -> Result<T> {
        let Err(LedgerError::Database { .. }) = &written else { return written };
        let asked = timeout(PATIENCE, async {
            let mut another = session::connect(self.url.expose()).await?;
            Err::<(), _>(lost(&mut another, self.store_id).await)
        });
        match asked.await {
            Ok(Err(LedgerError::LostLock { owner })) if owner != run_id => {
                Err(LedgerError::LostLock { owner })
            }
            _ => written,
        }
    }
}

async fn find_or_make(connection: &mut PgConnection, store: &StoreName) -> Result<i64> {
    let doing = failed("find the store");
    sqlx::query("insert into stores (api_url, hash) values ($1, $2) on conflict do nothing")
        .bind(&store.api_url)
        .bind(&store.hash)
        .execute(&mut *connection)
        .await
        .map_err(doing)?;
    sqlx::query_scalar("select id from stores where api_url = $1 and hash = $2")
        .bind(&store.api_url)
        .bind(&store.hash)
        .fetch_one(connection)
        .await
        .map_err(doing)
}

/// Who has the store now, as the error that a write of another run fails with.
async fn lost(connection: &mut PgConnection, store_id: i64) -> LedgerError {
    let owner = sqlx::query_scalar(
        "select coalesce(owner_run_id, (select max(id) from runs where store_id = $1), 0) from stores where id = $1",
    )
    .bind(store_id)
    .fetch_one(connection)
    .await;
    match owner {
        Ok(owner) => LedgerError::LostLock { owner },
        Err(error) => failed("ask which run holds the store")(error),
    }
}

/// Text that came from outside, as Postgres takes it: it has no NUL character in its texts.
fn text(value: &str) -> String {
    value.replace('\0', "\u{fffd}")
}

#[async_trait]
impl LedgerReader for PostgresLedger {
    async fn known_attributes(&self) -> Result<Vec<KnownAttribute>> {
        self.ask(self.held.read_attributes()).await
    }

    async fn missing_customers(&self, limit: usize) -> Result<Vec<i64>> {
        self.ask(self.held.read_missing(limit)).await
    }

    async fn learned_size(&self) -> Result<Option<LearnedSize>> {
        self.ask(self.held.read_size()).await
    }

    async fn has_unclear(&self, since: DateTime<Utc>) -> Result<bool> {
        self.ask(self.held.look_for_unclear(since)).await
    }

    async fn timeouts(&self) -> Result<Vec<TimeOut>> {
        self.ask(self.held.read_timeouts()).await
    }

    async fn entries(&self, filter: &Filter) -> Result<Box<dyn EntryPages>> {
        scan(self.held.url.expose(), self.held.store_id, filter)
    }
}

#[async_trait]
impl Ledger for PostgresLedger {
    async fn open_run(&self, run: &NewRun) -> Result<i64> {
        let run_id = self.held.wait(self.held.open(run)).await?;
        self.run.store(run_id, Ordering::Relaxed);
        Ok(run_id)
    }

    async fn distrust(&self, run_id: i64) -> Result<()> {
        self.held.of_run(run_id, self.held.doubt(run_id)).await
    }

    async fn save_plan(&self, run_id: i64, changes: Vec<Change>, invalid: Vec<InvalidRow>) -> Result<()> {
        let save = move |held: Held| async move { held.save(run_id, &changes, &invalid).await };
        self.turns.next(&self.held).detached(run_id, save).await
    }

    async fn discard_plan(&self, run_id: i64) -> Result<()> {
        self.held.of_run(run_id, self.held.discard(run_id)).await
    }

    async fn seal_plan(&self, run_id: i64, counts: &Counts, at: DateTime<Utc>) -> Result<()> {
        self.turns.end();
        self.held.of_run(run_id, self.held.seal(run_id, counts, at)).await
    }

    async fn planned(
        &self,
        run_id: i64,
        late: bool,
        after: Option<Key>,
        limit: usize,
    ) -> Result<Vec<Change>> {
        let read = move |held: Held| async move { held.read_planned(run_id, late, after, limit).await };
        self.held.detached(run_id, read).await
    }

    async fn begin(&self, run_id: i64, request: &NewRequest, changes: &[Change]) -> Result<i64> {
        let (request, changes) = (request.clone(), changes.to_vec());
        let begin = move |held: Held| async move { held.begin_request(run_id, &request, &changes).await };
        self.held.detached(run_id, begin).await
    }

    async fn finish(
        &self,
        run_id: i64,
        request_id: i64,
        end: &RequestEnd,
        verdicts: &[(Key, Verdict)],
    ) -> Result<()> {
        let (end, verdicts) = (end.clone(), verdicts.to_vec());
        let finish =
            move |held: Held| async move { held.finish_request(run_id, request_id, &end, &verdicts).await };
        self.held.detached(run_id, finish).await
    }

    async fn set_aside(&self, run_id: i64, verdicts: &[(Key, Verdict)], at: DateTime<Utc>) -> Result<()> {
        let verdicts = verdicts.to_vec();
        let decide = move |held: Held| async move { held.decide_unsent(run_id, &verdicts, at).await };
        self.held.detached(run_id, decide).await
    }

    async fn release_by_hand(&self, run_id: i64, whose: KeyScope, at: DateTime<Utc>) -> Result<i64> {
        self.held.of_run(run_id, self.held.give_back_by_hand(run_id, whose, at)).await
    }

    async fn release(
        &self,
        run_id: i64,
        whose: KeyScope,
        news: News,
        reason: &str,
        at: DateTime<Utc>,
    ) -> Result<i64> {
        self.held.of_run(run_id, self.held.give_back(run_id, whose, news, reason, at)).await
    }

    async fn note_attributes(&self, run_id: i64, listed: &[KnownAttribute], at: DateTime<Utc>) -> Result<()> {
        self.held.of_run(run_id, self.held.write_attributes(run_id, listed, at)).await
    }

    async fn note_customers(&self, run_id: i64, missing: &[i64], back: &[i64]) -> Result<()> {
        self.held.of_run(run_id, self.held.write_customers(run_id, missing, back)).await
    }

    async fn unasked_customers(&self, limit: usize) -> Result<Vec<Refused>> {
        self.ask(self.held.read_unasked(limit)).await
    }

    async fn note_asked(&self, run_id: i64, of: i64, through: Option<i64>) -> Result<()> {
        self.held.of_run(run_id, self.held.write_asked(run_id, of, through)).await
    }

    async fn clear_certainty(&self, keys: &[Key], at: DateTime<Utc>) -> Result<()> {
        let cleared = async {
            let mut writer = self.held.writer().await?;
            attempts::clear_certainty(&mut writer, self.held.store_id, keys, at).await
        };
        if self.held.wait(cleared).await.is_ok() {
            return Ok(());
        }
        // A run that lost its session may still take back what it claimed: over a session without the lock.
        let cleared = timeout(PATIENCE, async {
            let mut another = session::connect(self.held.url.expose()).await?;
            attempts::clear_certainty(&mut another, self.held.store_id, keys, at).await
        });
        cleared.await.unwrap_or_else(|_| Err(silent("a new session gets no answer either")))
    }

    async fn learn_size(&self, size: Option<LearnedSize>) -> Result<()> {
        self.ask(self.held.write_size(size)).await
    }

    async fn counts(&self, run_id: i64) -> Result<Counts> {
        self.ask(self.held.read_counts(run_id)).await
    }

    async fn close_run(
        &self,
        run_id: i64,
        status: RunStatus,
        message: Option<&str>,
        at: DateTime<Utc>,
    ) -> Result<()> {
        self.held.of_run(run_id, self.held.close(run_id, status, message, at)).await
    }
}
