//! The second phase of a run as a state machine: decides what is sent next, and what a response means for the rest.
//!
//! [`Push::on`] takes an event and the time and appends actions. It does no I/O, awaits nothing and reads no clock, so
//! every rule can be tested as a table of events and actions. The shell in [`crate::engine`] executes the actions and
//! feeds their results back as events.
//!
//! A batch is in the plan or `waiting` (to be sent again, or not yet). Then it is `chosen` (a permit is being
//! acquired), `recording` (its intent is being committed), `ahead` (committed, waits for a slot), `in_flight` (sent),
//! maybe `reading_back`, and `uncommitted` (its outcome is being committed). A slot is free when the response is read.

mod accepted;
mod batch;
mod canary;
mod canary_check;
mod commit;
mod conclusion;
mod deleted;
mod deletes;
mod end;
mod event;
mod existence;
mod extra;
mod pace;
mod plan_queue;
mod response;
mod size;
mod sizes;
mod wait;

use std::collections::VecDeque;
use std::time::Duration;

use self::batch::{Batch, Finding, Intent, ReadBack, Recording};
use self::canary::Canary;
use self::deleted::Deleted;
pub use self::deleted::Subject;
pub use self::end::End;
pub use self::event::{Action, EndedRequest, Event, Notice, Now, Wait};
pub use self::extra::ExtraRequests;
use self::pace::Pace;
use self::plan_queue::PlanQueue;
use self::sizes::Sizing;
use crate::config::PushConfig;
use crate::plan::batch::Limit;
use crate::record::{
    Counts, Key, PlanParts, PlannedChange, RequestMethod, RequestSizes, RunStatus, WaitReason,
};
use crate::retry::CircuitBreaker;

/// How many batches may wait to be sent again before no new one is chosen.
const WAITING_MAX: usize = 64;

/// How many failed batches may wait to be sent again, while nothing succeeds, before no new one is chosen.
const WAITING_FAILED_MAX: usize = 6;

/// A request that is not on the wire this long after its intent is not sent: another run may own the store by then.
pub const INTENT_VALID: Duration = Duration::from_secs(5);

/// What a push starts from.
#[derive(Debug, Clone)]
pub struct Start {
    /// The counts of the sealed plan.
    pub counts: Counts,
    /// How much one request may carry.
    pub limit: Limit,
    /// What is known of the size of the store's requests.
    pub sizes: RequestSizes,
    /// The parts that the plan has.
    pub parts: PlanParts,
    /// When the run has to end, as time since the push started.
    pub deadline: Option<Duration>,
    /// How many customers are sent and read back before the rest. `None` if all are sent at once.
    pub canary: Option<usize>,
    /// The seed of the jitter.
    pub seed: u64,
}

/// The state of the second phase.
#[derive(Debug)]
pub struct Push {
    config: PushConfig,
    counts: Counts,
    deadline: Option<Duration>,
    plan: PlanQueue,
    canary: Canary,
    /// Batches to be sent again, and batches that may not be sent yet.
    waiting: Vec<Batch>,
    /// The batch to be sent next. A permit is being acquired for it.
    chosen: Option<Batch>,
    recording: Vec<Recording>,
    ahead: VecDeque<Intent>,
    in_flight: Vec<Intent>,
    reading_back: Vec<ReadBack>,
    /// Commits under way, each with its token and the keys that stay unconfirmed until it is done.
    uncommitted: Vec<(u64, Vec<Key>)>,
    /// Deletes whose ids are being read from the store.
    finding: Vec<Finding>,
    /// Deletes that were rejected because the store holds a value of others.
    not_ours: i64,
    /// How the run ends if the ids of some deletes could not be read.
    unread: Option<End>,
    /// Batches that something before the store refused. It is being checked whether reads succeed.
    filtered: Vec<(Batch, u16)>,
    pace: Pace,
    breaker: CircuitBreaker,
    deleted: Deleted,
    /// Requests accepted so far.
    accepted: u64,
    /// The sizes of requests that write values, and of those that delete them.
    upserts: Sizing,
    deletes: Sizing,
    /// How many intents in a row the ledger took too long to commit, and when the first of them was.
    slow_commits: (u32, Duration),
    failed_in_a_row: usize,
    extra: ExtraRequests,
    last_token: u64,
    timer: Option<Duration>,
    /// The wait that subscribers were told of last.
    told_wait: Option<Wait>,
    /// Why the run ends before the plan is through.
    end: Option<End>,
    /// Whether the waiting batches were given their last outcomes. The end only waits for those commits.
    concluded: bool,
}

