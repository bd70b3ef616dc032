//! Takes the lock of a store, and runs something under it.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::failure::Failure;
use super::view::console::Console;
use super::wiring::{self, LockedLedger};
use crate::clock::SystemClock;
use crate::config::Config;
use crate::engine::{EngineError, Ports, Progress};
use crate::ledger::LedgerError;
use crate::record::{RunStatus, WaitReason};
use crate::tries::Tries;
use crate::waits::Waits;

/// How often `--wait` tries to take the lock.
const POLL: Duration = Duration::from_millis(250);

/// Runs something under the lock, which ends with it. Returns its result and how long the run took, as `runs` shows it: without
/// the wait for the lock.
pub(super) async fn under_lock<T>(
    console: &Console,
    config: &Config,
    locked: LockedLedger,
    waits: &Waits,
    observe: &(dyn Fn(&Progress) + Send + Sync),
    run: impl AsyncFnOnce(Ports<'_>) -> Result<T, EngineError>,
) -> Result<(T, Duration), Failure> {
    if let Some(place) = &locked.created {
        console.note(&format!("made a new ledger: {place}"));
    }
    let source = wiring::source(&config.source, waits)?;
    let store = wiring::store(config, waits)?;
    let opened = OnceLock::new();
    let progress = |progress| {
        if let Progress::Opened(run_id) = progress {
            console.run_opened(run_id);
            opened.get_or_init(Instant::now);
        }
        observe(&progress);
    };
    let ports = Ports {
        source: &source,
        ledger: &*locked.ledger,
        destination: &store,
        clock: &SystemClock,
        progress: &progress,
        waits,
    };
    let ended = Box::pin(run(ports)).await;
    source.ended().await;
    Ok((ended?, opened.get().map_or(Duration::ZERO, Instant::elapsed)))
}

/// The end of a run that was asked to stop before it began.
fn stopped_before(waiting_for: &str) -> Failure {
    Failure::ended(RunStatus::Stopped, format!("stopped while waiting for {waiting_for}; nothing was sent"))
}

/// Takes the store's lock and opens the ledger. Fails if a stop is asked for while it waits, and says for what.
pub(super) async fn lock(
    console: &Console,
    config: &Config,
    wait: bool,
    waits: &Waits,
    mut stop: watch::Receiver<bool>,
) -> Result<LockedLedger, Failure> {
    const LEDGER: &str = "the ledger";
    const OTHER_RUN: &str = "another run, which holds this store";
    let mut waiting = None;
    let mut tries = Tries::new(WaitReason::Ledger, config.source.give_up_after);
    loop {
        let opened = tokio::select! {
            opened = wiring::ledger(&config.ledger, &config.store.name, config.push.give_up_after) => opened,
            Ok(_) = stop.wait_for(|stop| *stop) => {
                return Err(stopped_before(if waiting.is_some() { OTHER_RUN } else { LEDGER }));
            }
        };
        match opened {
            Ok(ledger) => return Ok(ledger),
            Err(LedgerError::Locked { holder }) if wait => {
                if waiting.is_none() {
                    console.note(&format!("waiting for {holder}, which holds this store"));
                    waiting = Some(waits.begin(WaitReason::Lock, None, holder));
                }
            }
            Err(error) if error.may_pass() => {
                let again = tokio::select! {
                    again = tries.wait(&error, waits) => again,
                    Ok(_) = stop.wait_for(|stop| *stop) => return Err(stopped_before(LEDGER)),
                };
                if again {
                    continue;
                }
                return Err(Failure::from(error).and(&tries.count()));
            }
            Err(error) => return Err(error.into()),
        }
        tokio::select! {
            () = tokio::time::sleep(POLL) => {}
            Ok(_) = stop.wait_for(|stop| *stop) => return Err(stopped_before(OTHER_RUN)),
        }
    }
}
