//! Which scheduled time a store's run is for. The process that holds the store's lock asks here.

use std::time::Duration;

use chrono::TimeDelta;

use crate::clock::Clock;
use crate::ledger::{self, Ledger};
use crate::record::{Claimed, ScheduledRun};
use crate::schedule::{Due, Schedule};

/// Passing over times leads to a time that is due, or to none.
const STEPS_MAX: usize = 5;

/// What is due of a store's schedule.
#[derive(Debug, Clone)]
pub struct Found {
    /// The scheduled time that is due.
    pub scheduled: Option<ScheduledRun>,
    /// What the ledger knows of the scheduled times.
    pub claimed: Claimed,
    /// How many times were passed over without a run just now.
    pub missed: i64,
}

/// Returns what is due. Records times that are passed over without a run. `delay` is the pause between a scheduled time
/// and its start.
///
/// # Errors
/// The ledger could not be read or written.
pub async fn due(
    ledger: &dyn Ledger,
    schedule: &Schedule,
    delay: Duration,
    clock: &dyn Clock,
) -> ledger::Result<Found> {
    let delay = TimeDelta::from_std(delay).unwrap_or_default();
    let mut claimed = ledger.claimed().await?;
    let mut passed_over = 0;
    for _ in 0..STEPS_MAX {
        let now = clock.now();
        match schedule.due(&claimed, now - delay) {
            Due::NotBefore(_) => break,
            Due::Run { scheduled_for, missed, until } => {
                let scheduled = Some(ScheduledRun { scheduled_for, missed, until });
                return Ok(Found { scheduled, claimed, missed: passed_over });
            }
            Due::PassOver { missed, until } => {
                ledger.pass_over(missed.as_ref(), until, now).await?;
                if let Some(missed) = missed {
                    passed_over += missed.times;
                    tracing::warn!(
                        times = missed.times, first = %missed.first, last = %missed.last,
                        "scheduled times were passed over: {}", missed.reason
                    );
                }
            }
        }
        claimed = ledger.claimed().await?;
    }
    Ok(Found { scheduled: None, claimed, missed: passed_over })
}