impl Push {
    /// Returns a push at its start. [`start`](Self::start) gives its first actions.
    #[must_use]
    pub fn new(config: PushConfig, start: Start) -> Self {
        let Start { counts, limit, sizes, parts, deadline, canary, seed } = start;
        let breaker = CircuitBreaker::new(config.max_attempts, config.workers, config.give_up_after);
        let pace = Pace::new(&config, seed);
        Self {
            config,
            counts,
            deadline,
            plan: PlanQueue::new(parts),
            canary: Canary::new(canary),
            waiting: Vec::new(),
            chosen: None,
            recording: Vec::new(),
            ahead: VecDeque::new(),
            in_flight: Vec::new(),
            reading_back: Vec::new(),
            uncommitted: Vec::new(),
            finding: Vec::new(),
            not_ours: 0,
            unread: None,
            filtered: Vec::new(),
            pace,
            breaker,
            deleted: Deleted::default(),
            accepted: 0,
            upserts: Sizing::new(limit, sizes),
            deletes: Sizing::new(limit.of_deletes(), RequestSizes::default()),
            slow_commits: (0, Duration::ZERO),
            failed_in_a_row: 0,
            extra: ExtraRequests::default(),
            last_token: 0,
            timer: None,
            told_wait: None,
            end: None,
            concluded: false,
        }
    }

    /// Appends the first actions.
    pub fn start(&mut self, now: Now, actions: &mut Vec<Action>) {
        self.advance(now, actions);
    }

    /// Takes one event and appends the actions that follow from it. After [`Action::End`] nothing follows.
    pub fn on(&mut self, event: Event, now: Now, actions: &mut Vec<Action>) {
        match event {
            Event::PageLoaded(page) => self.plan.add(page),
            Event::PermitGranted => self.record_intent(now, actions),
            Event::IntentRecorded { token, intent } => self.intent_recorded(token, intent, now, actions),
            Event::ResponseRead { request_id, response, took } => {
                self.response_read(request_id, &response, took, now, actions);
            }
            Event::IntentExpired { request_id } => self.intent_expired(request_id, now, actions),
            Event::IdsFound { token, rows } => self.ids_found(token, rows, now, actions),
            Event::ReadBack { request_id, values } => self.read_back(request_id, values, now, actions),
            Event::Recorded { token, counts } => {
                self.uncommitted.retain(|(committing, _)| *committing != token);
                if let Some(counts) = counts {
                    self.counts = counts;
                    actions.push(Action::Notify(Notice::Counted(counts)));
                }
            }
            Event::ExistenceChecked(result) => self.existence_checked(result, actions),
            Event::ReadsChecked(result) => self.reads_checked(result, now, actions),
            Event::CanaryRead(values) => self.canary_read(values, now, actions),
            Event::Timer => self.timer = None,
            Event::StopAsked => {
                let end = "asked to stop; requests in flight were completed, the rest is deferred";
                let end = format!("{end}{}", self.last_failure());
                self.end.get_or_insert_with(|| End::stopped(end));
            }
        }
        self.advance(now, actions);
    }

    /// Returns the run's counts as the ledger last recorded them.
    #[must_use]
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// Returns why there were more requests than the plan needs.
    #[must_use]
    pub const fn extra_requests(&self) -> ExtraRequests {
        self.extra
    }

