//! The port to the ledger: the write side for the one run that owns a store, the read side for everybody.
//!
//! The contract suite in `tests/all/contract.rs` runs every rule below on each implementation.

pub mod audit;

mod page_channel;
pub mod memory;
mod entry_extras;

pub mod postgres;
pub mod sqlite;

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, SecondsFormat, Utc};

use crate::record::{
    Change, Counts, EntryPage, Filter, InvalidRow, Key, KeyScope, KnownAttribute, News, RunStatus, Trigger,
    Verdict,
};

/// How many invalid rows a run keeps; the rest is counted only.
pub const INVALID_ROWS_KEPT: i64 = 10_000;

/// Why the ledger could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// Another run owns this store now; nothing was written.
    #[error("another run has taken over this store: run {owner} owns it now")]
    LostLock {
        /// The run that owns the store.
        owner: i64,
    },
    /// Another process holds the lock.
    #[error("another run holds this store: {holder}")]
    Locked {
        /// What is known of the holder, for a person: `run 12, started 2026-01-02 03:04:05 UTC`.
        holder: String,
    },
    /// The ledger's tables are of another version of attrsync.
    #[error("{0}")]
    Version(String),
    /// The address or the kind of connection cannot be used.
    #[error("{0}")]
    Unusable(String),
    /// The database failed. `doing` says at what.
    #[error("the ledger failed to {doing}")]
    Database {
        /// What was being done: `begin a request`.
        doing: &'static str,
        /// What the database said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// The result of a ledger operation.
pub type Result<T, E = LedgerError> = std::result::Result<T, E>;

/// What a run is opened with.
#[derive(Debug, Clone)]
pub struct NewRun {
    /// `sync` or `release`, later `reconcile` and others.
    pub kind: &'static str,
    /// What started it.
    pub trigger: Trigger,
    /// When it started.
    pub started_at: DateTime<Utc>,
    /// How long it waits for an answer of the store; `None` where it sends nothing.
    pub request_timeout: Option<Duration>,
}

/// How long runs of a store waited for answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeOut {
    /// How long, to the millisecond.
    pub request_timeout: Duration,
    /// When the last run that waited so long ended; `None` while one of them has not.
    pub ended_at: Option<DateTime<Utc>>,
}

/// The question for them, which both databases understand: how long, when the last run that waited so long ended, and how
/// many have not.
const TIMEOUTS: &str = "
    select request_timeout_ms, max(finished_at), count(*) - count(finished_at) from runs
    where store_id = $1 and request_timeout_ms is not null
    group by request_timeout_ms order by request_timeout_ms";

/// The question whether something of this store may still arrive that was sent since then, which both databases understand: a
/// request without a clear answer, or whatever a ledger that was distrusted since then has forgotten.
fn unclear(since: DateTime<Utc>) -> String {
    let since = since.to_rfc3339_opts(SecondsFormat::Micros, true);
    format!(
        "select r.id from runs r
        where r.store_id = $1 and (r.finished_at is null or r.finished_at > '{since}') and (
            r.distrusted = 1 or exists (
                select 1 from requests q
                where q.run_id = r.id and q.sent_at > '{since}' and not coalesce(
                    (q.http_status = 200 and q.error is null)
                    or (q.http_status between 300 and 499 and q.http_status not in (408, 423))
                    or q.http_status in (501, 505, 507)
                    or (q.answered_at is null and q.error is not null), 1 = 0)
            )
        )
        limit 1"
    )
}

impl TimeOut {
    fn of(millis: i64, ended_at: Option<DateTime<Utc>>) -> Self {
        Self { request_timeout: Duration::from_millis(u64::try_from(millis).unwrap_or(0)), ended_at }
    }
}

impl NewRun {
    /// The time-out as it is kept.
    fn request_timeout_ms(&self) -> Option<i64> {
        self.request_timeout.map(|timeout| i64::try_from(timeout.as_millis()).unwrap_or(i64::MAX))
    }
}

/// One HTTP call that is about to be made.
#[derive(Debug, Clone)]
pub struct NewRequest {
    /// The request that it repeats or is a part of. A request without one carries changes that are begun for
    /// the first time; one with a parent carries changes that were begun before.
    pub parent_id: Option<i64>,
    /// Which attempt at these changes it is, from 1.
    pub attempt: u32,
    /// When it is begun.
    pub at: DateTime<Utc>,
}

