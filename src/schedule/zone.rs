//! The local time of a zone.

use chrono::{DateTime, Datelike as _, NaiveDateTime, TimeDelta, Timelike as _, Utc};
use jiff::Timestamp;
use jiff::civil;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};

/// A time zone of the IANA database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone(TimeZone);

/// The instants that have a local time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Instants {
    /// One instant.
    One(DateTime<Utc>),
    /// Two instants, because the clock is set back in between.
    Two(DateTime<Utc>, DateTime<Utc>),
    /// None, because the clock skips it. The first instant after the gap.
    Skipped(DateTime<Utc>),
}

impl Zone {
    /// Makes a zone of its rules.
    #[must_use]
    pub const fn new(rules: TimeZone) -> Self {
        Self(rules)
    }

    /// The name: `Europe/Berlin`.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }

    /// The local time at an instant.
    #[must_use]
    pub fn local(&self, instant: DateTime<Utc>) -> NaiveDateTime {
        instant.naive_utc() + self.offset(instant)
    }

    /// How far local time is ahead of UTC.
    #[must_use]
    pub fn offset(&self, instant: DateTime<Utc>) -> TimeDelta {
        let timestamp = Timestamp::from_second(instant.timestamp());
        timestamp.map_or(TimeDelta::zero(), |timestamp| delta(self.0.to_offset(timestamp)))
    }

    /// The abbreviation of the local time at an instant: `CET`, or `+03`.
    #[must_use]
    pub fn abbreviation(&self, instant: DateTime<Utc>) -> String {
        let timestamp = Timestamp::from_second(instant.timestamp());
        timestamp.map_or_else(
            |_| String::new(),
            |timestamp| self.0.to_offset_info(timestamp).abbreviation().to_owned(),
        )
    }

    /// The instants that have a local time.
    pub(super) fn instants(&self, local: NaiveDateTime) -> Instants {
        let at = |offset: Offset| (local - delta(offset)).and_utc();
        let Some(civil) = civil_of(local) else { return Instants::One(local.and_utc()) };
        match self.0.to_ambiguous_timestamp(civil).offset() {
            AmbiguousOffset::Unambiguous { offset } => Instants::One(at(offset)),
            AmbiguousOffset::Fold { before, after } => Instants::Two(at(before), at(after)),
            AmbiguousOffset::Gap { before, after } => {
                // With the offset after the gap, a time in it is an instant before it.
                let instant = Timestamp::from_second(at(after).timestamp()).ok();
                let end = instant.and_then(|instant| self.0.following(instant).next());
                let end = end.and_then(|end| DateTime::from_timestamp(end.timestamp().as_second(), 0));
                Instants::Skipped(end.unwrap_or_else(|| at(before)))
            }
        }
    }
}

fn civil_of(local: NaiveDateTime) -> Option<civil::DateTime> {
    let year = i16::try_from(local.year()).ok()?;
    let part = |part: u32| i8::try_from(part).ok();
    let (month, day) = (part(local.month())?, part(local.day())?);
    let (hour, minute, second) = (part(local.hour())?, part(local.minute())?, part(local.second())?);
    civil::DateTime::new(year, month, day, hour, minute, second, 0).ok()
}

fn delta(offset: Offset) -> TimeDelta {
    TimeDelta::seconds(offset.seconds().into())
}
