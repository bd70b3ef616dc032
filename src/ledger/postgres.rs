//! The ledger in a Postgres schema, `attrsync`.
//!
//! One session holds the store's lock and does the writing, so that a lost session is a lost lock. Every write checks
//! in its own statement or transaction that its run still owns the store.

mod attempts;
mod copy;
mod lock_holder;
pub(in crate::ledger) mod migrate;
mod plan;
pub(in crate::ledger) mod query;
pub(in crate::ledger) mod rights;
mod scan;
mod schema;
pub(in crate::ledger) mod session;
mod writer;

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::cold_readings::OverSql;
use super::row_digest::new_store;
use super::sql::{Fence, Sql};
use super::{
    CustomerToCheck, EntryPages, Ledger, LedgerReader, NewRun, Result, by_digest, cold, discard, kept_plan,
    last_finished, pins, undo,
};
use crate::config::{PushConfig, Secret};
use crate::failpoint;
use crate::record::{
    BeliefEdit, Change, ChangeOutcome, Claimed, Counts, Filter, InvalidRow, Key, KnownAttribute, KnownDigest,
    MissedTimes, Pin, PlanOfRun, PlanPart, PlannedChange, RunStatus, RunToUndo, SavedChange, SentChange,
    StoreName, WaitTotal,
};
use crate::record::{NewRequest, RecordedIntent, RequestEnd, RequestSizes};

pub(crate) use scan::scan;
pub(in crate::ledger) use session::LOCK_WAIT;
use session::failed;
use writer::Writer;

/// The write side of one store in Postgres. It holds the store's lock.
#[derive(Debug)]
pub struct PostgresLedger {
    url: Secret,
    created: bool,
    writer: Writer,
}

impl PostgresLedger {
    /// Connects, migrates the tables, finds or makes the store's row and takes the store's lock.
    ///
    /// # Errors
    /// [`LedgerError::Locked`](super::LedgerError::Locked) if another run holds the store,
    /// [`LedgerError::Version`](super::LedgerError::Version) if a newer attrsync has migrated the ledger,
    /// [`LedgerError::Unusable`](super::LedgerError::Unusable) for an address that cannot hold a lock.
    pub async fn open(url: &str, store: &StoreName) -> Result<Self> {
        Self::open_waiting(url, store, PushConfig::default().give_up_after).await
    }

    /// Opens the ledger as [`open`](Self::open) does. An operation waits for the lock of another session, on a table or a
    /// row, for at most `lock_wait`.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn open_waiting(url: &str, store: &StoreName, lock_wait: Duration) -> Result<Self> {
        let (mut connection, liveness) = session::connect_writer(url).await?;
        liveness.wait(rights::check(&mut connection)).await?;
        let created = liveness.wait(migrate::migrate(&mut connection)).await?;
        let store_id = liveness.wait(find_or_make(&mut connection, store)).await?;
        failpoint::reach("migrated");
        liveness.wait(session::lock_store(&mut connection, store_id)).await?;
        failpoint::reach("locked");
        let writer = Writer::new(url, store_id, connection, liveness, lock_wait);
        Ok(Self { url: Secret::new(url), created, writer })
    }

    /// Whether opening made the ledger's tables.
    #[must_use]
    pub const fn created(&self) -> bool {
        self.created
    }

    const fn fence(&self, run_id: i64) -> Fence {
        Fence { store_id: self.writer.store_id, run_id }
    }
}

