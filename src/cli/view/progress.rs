//! Shows how far a run is: a bar on a terminal, otherwise a log line every ten seconds.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::console::Console;
use super::text::{duration, number};
use crate::engine::Progress;
use crate::record::Counts;

/// How often a line is logged without a terminal.
const LOG_EVERY: Duration = Duration::from_secs(10);

/// Shows the progress of one run, until it is dropped.
#[derive(Debug)]
pub(crate) struct ProgressDisplay {
    console: Console,
    bar: Option<ProgressBar>,
    logged: Mutex<Instant>,
}

impl ProgressDisplay {
    /// Starts a bar if stderr is a terminal and the console is not quiet.
    pub(crate) fn start(console: &Console) -> Self {
        let bar = console.start_bar(|| {
            let bar = ProgressBar::new_spinner();
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        Self { console: console.clone(), bar, logged: Mutex::new(Instant::now()) }
    }

    /// Shows a step of the run.
    pub(crate) fn update(&self, progress: Progress) {
        match &self.bar {
            Some(bar) => draw(bar, progress),
            None => self.log(progress),
        }
    }

    fn log(&self, progress: Progress) {
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        let due = logged.elapsed() >= LOG_EVERY;
        if due || matches!(progress, Progress::Planned(_) | Progress::Waiting(_)) {
            *logged = Instant::now();
            tracing::info!("{}", sentence(progress));
        }
    }
}

impl Drop for ProgressDisplay {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
            self.console.set_bar(None);
        }
    }
}

fn draw(bar: &ProgressBar, progress: Progress) {
    if let Progress::Planned(counts) = progress
        && let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} values · {eta} left · {msg}")
    {
        bar.set_style(style);
        bar.set_length(u64::try_from(counts.planned).unwrap_or(0));
        bar.reset_eta();
    }
    if let Progress::Pushing(counts) = progress {
        bar.set_position(done(&counts));
    }
    bar.set_message(match progress {
        Progress::Pushing(counts) => details(&counts),
        other => sentence(other),
    });
}

/// How many values need nothing more in this run.
fn done(counts: &Counts) -> u64 {
    u64::try_from(counts.confirmed + counts.rejected).unwrap_or(0)
}

fn details(counts: &Counts) -> String {
    let calls = format!("{} calls", number(counts.requests));
    if counts.rejected > 0 { format!("{calls}, {} rejected", number(counts.rejected)) } else { calls }
}

/// Describes a step in one sentence, without values.
pub(crate) fn sentence(progress: Progress) -> String {
    match progress {
        Progress::Planning(counts) => {
            format!("reading: {} rows, {} changes so far", number(counts.source_rows), number(counts.planned))
        }
        Progress::Planned(counts) => {
            format!("planned: {} changes among {} rows", number(counts.planned), number(counts.source_rows))
        }
        Progress::Pushing(counts) => format!(
            "pushing: {} of {} values done, {}",
            number(done(&counts)),
            number(counts.planned),
            details(&counts)
        ),
        Progress::Waiting(time) => format!("waiting {} before the next call", duration(time)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_a_sentence() {
        let counts = Counts {
            planned: 2000,
            confirmed: 999,
            rejected: 1,
            unknown: 1000,
            requests: 100,
            ..Counts::default()
        };
        assert_eq!(
            sentence(Progress::Pushing(counts)),
            "pushing: 1,000 of 2,000 values done, 100 calls, 1 rejected"
        );
        assert_eq!(
            sentence(Progress::Waiting(Duration::from_secs(90))),
            "waiting 1 min 30 s before the next call"
        );
    }
}
