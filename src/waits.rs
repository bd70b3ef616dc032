//! What a run waits for at the moment, and how long it has waited, by reason.
//!
//! Whatever makes a run wait calls [`Waits::begin`] and keeps the guard until it goes on: the rate limiter, a pause before
//! a call is made again, a database that cannot be reached. The display asks for [`Waits::current`], and the ledger keeps
//! [`Waits::totals`].
//!
//! A run waits while something keeps it waiting and no write call is in flight. If write calls are in flight, it waits
//! once nothing has happened for [`SILENT_AFTER`]. Of several reasons the newest counts, so that a pause within an
//! existence check is a pause. Waits below [`COUNTED_FROM`] are not counted.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::record::{WaitReason, WaitTotal};

/// Calls in flight are waited for once nothing has happened for this long.
pub const SILENT_AFTER: Duration = Duration::from_secs(5);

/// The shortest wait that is counted.
pub const COUNTED_FROM: Duration = Duration::from_millis(100);

/// The waits of one run. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Waits(Arc<Mutex<State>>);

/// What a run waits for at the moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CurrentWait {
    /// Tells this wait from the next one for the same reason.
    pub id: u64,
    /// Why it waits.
    pub reason: WaitReason,
    /// What happened, for a person and without values: `connection refused, try 3`. May be empty.
    pub detail: String,
    /// How long it has waited.
    pub waited: Duration,
    /// How much longer it can last. `None` if that is not known.
    pub at_most: Option<Duration>,
}

impl Waits {
    /// Notes that something waits until the guard is dropped, at most so long if that is known. `detail` says what
    /// happened, without values; it may be empty.
    pub fn begin(
        &self,
        reason: WaitReason,
        at_most: Option<Duration>,
        detail: impl Into<String>,
    ) -> WaitGuard {
        let now = Instant::now();
        let until = at_most.and_then(|most| now.checked_add(most));
        let id = self.state().begin(reason, until, detail.into(), now);
        WaitGuard { waits: self.clone(), id }
    }

    /// Notes that a write call is on the wire until the guard is dropped, at most so long.
    pub fn request_sent(&self, timeout: Duration) -> RequestGuard {
        let now = Instant::now();
        let id = self.state().request_sent(now.checked_add(timeout), now);
        RequestGuard { waits: self.clone(), id }
    }

    /// Returns what the run waits for now; `None` while it works.
    #[must_use]
    pub fn current(&self) -> Option<CurrentWait> {
        self.state().current(Instant::now())
    }

    /// Returns how long the run has waited for each reason.
    #[must_use]
    pub fn totals(&self) -> Vec<WaitTotal> {
        let mut state = self.state();
        state.advance(Instant::now());
        state.totals.clone()
    }

    /// Locks the state. It is consistent after every step, so a panic elsewhere does no harm to it.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Something waits as long as this value lives.
#[derive(Debug)]
#[must_use = "the wait ends when the guard is dropped"]
pub struct WaitGuard {
    waits: Waits,
    id: u64,
}

impl WaitGuard {
    /// Replaces what is said of the wait, without values.
    pub fn tell(&self, detail: impl Into<String>) {
        self.waits.state().tell(self.id, detail.into());
    }
}

impl Drop for WaitGuard {
    fn drop(&mut self) {
        self.waits.state().end(self.id, Instant::now());
    }
}

/// A write call is on the wire as long as this value lives.
#[derive(Debug)]
#[must_use = "the call ends when the guard is dropped"]
pub struct RequestGuard {
    waits: Waits,
    id: u64,
}

impl Drop for RequestGuard {
    fn drop(&mut self) {
        self.waits.state().request_ended(self.id, Instant::now());
    }
}

#[derive(Debug)]
struct Open {
    id: u64,
    reason: WaitReason,
    detail: String,
    since: Instant,
    until: Option<Instant>,
    is_counted: bool,
}

#[derive(Debug, Default)]
struct State {
    last_id: u64,
    /// What waits, oldest first.
    open: Vec<Open>,
    /// The write calls on the wire, each with the time of its time-out.
    requests: Vec<(u64, Option<Instant>)>,
    /// When something began, ended, was sent or was received last.
    last_event: Option<Instant>,
    /// The time up to here is counted.
    counted_until: Option<Instant>,
    /// The silence that was counted last.
    counted_silence: Option<u64>,
    totals: Vec<WaitTotal>,
}

impl State {
    fn begin(&mut self, reason: WaitReason, until: Option<Instant>, detail: String, now: Instant) -> u64 {
        let id = self.event(now);
        self.open.push(Open { id, reason, detail, since: now, until, is_counted: false });
        id
    }

    fn end(&mut self, id: u64, now: Instant) {
        self.event(now);
        self.open.retain(|open| open.id != id);
    }

    fn tell(&mut self, id: u64, detail: String) {
        if let Some(open) = self.open.iter_mut().find(|open| open.id == id) {
            open.detail = detail;
        }
    }

    fn request_sent(&mut self, until: Option<Instant>, now: Instant) -> u64 {
        let id = self.event(now);
        self.requests.push((id, until));
        id
    }

    fn request_ended(&mut self, id: u64, now: Instant) {
        self.event(now);
        self.requests.retain(|(request, _)| *request != id);
    }

