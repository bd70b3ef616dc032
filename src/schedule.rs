//! When syncs start: the times of a schedule, and which of them are due.
//!
//! Nothing here reads a clock. [`Schedule::due`] compares the schedule with what the ledger knows of a store's times. A
//! scheduled time is an instant: daylight saving is resolved when the times are made (`occurrences`).

mod cron;
mod due;
mod occurrences;
mod reasons;
#[cfg(test)]
mod tests;
mod zone;

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

pub use self::cron::Cron;
pub use self::due::Due;
pub use self::zone::Zone;
use crate::duration_text::duration;
use crate::record::StoreName;

/// When the syncs of a store start.
#[derive(Debug, Clone)]
pub struct Schedule {
    timing: Timing,
    jitter: Duration,
    on_missed: OnMissed,
}

/// What gives the times.
#[derive(Debug, Clone)]
pub enum Timing {
    /// The times of all these expressions, in the local time of a zone.
    Cron(Vec<Cron>, Zone),
    /// This long after the start of the scheduled run before.
    Every(Duration),
}

/// What happens to the newest time that passed while nothing ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnMissed {
    /// It is run late.
    #[default]
    Run,
    /// It is recorded as missed.
    Skip,
}

/// How many intervals are compared to find the shortest.
const INTERVALS: usize = 1_000;

impl Schedule {
    /// Makes a schedule. `jitter` must be shorter than [`shortest_interval`](Self::shortest_interval).
    #[must_use]
    pub const fn new(timing: Timing, jitter: Duration, on_missed: OnMissed) -> Self {
        Self { timing, jitter, on_missed }
    }

    /// The first scheduled time after `after`. With `every` that is `after` + `every`.
    #[must_use]
    pub fn next_after(&self, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match &self.timing {
            Timing::Cron(expressions, zone) => {
                expressions.iter().filter_map(|cron| occurrences::next(cron, zone, after)).min()
            }
            Timing::Every(every) => after.checked_add_signed(delta(*every)),
        }
    }

    /// The pause between a scheduled time and its start: the same for a store every time, below `jitter`.
    #[must_use]
    pub fn delay(&self, store: &StoreName) -> Duration {
        let jitter = u64::try_from(self.jitter.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(scattered(store).checked_rem(jitter).unwrap_or(0))
    }

    /// The zone in whose local time the schedule is written; `None` with `every`.
    #[must_use]
    pub const fn zone(&self) -> Option<&Zone> {
        match &self.timing {
            Timing::Cron(_, zone) => Some(zone),
            Timing::Every(_) => None,
        }
    }

    /// The shortest time between two scheduled times, of the first thousand from an arbitrary day on.
    #[must_use]
    pub fn shortest_interval(&self) -> Option<Duration> {
        let first = self.next_after(DateTime::UNIX_EPOCH + TimeDelta::days(20_454))?;
        let times = std::iter::successors(Some(first), |time| self.next_after(*time)).take(INTERVALS);
        let times: Vec<_> = times.collect();
        times.windows(2).filter_map(|pair| (pair[1] - pair[0]).to_std().ok()).min()
    }

    /// Which `on_missed` it has.
    #[must_use]
    pub const fn on_missed(&self) -> OnMissed {
        self.on_missed
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.timing {
            Timing::Cron(expressions, zone) => {
                let expressions: Vec<&str> = expressions.iter().map(Cron::as_str).collect();
                write!(f, "cron {} in {}", expressions.join(", "), zone.name())
            }
            Timing::Every(every) => write!(f, "every {}", duration(*every)),
        }
    }
}

/// A number that looks random and is the same for a store every time.
fn scattered(store: &StoreName) -> u64 {
    let digest = u64::from_str_radix(&store.digest(), 16).unwrap_or_default();
    // The digest's own bits depend too much on the last characters of the name.
    let mixed = (digest ^ (digest >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    mixed ^ (mixed >> 33)
}

fn delta(duration: Duration) -> TimeDelta {
    TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX)
}
