//! SIGINT (Ctrl-C), SIGTERM and SIGHUP. A sync stops politely at the first signal and at once at the second. Every other
//! command stops at once. All of it is safe.
//!
//! Signals are awaited on a thread of their own, because the thread of the command may be blocked by a reader of stdout
//! that reads no more.

use std::future::pending;
use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use super::failure::Failure;
use super::view::console::Console;
use crate::record::RunStatus;
use crate::worker_thread::WorkerThread;

const HANGUP: &str = "SIGHUP";

/// The signals that ask a process to end.
struct EndSignals {
    interrupt: Signal,
    terminate: Signal,
    /// None if they are ignored.
    hangup: Option<Signal>,
}

impl EndSignals {
    fn listen() -> io::Result<Self> {
        let hangup = (!ignores_hangups()).then(|| signal(SignalKind::hangup())).transpose()?;
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup,
        })
    }

    /// Waits for a signal and returns its name.
    async fn next(&mut self) -> &'static str {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => drop(hangup.recv().await),
                None => pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
            () = hangup => HANGUP,
        }
    }
}

/// Whether this process was started with SIGHUP ignored, by `nohup`. Then it must outlive its terminal. Only Linux tells.
fn ignores_hangups() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}

/// Ends the process at the first signal, with what the command was doing, while the returned thread is kept.
///
/// # Errors
/// The process cannot listen to signals.
pub(super) fn stop_at_once(console: &Console) -> io::Result<WorkerThread<()>> {
    let mut signals = EndSignals::listen()?;
    let console = console.clone();
    WorkerThread::start("signals", move || async move {
        let name = signals.next().await;
        let problem = format!("stopped by {name} while {}", console.stage());
        end(&console, &Failure::ended(RunStatus::Stopped, problem))
    })
}

/// A stop that a signal asks for.
pub(super) struct PoliteStop {
    /// Turns true at the first signal.
    pub(super) asked: watch::Receiver<bool>,
    /// Listens to signals as long as this is kept.
    pub(super) thread: WorkerThread<()>,
}

/// Returns a flag that turns true at the first signal, with `notice` on stderr. A second signal ends the process, and so
/// does any signal once the flag is dropped.
///
/// # Errors
/// The process cannot listen to signals.
pub(super) fn polite_stop(console: &Console, notice: &'static str) -> io::Result<PoliteStop> {
    stop_politely(EndSignals::listen()?, console, notice)
}

/// As [`polite_stop`], for a process to which SIGHUP means something else.
///
/// # Errors
/// The process cannot listen to signals.
pub(super) fn polite_stop_without_hangup(console: &Console, notice: &'static str) -> io::Result<PoliteStop> {
    stop_politely(EndSignals { hangup: None, ..EndSignals::listen()? }, console, notice)
}

fn stop_politely(mut signals: EndSignals, console: &Console, notice: &'static str) -> io::Result<PoliteStop> {
    let (stop, asked) = watch::channel(false);
    let console = console.clone();
    let thread = WorkerThread::start("signals", move || async move {
        let name = tokio::select! {
            _ = signals.next() => {
                console.note(notice);
                stop.send_replace(true);
                second(&mut signals).await
            }
            () = stop.closed() => signals.next().await,
        };
        let ended = |how: String| Failure::ended(RunStatus::Interrupted, how);
        end(
            &console,
            &match stop.is_closed() {
                true => ended(format!("ended by {name} while {}", console.stage())),
                false => ended(format!("ended at once by a second signal ({name})"))
                    .hint("the next sync sends again what was in flight"),
            },
        )
    })?;
    Ok(PoliteStop { asked, thread })
}

/// Waits for a second signal. A terminal that is closed sends SIGHUP twice, which asks for one stop.
async fn second(signals: &mut EndSignals) -> &'static str {
    loop {
        match signals.next().await {
            HANGUP => {}
            name => return name,
        }
    }
}

fn end(console: &Console, failure: &Failure) -> ! {
    console.end_bar();
    std::process::exit(failure.show(console) as i32)
}

/// Waits for the first signal.
///
/// # Errors
/// The process cannot listen to signals.
pub(super) async fn wait_for_end() -> io::Result<()> {
    EndSignals::listen()?.next().await;
    Ok(())
}
