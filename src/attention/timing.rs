//! When a store's syncs start next, and whether one should have started already.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::record::{Claimed, StoreName};
use crate::schedule::Schedule;

/// How many of the next times are listed.
const NEXT_TIMES: usize = 10;

/// The shortest and the longest time after which a run is overdue. In between it is half the time to the next one.
const GRACE: (Duration, Duration) = (Duration::from_secs(5 * 60), Duration::from_secs(60 * 60));

/// What the schedule says at the moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Timing {
    /// The next times, with the store's delay, soonest first.
    pub next: Vec<DateTime<Utc>>,
    /// The oldest scheduled time that has passed without a run, with the store's delay.
    pub due: Option<DateTime<Utc>>,
    /// How long after a scheduled time its run is overdue.
    pub grace: Duration,
}

impl Timing {
    /// Returns what a schedule says of a store whose ledger knows these times. `last_start` is when its newest sync
    /// started: as long as no scheduler has served the store, that sync stands for the times before it.
    #[must_use]
    pub fn of(
        schedule: &Schedule,
        store: &StoreName,
        claimed: &Claimed,
        last_start: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> Self {
        let delay = TimeDelta::from_std(schedule.delay(store)).unwrap_or_default();
        let from = claimed.until.or(last_start);
        let after_from = from.and_then(|from| schedule.next_after(from));
        let due = claimed.interrupted.or(after_from).map(|time| time + delay).filter(|time| *time <= now);
        let passed = now - delay;
        let first = after_from.filter(|time| *time > passed).or_else(|| schedule.next_after(passed));
        let times = std::iter::successors(first, |time| schedule.next_after(*time)).take(NEXT_TIMES);
        let next: Vec<_> = times.map(|time| time + delay).collect();
        let interval = match next.as_slice() {
            [first, second, ..] => (*second - *first).to_std().unwrap_or_default(),
            _ => GRACE.1,
        };
        Self { next, due, grace: (interval / 2).clamp(GRACE.0, GRACE.1) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::{self, OnMissed};

    fn at(minutes: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::days(20_000) + TimeDelta::minutes(minutes)
    }

    fn timing(claimed: &Claimed, last_start: Option<i64>, now: i64) -> (Option<i64>, Option<i64>, u64) {
        let hour = Duration::from_secs(3600);
        let schedule = Schedule::new(schedule::Timing::Every(hour), Duration::ZERO, OnMissed::Run);
        let store = StoreName::new("https://api.example.com", "abc");
        let timing = Timing::of(&schedule, &store, claimed, last_start.map(at), at(now));
        let minute = |time: DateTime<Utc>| (time - at(0)).num_minutes();
        assert_eq!(timing.next.len(), NEXT_TIMES);
        (timing.next.first().copied().map(minute), timing.due.map(minute), timing.grace.as_secs() / 60)
    }

    #[test]
    fn a_time_is_due_that_no_run_has_claimed() {
        let until = |minutes| Claimed { until: Some(at(minutes)), ..Claimed::default() };
        assert_eq!(timing(&until(0), None, 59), (Some(60), None, 30));
        assert_eq!(timing(&until(0), None, 61).1, Some(60));
        let interrupted = Claimed { interrupted: Some(at(0)), ..until(0) };
        assert_eq!(timing(&interrupted, None, 5), (Some(60), Some(0), 30));
    }

    #[test]
    fn before_a_scheduler_has_served_a_store_its_newest_sync_counts() {
        assert_eq!(timing(&Claimed::default(), None, 500).1, None, "it never ran");
        assert_eq!(timing(&Claimed::default(), Some(450), 500), (Some(510), None, 30));
        assert_eq!(timing(&Claimed::default(), Some(400), 500).1, Some(460));
    }
}