    /// Returns whether a request is on the wire.
    #[must_use]
    pub fn has_requests_in_flight(&self) -> bool {
        !self.in_flight.is_empty()
    }

    /// Returns the keys that may have been sent and have no committed outcome: what a run that lost its lock makes
    /// unconfirmed.
    #[must_use]
    pub fn keys_maybe_sent(&self) -> Vec<Key> {
        let in_flight = self.in_flight.iter().map(|intent| &intent.batch);
        let batches = in_flight.chain(self.reading_back.iter().map(|read_back| &read_back.batch));
        let keys = batches.flat_map(|batch| batch.changes.iter().map(PlannedChange::key));
        keys.chain(self.uncommitted.iter().flat_map(|(_, keys)| keys).copied()).collect()
    }

    /// Does everything that can be done now.
    fn advance(&mut self, now: Now, actions: &mut Vec<Action>) {
        self.check_end(now);
        self.send(now, actions);
        self.choose(now, actions);
        self.read_canary(now, actions);
        if self.end.is_none()
            && let Some(page) = self.plan.page_to_load()
        {
            actions.push(page);
        }
        self.tell_wait(now, actions);
        if self.is_idle() && (self.end.is_some() || self.concluded || self.is_through()) {
            self.conclude(now, actions);
        } else {
            self.set_timer(now, actions);
        }
    }

    /// Ends the run if its time is over or the circuit breaker tripped.
    fn check_end(&mut self, now: Now) {
        if self.end.is_some() {
            return;
        }
        if self.deadline.is_some_and(|deadline| deadline <= now.elapsed) {
            let end = format!("[push] max_duration is over; the rest is deferred{}", self.last_failure());
            self.end = Some(End::stopped(end));
        } else if let Some((why, hint)) = self.tripped(now) {
            let rest = match self.only_left() {
                Some(key) => format!("; only {key} was left to send"),
                None if self.counts.deferred > 0 => "; the rest is deferred".to_owned(),
                None => String::new(),
            };
            self.end = Some(End::failed(format!("stopped because {why}{rest}"), hint));
        }
    }

    /// What the store last responded, if nothing has succeeded lately.
    fn last_failure(&self) -> String {
        match self.breaker.end_of_waiting() {
            Some(_) => format!(
                "; nothing succeeded lately, and the last response was {}",
                self.breaker.last_response()
            ),
            None => String::new(),
        }
    }

    /// Why the run has to stop by itself, and what to do about it.
    fn tripped(&self, now: Now) -> Option<(String, &'static str)> {
        // That the store holds a value of others is no refusal.
        let rejected = self.counts.rejected - self.not_ours;
        let by_failures = self.breaker.tripped(&Counts { rejected, ..self.counts });
        by_failures.or_else(|| self.tripped_by_size()).or_else(|| self.tripped_by_wait(now))
    }

    /// Sends batches whose intent is committed, as far as there are free slots and few enough uncommitted outcomes.
    fn send(&mut self, now: Now, actions: &mut Vec<Action>) {
        while self.in_flight.len() < self.pace.slots()
            && self.uncommitted.len() + self.reading_back.len() < self.config.workers
            && let Some(intent) = self.ahead.pop_front()
        {
            if now.elapsed.saturating_sub(intent.recorded_at) > INTENT_VALID {
                let why = self.why_expired(&intent, now);
                self.withdraw(intent, why, now, actions);
                continue;
            }
            let changes = intent.batch.changes.iter().map(|planned| &planned.change);
            let Intent { request_id, recorded_at, .. } = intent;
            actions.push(match intent.batch.method() {
                RequestMethod::Put => {
                    let items = changes.map(|c| (c.key, c.value.clone().unwrap_or_default())).collect();
                    Action::Send { request_id, items, recorded_at }
                }
                RequestMethod::Delete => {
                    let ids = changes.filter_map(|change| change.value_id).collect();
                    Action::Delete { request_id, ids, recorded_at }
                }
            });
            self.in_flight.push(intent);
        }
    }

