//! Ctrl-C and SIGTERM: the first asks for a polite stop, the second ends the process at once. Both are safe.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use super::failure::Failure;
use super::view::console::Console;
use crate::record::RunStatus;

/// The two signals that ask a process to end.
struct EndSignals {
    interrupt: Signal,
    terminate: Signal,
}

impl EndSignals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Returns a flag that turns true at the first signal, with `notice` on stderr. A second signal ends the process.
///
/// # Errors
/// The process cannot listen to signals.
pub(super) fn polite_stop(console: &Console, notice: &'static str) -> std::io::Result<watch::Receiver<bool>> {
    let mut signals = EndSignals::listen()?;
    let (stop, stopped) = watch::channel(false);
    let console = console.clone();
    tokio::spawn(async move {
        tokio::select! {
            () = signals.next() => {}
            // The run has ended.
            () = stop.closed() => return,
        }
        console.note(notice);
        stop.send_replace(true);
        signals.next().await;
        console.end_bar();
        let exit = Failure::ended(RunStatus::Interrupted, "ended at once by a second signal")
            .hint("the next sync sends again what was in flight")
            .show(&console);
        std::process::exit(exit as i32);
    });
    Ok(stopped)
}

/// Waits for the first signal.
///
/// # Errors
/// The process cannot listen to signals.
pub(super) async fn wait_for_end() -> std::io::Result<()> {
    EndSignals::listen()?.next().await;
    Ok(())
}
