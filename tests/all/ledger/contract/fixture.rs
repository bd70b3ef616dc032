//! What the rules are told with: times, changes, verdicts, and a scene that keeps the books after every call.

use attrsync::ledger::{Ledger, LedgerError, NewRequest, NewRun, RequestEnd};
use attrsync::record::{
    Action, Belief, Change, Counts, Entry, Filter, Key, RunStatus, StoreName, Trigger, Verdict,
};
use chrono::{DateTime, TimeDelta, Utc};

use super::backend::Backend;

pub(crate) fn store() -> StoreName {
    StoreName::new("https://api.example.com", "abc")
}

/// The same store in a sandbox, which is another.
pub(crate) fn other_store() -> StoreName {
    StoreName::new("http://127.0.0.1:1", "abc")
}

/// So many seconds into the test.
pub(crate) fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(1_767_323_045_000_007).expect("in range") + TimeDelta::seconds(seconds)
}

pub(crate) fn new_run(seconds: i64) -> NewRun {
    NewRun { kind: "sync", trigger: Trigger::Manual, started_at: at(seconds), request_timeout: None }
}

pub(crate) fn change(customer_id: i64, attribute_id: i64, value: &str) -> Change {
    Change {
        key: Key::new(customer_id, attribute_id),
        action: Action::Create,
        value: value.to_owned(),
        previous_value: None,
        value_id: None,
        in_doubt_value: None,
        observed_value: None,
        in_doubt_until: None,
    }
}

pub(crate) fn confirmed() -> Verdict {
    Verdict::Confirmed { value_id: None, stored_value: None, note: None }
}

pub(crate) fn altered(stored: &str) -> Verdict {
    Verdict::Confirmed { value_id: None, stored_value: Some(stored.to_owned()), note: None }
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
        unsent: false,
        at: at(seconds),
        http_status: Some(200),
        store_request_id: Some("r-1".to_owned()),
        error: None,
    }
}

/// A ledger that is held, and shortcuts that fail the test where the ledger fails.
pub(crate) struct Scene<'a> {
    pub(crate) backend: &'a dyn Backend,
    pub(crate) ledger: Box<dyn Ledger>,
}

impl<'a> Scene<'a> {
    pub(crate) async fn new(backend: &'a dyn Backend) -> Self {
        Self::of(backend, &store()).await
    }

    pub(crate) async fn of(backend: &'a dyn Backend, store: &StoreName) -> Self {
        Self { backend, ledger: backend.open(store).await.expect("opens") }
    }

    pub(crate) async fn open_run(&self, seconds: i64) -> i64 {
        self.ledger.open_run(&new_run(seconds)).await.expect("opens a run")
    }

    /// A run with this plan, sealed.
    pub(crate) async fn planned_run(&self, seconds: i64, changes: Vec<Change>) -> i64 {
        let run = self.open_run(seconds).await;
        let counts = Counts { planned: i64::try_from(changes.len()).expect("few"), ..Counts::default() };
        self.ledger.save_plan(run, changes, Vec::new()).await.expect("saves the plan");
        self.ledger.seal_plan(run, &counts, at(seconds)).await.expect("seals the plan");
        self.books(run).await;
        run
    }

    pub(crate) async fn try_begin(
        &self,
        run: i64,
        parent_id: Option<i64>,
        seconds: i64,
        changes: &[Change],
    ) -> Result<i64, LedgerError> {
        let attempt = if parent_id.is_some() { 2 } else { 1 };
        self.ledger.begin(run, &NewRequest { parent_id, attempt, at: at(seconds) }, changes).await
    }

    pub(crate) async fn begin(&self, run: i64, seconds: i64, changes: &[Change]) -> i64 {
        let request = self.try_begin(run, None, seconds, changes).await.expect("begins");
        self.books(run).await;
        request
    }

    pub(crate) async fn finish(&self, run: i64, request: i64, seconds: i64, verdicts: &[(Key, Verdict)]) {
        self.ledger.finish(run, request, &request_end(seconds), verdicts).await.expect("finishes");
        self.books(run).await;
    }

    pub(crate) async fn set_aside(&self, run: i64, seconds: i64, verdicts: &[(Key, Verdict)]) {
        self.ledger.set_aside(run, verdicts, at(seconds)).await.expect("sets aside");
        self.books(run).await;
    }

    pub(crate) async fn close(&self, run: i64, seconds: i64) {
        self.ledger.close_run(run, RunStatus::Succeeded, None, at(seconds)).await.expect("closes");
        self.books(run).await;
    }

    /// A whole run that sends one value and gets this verdict.
    pub(crate) async fn send(&self, seconds: i64, change: Change, verdict: Verdict) -> i64 {
        let run = self.planned_run(seconds, vec![change.clone()]).await;
        let request = self.begin(run, seconds, std::slice::from_ref(&change)).await;
        self.finish(run, request, seconds + 1, &[(change.key, verdict)]).await;
        self.close(run, seconds + 2).await;
        run
    }

    /// The counts, which balance.
    pub(crate) async fn books(&self, run: i64) -> Counts {
        let counts = self.ledger.counts(run).await.expect("counts");
        assert!(counts.balance(), "the books do not balance: {counts:?}");
        counts
    }

    pub(crate) async fn entries(&self) -> Vec<Entry> {
        self.backend.entries(&store()).await
    }

    /// The entry of a key that has one.
    pub(crate) async fn entry(&self, key: Key) -> Entry {
        self.entries().await.into_iter().find(|entry| entry.key == key).expect("an entry")
    }

    /// All that a scan gives: key, value, belief and whether a time was told; and the sizes of its pages.
    pub(crate) async fn scan(&self, filter: &Filter) -> (Vec<(Key, String, Belief, bool)>, Vec<usize>) {
        let mut pages = self.ledger.entries(filter).await.expect("scans");
        let (mut rows, mut sizes) = (Vec::new(), Vec::new());
        while let Some(page) = pages.next().await.expect("a page") {
            sizes.push(page.len());
            rows.extend((0..page.len()).map(|index| {
                let row = page.row(index);
                (row.key, row.value.to_owned(), row.belief, row.sent_at.is_some())
            }));
        }
        (rows, sizes)
    }
}
