//! The second phase: the plan is sent, `workers` calls at a time.
//!
//! One task decides everything, so that what was learnt from one answer holds for the next call. It keeps three things:
//! the batch that is begun next, the calls in flight, and the batches that wait to be sent again. It waits for none of
//! them alone: while one batch is being begun, the answer of another is read and written down. A slot is free again
//! only when the answer of its call is committed.

mod settle;

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::existence::{Gone, Owner};
use super::queue::{Queue, SealedPlan};
use super::sending::{Begun, Sent, Work, repeats, send};
use super::waiting::{asked_to_stop, pending_or, set_off};
use super::{End, EngineError, Ports, Progress};
use crate::config::PushConfig;
use crate::destination::ReadError;
use crate::failpoint;
use crate::ledger::{LedgerError, NewRequest};
use crate::plan::batch::Limit;
use crate::record::{Counts, Key, RunStatus, Verdict};
use crate::retry::Breaker;

/// How many batches may wait to be sent again before no new one is begun.
const WAITING_MAX: usize = 64;

/// A store that answers faster than this gets its next batches begun ahead, so that no slot waits for a commit.
const BEGIN_AHEAD_BELOW: Duration = Duration::from_secs(1);

/// How many are begun ahead: answers may come two at a time.
const BEGUN_AHEAD: usize = 2;

type InFlight<'a> = FuturesUnordered<BoxFuture<'a, Result<Sent, LedgerError>>>;

/// A batch whose intent was to be committed, and what became of it.
type Began = (Work, Instant, Result<i64, LedgerError>);

/// The state of the second phase.
pub(super) struct Push<'a> {
    ports: Ports<'a>,
    config: &'a PushConfig,
    run_id: i64,
    counts: Counts,
    limit: Limit,
    /// How long after it was sent a request may still arrive.
    lateness: Duration,
    queue: Queue<'a>,
    waiting: Vec<Work>,
    /// Chosen to be sent next, waiting for the store's leave.
    chosen: Option<Work>,
    /// The store's leave for one more call, being waited for.
    leave: Option<BoxFuture<'a, ()>>,
    /// Its intent is being committed.
    beginning: Option<BoxFuture<'a, Began>>,
    /// Begun, waiting for a slot.
    begun: VecDeque<Begun>,
    /// Keys whose requests may be in flight.
    begun_keys: Vec<(i64, Vec<Key>)>,
    slots: usize,
    /// Whether a value was sent that no earlier run had sent in vain.
    sent_news: bool,
    accepted: u64,
    accepted_since_limited: u32,
    failed_in_a_row: usize,
    last_took: Duration,
    paused_until: Option<Instant>,
    breaker: Breaker,
    gone: Gone,
    /// The question to the store who is gone, being waited for. Nothing new is chosen meanwhile.
    asking: Option<BoxFuture<'a, Result<Vec<Owner>, ReadError>>>,
    end: Option<End>,
}

impl<'a> Push<'a> {
    pub(super) fn new(ports: Ports<'a>, config: &'a PushConfig, run_id: i64, plan: SealedPlan) -> Self {
        let SealedPlan { counts, limit, lateness, has_in_doubt } = plan;
        Self {
            ports,
            config,
            run_id,
            counts,
            limit,
            lateness,
            queue: Queue::new(ports.ledger, run_id, has_in_doubt),
            waiting: Vec::new(),
            chosen: None,
            leave: None,
            beginning: None,
            begun: VecDeque::new(),
            begun_keys: Vec::new(),
            slots: config.workers,
            sent_news: false,
            accepted: 0,
            accepted_since_limited: 0,
            failed_in_a_row: 0,
            last_took: Duration::MAX,
            paused_until: None,
            breaker: Breaker::new(config.max_attempts, config.workers),
            gone: Gone::default(),
            asking: None,
            end: None,
        }
    }

