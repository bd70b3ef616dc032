//! The port to the ledger: the write side for the one run that owns a store, the read side for everybody.
//!
//! The contract suite in `tests/all/ledger/contract.rs` runs every rule below on each implementation.

pub mod audit;

mod by_digest;
mod cells;
mod cold;
pub(crate) mod cold_emails;
mod cold_readings;
mod discard;
mod entry_extras;
pub mod emails;
mod error;
mod kept_plan;
mod last_finished;
mod page_channel;
mod pins;
pub mod postgres;
pub mod readings;
mod row_digest;
mod sql;
pub mod sqlite;
mod statements;
mod tables;
mod undo;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

pub use self::emails::{EMAILS_AT_ONCE, EmailReader, Emails};
pub use self::error::{LedgerError, Result};
pub use self::readings::Readings;

use crate::record::{
    BeliefEdit, Change, ChangeOutcome, Claimed, Counts, EntryPage, Filter, InvalidRow, Key, KnownAttribute,
    KnownDigest, MissedTimes, NewRequest, Pin, PlanOfRun, PlanPart, PlannedChange, RecordedIntent,
    RequestEnd, RequestSizes, RunKind, RunStatus, RunToUndo, SavedChange, ScheduledRun, SentChange, Trigger,
    WaitTotal,
};

/// The target of warnings that the ledger is lost or an older copy.
pub(crate) const LEDGER_REPLACED: &str = "attrsync::ledger::replaced";

/// The reason of an edit that [`Ledger::mark_unconfirmed`] records.
pub(crate) const LOST_LOCK: &str = "a run that had lost its lock may have sent the value";

/// A run that is about to be opened.
#[derive(Debug, Clone)]
pub struct NewRun {
    /// What kind of run it is.
    pub kind: RunKind,
    /// What started it.
    pub trigger: Trigger,
    /// When it started.
    pub started_at: DateTime<Utc>,
    /// Whether it is for some customers or attributes only.
    pub filtered: bool,
    /// The scheduled time that it is for, if a schedule started it.
    pub scheduled: Option<ScheduledRun>,
    /// The run whose plan it applies, or that it undoes.
    pub of_run_id: Option<i64>,
}

/// A customer with a rejected value, who may not exist any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CustomerToCheck {
    /// The store's id.
    pub customer_id: i64,
    /// Whether the last check found that the store no longer has the customer.
    pub deleted: bool,
}

/// Pages of entries in key order.
#[async_trait]
pub trait EntryPages: Send {
    /// The next page; `None` at the end. A page is never empty.
    async fn next(&mut self) -> Result<Option<EntryPage>>;
}

/// What a plan is made from. Reads only, and needs no lock.
#[async_trait]
pub trait LedgerReader: EmailReader {
    /// The attributes that the store was found to define, deleted ones included, by id.
    async fn attributes(&self) -> Result<Vec<KnownAttribute>>;

    /// At most `limit` customers with rejected values that no run from `before_run` on has checked: first those that
    /// were never checked, then those that were checked longest ago, each group by customer id.
    async fn customers_to_check(&self, before_run: i64, limit: usize) -> Result<Vec<CustomerToCheck>>;

    /// The size that this store was found to accept, if it was learned.
    async fn request_sizes(&self) -> Result<RequestSizes>;

    /// The counts of the newest run that had a plan of all rows, and finished it: it sent the plan, apart from values that
    /// were rejected or unknown.
    async fn last_finished(&self) -> Result<Option<Counts>>;

    /// What is known of the store's scheduled times. Read without the lock, the newest run may be active, and then its
    /// time is listed as interrupted.
    async fn claimed(&self) -> Result<Claimed>;

    /// The entries that the filter lets through, in key order. Memory does not depend on how many there are.
    async fn entries(&self, filter: &Filter) -> Result<Box<dyn EntryPages>>;

    /// Up to `limit` pins of the filter's customers, in key order, after `after`.
    async fn pins(&self, filter: &Filter, after: Option<Key>, limit: usize) -> Result<Vec<Pin>>;

    /// What is known of a run, of this store or another, that is to be undone.
    async fn run_to_undo(&self, run_id: i64) -> Result<Option<RunToUndo>>;

    /// Up to `limit` changes of a run that the store has confirmed or may have applied, in key order, after `after`.
    async fn sent_changes(&self, run_id: i64, after: Option<Key>, limit: usize) -> Result<Vec<SentChange>>;
}

/// The write side for one store. A value of this type holds the store's lock: the lock is taken when the ledger is
/// opened, and released when the value is dropped or the process ends.
///
/// Every method is one durable transaction. Except where noted, it checks in that transaction that the run still owns
/// the store (the fencing token), and otherwise fails with [`LedgerError::LostLock`], having written nothing.
///
/// `save_plan`, `planned`, `record_intent`, `record_outcome` and `record_unsent` may run side by side. Once polled,
/// each runs to its end even if it is not polled again: one that waits for another must not depend on the caller
/// polling both.
#[async_trait]
pub trait Ledger: LedgerReader + Readings + Emails {
    /// Opens a run (status `planning`), makes it the owner of the store, and returns its id. A run that owned the store
    /// and was never closed becomes `interrupted`, finished now; its changes stay as they are, and it gets its pins as by
    /// [`close_run`](Self::close_run). Checks no fencing token.
    ///
    /// A scheduled run claims its time in the same transaction: it records its `scheduled_for`, the times that it stands
    /// for as missed, and how far the store's times are accounted for.
    async fn open_run(&self, run: &NewRun) -> Result<i64>;

