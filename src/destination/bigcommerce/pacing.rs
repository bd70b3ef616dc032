//! The rate limiter of one store: [`Quota`] behind a lock, with a first-in, first-out queue in front of it.
//!
//! A future that is dropped while it waits leaves nothing behind; a permit that is never used expires; a request that
//! is dropped half-way counts as lost.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::quota::{Ending, Quota};
use crate::destination::Allowance;
use crate::record::WaitReason;
use crate::waits::Waits;

/// Paces the requests to one store.
#[derive(Debug)]
pub(crate) struct Pacer {
    quota: Mutex<Quota>,
    /// Locked by the first of the waiting callers. Tokio's mutex is fair.
    queue: tokio::sync::Mutex<()>,
    /// A request ended, so a permit may have become available.
    ended: Notify,
    waits: Waits,
}

impl Pacer {
    /// Makes a pacer that has seen no response yet and leaves the share `reserve` of the quota to other apps.
    pub(crate) fn new(reserve: f64, permit_life: Duration) -> Self {
        Self {
            quota: Mutex::new(Quota::new(reserve, permit_life)),
            queue: tokio::sync::Mutex::new(()),
            ended: Notify::new(),
            waits: Waits::default(),
        }
    }

    /// Notes its waits in `waits`.
    pub(super) fn with_waits(self, waits: Waits) -> Self {
        Self { waits, ..self }
    }

    /// Waits until one more request may be made, and counts it.
    pub(crate) async fn acquire_permit(&self) {
        let _first = self.queue.lock().await;
        let mut _waiting = None;
        loop {
            let acquired = self.quota().try_acquire(Instant::now());
            let Err(try_again) = acquired else { return };
            let until = try_again.at.map(|at| at.saturating_duration_since(Instant::now()));
            // Replaced by the next one: a response may have told another time.
            _waiting = Some(self.waits.begin(WaitReason::Quota, until, ""));
            let due = async {
                match try_again.at {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.ended.notified() => {}
                () = due => {}
            }
        }
    }

    /// Returns what the quota allows, if a response has told.
    pub(super) fn allowance(&self) -> Option<Allowance> {
        self.quota().allowance(Instant::now())
    }

    /// Counts a request as in flight until [`InFlight::end`], or until the returned guard is dropped.
    pub(crate) fn start_request(&self) -> InFlight<'_> {
        self.quota().start_request();
        InFlight { pacer: self, sent: Instant::now(), ending: Ending::Lost }
    }

    /// Locks the quota. It is consistent after every step, so a panic elsewhere does no harm to it.
    fn quota(&self) -> MutexGuard<'_, Quota> {
        self.quota.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request in flight.
#[derive(Debug)]
pub(crate) struct InFlight<'a> {
    pacer: &'a Pacer,
    sent: Instant,
    ending: Ending,
}

impl InFlight<'_> {
    /// Ends the request.
    pub(crate) fn end(mut self, ending: Ending) {
        self.ending = ending;
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.pacer.quota().end_request(Instant::now(), self.sent, self.ending);
        self.pacer.ended.notify_one();
    }
}

#[cfg(test)]
mod tests;
