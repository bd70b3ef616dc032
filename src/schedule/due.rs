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
        let mut reached = until;
        while let Some(time) = self.next_after(reached).filter(|time| *time <= now) {
            reached = time;
            if !claimed.finished.contains(&time) {
                times.push(time);
            }
            if times.len() > TIMES_MAX {
                break;
            }
        }
        let Some(newest) = times.last().copied() else {
            return self.without_new_time(until, reached, claimed, now);
        };
        if let Some(interrupted) = claimed.interrupted.filter(|time| *time > newest) {
            return Due::Run { scheduled_for: interrupted, missed: None, until };
        }
        let older = &times[..times.len() - 1];
        if older.len() >= TIMES_MAX {
            // The newest time may be yet to come.
            let last = older.last().copied().unwrap_or(until);
            Due::PassOver { missed: missed(claimed, until, older, None), until: last }
        } else if self.on_missed == OnMissed::Skip && now - newest > TOLERANCE + delta(self.jitter) {
            Due::PassOver { missed: missed(claimed, until, &times, None), until: reached }
        } else {
            let missed = missed(claimed, until, older, Some(newest));
            Due::Run { scheduled_for: newest, missed, until: reached }
        }
    }

    /// What is due if no time has come from `until` to `now`, other than times with a run up to `reached`.
    fn without_new_time(
        &self,
        until: DateTime<Utc>,
        reached: DateTime<Utc>,
        claimed: &Claimed,
        now: DateTime<Utc>,
    ) -> Due {
        match claimed.interrupted {
            Some(time) => Due::Run { scheduled_for: time, missed: None, until },
            None if reached > until => Due::PassOver { missed: None, until: reached },
            None => Due::NotBefore(self.next_after(now.max(until))),
        }
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

/// The times that get no run, with the time of an interrupted run that was accounted for up to now by that run.
/// `superseded_by`: the time that is run instead.
fn missed(
    claimed: &Claimed,
    until: DateTime<Utc>,
    times: &[DateTime<Utc>],
    superseded_by: Option<DateTime<Utc>>,
) -> Option<MissedTimes> {
    let interrupted = claimed.interrupted.filter(|time| *time <= until);
    let first = interrupted.or(times.first().copied())?;
    let last = times.last().copied().or(interrupted)?;
    let passed = times.first().map(|first| reasons::of_passed(claimed, *first, last));
    let reason = match (interrupted, passed) {
        (Some(_), None) => reasons::of_interrupted(superseded_by.unwrap_or(last)),
        (Some(_), Some(passed)) => {
            format!("the first was {}; then {passed}", reasons::of_interrupted(superseded_by.unwrap_or(last)))
        }
        (None, passed) => passed.unwrap_or_default().to_owned(),
    };
    let times = times.len() + usize::from(interrupted.is_some());
    Some(MissedTimes { first, last, times: i64::try_from(times).unwrap_or(i64::MAX), reason })
}
