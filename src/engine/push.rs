//! Executes what the push decides: requests, commits, reads and timers run side by side, and each result is an event.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::existence::deleted_subjects;
use super::ports::{EngineError, Ports, Progress};
use super::read_retry;
use super::rejection_log::RejectionLog;
use super::stop::{Ending, asked_to_stop};
use crate::config::PushConfig;
use crate::destination::{Destination, Item, Response};
use crate::failpoint;
use crate::ledger::LedgerError;
use crate::push::{
    Action, End, EndedRequest, Event, ExtraRequests, INTENT_VALID, Notice, Now, Push, Start, Wait,
};
use crate::record::{BeliefEdit, Counts, EditKind, Key, KeyScope, WaitReason};
use crate::waits::WaitGuard;

/// The reason of entries whose value the store confirmed and did not hold.
const NOT_SHOWN: &str = "the store confirmed the value, and did not hold it when the run read it back";

type Task<'a> = BoxFuture<'a, Result<Event, LedgerError>>;

/// Executes the actions of one push.
struct Shell<'a> {
    ports: Ports<'a>,
    config: &'a PushConfig,
    run_id: i64,
    started: Instant,
    tasks: FuturesUnordered<Task<'a>>,
    timer: Option<Instant>,
    /// What the push waits for by itself.
    waiting: Option<WaitGuard>,
    rejections: RejectionLog,
    ending: Ending,
    /// Set when the run has lost its lock: a request that has not left yet is not sent.
    lost: Arc<AtomicBool>,
}

/// Sends a sealed plan, and returns how the run ends with its last counts and its extra requests. Once the ledger cannot be written nothing
/// more is sent. A run that lost its lock waits for the requests that are on the wire, then makes their keys
/// unconfirmed.
pub(super) async fn push(
    ports: Ports<'_>,
    config: &PushConfig,
    run_id: i64,
    start: Start,
    stop: watch::Receiver<bool>,
) -> Result<(End, Counts, ExtraRequests), EngineError> {
    let tasks = FuturesUnordered::new();
    let started = Instant::now();
    let ending = Ending { stop: stop.clone(), deadline: start.deadline.map(|deadline| started + deadline) };
    let mut shell = Shell {
        ports,
        config,
        run_id,
        started,
        tasks,
        timer: None,
        waiting: None,
        rejections: RejectionLog::new(ports.ledger.attributes().await?),
        ending,
        lost: Arc::default(),
    };
    let mut push = Push::new(config.clone(), start);
    let driven = shell.drive(&mut push, stop).await;
    shell.rejections.end();
    match driven {
        Ok(end) => Ok((end, push.counts(), push.extra_requests())),
        Err(lost @ LedgerError::LostLock { .. }) => {
            shell.lost.store(true, Ordering::Relaxed);
            while push.has_requests_in_flight()
                && let Some(ended) = shell.tasks.next().await
            {
                if let Ok(event) = ended {
                    push.on(event, shell.now(), &mut Vec::new());
                }
            }
            drop(shell);
            ports.ledger.mark_unconfirmed(&push.keys_maybe_sent(), ports.clock.now()).await?;
            Err(lost.into())
        }
        Err(error) => Err(error.into()),
    }
}

impl<'a> Shell<'a> {
    async fn drive(&mut self, push: &mut Push, mut stop: watch::Receiver<bool>) -> Result<End, LedgerError> {
        let (mut actions, mut stopping) = (Vec::new(), false);
        push.start(self.now(), &mut actions);
        loop {
            for action in actions.drain(..) {
                if let Some(end) = self.execute(action) {
                    return Ok(end);
                }
            }
            let timer = self.timer;
            let event = tokio::select! {
                biased;
                // First, because the reads that it ends must not look like failures of the store.
                () = asked_to_stop(&mut stop), if !stopping => {
                    stopping = true;
                    Event::StopAsked
                }
                Some(event) = self.tasks.next() => event?,
                () = sleep_until(timer.unwrap_or(self.started)), if timer.is_some() => {
                    self.timer = None;
                    Event::Timer
                }
            };
            push.on(event, self.now(), &mut actions);
        }
    }

    fn now(&self) -> Now {
        Now { elapsed: self.started.elapsed(), utc: self.ports.clock.now() }
    }

