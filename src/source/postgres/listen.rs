//! Listens for notifications. A session that is lost is made again after growing pauses.

mod payload;
mod session;

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

pub(super) use self::session::ListeningSession;
use super::failure::Reading;
use crate::database::Address;
use crate::error_chain::with_causes;
use crate::record::Notified;
use crate::retry;
use crate::source::{Heard, SourceError};

/// Messages that may wait for the receiver. While no more may, notifications are joined.
pub(super) const HEARD_AHEAD: usize = 1_024;

/// The first and the longest pause before a session is made again.
const PAUSE_FIRST: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// A session that was lost after a shorter time counts as one more failure in a row.
const STABLE_AFTER: Duration = Duration::from_secs(60);

/// How long a session may be silent before it is asked whether it is alive.
const QUIET_MAX: Duration = Duration::from_secs(30);

/// Listens until the receiver is dropped.
pub(super) async fn listen(address: &Address, reading: &Reading, channel: &str, heard: &mpsc::Sender<Heard>) {
    tokio::select! {
        () = keep_listening(address, reading, channel, heard) => {}
        () = heard.closed() => {}
    }
}

async fn keep_listening(address: &Address, reading: &Reading, channel: &str, heard: &mpsc::Sender<Heard>) {
    let (mut missed_some, mut failures, mut told) = (false, 0, None);
    loop {
        let error = match ListeningSession::open(address, reading, channel).await {
            Ok(mut session) => {
                if heard.send(Heard::Connected { missed_some }).await.is_err() {
                    return;
                }
                let start = Instant::now();
                let lost = pass_on(&mut session, heard).await;
                if start.elapsed() >= STABLE_AFTER {
                    failures = 0;
                }
                told = None;
                lost
            }
            Err(error) => error,
        };
        missed_some = true;
        failures += 1;
        let reason = with_causes(&error);
        if told.as_ref() != Some(&reason) && heard.send(Heard::Lost(error)).await.is_err() {
            return;
        }
        told = Some(reason);
        sleep(retry::backoff(failures, PAUSE_FIRST, PAUSE_MAX, fastrand::f64())).await;
    }
}

/// Passes notifications on until the session is lost, and returns why. They are joined only while the receiver takes none.
async fn pass_on(session: &mut ListeningSession, heard: &mpsc::Sender<Heard>) -> SourceError {
    let mut waiting = Notified::NOTHING;
    loop {
        tokio::select! {
            // In this order: what has arrived is passed on before the next notification is taken.
            biased;
            Ok(permit) = heard.reserve(), if !waiting.is_nothing() => {
                permit.send(Heard::Notified(std::mem::replace(&mut waiting, Notified::NOTHING)));
            }
            next = timeout(QUIET_MAX, session.next()) => match next {
                Ok(Ok(notified)) => waiting.add(notified),
                Ok(Err(error)) => return error,
                Err(_) => if let Err(error) = session.require_alive().await {
                    return error;
                }
            },
        }
    }
}
