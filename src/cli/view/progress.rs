//! Shows how far a run is: a bar on a terminal, otherwise a log line every ten seconds.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::console::Console;
use super::text::{duration, number};
use crate::engine::Progress;
use crate::push::{Notice, Wait};
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
    pub(crate) fn update(&self, progress: &Progress) {
        let Some(sentence) = sentence(progress) else { return };
        match &self.bar {
            Some(bar) => draw(bar, progress, sentence),
            None => self.log(progress, &sentence),
        }
    }

    fn log(&self, progress: &Progress, sentence: &str) {
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        let always = matches!(progress, Progress::Planned(_) | Progress::Pushing(Notice::Waiting(..)));
        if always || logged.elapsed() >= LOG_EVERY {
            *logged = Instant::now();
            tracing::info!("{sentence}");
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

fn draw(bar: &ProgressBar, progress: &Progress, sentence: String) {
    if let Progress::Planned(counts) = progress
        && let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} values · {eta} left · {msg}")
    {
        bar.set_style(style);
        bar.set_length(u64::try_from(counts.planned).unwrap_or(0));
        bar.reset_eta();
    }
    if let Progress::Pushing(Notice::Counted(counts)) = progress {
        bar.set_position(done(counts));
        bar.set_message(details(counts));
    } else {
        bar.set_message(sentence);
    }
}

/// How many values need nothing more in this run.
fn done(counts: &Counts) -> u64 {
    u64::try_from(counts.confirmed + counts.rejected).unwrap_or(0)
}

fn details(counts: &Counts) -> String {
    let requests = format!("{} calls", number(counts.requests));
    if counts.rejected > 0 { format!("{requests}, {} rejected", number(counts.rejected)) } else { requests }
}

/// Describes a step in one sentence, without values. `None` for what is only logged.
fn sentence(progress: &Progress) -> Option<String> {
    Some(match progress {
        Progress::Planning(counts) => {
            format!("reading: {} rows, {} changes so far", number(counts.source_rows), number(counts.planned))
        }
        Progress::Planned(counts) => {
            format!("planned: {} changes among {} rows", number(counts.planned), number(counts.source_rows))
        }
        Progress::Pushing(Notice::Counted(counts)) => format!(
            "pushing: {} of {} values done, {}",
            number(done(counts)),
            number(counts.planned),
            details(counts)
        ),
        Progress::Pushing(Notice::Waiting(wait, at_most)) => {
            let reason = match wait {
                Wait::Limited => "the store asked for fewer calls (429)",
                Wait::InDoubt { .. } => "a call of an earlier run may still be applied",
            };
            format!("waiting at most {}: {reason}", duration(*at_most))
        }
        Progress::Pushing(_) => return None,
    })
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
            sentence(&Progress::Pushing(Notice::Counted(counts))).as_deref(),
            Some("pushing: 1,000 of 2,000 values done, 100 calls, 1 rejected")
        );
        assert_eq!(
            sentence(&Progress::Pushing(Notice::Waiting(Wait::Limited, Duration::from_secs(90)))).as_deref(),
            Some("waiting at most 1 min 30 s: the store asked for fewer calls (429)")
        );
    }
}
