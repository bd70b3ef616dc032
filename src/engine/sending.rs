//! One batch on its way: what is to be sent, what was begun, the call itself, and its end in the ledger.

use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::Instant;

use super::{Ports, read_retry};
use crate::config::PushConfig;
use crate::destination::{Destination, Echo, Item, Response};
use crate::failpoint;
use crate::ledger::{LedgerError, RequestEnd};
use crate::record::{ChangeOutcome, Key, PlannedChange, RequestOutcome, Verdict};
use crate::retry::bisection::Bisection;
use crate::retry::{self, Meaning, echo};

/// A request that is not on the wire this long after it was begun is not sent: another run may own the store by then.
const STALE: Duration = Duration::from_secs(5);

/// Changes to be sent in one request, and what was tried before.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) changes: Vec<PlannedChange>,
    /// The last request that carried them; `None` if they were never begun.
    pub(super) parent_id: Option<i64>,
    /// Calls so far whose outcome is unknown.
    pub(super) failures: u32,
    /// How many such calls are made before it is split.
    pub(super) tries: u32,
    /// Calls so far, refused or failed.
    pub(super) calls: u32,
    /// Until when an earlier request of this run may still be applied; `None` if none is in doubt.
    pub(super) in_doubt_until: Option<DateTime<Utc>>,
    /// How many batches had been accepted when it first failed.
    pub(super) accepted_before: u64,
    /// The isolation that these changes are a part of.
    pub(super) isolation: Option<Bisection>,
    /// Not before this.
    pub(super) ready_at: Option<Instant>,
    /// The last answer in words.
    pub(super) words: String,
}

impl Work {
    pub(super) fn new(changes: Vec<PlannedChange>, parent_id: Option<i64>, tries: u32) -> Self {
        Self {
            changes,
            parent_id,
            failures: 0,
            tries,
            calls: 0,
            in_doubt_until: None,
            accepted_before: 0,
            isolation: None,
            ready_at: None,
            words: String::new(),
        }
    }

    /// Whether its attempts are used up.
    pub(super) const fn exhausted(&self) -> bool {
        self.failures >= self.tries
    }

    /// The time before which it must not be sent, because a request of an earlier run with another value is in doubt.
    pub(super) fn not_before(&self) -> Option<DateTime<Utc>> {
        let others = self.changes.iter().filter(|change| !change.repeats());
        others.filter_map(|change| change.change.in_doubt_until).max()
    }

    /// The outcome of one of its changes. The key stays in doubt while a request for it is.
    pub(super) fn outcome(&self, change: &PlannedChange, verdict: Verdict) -> ChangeOutcome {
        outcome(change, verdict, self.in_doubt_until)
    }

    /// The same outcome for all its changes.
    pub(super) fn outcomes(&self, verdict: &Verdict) -> Vec<ChangeOutcome> {
        self.changes.iter().map(|change| self.outcome(change, verdict.clone())).collect()
    }

    /// The verdict on changes that are given up: they are deferred only if surely nothing of them was applied.
    pub(super) fn given_up(&self, why: &str) -> Verdict {
        let reason = if self.words.is_empty() {
            why.to_owned()
        } else {
            format!("{why}; last answer: {}", self.words)
        };
        if self.in_doubt_until.is_some() {
            Verdict::Unknown { reason, observed_value: None }
        } else {
            Verdict::Deferred { reason }
        }
    }

    /// The verdict on changes whose answer ends the run.
    pub(super) fn stopped(&self) -> Verdict {
        self.given_up("the run was stopped")
    }
}

/// A batch whose intent is committed.
#[derive(Debug)]
pub(super) struct Begun {
    pub(super) work: Work,
    pub(super) request_id: i64,
    pub(super) at: Instant,
    /// The end of the request's in-doubt window.
    pub(super) in_doubt_until: DateTime<Utc>,
}

/// A batch that came back, its answer written down.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) work: Work,
    pub(super) request_id: i64,
    pub(super) reply: Response,
    /// What was decided: by an accepting answer, reading back included, or by one that ends the run.
    pub(super) outcomes: Vec<ChangeOutcome>,
    /// From the request to its answer.
    pub(super) took: Duration,
}