/// What came back of one HTTP call.
#[derive(Debug, Clone, Default)]
pub struct RequestEnd {
    /// When the answer was there, or was given up.
    pub at: DateTime<Utc>,
    /// That nothing left this machine: it was no call, and has no answer.
    pub unsent: bool,
    /// The HTTP status, if an answer came.
    pub http_status: Option<u16>,
    /// The store's id of the request.
    pub store_request_id: Option<String>,
    /// What went wrong, at most 2 KiB.
    pub error: Option<String>,
}

/// A customer with a value that a run found to be refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Refused {
    /// The run.
    pub run_id: i64,
    /// The customer.
    pub customer_id: i64,
}

/// A size that the store was found to accept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LearnedSize {
    /// How many values a request may carry.
    pub values_per_request: usize,
    /// When that was learnt.
    pub learned_at: DateTime<Utc>,
}

/// Pages of entries in key order.
#[async_trait]
pub trait EntryPages: Send {
    /// The next page; `None` at the end. A page is never empty.
    async fn next(&mut self) -> Result<Option<EntryPage>>;
}

/// What a plan is made from. Entries are read in key order, in memory that does not depend on how many there are.
#[async_trait]
pub trait LedgerReader: Send + Sync {
    /// The attributes that the store was found to define, those it has no more too, by their ids.
    async fn known_attributes(&self) -> Result<Vec<KnownAttribute>>;

    /// Customers that the store was found to have no more, at most `limit`: those first that were asked about longest ago.
    async fn missing_customers(&self, limit: usize) -> Result<Vec<i64>>;

    /// The size that this store was found to accept, if any was learnt.
    async fn learned_size(&self) -> Result<Option<LearnedSize>>;

    /// How long the runs of this store waited for answers, each such time once, the shortest first.
    async fn timeouts(&self) -> Result<Vec<TimeOut>>;

    /// Whether something may still arrive that was sent since then: a request was not answered clearly, or this is a ledger that a
    /// run distrusted since.
    async fn has_unclear(&self, since: DateTime<Utc>) -> Result<bool>;

    /// The entries that the filter leaves in.
    async fn entries(&self, filter: &Filter) -> Result<Box<dyn EntryPages>>;
}

/// The write side for one store. Having one is the proof that the store's lock is held: it is taken when the
/// ledger is opened and ends with the value, or with the process.
///
/// Every method that writes is one transaction, durable when it returns. `begin`, `finish`, `set_aside`, `save_plan`,
/// `seal_plan`, `discard_plan`, `distrust`, `release`, `release_by_hand`, `note_attributes`, `note_customers`,
/// `note_asked` and `close_run` prove in that transaction that the run still owns the store, and fail with
/// [`LedgerError::LostLock`] otherwise, having written nothing.
///
/// What a run does side by side (`save_plan`, `planned`, `begin`, `finish`, `set_aside`) goes on once it was polled,
/// whether it is polled again or not: one that waits for another must not wait for the one who polls both.
#[async_trait]
pub trait Ledger: LedgerReader {
    /// Opens a run (status `planning`), makes it the owner of the store, and marks a run that owned it and never
    /// closed as `interrupted` (finished now, its undecided changes untouched).
    async fn open_run(&self, run: &NewRun) -> Result<i64>;

    /// Makes every entry of the store unconfirmed, and notes on the run that it did (`runs.distrusted`).
    /// `updated_at` and `run_id` of the entries stay.
    async fn distrust(&self, run_id: i64) -> Result<()>;

    /// Adds changes (outcome `planned`) and invalid rows to the plan. Keys come in rising order over all calls.
    /// The caller bounds both, by rows and by bytes, and hands over at most [`INVALID_ROWS_KEPT`] invalid rows a run.
    async fn save_plan(&self, run_id: i64, changes: Vec<Change>, invalid: Vec<InvalidRow>) -> Result<()>;

    /// Takes back everything that `save_plan` added: the source is read again.
    async fn discard_plan(&self, run_id: i64) -> Result<()>;

    /// Completes the plan: status `running`, `planned_at` = `at`, the counts of planning, and `deferred` = `planned`.
    async fn seal_plan(&self, run_id: i64, counts: &Counts, at: DateTime<Utc>) -> Result<()>;

    /// Up to `limit` changes of the plan that are still `planned`, in key order, after `after`: those without
    /// `in_doubt_until`, or with `late` those with one. `observed_value` is the entry's, now, where it was of the same value; so is
    /// `in_doubt_value`: the entry's value where it is not confirmed.
    async fn planned(&self, run_id: i64, late: bool, after: Option<Key>, limit: usize)
    -> Result<Vec<Change>>;

