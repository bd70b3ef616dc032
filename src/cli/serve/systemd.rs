//! What systemd is told: that the process is ready, reloads, stops, or is alive.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::Instant;

/// The notifications of this process. Without systemd they go nowhere.
pub(super) struct Systemd {
    /// The most time between two signs of life; `None` if systemd wants none.
    watchdog: Option<Duration>,
    last: Instant,
}

impl Systemd {
    pub(super) fn new() -> Self {
        // Half of the time that systemd allows.
        Self { watchdog: sd_notify::watchdog_enabled().map(|most| most / 2), last: Instant::now() }
    }

    pub(super) fn ready(&self) {
        tell(&[NotifyState::Ready]);
    }

    pub(super) fn stopping(&self) {
        tell(&[NotifyState::Stopping]);
    }

    /// Tells that the loop of the process goes round.
    pub(super) fn alive(&mut self) {
        if self.watchdog.is_some_and(|most| self.last.elapsed() * 2 >= most) {
            self.last = Instant::now();
            tell(&[NotifyState::Watchdog]);
        }
    }
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "systemd could not be told of the state of this process");
    }
}