    /// Records scheduled times as missed, if there are some, and moves the time up to which all are accounted for, without
    /// a run. Checks no fencing token.
    ///
    /// `until` may lie before what was recorded, because the clock was set back. Then missed times after `until` come
    /// again: their rows are removed. A row that begins before `until` is removed too, and `until` becomes one second
    /// before its first time, so that its times are accounted for anew.
    async fn pass_over(
        &self,
        missed: Option<&MissedTimes>,
        until: DateTime<Utc>,
        at: DateTime<Utc>,
    ) -> Result<()>;

    /// Returns the run that owns the store and was never closed: the next [`open_run`](Self::open_run) finds it
    /// interrupted.
    async fn unclosed_run(&self) -> Result<Option<i64>>;

    /// Adds changes (outcome `planned`) and invalid rows to the plan. Keys come in rising order over all calls.
    /// The caller bounds both by rows and by bytes, and adds at most
    /// [`INVALID_ROWS_KEPT`](crate::record::INVALID_ROWS_KEPT) invalid rows a run.
    async fn save_plan(&self, run_id: i64, changes: Vec<Change>, invalid: Vec<InvalidRow>) -> Result<()>;

    /// Removes everything that `save_plan` added, because the source is read again.
    async fn discard_plan(&self, run_id: i64) -> Result<()>;

    /// Removes the deletes that `save_plan` added, because the source could not be read whole. Only before
    /// [`seal_plan`](Self::seal_plan).
    async fn remove_deletes(&self, run_id: i64) -> Result<()>;

    /// Removes some of what earlier runs of the store planned and never sent: the changes that a run left `planned`,
    /// and all invalid rows of a plan that was never complete. Their counts stay. A saved plan stays for
    /// [`PLAN_VALID_FOR`](crate::record::PLAN_VALID_FOR), and the plan of a blocked run until a later sync of all rows has a
    /// complete plan. Returns whether there was something to remove: call it again until there is not, before
    /// [`seal_plan`](Self::seal_plan). Other runs before the newest complete plan are not looked at.
    async fn remove_unsent(&self, run_id: i64, at: DateTime<Utc>) -> Result<bool>;

    /// Completes the plan: status `running`, `planned_at` = `at`, the counts of planning, and `deferred` = `planned`.
    /// `digest` is that of the rows that the plan was made from, if it is known and they are all rows of the source.
    /// The invalid rows are kept for the newest ten syncs of a store, and for the newest ten that no change has started.
    async fn seal_plan(
        &self,
        run_id: i64,
        counts: &Counts,
        digest: Option<&str>,
        at: DateTime<Utc>,
    ) -> Result<()>;

    /// Returns the digest of the store's newest run before `run_id`, if a plan from the same rows has no changes: the
    /// entries are as that run left them, and it confirmed all of its changes. Neither it nor `run_id` has edited a
    /// belief. Checks no fencing token.
    async fn known_digest(&self, run_id: i64) -> Result<Option<KnownDigest>>;

    /// Completes the plan of a run that found the [known digest](Self::known_digest) of run `same_as`: as `seal_plan`
    /// does with its counts and its digest. The invalid rows of that run stand for this run's too.
    async fn seal_by_digest(&self, run_id: i64, same_as: i64, at: DateTime<Utc>) -> Result<()>;

    /// Returns up to `limit` changes of a part of the plan that are still `planned`, in key order, after `after`. Checks no
    /// fencing token.
    async fn planned(
        &self,
        run_id: i64,
        part: PlanPart,
        after: Option<Key>,
        limit: usize,
    ) -> Result<Vec<PlannedChange>>;

    /// Returns what is known of a run, of this store or another, whose plan is to be applied. Checks no fencing token.
    async fn plan_of_run(&self, run_id: i64) -> Result<Option<PlanOfRun>>;

    /// Returns up to `limit` changes of any run's plan that are still `planned`, in key order, after `after`, with what their
    /// entries say now. They have no `value_id` and no `in_doubt_until`. Checks no fencing token.
    async fn saved_changes(&self, run_id: i64, after: Option<Key>, limit: usize) -> Result<Vec<SavedChange>>;

