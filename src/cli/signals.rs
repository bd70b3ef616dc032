//! Ctrl-C and SIGTERM: the first asks politely, the second leaves at once, which is safe too.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use super::Exit;
use super::view;

/// Both signals that ask a process to end.
struct Asked {
    interrupt: Signal,
    terminate: Signal,
}

impl Asked {
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

/// Turns true at the first signal, saying `notice`. A second one ends the process.
///
/// # Errors
/// The signals could not be listened for.
pub(super) fn polite_stop(notice: &'static str) -> std::io::Result<watch::Receiver<bool>> {
    let mut asked = Asked::listen()?;
    let (stop, stopped) = watch::channel(false);
    tokio::spawn(async move {
        tokio::select! {
            () = asked.next() => {}
            // The run is over.
            () = stop.closed() => return,
        }
        view::note(notice);
        stop.send_replace(true);
        asked.next().await;
        view::note("leaving at once; the next sync settles what was on its way");
        std::process::exit(Exit::Failed as i32);
    });
    Ok(stopped)
}

/// Waits until the process is asked to end.
///
/// # Errors
/// The signals could not be listened for.
pub(super) async fn until_asked() -> std::io::Result<()> {
    Asked::listen()?.next().await;
    Ok(())
}