    /// Sends until the plan is through or the run has to end. When the ledger cannot be written nothing more is sent;
    /// a run that lost its store waits for what it may have sent, and clears the certainty of those keys.
    pub(super) async fn run(
        mut self,
        stop: watch::Receiver<bool>,
        deadline: Option<Instant>,
    ) -> Result<End, EngineError> {
        let mut in_flight = InFlight::new();
        let driven = self.drive(&mut in_flight, stop, deadline).await;
        if let Err(EngineError::Ledger(LedgerError::LostLock { .. })) = &driven {
            while in_flight.next().await.is_some() {}
            if let Some(beginning) = self.beginning.take() {
                // It was not sent, so whether it was begun does not matter; but the ledger has to be free again.
                let _ = beginning.await;
            }
            let keys: Vec<_> = self.begun_keys.drain(..).flat_map(|(_, keys)| keys).collect();
            self.ports.ledger.clear_certainty(&keys, (self.ports.now)()).await?;
        }
        driven?;
        let unheard = self.sent_news && self.breaker.heard_nothing();
        let end = if unheard { End::unheard(self.counts.requests) } else { End::finished() };
        Ok(self.end.unwrap_or(end))
    }

    async fn drive(
        &mut self,
        in_flight: &mut InFlight<'a>,
        mut stop: watch::Receiver<bool>,
        deadline: Option<Instant>,
    ) -> Result<(), EngineError> {
        loop {
            // One time for the whole turn: what is not yet due for the choice is still to come for the alarm.
            let now = Instant::now();
            self.look_for_the_end(&stop, deadline, now);
            self.choose(in_flight.len(), now).await?;
            if in_flight.len() < self.slots
                && let Some(begun) = self.begun.pop_front()
            {
                // One that lay here until the next look could be set off by a run that has meanwhile lost its store.
                let call = send(self.ports, self.config, self.run_id, begun);
                in_flight.push(set_off(Box::pin(call)).await);
                continue;
            }
            let idle = in_flight.is_empty() && self.begun.is_empty() && self.beginning.is_none();
            if idle && (self.end.is_some() || self.is_through()) {
                return self.give_up_waiting().await;
            }
            let wake = self.wake(deadline, now);
            tokio::select! {
                biased;
                Some(sent) = in_flight.next() => self.settle(sent?, in_flight.is_empty()).await?,
                began = pending_or(&mut self.beginning) => self.began(began)?,
                () = pending_or(&mut self.leave) => self.begin(),
                page = self.queue.page() => self.queue.take(page?),
                answer = pending_or(&mut self.asking) => self.learn_who_is_gone(answer),
                () = asked_to_stop(&mut stop), if self.end.is_none() => {}
                () = sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => {}
            }
        }
    }

    fn look_for_the_end(&mut self, stop: &watch::Receiver<bool>, deadline: Option<Instant>, now: Instant) {
        if self.end.is_some() {
            return;
        }
        if *stop.borrow() {
            self.end =
                Some(End::stopped("asked to stop; what was in flight is finished, the rest is deferred"));
        } else if deadline.is_some_and(|deadline| deadline <= now) {
            self.end = Some(End::stopped("[push] max_duration is over; the rest is deferred"));
        } else if let Some((why, hint)) = self.breaker.tripped() {
            let rest = if self.counts.deferred > 0 { "; the rest is deferred" } else { "" };
            self.end = Some(End::failed(format!("stopped, since {why}{rest}"), hint));
        }
    }

    /// Whether the batch that is begun next is chosen.
    const fn has_next(&self) -> bool {
        self.chosen.is_some() || self.beginning.is_some()
    }

    fn is_through(&self) -> bool {
        self.queue.is_empty() && self.waiting.is_empty() && self.chosen.is_none()
    }

    /// When to look again although nothing came back.
    fn wake(&self, deadline: Option<Instant>, now: Instant) -> Option<Instant> {
        if self.end.is_some() {
            return None;
        }
        let ready = self.waiting.iter().filter_map(|work| work.ready_at).min();
        let ready = ready.filter(|_| !self.has_next() && self.begun.is_empty());
        [ready, self.paused_until, deadline].into_iter().flatten().filter(|at| *at > now).min()
    }

