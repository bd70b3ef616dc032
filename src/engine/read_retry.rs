//! Reads of the store are repeated if that may help, because a read changes nothing, and a short failure must not end
//! the run.

use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::config::PushConfig;
use crate::destination::ReadError;
use crate::record::WaitReason;
use crate::retry::{self, Meaning};
use crate::waits::Waits;

/// How often a store may ask to wait before the read is given up. That is no failed attempt.
const WAITS: u32 = 10;

/// Reads until it succeeds, a response shows that repeating cannot help, or the attempts are used up. `reason` is why the
/// run waits meanwhile.
pub(super) async fn repeat<'a, T>(
    config: &PushConfig,
    waits: &Waits,
    reason: WaitReason,
    read: impl Fn() -> BoxFuture<'a, Result<T, ReadError>>,
) -> Result<T, ReadError> {
    let (mut failures, mut waited) = (0, 0);
    loop {
        let attempt = failures + waited + 1;
        let reading = waits.begin(reason, None, tries(attempt, config.max_attempts));
        let error = match read().await {
            Ok(read) => return Ok(read),
            Err(error) => error,
        };
        drop(reading);
        let Some(pause) = pause(config, &error, attempt) else { return Err(error) };
        let (count, most, pausing) = match retry::meaning(&error.0, 0) {
            Meaning::Limited(_) => (&mut waited, WAITS, WaitReason::Limited),
            _ => (&mut failures, config.max_attempts, WaitReason::Backoff),
        };
        *count += 1;
        if *count >= most {
            return Err(error);
        }
        let next = tries(attempt + 1, config.max_attempts);
        let _pausing = waits.begin(pausing, Some(pause), format!("{}; {next}", error.0.brief()));
        tokio::time::sleep(pause).await;
    }
}

/// Returns `try 3 of 6`; nothing for the first try.
fn tries(attempt: u32, most: u32) -> String {
    if attempt > 1 { format!("try {attempt} of {}", most.max(attempt)) } else { String::new() }
}

/// Returns how long to wait before the read is repeated; `None` if that cannot help.
fn pause(config: &PushConfig, error: &ReadError, attempt: u32) -> Option<Duration> {
    let backoff = retry::backoff(attempt, config.backoff, config.backoff_max, fastrand::f64());
    match retry::meaning(&error.0, 0) {
        Meaning::InDoubt | Meaning::NotSent | Meaning::Unreadable => Some(backoff),
        Meaning::Limited(wait) => Some(wait.unwrap_or(backoff)),
        Meaning::Accepted(_)
        | Meaning::TooLarge
        | Meaning::Refused(_)
        | Meaning::Filtered(_)
        | Meaning::Fatal(_) => None,
    }
}
