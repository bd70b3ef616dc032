//! The port to the time of day, so that a simulation can set it.

use std::time::SystemTime;

use chrono::{DateTime, Utc};

/// Returns the time of day.
///
/// It serves for times that are saved or shown. Pauses and time-outs use tokio's clock instead, because the time of day
/// can be set back.
pub trait Clock: Send + Sync {
    /// Returns the present time. A later call may return an earlier time.
    fn now(&self) -> DateTime<Utc>;
}

/// The clock of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> DateTime<Utc> {
        // Unlike `Utc::now`, this does not panic before 1970.
        SystemTime::now().into()
    }
}
