//! Times, changes and verdicts for the rules, and a ledger that checks the counts after every write.

use attrsync::ledger::{Ledger, LedgerError, NewRun};
use attrsync::record::{
    Action, Belief, Change, ChangeOutcome, Counts, Entry, Filter, Key, PlannedChange, RequestMethod,
    RequestOutcome, RunKind, RunStatus, StoreName, Trigger, Verdict,
};
use attrsync::record::{NewRequest, RecordedIntent, RequestEnd};
use chrono::{DateTime, TimeDelta, Utc};

use super::backend::Backend;

pub(crate) fn store() -> StoreName {
    StoreName::new("https://api.example.com", "abc")
}

/// The store with the same hash at the address of a sandbox, which is a different store.
pub(crate) fn other_store() -> StoreName {
    StoreName::new("http://127.0.0.1:1", "abc")
}

/// The time this many seconds after the start of the test.
pub(crate) fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(1_767_323_045_000_007).expect("in range") + TimeDelta::seconds(seconds)
}

pub(crate) fn new_run(seconds: i64) -> NewRun {
    NewRun {
        kind: RunKind::Sync,
        trigger: Trigger::Manual,
        started_at: at(seconds),
        filtered: false,
        scheduled: None,
        of_run_id: None,
    }
}

pub(crate) fn change(customer_id: i64, attribute_id: i64, value: &str) -> Change {
    Change {
        key: Key::new(customer_id, attribute_id),
        action: Action::Create,
        value: Some(value.to_owned()),
        previous_value: None,
        previous_in_doubt: false,
        source_value: None,
        value_id: None,
        in_doubt_until: None,
    }
}

/// Returns the delete of a value.
pub(crate) fn delete(customer_id: i64, attribute_id: i64, value_id: Option<i64>) -> Change {
    Change { action: Action::Delete, value: None, value_id, ..change(customer_id, attribute_id, "") }
}

/// Returns changes as they are read back if no value is in doubt.
pub(crate) fn planned(changes: &[Change]) -> Vec<PlannedChange> {
    let planned = |change: &Change| PlannedChange {
        change: change.clone(),
        is_in_doubt: false,
        in_doubt_value: None,
        observed_value: None,
    };
    changes.iter().map(planned).collect()
}

/// Returns the outcome of a change; no request for its key is in doubt any more.
pub(crate) fn outcome(key: Key, verdict: Verdict) -> ChangeOutcome {
    ChangeOutcome { key, verdict, in_doubt_until: None }
}

/// Returns one outcome for each change.
pub(crate) fn outcomes(
    changes: &[Change],
    verdicts: impl IntoIterator<Item = Verdict>,
) -> Vec<ChangeOutcome> {
    changes.iter().zip(verdicts).map(|(change, verdict)| outcome(change.key, verdict)).collect()
}

pub(crate) fn confirmed() -> Verdict {
    Verdict::Confirmed { value_id: None, stored_value: None }
}

pub(crate) fn altered(stored: &str) -> Verdict {
    Verdict::Confirmed { value_id: None, stored_value: Some(stored.to_owned()) }
}

pub(crate) fn absent() -> Verdict {
    Verdict::Absent { value_id: None, reason: None }
}

pub(crate) fn rejected() -> Verdict {
    Verdict::Rejected { reason: "no such attribute".to_owned() }
}

pub(crate) fn unknown(seen: Option<&str>) -> Verdict {
    Verdict::Unknown { reason: "timed out".to_owned(), observed_value: seen.map(str::to_owned) }
}

pub(crate) fn deferred() -> Verdict {
    Verdict::Deferred { reason: "the run ended".to_owned() }
}

pub(crate) fn request_end(seconds: i64) -> RequestEnd {
    RequestEnd {
        at: at(seconds),
        outcome: RequestOutcome::Accepted,
        http_status: Some(200),
        store_request_id: Some("r-1".to_owned()),
        error: None,
    }
}

/// An open ledger. Its methods fail the test if the ledger fails.
pub(crate) struct Scene<'a> {
    backend: &'a dyn Backend,
    store: StoreName,
    pub(crate) ledger: Box<dyn Ledger>,
}

impl<'a> Scene<'a> {
    pub(crate) async fn new(backend: &'a dyn Backend) -> Self {
        Self::of(backend, &store()).await
    }

    pub(crate) async fn of(backend: &'a dyn Backend, store: &StoreName) -> Self {
        Self { backend, store: store.clone(), ledger: backend.open(store).await.expect("opens") }
    }

    pub(crate) async fn open_run(&self, seconds: i64) -> i64 {
        self.ledger.open_run(&new_run(seconds)).await.expect("opens a run")
    }

