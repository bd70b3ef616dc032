//! The progress of a run as one line that fits the terminal.

use std::time::Duration;

use unicode_width::UnicodeWidthStr as _;

use super::text::{counted, cut, number, whole_seconds};
use super::wait;
use crate::record::Counts;
use crate::waits::CurrentWait;

/// The cells of the bar.
const BAR: u64 = 10;

/// No time left is shown before the push has lasted this long: its rate would mean nothing.
const RATE_FROM: Duration = Duration::from_secs(5);

/// A longer time left is not shown: at that rate the estimate means nothing.
const LEFT_MAX: Duration = Duration::from_secs(48 * 3_600);

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Phase {
    /// Ledger and store are asked what they know.
    #[default]
    Starting,
    /// Source and ledger are read.
    Planning(Counts),
    /// The store's values are read; how many so far.
    Reading(u64),
    /// The customers of e-mail addresses are looked up; how many addresses so far.
    LookingUp(u64),
    /// The plan is sent. With the time since then.
    Pushing(Counts, Duration),
}

/// What the line shows.
#[derive(Debug, Clone, Default)]
pub(super) struct ProgressLine {
    pub(super) phase: Phase,
    /// The time since the command started.
    pub(super) elapsed: Duration,
    pub(super) wait: Option<CurrentWait>,
}

impl ProgressLine {
    /// Returns the line, at most so many columns wide.
    pub(super) fn fit(&self, columns: usize) -> String {
        let mut parts = self.parts();
        let text = |parts: &[(u8, String)]| {
            parts.iter().map(|(_, part)| part.as_str()).collect::<Vec<_>>().join(" · ")
        };
        while parts.len() > 1
            && text(&parts).width() > columns
            && let Some(least) = parts.iter().enumerate().max_by_key(|(_, (rank, _))| *rank)
        {
            parts.remove(least.0);
        }
        let text = text(&parts);
        let short = text.strip_prefix("waiting ").filter(|_| text.width() > columns);
        cut(short.unwrap_or(&text), columns)
    }

    /// The parts from left to right, each with its rank: the highest goes first where there is no room.
    fn parts(&self) -> Vec<(u8, String)> {
        let wait = self.wait.as_ref().filter(|wait| wait::is_shown(wait));
        let waiting = wait.map(|wait| (0, format!("waiting {}: {}", wait::how_long(wait), wait::why(wait))));
        let elapsed = |rank| (rank, whole_seconds(self.elapsed));
        match self.phase {
            Phase::Starting => {
                let doing = self.wait.as_ref().map_or_else(|| "starting".to_owned(), wait::why);
                [Some(waiting.unwrap_or((0, doing))), Some(elapsed(1))].into_iter().flatten().collect()
            }
            Phase::Planning(counts) => {
                let rows = format!("reading the source: {} rows", number(counts.source_rows));
                let changes = format!("{} changes so far", number(counts.planned));
                [Some((1, rows)), Some((3, changes)), Some(elapsed(2)), waiting]
                    .into_iter()
                    .flatten()
                    .collect()
            }
            Phase::Reading(values) => {
                let values = format!("reading the store: {} values", number(values));
                [Some((1, values)), Some(elapsed(2)), waiting].into_iter().flatten().collect()
            }
            Phase::LookingUp(addresses) => {
                let addresses = format!("looking up customers: {} e-mail addresses", number(addresses));
                [Some((1, addresses)), Some(elapsed(2)), waiting].into_iter().flatten().collect()
            }
            Phase::Pushing(counts, pushing) => {
                let (done, planned) = (done(&counts), unsigned(counts.planned));
                let per_cent = done.saturating_mul(100).checked_div(planned).unwrap_or(100);
                let filled = done.saturating_mul(BAR).checked_div(planned).unwrap_or(BAR).min(BAR);
                let bar = "█".repeat(filled as usize) + &"░".repeat((BAR - filled) as usize);
                let values = format!("{} ({per_cent} %)", values_done(&counts));
                let rejected =
                    (counts.rejected > 0).then(|| (3, format!("{} rejected", number(counts.rejected))));
                let left = left(done, planned, pushing).filter(|_| waiting.is_none());
                let left = left.map(|left| (2, format!("about {} left", whole_seconds(left))));
                [
                    Some((6, bar)),
                    Some((1, values)),
                    Some((5, counted(unsigned(counts.requests), "call"))),
                    rejected,
                    Some(elapsed(4)),
                    left,
                    waiting,
                ]
                .into_iter()
                .flatten()
                .collect()
            }
        }
    }
}

/// How many values need nothing more in this run.
fn done(counts: &Counts) -> u64 {
    unsigned(counts.confirmed + counts.rejected)
}

