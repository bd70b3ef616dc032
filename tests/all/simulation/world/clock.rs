//! The clock of a story.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use attrsync::clock::Clock;
use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::Instant;

/// The paused clock, with an offset in seconds.
pub(super) struct SimulatedClock {
    pub(super) base: DateTime<Utc>,
    pub(super) start: Instant,
    pub(super) offset: Arc<AtomicI64>,
}

impl Clock for SimulatedClock {
    fn now(&self) -> DateTime<Utc> {
        self.base + self.start.elapsed() + TimeDelta::seconds(self.offset.load(Ordering::SeqCst))
    }
}
