//! The model's time, taken from tokio's clock, so that paused time works.

use tokio::time::Instant;

/// A clock in milliseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct ModelClock {
    start: Instant,
    start_ms: u64,
}

impl ModelClock {
    /// Starts a clock that shows `start_ms` now.
    pub(super) fn starting_at(start_ms: u64) -> Self {
        Self { start: Instant::now(), start_ms }
    }

    /// Returns the time in milliseconds.
    pub(super) fn now(self) -> u64 {
        self.start_ms + u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX / 2)
    }
}
