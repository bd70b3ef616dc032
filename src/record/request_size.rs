//! How many values a request may carry, as the store has shown.

use chrono::{DateTime, TimeDelta, Utc};

/// A number of values, and when the store showed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DatedSize {
    /// Values in a request.
    pub values: usize,
    /// When.
    pub at: DateTime<Utc>,
}

/// What is known of the size of a store's requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RequestSizes {
    /// The learned size: the store refused larger requests for their size.
    pub learned: Option<DatedSize>,
    /// The largest request that the store accepted.
    pub accepted: Option<DatedSize>,
}

impl RequestSizes {
    /// How long a learned size is believed, and a large request counts as accepted lately.
    pub const VALID: TimeDelta = TimeDelta::days(7);

    /// How long a learned size is believed if the store accepted a larger request before. A nightly run starts a little
    /// earlier or later than the one before, so this is shorter than a day.
    pub const VALID_AGAINST_EVIDENCE: TimeDelta = TimeDelta::hours(20);

    /// How long the learned size is believed. Afterwards larger requests are tried again.
    #[must_use]
    pub fn validity(&self) -> TimeDelta {
        let larger =
            |learned: DatedSize| self.accepted.is_some_and(|accepted| accepted.values > learned.values);
        if self.learned.is_some_and(larger) { Self::VALID_AGAINST_EVIDENCE } else { Self::VALID }
    }

    /// Returns the learned size, if it is still believed.
    #[must_use]
    pub fn believed(&self, now: DateTime<Utc>) -> Option<usize> {
        self.learned
            .filter(|learned| is_recent(learned.at, now, self.validity()))
            .map(|learned| learned.values)
    }

    /// Returns the largest number of values that the store accepted lately; 0 if nothing is known.
    #[must_use]
    pub fn accepted_lately(&self, now: DateTime<Utc>) -> usize {
        let lately = self.accepted.filter(|accepted| is_recent(accepted.at, now, Self::VALID));
        lately.map_or(0, |accepted| accepted.values)
    }

    /// Takes note of an accepted request. Returns whether that is worth keeping: it was larger than any accepted lately,
    /// or as large as one of an earlier day.
    pub fn accept(&mut self, values: usize, now: DateTime<Utc>) -> bool {
        let lately = self.accepted_lately(now);
        let is_old = self.accepted.is_none_or(|accepted| !is_recent(accepted.at, now, TimeDelta::days(1)));
        let is_to_keep = values > lately || (values == lately && is_old);
        if is_to_keep {
            self.accepted = Some(DatedSize { values, at: now });
        }
        is_to_keep
    }
}

/// Whether a time is not longer ago than that. A time that is much in the future is that of a wrong clock.
fn is_recent(at: DateTime<Utc>, now: DateTime<Utc>, most: TimeDelta) -> bool {
    (-TimeDelta::days(1)..most).contains(&now.signed_duration_since(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(days: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::days(20_000 + days)
    }

    fn sizes(learned: usize, accepted: usize) -> RequestSizes {
        let size = |values| Some(DatedSize { values, at: day(0) });
        RequestSizes { learned: size(learned), accepted: size(accepted) }
    }

    #[test]
    fn a_learned_size_is_tried_anew_after_seven_days_or_the_next_night_if_more_was_accepted_before() {
        let minutes = TimeDelta::minutes(5);
        assert_eq!(sizes(10, 10).believed(day(7) - minutes), Some(10));
        assert_eq!(sizes(10, 10).believed(day(7)), None);
        assert_eq!(sizes(10, 30).believed(day(0) + minutes), Some(10));
        assert_eq!(sizes(10, 30).believed(day(1) - minutes), None, "the next night begins a little earlier");
        assert_eq!(sizes(10, 10).believed(day(-300)), None, "a date of a wrong clock");
    }

    #[test]
    fn a_large_request_counts_as_accepted_lately_for_seven_days() {
        assert_eq!((sizes(10, 30).accepted_lately(day(6)), sizes(10, 30).accepted_lately(day(7))), (30, 0));
        let mut known = sizes(10, 30);
        assert!(!known.accept(20, day(3)) && !known.accept(30, day(0)), "nothing new");
        assert!(known.accept(30, day(3)), "its date is kept up");
        assert!(known.accept(31, day(3)));
        assert_eq!(known.accepted, Some(DatedSize { values: 31, at: day(3) }));
        assert!(known.accept(5, day(20)), "what was accepted long ago counts no more");
    }
}