    /// Executes an action, or sets a future off that yields its event. Returns the end of the push.
    fn execute(&mut self, action: Action) -> Option<End> {
        let Self { ports, config, run_id, started, .. } = *self;
        let Ports { ledger, destination, clock, waits, .. } = ports;
        let ending = self.ending.clone();
        let task: Task<'a> = match action {
            Action::LoadPage { part, after, limit } => Box::pin(async move {
                let _waiting = waits.begin(WaitReason::Ledger, None, "");
                ledger.planned(run_id, part, after, limit).await.map(Event::PageLoaded)
            }),
            Action::AcquirePermit => Box::pin(async move {
                destination.acquire_permit().await;
                Ok(Event::PermitGranted)
            }),
            Action::RecordIntent { token, request, changes } => Box::pin(async move {
                let _waiting = waits.begin(WaitReason::Ledger, None, "");
                let intent = ledger.record_intent(run_id, &request, &changes).await?;
                failpoint::reach("intent-committed");
                Ok(Event::IntentRecorded { token, intent })
            }),
            Action::Send { request_id, items, recorded_at } => {
                self.request(request_id, recorded_at, async move { send(destination, &items).await })
            }
            Action::Delete { request_id, ids, recorded_at } => {
                self.request(request_id, recorded_at, async move { delete(destination, &ids).await })
            }
            Action::FindIds { token, keys } => Box::pin(async move {
                let fetch = || destination.fetch(&keys);
                let read = read_retry::repeat(config, waits, WaitReason::ReadBack, fetch);
                let rows = ending.unless_reached(read).await;
                Ok(Event::IdsFound { token, rows })
            }),
            Action::ReadBack { request_id, keys } => Box::pin(async move {
                let fetch = || destination.fetch(&keys);
                let read = read_retry::repeat(config, waits, WaitReason::ReadBack, fetch);
                let values = ending.unless_reached(read).await;
                Ok(Event::ReadBack { request_id, values })
            }),
            Action::RecordOutcome { token, request_id, end, outcomes } => Box::pin(async move {
                let _waiting = waits.begin(WaitReason::Ledger, None, "");
                let counts = ledger.record_outcome(run_id, request_id, &end, &outcomes).await?;
                failpoint::reach("outcome-committed");
                Ok(Event::Recorded { token, counts: Some(counts) })
            }),
            Action::RecordUnsent { token, outcomes } => Box::pin(async move {
                let _waiting = waits.begin(WaitReason::Ledger, None, "");
                let counts = ledger.record_unsent(run_id, &outcomes, clock.now()).await?;
                Ok(Event::Recorded { token, counts: Some(counts) })
            }),
            Action::KeepSizes { token, sizes } => Box::pin(async move {
                ledger.keep_request_sizes(&sizes).await?;
                Ok(Event::Recorded { token, counts: None })
            }),
            Action::CheckExistence(subjects) => Box::pin(async move {
                let check = deleted_subjects(destination, config, waits, subjects);
                Ok(Event::ExistenceChecked(ending.unless_reached(check).await))
            }),
            Action::CheckReads => Box::pin(async move {
                let list = || destination.attributes();
                let read = read_retry::repeat(config, waits, WaitReason::Existence, list);
                Ok(Event::ReadsChecked(ending.unless_reached(read).await.map(|_| ())))
            }),
            Action::ReadCanary { keys } => Box::pin(async move {
                let fetch = || destination.fetch(&keys);
                let read = read_retry::repeat(config, waits, WaitReason::ReadBack, fetch);
                Ok(Event::CanaryRead(ending.unless_reached(read).await))
            }),
            Action::MakeUnconfirmed { token, keys } => Box::pin(async move {
                let _waiting = waits.begin(WaitReason::Ledger, None, "");
                for Key { customer_id, attribute_id } in keys {
                    let scope = KeyScope { customer_id: Some(customer_id), attribute_id: Some(attribute_id) };
                    let reason = NOT_SHOWN.to_owned();
                    let edit = BeliefEdit { scope, edit: EditKind::Canary, reason, in_doubt_until: None };
                    ledger.edit_beliefs(run_id, &edit, clock.now()).await?;
                }
                Ok(Event::Recorded { token, counts: None })
            }),
            Action::SetTimer(at) => {
                self.timer = at.map(|at| started + at);
                return None;
            }
            Action::Notify(notice) => {
                self.notify(notice);
                return None;
            }
            Action::End(end) => return Some(end),
        };
        self.tasks.push(task);
        None
    }

    /// Makes a request, unless its intent has expired because the process was suspended, or the lock is lost.
    fn request(
        &self,
        request_id: i64,
        recorded_at: Duration,
        request: impl Future<Output = Response> + Send + 'a,
    ) -> Task<'a> {
        let (waits, config, started) = (self.ports.waits, self.config, self.started);
        let lost = Arc::clone(&self.lost);
        Box::pin(async move {
            let sent = Instant::now();
            let is_valid = sent <= started + recorded_at + INTENT_VALID && !lost.load(Ordering::Relaxed);
            let _on_the_wire = waits.request_sent(config.request_timeout);
            if !is_valid {
                return Ok(Event::IntentExpired { request_id });
            }
            let response = request.await;
            Ok(Event::ResponseRead { request_id, response, took: sent.elapsed() })
        })
    }

    /// Logs a notice, and passes it on.
    fn notify(&mut self, notice: Notice) {
        match &notice {
            Notice::Counted(_) => {}
            Notice::Waiting(wait) => {
                let begin = |wait: &Wait| {
                    let at_most = wait.until.saturating_sub(self.started.elapsed());
                    self.ports.waits.begin(wait.reason, Some(at_most), wait.response.clone())
                };
                self.waiting = wait.as_ref().map(begin);
            }
            Notice::RequestEnded(EndedRequest { request_id, values, response, took, .. }) => {
                tracing::debug!(
                    run = self.run_id,
                    request = request_id,
                    values,
                    response,
                    ?took,
                    "a request ended"
                );
                if let Some(allowance) = self.ports.destination.allowance() {
                    (self.ports.progress)(Progress::Allowed(allowance));
                }
            }
            Notice::Rejected(key) => self.rejections.rejected(*key),
            Notice::SizeLearned(values_per_request) => {
                tracing::info!(
                    values_per_request,
                    "the store accepts fewer values in a request; kept for this store"
                );
            }
            Notice::CheckFailed(error) => {
                tracing::warn!(%error, "could not check whether a customer or an attribute still exists");
            }
        }
        (self.ports.progress)(Progress::Pushing(notice));
    }
}

async fn delete(destination: &dyn Destination, ids: &[i64]) -> Response {
    failpoint::reach("before-delete");
    let response = destination.delete(ids).await;
    failpoint::reach("delete-read");
    response
}

async fn send(destination: &dyn Destination, items: &[(Key, String)]) -> Response {
    let items: Vec<_> = items.iter().map(|(key, value)| Item { key: *key, value }).collect();
    failpoint::reach("before-request");
    let response = destination.upsert(&items).await;
    failpoint::reach("response-read");
    response
}