    /// Opens a run and seals this plan for it.
    pub(crate) async fn planned_run(&self, seconds: i64, changes: Vec<Change>) -> i64 {
        let run = self.open_run(seconds).await;
        let count = |changes| i64::try_from(changes).expect("few");
        let deletes = changes.iter().filter(|change| change.action == Action::Delete).count();
        let counts = Counts { planned: count(changes.len()), deletes: count(deletes), ..Counts::default() };
        self.ledger.save_plan(run, changes, Vec::new()).await.expect("saves the plan");
        self.ledger.seal_plan(run, &counts, None, at(seconds)).await.expect("seals the plan");
        self.counts(run).await;
        run
    }

    /// Tries to record an intent. The request's in-doubt window is two minutes.
    pub(crate) async fn try_intent(
        &self,
        run: i64,
        parent_id: Option<i64>,
        seconds: i64,
        changes: &[Change],
    ) -> Result<RecordedIntent, LedgerError> {
        let deletes = changes.first().is_some_and(|change| change.action == Action::Delete);
        let method = if deletes { RequestMethod::Delete } else { RequestMethod::Put };
        let attempt = if parent_id.is_some() { 2 } else { 1 };
        let (at, in_doubt_until) = (at(seconds), at(seconds + 120));
        let request = NewRequest { method, parent_id, attempt, at, in_doubt_until };
        self.ledger.record_intent(run, &request, changes).await
    }

    /// Records the intent of a first attempt, and returns the id of the request.
    pub(crate) async fn intent(&self, run: i64, seconds: i64, changes: &[Change]) -> i64 {
        let intent = self.try_intent(run, None, seconds, changes).await.expect("records the intent");
        assert_eq!(intent.counts, self.counts(run).await, "the counts returned are the run's");
        intent.request_id
    }

    pub(crate) async fn outcome(&self, run: i64, request: i64, seconds: i64, outcomes: &[ChangeOutcome]) {
        let counts = self.ledger.record_outcome(run, request, &request_end(seconds), outcomes).await;
        assert_eq!(counts.expect("records the outcome"), self.counts(run).await, "as returned");
    }

    pub(crate) async fn unsent(&self, run: i64, seconds: i64, outcomes: &[ChangeOutcome]) {
        let counts = self.ledger.record_unsent(run, outcomes, at(seconds)).await;
        assert_eq!(counts.expect("records the outcomes"), self.counts(run).await, "as returned");
    }

    pub(crate) async fn close(&self, run: i64, seconds: i64) {
        self.ledger.close_run(run, RunStatus::Succeeded, None, at(seconds)).await.expect("closes");
        self.counts(run).await;
    }

    /// Performs a whole run that sends one value and records this outcome.
    pub(crate) async fn send(&self, seconds: i64, change: Change, verdict: Verdict) -> i64 {
        let run = self.planned_run(seconds, vec![change.clone()]).await;
        let request = self.intent(run, seconds, std::slice::from_ref(&change)).await;
        self.outcome(run, request, seconds + 1, &[outcome(change.key, verdict)]).await;
        self.close(run, seconds + 2).await;
        run
    }

    /// Returns the counts of a run and asserts that they balance.
    pub(crate) async fn counts(&self, run: i64) -> Counts {
        let runs = self.backend.runs(&self.store).await.into_iter();
        let counts = runs.filter(|row| row.id == run).map(|row| row.counts).next().expect("a run");
        assert!(counts.balance(), "the counts do not balance: {counts:?}");
        counts
    }

    pub(crate) async fn entries(&self) -> Vec<Entry> {
        self.backend.entries(&self.store).await
    }

    /// Returns the entry of a key.
    pub(crate) async fn entry(&self, key: Key) -> Entry {
        self.entries().await.into_iter().find(|entry| entry.key == key).expect("an entry")
    }

    /// Scans the entries. Returns key, value, belief and whether the key is in doubt, and the sizes of the pages.
    pub(crate) async fn scan(
        &self,
        filter: &Filter,
    ) -> (Vec<(Key, Option<String>, Belief, bool)>, Vec<usize>) {
        let mut pages = self.ledger.entries(filter).await.expect("scans");
        let (mut rows, mut sizes) = (Vec::new(), Vec::new());
        while let Some(page) = pages.next().await.expect("a page") {
            sizes.push(page.len());
            rows.extend((0..page.len()).map(|index| {
                let row = page.row(index);
                (row.key, row.value.map(str::to_owned), row.belief, row.in_doubt_until.is_some())
            }));
        }
        (rows, sizes)
    }
}