    /// Counts the time until an event, and returns the event's id.
    fn event(&mut self, now: Instant) -> u64 {
        self.advance(now);
        (self.last_event, self.counted_until) = (Some(now), Some(now));
        self.last_id += 1;
        self.last_id
    }

    fn current(&self, now: Instant) -> Option<CurrentWait> {
        let left = |until: Option<Instant>| until.map(|until| until.saturating_duration_since(now));
        if !self.requests.is_empty() {
            let waited = now.saturating_duration_since(self.last_event?);
            let until = self.requests.iter().filter_map(|(_, until)| *until).max();
            return (waited >= SILENT_AFTER).then(|| CurrentWait {
                // The silence after the last event.
                id: self.last_id,
                reason: WaitReason::Response,
                detail: self.requests.len().to_string(),
                waited,
                at_most: left(until),
            });
        }
        self.open.last().map(|open| CurrentWait {
            id: open.id,
            reason: open.reason,
            detail: open.detail.clone(),
            waited: now.saturating_duration_since(open.since),
            at_most: left(open.until),
        })
    }

    /// Counts the time that is not counted yet as waited, if the run waited.
    fn advance(&mut self, now: Instant) {
        let Some(from) = self.counted_until else { return };
        let passed = now.saturating_duration_since(from);
        let Some(CurrentWait { id, reason, .. }) = self.current(now).filter(|_| passed >= COUNTED_FROM)
        else {
            return;
        };
        self.counted_until = Some(now);
        let is_new = match self.open.iter_mut().find(|open| open.id == id) {
            Some(open) => !std::mem::replace(&mut open.is_counted, true),
            None => self.counted_silence.replace(id) != Some(id),
        };
        let waits = i64::from(is_new);
        let milliseconds = i64::try_from(passed.as_millis()).unwrap_or(i64::MAX);
        match self.totals.iter_mut().find(|total| total.reason == reason) {
            Some(total) => {
                total.waits += waits;
                total.milliseconds += milliseconds;
            }
            None => self.totals.push(WaitTotal { reason, waits, milliseconds }),
        }
    }
}

#[cfg(test)]
mod tests {
    use WaitReason::{Backoff, Existence, Quota, Response};

    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// The totals as `reason waits milliseconds`.
    fn totals(waits: &Waits) -> Vec<(WaitReason, i64, i64)> {
        waits.totals().iter().map(|total| (total.reason, total.waits, total.milliseconds)).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_counts_from_its_beginning_to_its_end() {
        let waits = Waits::default();
        let wait = waits.begin(Quota, Some(s(30)), "");
        tokio::time::advance(s(10)).await;
        let now = waits.current().expect("a wait");
        assert_eq!((now.reason, now.waited, now.at_most), (Quota, s(10), Some(s(20))));
        assert_eq!(totals(&waits), [(Quota, 1, 10_000)]);
        tokio::time::advance(s(5)).await;
        drop(wait);
        tokio::time::advance(s(100)).await;
        assert_eq!(waits.current(), None);
        assert_eq!(totals(&waits), [(Quota, 1, 15_000)]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_said_of_a_wait_may_change_while_it_lasts() {
        let waits = Waits::default();
        let wait = waits.begin(WaitReason::Source, None, "");
        let before = waits.current().expect("a wait");
        tokio::time::advance(s(10)).await;
        wait.tell("its session 7 is busy");
        let after = waits.current().expect("a wait");
        assert_eq!((after.id, after.waited), (before.id, s(10)), "it is the same wait");
        assert_eq!(after.detail, "its session 7 is busy");
    }

    #[tokio::test(start_paused = true)]
    async fn the_newest_reason_counts() {
        let waits = Waits::default();
        let asking = waits.begin(Existence, None, "");
        tokio::time::advance(s(1)).await;
        let pause = waits.begin(Backoff, Some(s(2)), "connection refused");
        tokio::time::advance(s(2)).await;
        assert_eq!(waits.current().expect("a wait").detail, "connection refused");
        drop(pause);
        tokio::time::advance(s(1)).await;
        drop(asking);
        assert_eq!(totals(&waits), [(Existence, 1, 2_000), (Backoff, 1, 2_000)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_with_calls_in_flight_waits_once_nothing_happens_for_a_while() {
        let waits = Waits::default();
        let _pause = waits.begin(Backoff, Some(s(60)), "");
        let (first, second) = (waits.request_sent(s(60)), waits.request_sent(s(60)));
        tokio::time::advance(s(4)).await;
        assert_eq!(waits.current(), None);
        drop(first);
        tokio::time::advance(s(20)).await;
        let now = waits.current().expect("a wait");
        assert_eq!((now.reason, now.detail.as_str(), now.at_most), (Response, "1", Some(s(36))));
        drop(second);
        assert_eq!(totals(&waits), [(Response, 1, 20_000)]);
        assert_eq!(waits.current().map(|now| now.reason), Some(Backoff));
    }

    #[tokio::test(start_paused = true)]
    async fn short_waits_are_not_counted() {
        let waits = Waits::default();
        for _ in 0..100 {
            let wait = waits.begin(Quota, None, "");
            tokio::time::advance(Duration::from_millis(99)).await;
            drop(wait);
        }
        assert_eq!(totals(&waits), []);
    }
}
