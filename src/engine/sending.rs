//! One batch on its way: what is to be sent, what was begun, the call itself, and its end in the ledger.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::Instant;

use super::{Ports, read_retry};
use crate::config::PushConfig;
use crate::destination::{Destination, Echo, Item, Response};
use crate::failpoint;
use crate::ledger::{LedgerError, RequestEnd};
use crate::record::{Change, Key, Verdict};
use crate::retry::bisection::Bisection;
use crate::retry::{self, Meaning, echo};

/// A request that is not on the wire this long after it was begun is not sent: another run may own the store by then.
const STALE: Duration = Duration::from_secs(5);

/// Changes to be sent in one request, and what was tried before.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) changes: Vec<Change>,
    /// The last request that carried them; `None` if they were never begun.
    pub(super) parent_id: Option<i64>,
    /// Calls so far whose outcome is unknown.
    pub(super) failures: u32,
    /// How many such calls are made before it is split.
    pub(super) tries: u32,
    /// Calls so far, refused or failed.
    pub(super) calls: u32,
    /// Whether the store may have applied it.
    pub(super) unsure: bool,
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
    pub(super) fn new(changes: Vec<Change>, parent_id: Option<i64>, tries: u32) -> Self {
        Self {
            changes,
            parent_id,
            failures: 0,
            tries,
            calls: 0,
            unsure: false,
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

    /// The latest time before which one of its changes must not be sent: a late copy of the same value does no harm.
    pub(super) fn in_doubt_until(&self) -> Option<DateTime<Utc>> {
        self.changes.iter().filter(|change| !repeats(change)).filter_map(|change| change.in_doubt_until).max()
    }

    /// The verdict on changes that are given up: they are deferred only if surely nothing of them was applied.
    pub(super) fn given_up(&self, why: &str) -> Verdict {
        let reason = if self.words.is_empty() {
            why.to_owned()
        } else {
            format!("{why}; last answer: {}", self.words)
        };
        if self.unsure {
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
}

/// A batch that came back, its answer written down.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) work: Work,
    pub(super) request_id: i64,
    pub(super) reply: Response,
    /// What was decided: by an accepting answer, reading back included, or by one that ends the run.
    pub(super) verdicts: Vec<(Key, Verdict)>,
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
    let Begun { mut work, request_id, at } = begun;
    let started = Instant::now();
    let reply = if started - at > STALE {
        Response::NotSent { reason: "it was not on the wire within five seconds of its begin".to_owned() }
    } else {
        let items: Vec<_> =
            work.changes.iter().map(|change| Item { key: change.key, value: &change.value }).collect();
        failpoint::reach("before-request");
        ports.destination.upsert(&items).await
    };
    failpoint::reach("response-read");
    let took = started.elapsed();
    let meaning = retry::meaning(&reply, work.changes.len());
    let accepted = matches!(meaning, Meaning::Accepted(_));
    if !accepted {
        work.words = retry::describe(&reply);
    }
    let verdicts = match meaning {
        Meaning::Accepted(echoes) => judge(ports.destination, config, &work, echoes).await,
        Meaning::Fatal(_) => {
            let verdict = work.stopped();
            work.changes.iter().map(|change| (change.key, verdict.clone())).collect()
        }
        _ => Vec::new(),
    };
    let error = (!accepted).then(|| work.words.clone());
    let end = request_end(&reply, error, (ports.now)());
    ports.ledger.finish(run_id, request_id, &end, &verdicts).await?;
    failpoint::reach("outcome-committed");
    Ok(Sent { work, request_id, reply, verdicts, took })
}

/// What is written down of an answer.
fn request_end(reply: &Response, error: Option<String>, at: DateTime<Utc>) -> RequestEnd {
    let (http_status, store_request_id) = match reply {
        Response::Received(answer) => (Some(answer.status), answer.request_id.clone()),
        Response::Lost { .. } | Response::NotSent { .. } => (None, None),
    };
    let unsent = matches!(reply, Response::NotSent { .. });
    RequestEnd { at, unsent, http_status, store_request_id, error }
}

/// What an accepting answer proves of each change. A value that was sent before without a clear answer may arrive
/// once more, which is noted, since a later run must not be overtaken by it.
async fn judge(
    destination: &dyn Destination,
    config: &PushConfig,
    work: &Work,
    echoes: &[Echo],
) -> Vec<(Key, Verdict)> {
    let (mut verdicts, mut open) = (Vec::new(), Vec::new());
    for change in &work.changes {
        match echo::judge(change, echoes) {
            Some(verdict) => verdicts.push((change.key, verdict)),
            None => open.push(change),
        }
    }
    verdicts.extend(read_back(destination, config, &open).await);
    let late = work.changes.iter().filter(|change| change.in_doubt_until.is_some() && repeats(change));
    let late: BTreeSet<Key> = late.map(|change| change.key).collect();
    for (key, verdict) in &mut verdicts {
        if let Verdict::Confirmed { note, .. } = verdict
            && (work.unsure || late.contains(key))
        {
            *note = Some("an earlier copy of its request went unanswered and may still arrive".to_owned());
        }
    }
    verdicts
}

/// Whether an earlier run sent the same value and never learnt what became of it.
pub(super) fn repeats(change: &Change) -> bool {
    change.in_doubt_value.as_ref() == Some(&change.value)
}

/// Settles by GET what an answer left open.
async fn read_back(
    destination: &dyn Destination,
    config: &PushConfig,
    open: &[&Change],
) -> Vec<(Key, Verdict)> {
    if open.is_empty() {
        return Vec::new();
    }
    let keys: Vec<_> = open.iter().map(|change| change.key).collect();
    match read_retry::repeat(config, || destination.fetch(&keys)).await {
        Ok(shown) => open.iter().map(|change| (change.key, echo::judge_read_back(change, &shown))).collect(),
        Err(error) => {
            let reason = format!("the answer left it out, and reading it back failed: {error}");
            keys.into_iter()
                .map(|key| (key, Verdict::Unknown { reason: reason.clone(), observed_value: None }))
                .collect()
        }
    }
}