/// How long the rest takes at the rate so far, pauses included. `None` if too little is known.
fn left(done: u64, planned: u64, pushing: Duration) -> Option<Duration> {
    if pushing < RATE_FROM || done == 0 || done * 100 < planned && pushing < RATE_FROM * 6 {
        return None;
    }
    let rest = u32::try_from(planned.saturating_sub(done)).ok()?;
    let left = pushing.checked_mul(rest)? / u32::try_from(done).ok()?;
    (left <= LEFT_MAX).then_some(left)
}

/// `1,160 of 3,300 values`.
pub(super) fn values_done(counts: &Counts) -> String {
    format!("{} of {} values", number(counts.confirmed + counts.rejected), number(counts.planned))
}

fn unsigned(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::WaitReason;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn pushing(confirmed: i64, planned: i64, elapsed: u64) -> ProgressLine {
        let counts = Counts { planned, confirmed, requests: confirmed / 10, ..Counts::default() };
        ProgressLine { phase: Phase::Pushing(counts, s(elapsed)), elapsed: s(elapsed + 1), wait: None }
    }

    fn waiting(reason: WaitReason, detail: &str, waited: u64, at_most: Option<u64>) -> Option<CurrentWait> {
        let (waited, at_most) = (s(waited), at_most.map(Duration::from_secs));
        Some(CurrentWait { id: 1, reason, detail: detail.to_owned(), waited, at_most })
    }

    #[test]
    fn a_push_shows_how_far_it_is_and_how_long_the_rest_takes() {
        assert_eq!(
            pushing(1_160, 3_300, 30).fit(200),
            "███░░░░░░░ · 1,160 of 3,300 values (35 %) · 116 calls · 31 s · about 55 s left"
        );
    }

    #[test]
    fn a_wait_takes_the_place_of_the_estimate() {
        let mut line = pushing(1_160, 3_300, 30);
        line.wait = waiting(WaitReason::Quota, "", 3, Some(21));
        assert_eq!(
            line.fit(200),
            "███░░░░░░░ · 1,160 of 3,300 values (35 %) · 116 calls · 31 s · \
             waiting at most 21 s: rate quota used up"
        );
    }

    #[test]
    fn the_line_fits_the_terminal_and_keeps_what_matters_most() {
        let mut line = pushing(1_160, 3_300, 30);
        line.wait = waiting(WaitReason::Quota, "", 3, Some(21));
        for (columns, text) in [
            (77, "1,160 of 3,300 values (35 %) · waiting at most 21 s: rate quota used up"),
            (57, "waiting at most 21 s: rate quota used up"),
            (27, "at most 21 s: rate quota u…"),
            (0, ""),
        ] {
            let fitted = line.fit(columns);
            assert_eq!(fitted, text, "{columns}");
            assert!(fitted.width() <= columns, "{columns}");
        }
    }

    #[test]
    fn no_estimate_is_shown_that_means_nothing() {
        for (confirmed, planned, elapsed) in
            [(0, 15_000, 60), (60, 15_000, 4), (30, 3_300_000, 20), (30, 330_000_000, 600)]
        {
            let text = pushing(confirmed, planned, elapsed).fit(200);
            assert!(!text.contains("left"), "{text}");
        }
    }

    #[test]
    fn the_beginning_of_a_run_has_words() {
        let line = |phase, wait| ProgressLine { phase, elapsed: s(12), wait };
        let rows = Counts { source_rows: 1_200_000, planned: 3_000, ..Counts::default() };
        for (line, text) in [
            (line(Phase::Starting, None), "starting · 12 s"),
            (
                line(Phase::Starting, waiting(WaitReason::Attributes, "try 3 of 6", 0, None)),
                "asking the store for its attributes (try 3 of 6) · 12 s",
            ),
            (
                line(
                    Phase::Starting,
                    waiting(WaitReason::Source, "the database system is starting up", 5, Some(595)),
                ),
                "waiting at most 9 min 55 s: the source's database (the database system is starting up) · 12 s",
            ),
            (
                line(Phase::Planning(rows), None),
                "reading the source: 1,200,000 rows · 3,000 changes so far · 12 s",
            ),
            (
                line(Phase::Planning(rows), waiting(WaitReason::Source, "no row yet", 35, None)),
                "reading the source: 1,200,000 rows · 3,000 changes so far · 12 s · \
                 waiting 35 s: the source's database (no row yet)",
            ),
        ] {
            assert_eq!(line.fit(200), text);
        }
    }

    #[test]
    fn responses_that_do_not_come_are_waited_for() {
        let mut line = pushing(30, 3_300, 40);
        line.wait = waiting(WaitReason::Response, "2", 19, Some(41));
        assert_eq!(
            line.fit(120),
            "░░░░░░░░░░ · 30 of 3,300 values (0 %) · 3 calls · 41 s · \
             waiting at most 41 s: no response yet to 2 calls in flight"
        );
    }
}