    /// Chooses the batch that is begun next, if there is room for one, and asks the store's leave for it.
    async fn choose(&mut self, in_flight: usize, now: Instant) -> Result<(), EngineError> {
        let ahead = if self.last_took < BEGIN_AHEAD_BELOW { BEGUN_AHEAD } else { 0 };
        let room = in_flight + self.begun.len() < self.slots + ahead;
        if self.end.is_some() || self.has_next() || self.asking.is_some() || !room || self.is_paused(now) {
            return Ok(());
        }
        while self.chosen.is_none() {
            let Some(work) = self.next_work(now) else { return Ok(()) };
            self.chosen = self.without_gone(work).await?;
        }
        self.leave = Some(self.ports.destination.acquire_permit());
        Ok(())
    }

    /// A batch that may go now: one that waited, else the next of the plan.
    fn next_work(&mut self, now: Instant) -> Option<Work> {
        let ready = |work: &Work| work.ready_at.is_none_or(|at| at <= now);
        if let Some(index) = self.waiting.iter().position(ready) {
            return Some(self.waiting.remove(index));
        }
        // While nothing succeeds no new batch is drawn into it, unless the others have used up their attempts.
        let failing =
            self.failed_in_a_row >= self.config.workers && !self.waiting.iter().any(Work::exhausted);
        if failing && !self.waiting.is_empty() {
            return None;
        }
        while self.waiting.len() < WAITING_MAX {
            let changes = self.queue.next(self.limit)?;
            let mut work = Work::new(changes, None, self.config.max_attempts);
            let wait = work.in_doubt_until().and_then(|at| (at - (self.ports.now)()).to_std().ok());
            // A clock that was set back must not make it wait longer than a request can be late.
            match wait.filter(|wait| !wait.is_zero()).map(|wait| wait.min(self.lateness)) {
                None => return Some(work),
                Some(wait) => {
                    let seconds = wait.as_secs();
                    tracing::warn!(
                        values = work.changes.len(),
                        seconds,
                        "a request of an earlier run may still arrive; waiting, so that it overtakes nothing"
                    );
                    (self.ports.progress)(Progress::Waiting(wait));
                    work.ready_at = Some(now + wait);
                    self.waiting.push(work);
                }
            }
        }
        None
    }

    /// Has the intent of the chosen batch committed.
    fn begin(&mut self) {
        self.leave = None;
        let Some(work) = self.chosen.take() else { return };
        if self.end.is_some() || self.is_paused(Instant::now()) {
            // It was not begun: it goes back, to be chosen after the pause, or given up with the rest.
            self.waiting.push(work);
            return;
        }
        let request =
            NewRequest { parent_id: work.parent_id, attempt: work.calls + 1, at: (self.ports.now)() };
        let (ledger, run_id) = (self.ports.ledger, self.run_id);
        self.beginning = Some(Box::pin(async move {
            let at = Instant::now();
            let begun = ledger.begin(run_id, &request, &work.changes).await;
            (work, at, begun)
        }));
    }

    /// The intent of a batch is committed, or could not be.
    fn began(&mut self, (work, at, begun): Began) -> Result<(), EngineError> {
        self.beginning = None;
        let request_id = begun?;
        failpoint::reach("intent-committed");
        self.begun_keys.push((request_id, work.changes.iter().map(|change| change.key).collect()));
        self.counts.requests += 1;
        self.sent_news |= !work.changes.iter().all(repeats);
        if work.parent_id.is_none() {
            self.counts.deferred -= work.changes.len() as i64;
            self.counts.unknown += work.changes.len() as i64;
        }
        self.begun.push_back(Begun { work, request_id, at });
        Ok(())
    }

