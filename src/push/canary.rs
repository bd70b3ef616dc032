//! The canary: the first customers of a large plan are sent and read back before the rest is sent.
//!
//! An echo shows what a store claims to hold. A read shows what it holds. A store whose echoes cannot be trusted is found
//! after a hundred customers, and not after all of them.

use std::time::Duration;

use super::Now;
use super::batch::Batch;
use crate::destination::Echo;
use crate::plan::batch::Limit;
use crate::record::{ChangeOutcome, Key, PlannedChange, Verdict};
use crate::retry::echo;

/// How often a value that the store does not show is read. A store may show a write only after a moment.
const READS: u32 = 4;

/// The pause before the second read. It doubles for each further one.
const PAUSE: Duration = Duration::from_secs(2);

/// A value that the store confirmed.
#[derive(Debug)]
struct Confirmed {
    key: Key,
    sent: String,
    stored: Option<String>,
}

impl Confirmed {
    /// Whether the store shows the value, or a form of it.
    fn is_shown(&self, values: &[Echo]) -> bool {
        let mut of_key = values.iter().filter(|echo| echo.key == self.key).peekable();
        if of_key.peek().is_none() {
            return self.sent.is_empty() || self.stored.as_deref() == Some("");
        }
        of_key
            .all(|echo| self.stored.as_ref() == Some(&echo.value) || echo::may_show(&echo.value, &self.sent))
    }
}

/// What the canary does now.
#[derive(Debug, PartialEq, Eq)]
enum Phase {
    /// Its customers are being sent.
    Sending,
    /// Its values are being read.
    Reading,
    /// Some values were not shown. They are read again at this time.
    Pausing(Duration),
    /// There is no canary, or it has ended. Everything may be sent.
    Ended,
}

/// The state of the canary.
#[derive(Debug)]
pub(super) struct Canary {
    phase: Phase,
    /// How many more customers may be sent.
    room: usize,
    last_customer: Option<i64>,
    /// The values that were confirmed, and that no read has shown yet.
    confirmed: Vec<Confirmed>,
    reads: u32,
}

impl Canary {
    /// Makes a canary of so many customers, or none.
    pub(super) const fn new(customers: Option<usize>) -> Self {
        let (phase, room) = match customers {
            Some(customers) => (Phase::Sending, customers),
            None => (Phase::Ended, 0),
        };
        Self { phase, room, last_customer: None, confirmed: Vec::new(), reads: 0 }
    }

    /// Whether other changes of the plan are sent, however the batches that failed end.
    pub(super) fn lets_others_follow(&self) -> bool {
        self.phase == Phase::Ended || !self.confirmed.is_empty()
    }

    /// Whether a read is under way.
    pub(super) fn is_reading(&self) -> bool {
        self.phase == Phase::Reading
    }

    /// The time at which values are read again.
    pub(super) const fn pause_ends_at(&self) -> Option<Duration> {
        match self.phase {
            Phase::Pausing(until) => Some(until),
            Phase::Sending | Phase::Reading | Phase::Ended => None,
        }
    }

    /// Returns how much the next request of the plan may carry; `None` if nothing of the plan may be sent now. It begins
    /// with a change of customer `next`, of whom other changes may have been taken before.
    pub(super) fn limit(&self, limit: Limit, next: Option<i64>) -> Option<Limit> {
        match self.phase {
            Phase::Ended => Some(limit),
            Phase::Sending => {
                let goes_on = next.is_some() && next == self.last_customer;
                let room = self.room + usize::from(goes_on);
                (room > 0).then(|| Limit { customers: limit.customers.min(room), ..limit })
            }
            Phase::Reading | Phase::Pausing(_) => None,
        }
    }

    /// Takes note of changes that are taken from the plan, in its order.
    pub(super) fn taken(&mut self, changes: &[PlannedChange]) {
        for customer_id in changes.iter().map(|planned| planned.key().customer_id) {
            if self.last_customer.replace(customer_id) != Some(customer_id) {
                self.room = self.room.saturating_sub(1);
            }
        }
    }

    /// Takes note of outcomes of a batch.
    pub(super) fn recorded(&mut self, outcomes: &[ChangeOutcome], batch: &Batch) {
        if self.phase != Phase::Sending {
            return;
        }
        for ChangeOutcome { key, verdict, .. } in outcomes {
            if let Verdict::Confirmed { stored_value, .. } = verdict
                && let Some(planned) = batch.changes.iter().find(|planned| planned.key() == *key)
                && let Some(sent) = &planned.change.value
            {
                self.confirmed.push(Confirmed {
                    key: *key,
                    sent: sent.clone(),
                    stored: stored_value.clone(),
                });
            }
        }
    }

    /// The keys to read now, if the time has come.
    pub(super) fn keys_to_read(&self, now: Now) -> Option<Vec<Key>> {
        let is_due = match self.phase {
            Phase::Sending => self.room == 0,
            Phase::Pausing(until) => until <= now.elapsed,
            Phase::Reading | Phase::Ended => false,
        };
        is_due.then(|| self.confirmed.iter().map(|confirmed| confirmed.key).collect())
    }

    /// Takes note of a read that is under way.
    pub(super) fn reading(&mut self) {
        self.phase = Phase::Reading;
        self.reads += 1;
    }

    /// Lets the rest be sent.
    pub(super) fn ended(&mut self) {
        self.phase = Phase::Ended;
    }

    /// Takes what a read has shown. Returns the keys whose value the store does not hold, if it was read often enough.
    pub(super) fn shown(&mut self, values: &[Echo], now: Now) -> Vec<Key> {
        self.phase = Phase::Ended;
        self.confirmed.retain(|confirmed| !confirmed.is_shown(values));
        if self.confirmed.is_empty() {
            return Vec::new();
        }
        if self.reads < READS {
            self.phase = Phase::Pausing(now.elapsed + PAUSE * 2_u32.pow(self.reads - 1));
            return Vec::new();
        }
        let mut keys: Vec<Key> = self.confirmed.iter().map(|confirmed| confirmed.key).collect();
        keys.sort();
        keys
    }
}