    /// Commits the intent before a request is sent. Inserts the request (outcome `sending`). Its changes, which were
    /// `planned` or `sending`, become `sending` with this request, and get the given `value_id` if there is one: the id of a
    /// value to be deleted may have been read since the plan was made. Their entries become unconfirmed with the change's
    /// value (none for a delete), its `value_id` if there is one, and this run; `reason` is cleared.
    ///
    /// An entry that was confirmed keeps in `stored_value` what the store held: its stored form, or its value if that
    /// differs from the new one. An unconfirmed or rejected entry keeps its `stored_value`. `observed_value` is kept
    /// only if the value stays the same. `in_doubt_until` becomes the later of the entry's and the request's.
    ///
    /// The run's `requests` grows by one; `deferred` shrinks and `unknown` grows by the number of changes that were
    /// `planned`.
    ///
    /// # Errors
    /// A change is neither `planned` nor `sending`; nothing is written.
    async fn record_intent(
        &self,
        run_id: i64,
        request: &NewRequest,
        changes: &[Change],
    ) -> Result<RecordedIntent>;

    /// Commits how a request ended, and the outcomes of some or none of its changes. Returns the run's counts.
    ///
    /// Changes: outcome, reason, `value_id` if given, `decided_at`, `in_doubt_until` and the observed value as given.
    /// Entries, only if their `run_id` is this run:
    /// `in_doubt_until` as given; confirmed → belief, `value_id` if given, `stored_value` as given, `observed_value`
    /// and `reason` cleared; absent → belief and reason, and no `value_id`, `stored_value` and `observed_value`; rejected → belief and reason; unknown → reason and `observed_value`; deferred → reason.
    /// The run's counts move from `unknown` to the outcome's column (to `altered` too if `stored_value` is given);
    /// `requests` shrinks by one if the request was not sent. Customers of rejected changes are added to those to
    /// check.
    ///
    /// # Errors
    /// The request is not of this run, or a change is not `sending`: a recorded outcome never changes.
    async fn record_outcome(
        &self,
        run_id: i64,
        request_id: i64,
        end: &RequestEnd,
        outcomes: &[ChangeOutcome],
    ) -> Result<Counts>;

    /// Commits outcomes of `planned` or `sending` changes for which no request is sent any more. Returns the run's
    /// counts.
    ///
    /// A rejection of a `planned` change gives the entry the change's value as `record_intent` would, and creates it if
    /// there is none; its `in_doubt_until` stays. A `planned` delete that is absent makes the entry absent, as a delete that
    /// was sent; its `in_doubt_until` stays. Any other outcome of a `planned` change leaves the entry alone,
    /// because nothing was sent. Outcomes of `sending` changes are written as by `record_outcome`. Counts move from
    /// `deferred` (planned) or `unknown` (sending) to the outcome's column.
    ///
    /// # Errors
    /// A change is neither `planned` nor `sending`; nothing is written.
    async fn record_unsent(
        &self,
        run_id: i64,
        outcomes: &[ChangeOutcome],
        at: DateTime<Utc>,
    ) -> Result<Counts>;

    /// Edits the beliefs of all entries in a scope without sending anything, and adds one row to `belief_edits`.
    /// Returns how many entries were edited. An absent entry stays absent. Their `reason` becomes the edit's; `run_id` and `updated_at` stay;
    /// `in_doubt_until` becomes the later of the entry's and the edit's. An acknowledgement sets `acknowledged` only; any
    /// other edit, intent or rejection of the entry ends it. An unpin removes the pins in the scope, returns their number, and
    /// edits no entry.
    async fn edit_beliefs(&self, run_id: i64, edit: &BeliefEdit, at: DateTime<Utc>) -> Result<i64>;

    /// Records which attributes the store defines now. Known attributes that are not listed become deleted.
    async fn record_attributes(
        &self,
        run_id: i64,
        listed: &[KnownAttribute],
        at: DateTime<Utc>,
    ) -> Result<()>;

    /// Records which of the customers to check the store no longer has, and which it has; the latter need no further
    /// check.
    async fn record_customers(&self, run_id: i64, deleted: &[i64], existing: &[i64]) -> Result<()>;

    /// Records how long the run waited, once and before it is closed.
    async fn record_waits(&self, run_id: i64, totals: &[WaitTotal]) -> Result<()>;

    /// Makes entries unconfirmed, and records each as an edit of the store's newest run. Checks no fencing token: a run
    /// that lost its lock may still write this.
    async fn mark_unconfirmed(&self, keys: &[Key], at: DateTime<Utc>) -> Result<()>;

    /// Keeps what is known of the size of this store's requests. Checks no fencing token.
    async fn keep_request_sizes(&self, sizes: &RequestSizes) -> Result<()>;

    /// Ends pins: the source desires something else now, and the run may send it.
    async fn end_pins(&self, run_id: i64, keys: &[Key]) -> Result<()>;

    /// Ends the run; no run owns the store afterwards. Touches no change.
    ///
    /// An undo leaves a pin for each change that the store has confirmed or may have applied, unless the source desires the
    /// change's value. It takes the place of an older pin of the key.
    async fn close_run(
        &self,
        run_id: i64,
        status: RunStatus,
        message: Option<&str>,
        at: DateTime<Utc>,
    ) -> Result<()>;
}
