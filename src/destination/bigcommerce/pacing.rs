//! Waiting for the store's quota: [`Quota`] behind a lock, with a queue in front of it.
//!
//! Whoever asks first goes first. A future that is dropped while it waits leaves nothing behind; a grant that
//! is never used expires; a call that is dropped half-way counts as lost.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::quota::{Ending, Quota, Ruling};

/// Paces the calls to one store.
#[derive(Debug)]
pub(super) struct Pacer {
    quota: Mutex<Quota>,
    /// Held by the one that is next; tokio's mutex is fair.
    queue: tokio::sync::Mutex<()>,
    /// A call ended: the one that is next asks again.
    ended: Notify,
}

impl Pacer {
    /// A pacer that leaves the share `reserve` of the quota to others and knows nothing yet.
    pub(super) fn new(reserve: f64, grant_life: Duration) -> Self {
        Self {
            quota: Mutex::new(Quota::new(reserve, grant_life)),
            queue: tokio::sync::Mutex::new(()),
            ended: Notify::new(),
        }
    }

    /// Waits until one more call may be made, and counts it.
    pub(super) async fn ready(&self) {
        let _next = self.queue.lock().await;
        loop {
            let ruling = self.quota().ask(Instant::now());
            match ruling {
                Ruling::Granted => return,
                Ruling::Wait(None) => self.ended.notified().await,
                Ruling::Wait(Some(time)) => {
                    tokio::select! {
                        () = self.ended.notified() => {}
                        () = sleep_until(time) => {}
                    }
                }
            }
        }
    }

    /// A call begins; it ends with [`Flight::end`] or when the flight is dropped.
    pub(super) fn begin(&self) -> Flight<'_> {
        self.quota().begin();
        Flight { pacer: self, sent: Instant::now(), ending: Ending::Lost }
    }

    /// The quota is whole after every step, so a panic elsewhere spoils nothing.
    fn quota(&self) -> MutexGuard<'_, Quota> {
        self.quota.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call on its way.
#[derive(Debug)]
pub(super) struct Flight<'a> {
    pacer: &'a Pacer,
    sent: Instant,
    ending: Ending,
}

impl Flight<'_> {
    /// The call ended so.
    pub(super) fn end(mut self, ending: Ending) {
        self.ending = ending;
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        self.pacer.quota().end(Instant::now(), self.sent, self.ending);
        self.pacer.ended.notify_one();
    }
}

#[cfg(test)]
mod tests;
