//! How many requests may be in flight, and when.

use std::time::Duration;

use super::Now;
use crate::config::PushConfig;
use crate::record::WaitReason;
use crate::retry;

/// After a store asked for fewer requests: how many accepted requests give one slot back to the run.
const ACCEPTED_FOR_A_SLOT: u32 = 20;

/// The first pause after a 429 that names no time.
const LIMITED_PAUSE: Duration = Duration::from_millis(700);

/// Intents are recorded ahead for a store that responds faster than this: a slower one would let them expire.
const RECORD_AHEAD_BELOW: Duration = Duration::from_secs(1);

/// Slots, pauses and back-off of one push.
#[derive(Debug)]
pub(super) struct Pace {
    workers: usize,
    backoff: Duration,
    backoff_max: Duration,
    slots: usize,
    accepted_since_limited: u32,
    /// How long the last accepted request took.
    last_took: Duration,
    paused: Option<(Duration, WaitReason)>,
    random: fastrand::Rng,
}

impl Pace {
    pub(super) fn new(config: &PushConfig, seed: u64) -> Self {
        Self {
            workers: config.workers,
            backoff: config.backoff,
            backoff_max: config.backoff_max,
            slots: config.workers,
            accepted_since_limited: 0,
            last_took: Duration::MAX,
            paused: None,
            random: fastrand::Rng::with_seed(seed),
        }
    }

    /// How many requests may be in flight.
    pub(super) const fn slots(&self) -> usize {
        self.slots
    }

    /// How many intents may be recorded that no slot is free for.
    pub(super) fn intents_ahead(&self) -> usize {
        if self.last_took < RECORD_AHEAD_BELOW { self.workers } else { 0 }
    }

    /// The pause of all requests: its end, and its reason.
    pub(super) fn paused(&self, now: Now) -> Option<(Duration, WaitReason)> {
        self.paused.filter(|(until, _)| *until > now.elapsed)
    }

    pub(super) fn is_paused(&self, now: Now) -> bool {
        self.paused(now).is_some()
    }

    /// Lets no request be sent before this time.
    pub(super) fn pause(&mut self, until: Duration, reason: WaitReason) {
        if self.paused.is_none_or(|(other, _)| other < until) {
            self.paused = Some((until, reason));
        }
    }

    /// Takes note of an accepted request.
    pub(super) fn accepted(&mut self, took: Duration) {
        self.last_took = took;
        self.accepted_since_limited += 1;
        if self.accepted_since_limited >= ACCEPTED_FOR_A_SLOT && self.slots < self.workers {
            self.slots += 1;
            self.accepted_since_limited = 0;
        }
    }

    /// Takes note of the `n`-th 429 in a row, and returns the pause before the request is sent again. If the store said
    /// how long, or nothing succeeds any more, all requests pause. Otherwise one slot less is used.
    pub(super) fn limited(&mut self, n: u32, wait: Option<Duration>, now: Now) -> Duration {
        self.accepted_since_limited = 0;
        let own = retry::backoff(n, LIMITED_PAUSE, self.backoff_max, self.random.f64());
        let nothing_succeeds = n as usize > self.workers;
        let Some(wait) = wait.or(nothing_succeeds.then_some(Duration::ZERO)) else {
            self.slots = self.slots.saturating_sub(1).max(1);
            return own;
        };
        let pause = wait.max(own);
        self.pause(now.elapsed + pause, WaitReason::Limited);
        pause
    }

    /// Returns the pause before the `n`-th repetition of a failed request.
    pub(super) fn backoff(&mut self, n: u32) -> Duration {
        retry::backoff(n, self.backoff, self.backoff_max, self.random.f64())
    }
}
