//! Reads of the store are repeated if that may help, because a read changes nothing, and a short failure must not end
//! the run.

use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::time::Instant;

use super::ports::GaveUp;
use crate::config::PushConfig;
use crate::destination::ReadError;
use crate::record::WaitReason;
use crate::retry::{self, Meaning};
use crate::waits::Waits;

/// Reads until it succeeds, a response shows that repeating cannot help, or it is given up: after `max_attempts` and
/// `give_up_after`. `reason` is why the run waits meanwhile.
pub(super) async fn repeat<'a, T>(
    config: &PushConfig,
    waits: &Waits,
    reason: WaitReason,
    read: impl Fn() -> BoxFuture<'a, Result<T, ReadError>>,
) -> Result<T, ReadError> {
    tried(config, waits, reason, read).await.map_err(|gave_up| gave_up.error)
}

/// The same, with an error that says how often and how long it was tried.
pub(super) async fn tried<'a, T>(
    config: &PushConfig,
    waits: &Waits,
    reason: WaitReason,
    read: impl Fn() -> BoxFuture<'a, Result<T, ReadError>>,
) -> Result<T, Box<GaveUp>> {
    let what = match reason {
        WaitReason::Values => "values",
        WaitReason::Customers => "customers by e-mail address",
        _ => "attributes",
    };
    let started = Instant::now();
    let mut tries = 0;
    loop {
        tries += 1;
        let reading = waits.begin(reason, None, nth(tries));
        let error = match read().await {
            Ok(read) => return Ok(read),
            Err(error) => error,
        };
        drop(reading);
        let took = started.elapsed();
        let meaning = retry::meaning(&error.0, 0);
        let pause =
            pause(config, &error, &meaning, tries).filter(|_| !is_over(config, &meaning, tries, took));
        let Some(pause) = pause else {
            return Err(Box::new(GaveUp { what, error, tries, took, asked: None }));
        };
        let left = config.give_up_after.saturating_sub(took);
        let asked = retry::asked_wait(&error.0).filter(|asked| *asked > left);
        let pause = if asked.is_some() { left } else { pause };
        let why =
            if matches!(meaning, Meaning::Limited(_)) { WaitReason::Limited } else { WaitReason::Backoff };
        let _pausing = waits.begin(why, Some(pause), format!("{}; {}", error.0.brief(), nth(tries + 1)));
        tokio::time::sleep(pause).await;
        if let Some(asked) = asked {
            let asked = Some(asked.saturating_sub(left));
            return Err(Box::new(GaveUp { what, error, tries, took: started.elapsed(), asked }));
        }
    }
}

/// Returns `try 3`; nothing for the first try.
fn nth(attempt: u32) -> String {
    if attempt > 1 { format!("try {attempt}") } else { String::new() }
}

/// Whether the read has been tried often and long enough. A body that cannot be read, or a firewall's page, seldom passes
/// by itself, so the time does not matter then. A store that asks to wait is waited for, however seldom that lets the run
/// ask.
fn is_over(config: &PushConfig, meaning: &Meaning<'_>, tries: u32, took: Duration) -> bool {
    let often = tries >= config.max_attempts;
    let long = took >= config.give_up_after;
    match meaning {
        Meaning::Limited(_) => tries > 1 && long,
        Meaning::Unreadable | Meaning::Filtered(_) => often,
        _ => often && long,
    }
}

/// Returns how long to wait before the read is repeated; `None` if that cannot help.
fn pause(config: &PushConfig, error: &ReadError, meaning: &Meaning<'_>, tries: u32) -> Option<Duration> {
    let backoff = retry::backoff(tries, config.backoff, config.backoff_max, fastrand::f64());
    match meaning {
        // The others are about the address.
        Meaning::Filtered(status) if !matches!(status, 403 | 406) => None,
        Meaning::InDoubt
        | Meaning::NotSent
        | Meaning::Unreadable
        | Meaning::Filtered(_)
        | Meaning::Limited(_) => Some(backoff.max(retry::asked_wait(&error.0).unwrap_or_default())),
        Meaning::Accepted(_)
        | Meaning::Partial { .. }
        | Meaning::TooLarge { .. }
        | Meaning::Refused(_)
        | Meaning::Fatal(_)
        | Meaning::CannotBeSent(_) => None,
    }
}
