//! Shows how far a run is and what it waits for: a line on a terminal, otherwise log lines.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use tracing::Level;

use super::console::Console;
use super::progress_line::{Phase, ProgressLine, values_done};
use super::text::{counted, number};
use super::wait::{LogLine, WaitLog};
use crate::config::LedgerConfig;
use crate::engine::Progress;
use crate::push::Notice;
use crate::waits::Waits;

/// How often the line is drawn, and waits are looked at.
const TICK: Duration = Duration::from_millis(200);

/// How often progress is logged without a terminal.
const LOG_EVERY: Duration = Duration::from_secs(10);

/// Shows the progress of one run, until it is dropped.
#[derive(Debug)]
pub(crate) struct ProgressDisplay {
    console: Console,
    seen: Arc<Mutex<Seen>>,
    /// Dropped to end the thread.
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What the run has told.
#[derive(Debug, Default)]
struct Seen {
    phase: Phase,
    pushing_since: Option<Instant>,
}

impl ProgressDisplay {
    /// Starts a line if stderr is a terminal and the console is not quiet. Otherwise waits and progress are logged.
    pub(crate) fn start(console: &Console, waits: &Waits, ledger: &LedgerConfig) -> Self {
        let bar = console.start_bar();
        let seen = Arc::<Mutex<Seen>>::default();
        let (stop, stopped) = channel();
        let painter = Painter {
            console: console.clone(),
            bar,
            waits: waits.clone(),
            seen: Arc::clone(&seen),
            started: Instant::now(),
            logged: (Instant::now(), Phase::Starting),
            log: WaitLog::new(ledger),
        };
        // Without the thread the run goes on, and is only not shown.
        let thread = std::thread::Builder::new().name("progress".to_owned());
        let thread = thread.spawn(move || painter.run(&stopped)).ok();
        Self { console: console.clone(), seen, stop: Some(stop), thread }
    }

    /// Takes note of a step of the run.
    pub(crate) fn update(&self, progress: &Progress) {
        let mut seen = lock(&self.seen);
        match progress {
            Progress::Planning(counts) => seen.phase = Phase::Planning(*counts),
            Progress::Reading(values) => seen.phase = Phase::Reading(*values),
            Progress::LookingUp(addresses) => seen.phase = Phase::LookingUp(*addresses),
            Progress::Planned(counts) => {
                seen.pushing_since = Some(Instant::now());
                seen.phase = Phase::Pushing(*counts, Duration::ZERO);
                tracing::info!(
                    "planned: {} among {}",
                    counted(counts.planned.unsigned_abs(), "change"),
                    counted(counts.source_rows.unsigned_abs(), "row")
                );
            }
            Progress::Pushing(Notice::Counted(counts)) => {
                seen.phase = Phase::Pushing(*counts, Duration::ZERO)
            }
            Progress::FoundInterrupted(_)
            | Progress::Opened(_)
            | Progress::Pushing(_)
            | Progress::Allowed(_)
            | Progress::Ended(_) => {}
        }
    }
}

impl Drop for ProgressDisplay {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // A thread that panicked shows nothing any more.
            let _ = thread.join();
        }
        self.console.end_bar();
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Draws the line, or logs.
struct Painter {
    console: Console,
    bar: Option<ProgressBar>,
    waits: Waits,
    seen: Arc<Mutex<Seen>>,
    started: Instant,
    /// When progress was logged last, and what.
    logged: (Instant, Phase),
    log: WaitLog,
}

impl Painter {
    fn run(mut self, stopped: &Receiver<()>) {
        loop {
            self.tick();
            if stopped.recv_timeout(TICK) != Err(RecvTimeoutError::Timeout) {
                return;
            }
        }
    }

    fn tick(&mut self) {
        let (elapsed, wait) = (self.started.elapsed(), self.waits.current());
        for line in self.log.see(wait.as_ref(), elapsed) {
            self.log_wait(line);
        }
        let phase = {
            let seen = lock(&self.seen);
            match (seen.phase, seen.pushing_since) {
                (Phase::Pushing(counts, _), Some(since)) => Phase::Pushing(counts, since.elapsed()),
                (phase, _) => phase,
            }
        };
        match &self.bar {
            Some(bar) => self.console.draw(bar, |columns| ProgressLine { phase, elapsed, wait }.fit(columns)),
            None => self.log_progress(phase),
        }
    }

    /// Logs a wait. The line on a terminal shows it already, so that there it is logged with `-v` only.
    fn log_wait(&self, line: LogLine) {
        let level = if self.bar.is_none() { line.level } else { Level::INFO };
        LogLine { level, ..line }.log();
    }

    fn log_progress(&mut self, phase: Phase) {
        let (at, before) = self.logged;
        let text = match (phase, before) {
            _ if at.elapsed() < LOG_EVERY => return,
            (Phase::Starting, _) => return,
            (Phase::Planning(counts), Phase::Planning(before)) if counts == before => return,
            (Phase::Reading(values), Phase::Reading(before)) if values == before => return,
            (Phase::Pushing(counts, _), Phase::Pushing(before, _)) if counts == before => return,
            (Phase::LookingUp(addresses), Phase::LookingUp(before)) if addresses == before => return,
            (Phase::LookingUp(addresses), _) => {
                format!("looking up customers: {} e-mail addresses", number(addresses))
            }
            (Phase::Reading(values), _) => format!("reading the store: {} values", number(values)),
            (Phase::Planning(counts), _) => {
                format!(
                    "reading: {} rows, {} changes so far",
                    number(counts.source_rows),
                    number(counts.planned)
                )
            }
            (Phase::Pushing(counts, _), _) => {
                let (done, requests) = (values_done(&counts), number(counts.requests));
                format!("pushing: {done} done, {requests} calls, {} rejected", number(counts.rejected))
            }
        };
        self.logged = (Instant::now(), phase);
        tracing::info!("{text}");
    }
}