    /// Commits the intent before a request is sent: the request row (`sent_at` = `at`), its changes `sending` with this request, their
    /// entries `unconfirmed` with the value of the change and this run. An entry that was confirmed keeps what the
    /// store was last known to hold in `stored_value`: its stored form, or its value where that is another than the new one;
    /// an unconfirmed or rejected one keeps its `stored_value`. `observed_value` is kept only if the value stays the same. `reason` is cleared.
    /// The run's `requests` grows by one; without a parent, `deferred` shrinks and `unknown` grows by the number of changes.
    async fn begin(&self, run_id: i64, request: &NewRequest, changes: &[Change]) -> Result<i64>;

    /// Commits what came back: the request's end, and the verdicts of those of its changes that are decided (maybe none).
    /// Changes: outcome, reason, `value_id` if told, `decided_at`. Entries, only where `run_id` is this run:
    /// confirmed → belief, `value_id` if told, `stored_value` as in the verdict, `observed_value` cleared, `reason` = the verdict's note;
    /// rejected → belief and reason; unknown → still unconfirmed, reason and `observed_value`; deferred → still unconfirmed, reason.
    /// The run's counts move from `unknown` to the outcome's column (`altered` too where `stored_value` is given).
    /// A decided change never changes: a verdict for a change that is not `sending` is an error.
    async fn finish(
        &self,
        run_id: i64,
        request_id: i64,
        end: &RequestEnd,
        verdicts: &[(Key, Verdict)],
    ) -> Result<()>;

    /// Decides planned or sending changes without a request (their customer or attribute is gone, or the run ends).
    /// A rejection of a planned change gives the entry the change's value as `begin` would, and makes it where there is
    /// none; any other verdict on a planned change leaves the entry alone, since nothing was sent. Counts move from `deferred` (planned) or
    /// `unknown` (sending) to the outcome's column.
    async fn set_aside(&self, run_id: i64, verdicts: &[(Key, Verdict)], at: DateTime<Utc>) -> Result<()>;

    /// Gives rejected entries back, by hand: makes them unconfirmed, with a reason that repeats the store's and this
    /// run's id; `updated_at` stays, since nothing was sent. Each is a change of the run (action `release`, the entry's
    /// values, `deferred` with the same reason, decided now), counted as planned and deferred. The run is `running` from
    /// then on, its plan complete. Tells how many there were.
    async fn release_by_hand(&self, run_id: i64, whose: KeyScope, at: DateTime<Utc>) -> Result<i64>;

    /// Takes beliefs back after the store changed by itself, before the run plans. `Changed` and `Back`: rejected entries
    /// become unconfirmed, counted as `released`. `Gone`: all entries do, and lose their value ids, `stored_value` and
    /// `observed_value`, since the store has nothing of them. Their `reason` becomes this one; `run_id` and `updated_at` stay.
    /// One row tells of it, whatever the number of entries. Tells how many there were.
    async fn release(
        &self,
        run_id: i64,
        whose: KeyScope,
        news: News,
        reason: &str,
        at: DateTime<Utc>,
    ) -> Result<i64>;

    /// Notes which attributes the store defines now. Those that are not listed are gone.
    async fn note_attributes(&self, run_id: i64, listed: &[KnownAttribute], at: DateTime<Utc>) -> Result<()>;

    /// Notes which customers the store has no more (asked about by this run), and which it has again.
    async fn note_customers(&self, run_id: i64, missing: &[i64], back: &[i64]) -> Result<()>;

    /// Customers with a value that a run of this store found to be rejected and about whom the store was not asked since, at
    /// most `limit`: those of the oldest run first, each run's in rising order.
    async fn unasked_customers(&self, limit: usize) -> Result<Vec<Refused>>;

    /// Notes that the store was asked about the unasked customers of all runs before `of`, and about those of `of` through
    /// this one, or all of them.
    async fn note_asked(&self, run_id: i64, of: i64, through: Option<i64>) -> Result<()>;

    /// Makes entries unconfirmed whatever run owns the store: what a run that lost its lock may still write.
    async fn clear_certainty(&self, keys: &[Key], at: DateTime<Utc>) -> Result<()>;

    /// Keeps or forgets the size that this store accepts.
    async fn learn_size(&self, size: Option<LearnedSize>) -> Result<()>;

    /// The run's counts as they stand.
    async fn counts(&self, run_id: i64) -> Result<Counts>;

    /// Ends the run and gives up the store. Touches no change.
    async fn close_run(
        &self,
        run_id: i64,
        status: RunStatus,
        message: Option<&str>,
        at: DateTime<Utc>,
    ) -> Result<()>;
}
