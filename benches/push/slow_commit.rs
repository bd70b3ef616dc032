//! A ledger whose commits while pushing take longer, as on a slow disk or behind a slow network.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use attrsync::ledger::{
    CustomerToCheck, EmailReader, Emails, EntryPages, Ledger, LedgerReader, NewRun, Readings, Result,
};
use attrsync::record::{
    BeliefEdit, Change, ChangeOutcome, Claimed, Counts, EmailCustomer, Entry, Filter, InvalidRow, Key,
    KnownAttribute, KnownDigest, MissedTimes, NewRequest, ObservedValue, Pin, PlanOfRun, PlanPart,
    PlannedChange, Reading, RecordedIntent, ReportedDrift, RequestEnd, RequestSizes, RunStatus, RunToUndo,
    SavedChange, SentChange, ValueEdit, WaitTotal,
};
use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use tokio::sync::Mutex;

/// Delays every intent and every outcome. Only one is written at a time: two that wait do not share a commit, which is
/// the worst that a ledger may do.
pub(crate) struct SlowCommit {
    ledger: Arc<dyn Ledger>,
    delay: Duration,
    writer: Arc<Mutex<()>>,
}

impl SlowCommit {
    pub(crate) fn new(ledger: Box<dyn Ledger>, delay: Duration) -> Self {
        Self { ledger: ledger.into(), delay, writer: Arc::default() }
    }

    /// Runs in a task, because a write must not depend on the caller polling it.
    async fn slowly<T: Send + 'static>(
        &self,
        write: impl FnOnce(Arc<dyn Ledger>) -> BoxFuture<'static, Result<T>>,
    ) -> Result<T> {
        let (writer, delay, write) = (Arc::clone(&self.writer), self.delay, write(Arc::clone(&self.ledger)));
        let written = tokio::spawn(async move {
            let _writing = writer.lock().await;
            // A thread sleeps more exactly than the runtime's timer.
            let slept = tokio::task::spawn_blocking(move || std::thread::sleep(delay)).await;
            slept.expect("a sleep");
            write.await
        });
        written.await.expect("a write")
    }
}

#[async_trait]
impl LedgerReader for SlowCommit {
    async fn attributes(&self) -> Result<Vec<KnownAttribute>> {
        self.ledger.attributes().await
    }

    async fn customers_to_check(&self, before_run: i64, limit: usize) -> Result<Vec<CustomerToCheck>> {
        self.ledger.customers_to_check(before_run, limit).await
    }

    async fn request_sizes(&self) -> Result<RequestSizes> {
        self.ledger.request_sizes().await
    }

    async fn last_finished(&self) -> Result<Option<Counts>> {
        self.ledger.last_finished().await
    }

    async fn claimed(&self) -> Result<Claimed> {
        self.ledger.claimed().await
    }

    async fn entries(&self, filter: &Filter) -> Result<Box<dyn EntryPages>> {
        self.ledger.entries(filter).await
    }

    async fn pins(&self, filter: &Filter, after: Option<Key>, limit: usize) -> Result<Vec<Pin>> {
        self.ledger.pins(filter, after, limit).await
    }

    async fn run_to_undo(&self, run_id: i64) -> Result<Option<RunToUndo>> {
        self.ledger.run_to_undo(run_id).await
    }

    async fn sent_changes(&self, run_id: i64, after: Option<Key>, limit: usize) -> Result<Vec<SentChange>> {
        self.ledger.sent_changes(run_id, after, limit).await
    }
}

#[async_trait]
impl EmailReader for SlowCommit {
    async fn emails_after(&self, after: &str, limit: usize) -> Result<Vec<EmailCustomer>> {
        self.ledger.emails_after(after, limit).await
    }

    async fn emails_of(&self, customers: &[i64]) -> Result<Vec<EmailCustomer>> {
        self.ledger.emails_of(customers).await
    }
}

#[async_trait]
impl Emails for SlowCommit {
    async fn keep_emails(&self, run_id: i64, emails: &[EmailCustomer]) -> Result<()> {
        self.ledger.keep_emails(run_id, emails).await
    }
}

#[async_trait]
impl Readings for SlowCommit {
    async fn readings(&self) -> Result<Vec<Reading>> {
        self.ledger.readings().await
    }

    async fn entries_after(&self, after: Key, last: i64, limit: usize) -> Result<Vec<Entry>> {
        self.ledger.entries_after(after, last, limit).await
    }

    async fn count_entries_after(&self, customer_id: i64) -> Result<i64> {
        self.ledger.count_entries_after(customer_id).await
    }

    async fn entries_of(&self, customers: &[i64]) -> Result<Vec<Entry>> {
        self.ledger.entries_of(customers).await
    }

    async fn observed_after(&self, after: Key, last: i64, limit: usize) -> Result<Vec<ObservedValue>> {
        self.ledger.observed_after(after, last, limit).await
    }

    async fn reported_after(&self, after: Key, last: i64, limit: usize) -> Result<Vec<ReportedDrift>> {
        self.ledger.reported_after(after, last, limit).await
    }

    async fn lately_confirmed(&self, limit: usize) -> Result<Vec<(Key, DateTime<Utc>)>> {
        self.ledger.lately_confirmed(limit).await
    }

    async fn keep_observed(&self, run_id: i64, values: &[ObservedValue], reading: &Reading) -> Result<()> {
        self.ledger.keep_observed(run_id, values, reading).await
    }