/// Makes the call and commits what came back. An answer that does not prove every change is completed by reading the
/// store back, so that a batch comes back decided or not at all.
///
/// # Errors
/// The answer could not be written down; the request's changes stay as they were begun.
pub(super) async fn send(
    ports: Ports<'_>,
    config: &PushConfig,
    run_id: i64,
    begun: Begun,
) -> Result<Sent, LedgerError> {
    let Begun { mut work, request_id, at, in_doubt_until } = begun;
    let started = Instant::now();
    let reply = if started - at > STALE {
        Response::NotSent { reason: "it was not on the wire within five seconds of its begin".to_owned() }
    } else {
        let items: Vec<_> =
            work.changes.iter().map(|change| Item { key: change.key(), value: change.value() }).collect();
        failpoint::reach("request-leaves");
        ports.destination.upsert(&items).await
    };
    failpoint::reach("answered");
    let took = started.elapsed();
    let meaning = retry::meaning(&reply, work.changes.len());
    let accepted = matches!(meaning, Meaning::Accepted(_));
    if !accepted {
        work.words = retry::describe(&reply);
    }
    if meaning == Meaning::Unknown {
        work.in_doubt_until = work.in_doubt_until.max(Some(in_doubt_until));
    }
    let outcome = request_outcome(&meaning);
    let outcomes = match meaning {
        Meaning::Accepted(echoes) => judge(ports.destination, config, &work, echoes).await,
        Meaning::Fatal(_) => work.outcomes(&work.stopped()),
        _ => Vec::new(),
    };
    let error = (!accepted).then(|| work.words.clone());
    let end = request_end(&reply, outcome, error, (ports.now)());
    ports.ledger.record_outcome(run_id, request_id, &end, &outcomes).await?;
    failpoint::reach("finished");
    Ok(Sent { work, request_id, reply, outcomes, took })
}

/// The outcome of a request, by the meaning of its response.
const fn request_outcome(meaning: &Meaning<'_>) -> RequestOutcome {
    match meaning {
        Meaning::Accepted(_) => RequestOutcome::Accepted,
        Meaning::TooLarge | Meaning::Refused(_) => RequestOutcome::Refused,
        Meaning::Limited(_) => RequestOutcome::Limited,
        Meaning::Unknown => RequestOutcome::InDoubt,
        Meaning::NotSent => RequestOutcome::NotSent,
        Meaning::Fatal(_) => RequestOutcome::Fatal,
    }
}

/// What is recorded of a response.
fn request_end(
    reply: &Response,
    outcome: RequestOutcome,
    error: Option<String>,
    at: DateTime<Utc>,
) -> RequestEnd {
    let (http_status, store_request_id) = match reply {
        Response::Received(answer) => (Some(answer.status), answer.request_id.clone()),
        Response::Lost { .. } | Response::NotSent { .. } => (None, None),
    };
    RequestEnd { at, outcome, http_status, store_request_id, error }
}

/// The outcome of a change. Its key stays in doubt until `in_doubt_until`, or as long as a request of an earlier run is.
pub(super) fn outcome(
    change: &PlannedChange,
    verdict: Verdict,
    in_doubt_until: Option<DateTime<Utc>>,
) -> ChangeOutcome {
    let in_doubt_until = in_doubt_until.max(change.change.in_doubt_until);
    ChangeOutcome { key: change.key(), verdict, in_doubt_until }
}

/// What an accepting response proves of each change.
async fn judge(
    destination: &dyn Destination,
    config: &PushConfig,
    work: &Work,
    echoes: &[Echo],
) -> Vec<ChangeOutcome> {
    let (mut outcomes, mut open) = (Vec::new(), Vec::new());
    for change in &work.changes {
        match echo::judge(change, echoes) {
            Some(verdict) => outcomes.push(work.outcome(change, verdict)),
            None => open.push(change),
        }
    }
    let read_back = read_back(destination, config, &open).await;
    outcomes.extend(open.into_iter().zip(read_back).map(|(change, verdict)| work.outcome(change, verdict)));
    outcomes
}

/// Reads back the changes that a response left open; one verdict for each, in their order.
async fn read_back(
    destination: &dyn Destination,
    config: &PushConfig,
    open: &[&PlannedChange],
) -> Vec<Verdict> {
    if open.is_empty() {
        return Vec::new();
    }
    let keys: Vec<Key> = open.iter().map(|change| change.key()).collect();
    match read_retry::repeat(config, || destination.fetch(&keys)).await {
        Ok(shown) => open.iter().map(|change| echo::judge_read_back(change, &shown)).collect(),
        Err(error) => {
            let reason = format!("the response left it out, and reading it back failed: {error}");
            vec![Verdict::Unknown { reason, observed_value: None }; keys.len()]
        }
    }
}
