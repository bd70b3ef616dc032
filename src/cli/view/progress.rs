//! How far a run is: a bar on a terminal, else a log line every ten seconds.

use std::io::IsTerminal as _;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::BAR;
use super::text::{duration, number};
use crate::engine::Progress;
use crate::record::Counts;

/// How often a line is logged where there is no terminal.
const LOG_EVERY: Duration = Duration::from_secs(10);

/// Shows the progress of one run for as long as it lives.
#[derive(Debug)]
pub(crate) struct Shown {
    bar: Option<ProgressBar>,
    logged: Mutex<Instant>,
}

impl Shown {
    /// A bar if stderr is a terminal and nobody asked for quiet.
    pub(crate) fn start(quiet: bool) -> Self {
        let bar = (std::io::stderr().is_terminal() && !quiet).then(|| {
            let bar = ProgressBar::new_spinner();
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        *BAR.lock().unwrap_or_else(PoisonError::into_inner) = bar.clone();
        Self { bar, logged: Mutex::new(Instant::now()) }
    }

    /// Takes in how far the run is.
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

impl Drop for Shown {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        *BAR.lock().unwrap_or_else(PoisonError::into_inner) = None;
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
        bar.set_position(decided(&counts));
    }
    bar.set_message(match progress {
        Progress::Pushing(counts) => aside(&counts),
        other => sentence(other),
    });
}

fn decided(counts: &Counts) -> u64 {
    u64::try_from(counts.confirmed + counts.rejected).unwrap_or(0)
}

fn aside(counts: &Counts) -> String {
    let calls = format!("{} calls", number(counts.requests));
    if counts.rejected > 0 { format!("{calls}, {} rejected", number(counts.rejected)) } else { calls }
}

/// How far the run is, in a sentence without any value.
pub(crate) fn sentence(progress: Progress) -> String {
    match progress {
        Progress::Planning(counts) => {
            format!("reading: {} rows, {} changes so far", number(counts.source_rows), number(counts.planned))
        }
        Progress::Planned(counts) => {
            format!("planned: {} changes among {} rows", number(counts.planned), number(counts.source_rows))
        }
        Progress::Pushing(counts) => format!(
            "pushing: {} of {} values settled, {}",
            number(decided(&counts)),
            number(counts.planned),
            aside(&counts)
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
            "pushing: 1,000 of 2,000 values settled, 100 calls, 1 rejected"
        );
        assert_eq!(
            sentence(Progress::Waiting(Duration::from_secs(90))),
            "waiting 1 min 30 s before the next call"
        );
    }
}