    async fn keep_reading(&self, run_id: i64, reading: &Reading) -> Result<()> {
        self.ledger.keep_reading(run_id, reading).await
    }

    async fn remove_observed(&self, run_id: i64) -> Result<bool> {
        self.ledger.remove_observed(run_id).await
    }

    async fn edit_values(&self, run_id: i64, edits: &[ValueEdit], at: DateTime<Utc>) -> Result<()> {
        self.ledger.edit_values(run_id, edits, at).await
    }
}

#[async_trait]
impl Ledger for SlowCommit {
    async fn open_run(&self, run: &NewRun) -> Result<i64> {
        self.ledger.open_run(run).await
    }

    async fn pass_over(
        &self,
        missed: Option<&MissedTimes>,
        until: DateTime<Utc>,
        at: DateTime<Utc>,
    ) -> Result<()> {
        self.ledger.pass_over(missed, until, at).await
    }

    async fn save_plan(&self, run_id: i64, changes: Vec<Change>, invalid: Vec<InvalidRow>) -> Result<()> {
        self.ledger.save_plan(run_id, changes, invalid).await
    }

    async fn discard_plan(&self, run_id: i64) -> Result<()> {
        self.ledger.discard_plan(run_id).await
    }

    async fn remove_deletes(&self, run_id: i64) -> Result<()> {
        self.ledger.remove_deletes(run_id).await
    }

    async fn remove_unsent(&self, run_id: i64, at: DateTime<Utc>) -> Result<bool> {
        self.ledger.remove_unsent(run_id, at).await
    }

    async fn seal_plan(
        &self,
        run_id: i64,
        counts: &Counts,
        digest: Option<&str>,
        at: DateTime<Utc>,
    ) -> Result<()> {
        self.ledger.seal_plan(run_id, counts, digest, at).await
    }

    async fn known_digest(&self, run_id: i64) -> Result<Option<KnownDigest>> {
        self.ledger.known_digest(run_id).await
    }

    async fn seal_by_digest(&self, run_id: i64, same_as: i64, at: DateTime<Utc>) -> Result<()> {
        self.ledger.seal_by_digest(run_id, same_as, at).await
    }

    async fn planned(
        &self,
        run_id: i64,
        part: PlanPart,
        after: Option<Key>,
        limit: usize,
    ) -> Result<Vec<PlannedChange>> {
        self.ledger.planned(run_id, part, after, limit).await
    }

    async fn plan_of_run(&self, run_id: i64) -> Result<Option<PlanOfRun>> {
        self.ledger.plan_of_run(run_id).await
    }

    async fn saved_changes(&self, run_id: i64, after: Option<Key>, limit: usize) -> Result<Vec<SavedChange>> {
        self.ledger.saved_changes(run_id, after, limit).await
    }

    async fn record_intent(
        &self,
        run_id: i64,
        request: &NewRequest,
        changes: &[Change],
    ) -> Result<RecordedIntent> {
        let (request, changes) = (request.clone(), changes.to_vec());
        self.slowly(move |ledger| {
            Box::pin(async move { ledger.record_intent(run_id, &request, &changes).await })
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
        let (end, outcomes) = (end.clone(), outcomes.to_vec());
        self.slowly(move |ledger| {
            Box::pin(async move { ledger.record_outcome(run_id, request_id, &end, &outcomes).await })
        })
        .await
    }

    async fn record_unsent(
        &self,
        run_id: i64,
        outcomes: &[ChangeOutcome],
        at: DateTime<Utc>,
    ) -> Result<Counts> {
        let outcomes = outcomes.to_vec();
        self.slowly(move |ledger| Box::pin(async move { ledger.record_unsent(run_id, &outcomes, at).await }))
            .await
    }

    async fn edit_beliefs(&self, run_id: i64, edit: &BeliefEdit, at: DateTime<Utc>) -> Result<i64> {
        self.ledger.edit_beliefs(run_id, edit, at).await
    }

    async fn record_attributes(
        &self,
        run_id: i64,
        listed: &[KnownAttribute],
        at: DateTime<Utc>,
    ) -> Result<()> {
        self.ledger.record_attributes(run_id, listed, at).await
    }

    async fn record_waits(&self, run_id: i64, totals: &[WaitTotal]) -> Result<()> {
        self.ledger.record_waits(run_id, totals).await
    }

    async fn unclosed_run(&self) -> Result<Option<i64>> {
        self.ledger.unclosed_run().await
    }

    async fn record_customers(&self, run_id: i64, deleted: &[i64], existing: &[i64]) -> Result<()> {
        self.ledger.record_customers(run_id, deleted, existing).await
    }

    async fn mark_unconfirmed(&self, keys: &[Key], at: DateTime<Utc>) -> Result<()> {
        self.ledger.mark_unconfirmed(keys, at).await
    }

    async fn keep_request_sizes(&self, sizes: &RequestSizes) -> Result<()> {
        self.ledger.keep_request_sizes(sizes).await
    }

    async fn end_pins(&self, run_id: i64, keys: &[Key]) -> Result<()> {
        self.ledger.end_pins(run_id, keys).await
    }

    async fn close_run(
        &self,
        run_id: i64,
        status: RunStatus,
        message: Option<&str>,
        at: DateTime<Utc>,
    ) -> Result<()> {
        self.ledger.close_run(run_id, status, message, at).await
    }
}