    /// The run ends: what was begun before and waits to be sent again is decided as far as it can be; what was never
    /// begun stays planned, which in a closed run is deferred.
    async fn give_up_waiting(&mut self) -> Result<(), EngineError> {
        self.leave = None;
        let chosen = self.chosen.take();
        if self.counts.deferred == 0 && self.waiting.is_empty() && chosen.is_none() {
            // Asked to stop when there was nothing left to stop; or refused to the last value, which is an answer to each.
            let answered = self.counts.unknown == 0;
            self.end.take_if(|end| end.status == RunStatus::Stopped || answered);
        }
        for mut work in self.waiting.drain(..).chain(chosen).collect::<Vec<_>>() {
            if work.parent_id.is_none() {
                continue;
            }
            let verdict = work.given_up("the run ended before it could be sent again");
            if let Some(isolation) = work.isolation.take() {
                work.changes = isolation.into_undecided();
            }
            let verdicts: Vec<_> = work.changes.iter().map(|change| (change.key, verdict.clone())).collect();
            self.set_aside(verdicts).await?;
        }
        Ok(())
    }

    /// Sets the values of a batch aside whose customer or attribute is gone.
    async fn without_gone(&mut self, mut work: Work) -> Result<Option<Work>, EngineError> {
        if self.gone.is_empty() {
            return Ok(Some(work));
        }
        if let Some(mut isolation) = work.isolation.take() {
            isolation.too_large();
            let gone = isolation.remove(|change| self.gone.reason(change.key).is_some());
            let reason = |key| self.gone.reason(key).unwrap_or_default();
            let gone = gone.iter().map(|c| (c.key, Verdict::Rejected { reason: reason(c.key) })).collect();
            self.set_aside(gone).await?;
            return self.isolate(isolation, work.unsure, work.parent_id.unwrap_or_default()).await;
        }
        let mut verdicts = Vec::new();
        work.changes.retain(|change| match self.gone.reason(change.key) {
            Some(reason) => {
                verdicts.push((change.key, Verdict::Rejected { reason }));
                false
            }
            None => true,
        });
        let fresh = work.parent_id.is_none();
        self.set_aside_from(verdicts, fresh).await?;
        Ok((!work.changes.is_empty()).then_some(work))
    }

    /// Decides changes that were begun, without a request.
    async fn set_aside(&mut self, verdicts: Vec<(Key, Verdict)>) -> Result<(), EngineError> {
        self.set_aside_from(verdicts, false).await
    }

    async fn set_aside_from(
        &mut self,
        verdicts: Vec<(Key, Verdict)>,
        fresh: bool,
    ) -> Result<(), EngineError> {
        if verdicts.is_empty() {
            return Ok(());
        }
        self.ports.ledger.set_aside(self.run_id, &verdicts, (self.ports.now)()).await?;
        if fresh {
            self.counts.deferred -= verdicts.len() as i64;
            self.counts.unknown += verdicts.len() as i64;
        }
        self.count(&verdicts);
        Ok(())
    }

    /// Moves decided changes from `unknown` to where they belong.
    fn count(&mut self, verdicts: &[(Key, Verdict)]) {
        let (mut confirmed, mut rejected) = (0, 0);
        for (key, verdict) in verdicts {
            match verdict {
                Verdict::Confirmed { stored_value, .. } => {
                    confirmed += 1;
                    self.counts.altered += i64::from(stored_value.is_some());
                    self.gone.confirmed(*key);
                }
                Verdict::Rejected { .. } => rejected += 1,
                Verdict::Deferred { .. } => {
                    self.counts.unknown -= 1;
                    self.counts.deferred += 1;
                }
                Verdict::Unknown { .. } => {}
            }
        }
        self.counts.unknown -= confirmed + rejected;
        self.counts.confirmed += confirmed;
        self.counts.rejected += rejected;
        self.breaker.decided(confirmed.unsigned_abs(), rejected.unsigned_abs());
        (self.ports.progress)(Progress::Pushing(self.counts));
    }

    /// Whether the store asked for a pause that is not over.
    fn is_paused(&self, now: Instant) -> bool {
        self.paused_until.is_some_and(|until| until > now)
    }

    fn ends_in_failure(&self) -> bool {
        self.end.as_ref().is_some_and(|end| end.status == RunStatus::Failed)
    }
}
