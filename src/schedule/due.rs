//! Which scheduled time is due, of those that the ledger does not account for yet.

use chrono::{DateTime, TimeDelta, Utc};

use super::{OnMissed, Schedule, Timing, delta, reasons};
use crate::record::{Claimed, MissedTimes};

/// What is due of a schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Due {
    /// Nothing before this time; never, if there is none. A run for it starts after the store's
    /// [delay](Schedule::delay).
    NotBefore(Option<DateTime<Utc>>),
    /// A run for this scheduled time.
    Run {
        /// The scheduled time. It may lie ahead if the clock was set back after its run was interrupted.
        scheduled_for: DateTime<Utc>,
        /// The times that the run stands for besides.
        missed: Option<MissedTimes>,
        /// The time up to which all times are accounted for by the run.
        until: DateTime<Utc>,
    },
    /// No run: only the times up to `until` are to be accounted for. There may be more to do afterwards.
    PassOver {
        /// The times that are missed.
        missed: Option<MissedTimes>,
        /// The time up to which all times are accounted for. It lies before the one recorded if the clock was set back.
        until: DateTime<Utc>,
    },
}

/// How far the clocks of two machines may differ, and how late a run may start that is on time.
const TOLERANCE: TimeDelta = TimeDelta::minutes(1);

/// The most times that are looked at in one go.
const TIMES_MAX: usize = 10_000;

impl Schedule {
    /// What is due now.
    #[must_use]
    pub fn due(&self, claimed: &Claimed, now: DateTime<Utc>) -> Due {
        match (claimed.until, &self.timing) {
            (Some(until), _) if until > now + TOLERANCE => Due::PassOver { missed: None, until: now },
            (Some(until), Timing::Every(every)) => due_every(until + delta(*every), claimed, now),
            (Some(until), Timing::Cron(..)) => self.due_cron(until, claimed, now),
            (None, Timing::Every(_)) => Due::Run { scheduled_for: now, missed: None, until: now },
            (None, Timing::Cron(..)) => Due::PassOver { missed: None, until: now },
        }
    }

    fn due_cron(&self, until: DateTime<Utc>, claimed: &Claimed, now: DateTime<Utc>) -> Due {
        let mut times = Vec::new();
        let (mut reached, mut finished) = (until, None);
        while let Some(time) = self.next_after(reached).filter(|time| *time <= now) {
            reached = time;
            if claimed.finished.contains(&time) {
                finished = Some(time).filter(|_| !times.is_empty());
                continue;
            }
            if let Some(interrupted) = claimed.interrupted.filter(|interrupted| *interrupted <= until) {
                let missed = missed(&[interrupted], reasons::INTERRUPTED);
                return Due::PassOver { missed, until };
            }
            // Missed times that are recorded together have no other time between them.
            if let Some(finished) = finished {
                return Due::PassOver { missed: passed(claimed, &times), until: finished };
            }
            times.push(time);
            if times.len() > TIMES_MAX {
                break;
            }
        }
        self.due_of(&times, reached, until, claimed, now)
    }

    /// What is due of the times that came from `until` to `now`. Up to `reached`, all other times have a run.
    fn due_of(
        &self,
        times: &[DateTime<Utc>],
        reached: DateTime<Utc>,
        until: DateTime<Utc>,
        claimed: &Claimed,
        now: DateTime<Utc>,
    ) -> Due {
        let interrupted = claimed.interrupted.filter(|time| times.last().is_none_or(|newest| newest < time));
        if let Some(scheduled_for) = interrupted {
            return Due::Run { scheduled_for, missed: None, until };
        }
        match times {
            [] if reached > until => Due::PassOver { missed: None, until: reached },
            [] => Due::NotBefore(self.next_after(now.max(until))),
            // The newest time may be yet to come.
            [older @ .., _] if older.len() == TIMES_MAX => {
                let last = older.last().copied().unwrap_or(until);
                Due::PassOver { missed: passed(claimed, older), until: last }
            }
            [.., newest] if self.is_too_old(*newest, now) => {
                Due::PassOver { missed: passed(claimed, times), until: reached }
            }
            [older @ .., newest] => {
                Due::Run { scheduled_for: *newest, missed: passed(claimed, older), until: reached }
            }
        }
    }

    fn is_too_old(&self, time: DateTime<Utc>, now: DateTime<Utc>) -> bool {
        self.on_missed == OnMissed::Skip && now - time > TOLERANCE + delta(self.jitter)
    }
}

fn due_every(next: DateTime<Utc>, claimed: &Claimed, now: DateTime<Utc>) -> Due {
    let run = |scheduled_for| Due::Run { scheduled_for, missed: None, until: now };
    match claimed.interrupted {
        Some(time) => run(time),
        None if now < next => Due::NotBefore(Some(next)),
        None if claimed.finished.contains(&next) => Due::PassOver { missed: None, until: next },
        None => run(next),
    }
}

/// The times that passed without a run.
fn passed(claimed: &Claimed, times: &[DateTime<Utc>]) -> Option<MissedTimes> {
    let (first, last) = (*times.first()?, *times.last()?);
    missed(times, reasons::of_passed(claimed, first, last))
}

fn missed(times: &[DateTime<Utc>], reason: &str) -> Option<MissedTimes> {
    let (first, last) = (*times.first()?, *times.last()?);
    let times = i64::try_from(times.len()).unwrap_or(i64::MAX);
    Some(MissedTimes { first, last, times, reason: reason.to_owned() })
}