    /// Chooses the batch to be sent next, if there is room for one, and asks for a permit.
    fn choose(&mut self, now: Now, actions: &mut Vec<Action>) {
        let intents = self.recording.len() + self.ahead.len() + self.in_flight.len();
        let room = intents < self.pace.slots() + self.pace.intents_ahead();
        let is_checking = self.deleted.is_checking() || !self.filtered.is_empty();
        if !room || self.end.is_some() || is_checking || self.pace.is_paused(now) {
            return;
        }
        while self.chosen.is_none() && self.finding.len() < self.config.workers {
            let Some(batch) = self.next_batch(now) else { return };
            let batch = self.without_deleted(batch, now, actions);
            self.chosen = batch.and_then(|batch| self.with_ids(batch, actions));
            if self.chosen.is_some() {
                actions.push(Action::AcquirePermit);
            }
        }
    }

    /// Returns a batch that may be sent now: one that waited, else the next of the plan.
    fn next_batch(&mut self, now: Now) -> Option<Batch> {
        if let Some(index) = self.waiting.iter().position(|batch| batch.is_ready(now)) {
            return Some(self.waiting.remove(index));
        }
        // While nothing succeeds a new batch is chosen only if all that wait have used up their attempts, and few do.
        let failing = self.failed_in_a_row >= self.config.workers;
        let enough =
            !self.waiting.iter().all(Batch::is_exhausted) || self.waiting.len() >= WAITING_FAILED_MAX;
        if failing && enough {
            return None;
        }
        while self.waiting.len() < WAITING_MAX {
            let next = self.plan.next_customer();
            let upserts = self.canary.limit(self.upserts.limit, next)?;
            let deletes = self.canary.limit(self.deletes.limit, next)?;
            let changes = self.plan.next(upserts, deletes)?;
            self.canary.taken(&changes);
            let mut batch = Batch::new(changes, self.config.max_attempts);
            let Some(wait) = batch.in_doubt_wait(now) else { return Some(batch) };
            batch.wait_until(now.elapsed + wait, WaitReason::InDoubt);
            self.waiting.push(batch);
        }
        None
    }

    /// Whether nothing is under way that ends by itself.
    fn is_idle(&self) -> bool {
        self.recording.is_empty()
            && self.ahead.is_empty()
            && self.in_flight.is_empty()
            && self.finding.is_empty()
            && self.reading_back.is_empty()
            && self.uncommitted.is_empty()
            && self.filtered.is_empty()
            && !self.canary.is_reading()
    }

    /// Whether every change of the plan has an outcome.
    fn is_through(&self) -> bool {
        let is_canary_over = self.canary.pause_ends_at().is_none();
        self.plan.is_empty() && self.waiting.is_empty() && self.chosen.is_none() && is_canary_over
    }

    fn ends_in_failure(&self) -> bool {
        self.end.as_ref().is_some_and(|end| end.status == RunStatus::Failed)
    }

    /// Sets the timer to the next time at which something may be done without an event.
    fn set_timer(&mut self, now: Now, actions: &mut Vec<Action>) {
        let ready = self.waiting.iter().filter_map(|batch| batch.ready_at).filter(|_| self.chosen.is_none());
        let times = ready.chain(self.pace.paused(now).map(|(until, _)| until)).chain(self.deadline);
        let times = times.chain(self.told_wait.as_ref().map(|wait| wait.until));
        let times = times.chain(self.canary.pause_ends_at());
        let next = times.filter(|at| *at > now.elapsed && self.end.is_none()).min();
        if next != self.timer {
            self.timer = next;
            actions.push(Action::SetTimer(next));
        }
    }
}

#[cfg(test)]
mod tests;
