//! Reads of the store that are repeated where that may help: a read harms nothing, and one bad minute must not cost a
//! night.

use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::config::PushConfig;
use crate::destination::ReadError;
use crate::retry::{self, Meaning};

/// Reads until it succeeds, the answer is one that stays, or the attempts are used up.
pub(super) async fn repeat<'a, T>(
    config: &PushConfig,
    read: impl Fn() -> BoxFuture<'a, Result<T, ReadError>>,
) -> Result<T, ReadError> {
    let mut attempt = 1;
    loop {
        let error = match read().await {
            Ok(read) => return Ok(read),
            Err(error) => error,
        };
        let Some(pause) = pause(config, &error, attempt).filter(|_| attempt < config.max_attempts) else {
            return Err(error);
        };
        tracing::info!(answer = retry::headline(&error.0), attempt, "a read failed; trying again");
        tokio::time::sleep(pause).await;
        attempt += 1;
    }
}

/// How long to wait before the read is tried again; `None` where that cannot help.
fn pause(config: &PushConfig, error: &ReadError, attempt: u32) -> Option<Duration> {
    let backoff = retry::backoff(attempt, config.backoff, config.backoff_max, fastrand::f64());
    match retry::meaning(&error.0, 0) {
        Meaning::Unknown | Meaning::NotSent => Some(backoff),
        Meaning::Limited(wait) => Some(wait.unwrap_or(backoff)),
        Meaning::Accepted(_) | Meaning::TooLarge | Meaning::Refused(_) | Meaning::Fatal(_) => None,
    }
}