async fn find_or_make(connection: &mut PgConnection, store: &StoreName) -> Result<i64> {
    let doing = failed("find the store");
    sqlx::query("insert into stores (api_url, hash, row_digest) values ($1, $2, $3) on conflict do nothing")
        .bind(&store.api_url)
        .bind(&store.hash)
        .bind(new_store(store))
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

impl OverSql for PostgresLedger {
    fn session(&self) -> &dyn Sql {
        &self.writer
    }

    fn store_id(&self) -> i64 {
        self.writer.store_id
    }
}

#[async_trait]
impl LedgerReader for PostgresLedger {
    async fn attributes(&self) -> Result<Vec<KnownAttribute>> {
        cold::attributes(&self.writer, self.writer.store_id).await
    }

    async fn customers_to_check(&self, before_run: i64, limit: usize) -> Result<Vec<CustomerToCheck>> {
        cold::customers_to_check(&self.writer, self.writer.store_id, before_run, limit).await
    }

    async fn request_sizes(&self) -> Result<RequestSizes> {
        cold::request_sizes(&self.writer, self.writer.store_id).await
    }

    async fn last_finished(&self) -> Result<Option<Counts>> {
        last_finished::last_finished(&self.writer, self.writer.store_id).await
    }

    async fn claimed(&self) -> Result<Claimed> {
        cold::claimed(&self.writer, self.writer.store_id).await
    }

    async fn entries(&self, filter: &Filter) -> Result<Box<dyn EntryPages>> {
        scan(self.url.expose(), self.writer.store_id, filter, self.writer.lock_wait())
    }

    async fn pins(&self, filter: &Filter, after: Option<Key>, limit: usize) -> Result<Vec<Pin>> {
        pins::pins(&self.writer, self.writer.store_id, filter, after, limit).await
    }

    async fn run_to_undo(&self, run_id: i64) -> Result<Option<RunToUndo>> {
        undo::run_to_undo(&self.writer, self.writer.store_id, run_id).await
    }

    async fn sent_changes(&self, run_id: i64, after: Option<Key>, limit: usize) -> Result<Vec<SentChange>> {
        undo::sent_changes(&self.writer, undo::IN_POSTGRES, self.writer.store_id, run_id, after, limit).await
    }
}

#[async_trait]
impl Ledger for PostgresLedger {
    async fn open_run(&self, run: &NewRun) -> Result<i64> {
        let run_id = cold::open_run(&self.writer, self.writer.store_id, run).await?;
        self.writer.set_run(run_id);
        Ok(run_id)
    }

    async fn pass_over(
        &self,
        missed: Option<&MissedTimes>,
        until: DateTime<Utc>,
        at: DateTime<Utc>,
    ) -> Result<()> {
        cold::pass_over(&self.writer, self.writer.store_id, missed, until, at).await
    }

    async fn unclosed_run(&self) -> Result<Option<i64>> {
        cold::unclosed_run(&self.writer, self.writer.store_id).await
    }

    async fn save_plan(&self, run_id: i64, changes: Vec<Change>, invalid: Vec<InvalidRow>) -> Result<()> {
        let fence = self.fence(run_id);
        // Encoded before the session is locked, so that the page before this one can be copied meanwhile.
        let changes = (!changes.is_empty()).then(|| copy::changes(run_id, &changes));
        let invalid = (!invalid.is_empty()).then(|| copy::invalid_rows(run_id, &invalid));
        self.writer.run(move |connection| plan::save_plan(connection, fence, changes, invalid)).await
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
        cold::planned(&self.writer, plan::PLANNED, self.writer.store_id, run_id, part, after, limit).await
    }

    async fn plan_of_run(&self, run_id: i64) -> Result<Option<PlanOfRun>> {
        kept_plan::plan_of_run(&self.writer, self.writer.store_id, run_id).await
    }

    async fn saved_changes(&self, run_id: i64, after: Option<Key>, limit: usize) -> Result<Vec<SavedChange>> {
        let (writer, sql) = (&self.writer, plan::SAVED_CHANGES);
        kept_plan::saved_changes(writer, sql, writer.store_id, run_id, after, limit).await
    }

    async fn record_intent(
        &self,
        run_id: i64,
        request: &NewRequest,
        changes: &[Change],
    ) -> Result<RecordedIntent> {
        let (fence, request, changes) = (self.fence(run_id), request.clone(), changes.to_vec());
        self.writer.run(move |connection| attempts::record_intent(connection, fence, request, changes)).await
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
            .run(move |connection| attempts::record_outcome(connection, fence, request_id, end, outcomes))
            .await
    }

    async fn record_unsent(
        &self,
        run_id: i64,
        outcomes: &[ChangeOutcome],
        at: DateTime<Utc>,
    ) -> Result<Counts> {
        let (fence, outcomes) = (self.fence(run_id), outcomes.to_vec());
        self.writer.run(move |connection| attempts::record_unsent(connection, fence, outcomes, at)).await
    }

    async fn edit_beliefs(&self, run_id: i64, edit: &BeliefEdit, at: DateTime<Utc>) -> Result<i64> {
        cold::edit_beliefs(&self.writer, self.fence(run_id), edit, at).await
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
        let store_id = self.writer.store_id;
        if cold::mark_unconfirmed(&self.writer, store_id, keys, at).await.is_ok() {
            return Ok(());
        }
        // A run that lost its session may still write this, over a session without the lock.
        cold::mark_unconfirmed(&self.writer.another().await?, store_id, keys, at).await
    }

    async fn keep_request_sizes(&self, sizes: &RequestSizes) -> Result<()> {
        cold::keep_request_sizes(&self.writer, self.writer.store_id, sizes).await
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
