//! Reads of the store are repeated if that may help, because a read changes nothing, and a short failure must not end
//! the run.

use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::config::PushConfig;
use crate::destination::ReadError;
use crate::retry::{self, Meaning};

/// How often a store may ask to wait before the read is given up. That is no failed attempt.
const WAITS: u32 = 10;

/// Reads until it succeeds, a response shows that repeating cannot help, or the attempts are used up.
pub(super) async fn repeat<'a, T>(
    config: &PushConfig,
    read: impl Fn() -> BoxFuture<'a, Result<T, ReadError>>,
) -> Result<T, ReadError> {
    let (mut failures, mut waits) = (0, 0);
    loop {
        let error = match read().await {
            Ok(read) => return Ok(read),
            Err(error) => error,
        };
        let attempt = failures + waits + 1;
        let Some(pause) = pause(config, &error, attempt) else { return Err(error) };
        let (count, most) = match retry::meaning(&error.0, 0) {
            Meaning::Limited(_) => (&mut waits, WAITS),
            _ => (&mut failures, config.max_attempts),
        };
        *count += 1;
        if *count >= most {
            return Err(error);
        }
        tracing::info!(%error, attempt, "a read failed; trying again");
        tokio::time::sleep(pause).await;
    }
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
