//! An expression of cron: minute, hour, day of month, month, day of week.
//!
//! As in cron, a day matches if both its day fields do. If neither of them begins with `*`, it is enough that one does.

use std::ops::RangeInclusive;

use chrono::{Datelike as _, NaiveDate, NaiveDateTime, NaiveTime, Timelike as _};

/// A problem, and what to write instead.
type Flaw = (String, String);

/// A set of small numbers.
type Set = u64;

/// The local times that an expression of five fields names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cron {
    text: String,
    minutes: Set,
    hours: Set,
    days: Set,
    months: Set,
    weekdays: Set,
    /// Whether one of the two day fields is enough.
    either_day: bool,
}

/// A field of an expression.
struct Field {
    name: &'static str,
    allowed: RangeInclusive<u32>,
    /// Names of its values, from the first on.
    names: &'static [&'static str],
}

const MONTHS: &[&str] = &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

const WEEKDAYS: &[&str] = &["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

const FIELDS: [Field; 5] = [
    Field { name: "minute", allowed: 0..=59, names: &[] },
    Field { name: "hour", allowed: 0..=23, names: &[] },
    Field { name: "day of month", allowed: 1..=31, names: &[] },
    Field { name: "month", allowed: 1..=12, names: MONTHS },
    // Sunday is 0 and 7.
    Field { name: "day of week", allowed: 0..=7, names: WEEKDAYS },
];

const FIVE: &str = "write five: minute, hour, day of month, month, day of week, such as \"30 2 * * *\"";

/// What some crons take instead of five fields.
const SHORTHANDS: [(&str, &str); 6] = [
    ("@hourly", "0 * * * *"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@weekly", "0 0 * * sun"),
    ("@monthly", "0 0 1 * *"),
    ("@yearly", "0 0 1 1 *"),
];

/// How far the next time is looked for: longer than a 29 February of a given weekday may take.
const SEARCHED_YEARS: i32 = 41;

impl Cron {
    /// Reads an expression.
    ///
    /// # Errors
    /// What is wrong with it, and what to write.
    pub fn parse(text: &str) -> Result<Self, Flaw> {
        let written: Vec<&str> = text.split_whitespace().collect();
        let Ok(fields) = <[&str; 5]>::try_from(written.as_slice()) else {
            return Err(not_five(&written));
        };
        let mut sets = [0; 5];
        for ((set, field), text) in sets.iter_mut().zip(FIELDS).zip(fields) {
            *set = field.read(text)?;
        }
        let [minutes, hours, days, months, weekdays] = sets;
        // 7 is another name of Sunday.
        let weekdays = (weekdays | weekdays >> 7) & 0b111_1111;
        let either_day = !fields[2].starts_with('*') && !fields[4].starts_with('*');
        let text = fields.join(" ");
        let cron = Self { text, minutes, hours, days, months, weekdays, either_day };
        if !cron.has_a_date() {
            let problem = format!("\"{}\" names a date that no year has", cron.text);
            let hint = "the months that it names have fewer days; for the last days of a month write 28-31";
            return Err((problem, hint.to_owned()));
        }
        Ok(cron)
    }

    /// The expression, with one space between its fields.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it names every hour of a day.
    pub(super) const fn is_hourly(&self) -> bool {
        self.hours == (1 << 24) - 1
    }

    /// The first local time after `local` that it names.
    pub(super) fn next_after(&self, local: NaiveDateTime) -> Option<NaiveDateTime> {
        let mut date = local.date();
        let last_year = date.year() + SEARCHED_YEARS;
        let mut from = local.hour() * 60 + local.minute() + 1;
        while date.year() <= last_year {
            if !has(self.months, date.month()) {
                date = first_of_next_month(date)?;
            } else {
                let time = if self.has_day(date) { self.time_from(from) } else { None };
                if let Some(time) = time {
                    return Some(date.and_time(time));
                }
                date = date.succ_opt()?;
            }
            from = 0;
        }
        None
    }

    fn has_day(&self, date: NaiveDate) -> bool {
        let day = has(self.days, date.day());
        let weekday = has(self.weekdays, date.weekday().num_days_from_sunday());
        if self.either_day { day || weekday } else { day && weekday }
    }

    /// The first time of a day from a minute on, counted from midnight.
    fn time_from(&self, from: u32) -> Option<NaiveTime> {
        let minute = (from..24 * 60).find(|at| has(self.hours, at / 60) && has(self.minutes, at % 60))?;
        NaiveTime::from_hms_opt(minute / 60, minute % 60, 0)
    }

    /// Whether one of its months has one of its days. Each weekday falls on each date at some time.
    fn has_a_date(&self) -> bool {
        let longest = |month| match month {
            2 => 29,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        let dates = |month: u32| (1..=longest(month)).any(|day| has(self.days, day));
        self.either_day || (1..=12).any(|month| has(self.months, month) && dates(month))
    }
}

impl Field {
    /// Reads a list of values, ranges and steps.
    fn read(&self, text: &str) -> Result<Set, Flaw> {
        let mut set = 0;
        for part in text.split(',') {
            let values = self.part(part).ok_or_else(|| self.flaw(text))?;
            set |= values;
        }
        Ok(set)
    }

    /// Reads `*`, a value or a range, a step of which may follow.
    fn part(&self, text: &str) -> Option<Set> {
        let (range, step) = match text.split_once('/') {
            Some((range, step)) => (range, Some(number(step)?)),
            None => (text, None),
        };
        let (low, high) = match range.split_once('-') {
            _ if range == "*" => (*self.allowed.start(), *self.allowed.end()),
            Some((low, high)) => (self.value(low)?, self.range_end(high)?),
            // A step needs a range.
            None if step.is_some() => return None,
            None => (self.value(range)?, self.value(range)?),
        };
        let step = step.unwrap_or(1);
        if low > high || !(1..=*self.allowed.end()).contains(&step) {
            return None;
        }
        Some((low..=high).step_by(step as usize).fold(0, |set, value| set | 1 << value))
    }

    /// Reads the last value of a range. A week may end with Sunday: `fri-sun`.
    fn range_end(&self, text: &str) -> Option<u32> {
        let value = self.value(text)?;
        let is_sunday = self.names == WEEKDAYS && value == 0 && !text.starts_with('0');
        Some(if is_sunday { 7 } else { value })
    }

    fn value(&self, text: &str) -> Option<u32> {
        let name = self.names.iter().zip(*self.allowed.start()..);
        let named =
            name.into_iter().find(|(name, _)| name.eq_ignore_ascii_case(text)).map(|(_, value)| value);
        named.or_else(|| number(text)).filter(|value| self.allowed.contains(value))
    }

    fn flaw(&self, text: &str) -> Flaw {
        let (low, high) = (self.allowed.start(), self.allowed.end());
        let names = match self.names {
            [first, .., last] => format!(" or {first} to {last}"),
            _ => String::new(),
        };
        let text: String = text.chars().take(40).collect();
        (
            format!("has the {} \"{text}\"", self.name),
            format!("allowed: {low} to {high}{names}; *, lists 1,2, ranges 1-5, steps */15 or 10-50/20"),
        )
    }
}

fn not_five(written: &[&str]) -> Flaw {
    let shorthand = SHORTHANDS
        .iter()
        .find(|(name, _)| written.first().is_some_and(|text| text.eq_ignore_ascii_case(name)));
    match (shorthand, written.len()) {
        (Some((name, fields)), _) => (format!("is {name}"), format!("write \"{fields}\"")),
        (None, 6 | 7) => {
            (format!("has {} fields", written.len()), format!("{FIVE}; there are no seconds or years"))
        }
        (None, 1) => ("has 1 field".to_owned(), FIVE.to_owned()),
        (None, count) => (format!("has {count} fields"), FIVE.to_owned()),
    }
}

fn number(text: &str) -> Option<u32> {
    let is_number = (1..=2).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

const fn has(set: Set, value: u32) -> bool {
    set >> value & 1 == 1
}

fn first_of_next_month(date: NaiveDate) -> Option<NaiveDate> {
    let (year, month) =
        if date.month() == 12 { (date.year() + 1, 1) } else { (date.year(), date.month() + 1) };
    NaiveDate::from_ymd_opt(year, month, 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(text: &str, after: &str, count: usize) -> Vec<String> {
        let cron = Cron::parse(text).expect(text);
        let after: NaiveDateTime = after.parse().expect("a time");
        let times = std::iter::successors(cron.next_after(after), |time| cron.next_after(*time));
        times.take(count).map(|time| time.format("%Y-%m-%d %H:%M").to_string()).collect()
    }

    #[test]
    fn an_expression_names_local_times() {
        for (text, after, expect) in [
            ("30 2 * * *", "2026-01-01T02:30:00", ["2026-01-02 02:30", "2026-01-03 02:30"]),
            ("30 2 * * *", "2026-01-01T02:29:59", ["2026-01-01 02:30", "2026-01-02 02:30"]),
            ("*/20 3 * * *", "2026-01-01T03:30:00", ["2026-01-01 03:40", "2026-01-02 03:00"]),
            ("5,50-52/2 23 31 * *", "2026-01-31T23:51:00", ["2026-01-31 23:52", "2026-03-31 23:05"]),
            ("0 6 * * MON-fri", "2026-01-02T06:00:00", ["2026-01-05 06:00", "2026-01-06 06:00"]),
            ("0 6 * * 5-sun", "2026-01-02T06:00:00", ["2026-01-03 06:00", "2026-01-04 06:00"]),
            ("0 6 * * 7", "2026-01-01T00:00:00", ["2026-01-04 06:00", "2026-01-11 06:00"]),
            ("0 0 1 JAN,jul *", "2026-01-01T00:00:00", ["2026-07-01 00:00", "2027-01-01 00:00"]),
            ("0 0 29 2 *", "2026-01-01T00:00:00", ["2028-02-29 00:00", "2032-02-29 00:00"]),
            ("0 0 13 * fri", "2026-01-10T00:00:00", ["2026-01-13 00:00", "2026-01-16 00:00"]),
            ("0 0 */13 * fri", "2026-01-10T00:00:00", ["2026-02-27 00:00", "2026-03-27 00:00"]),
            ("0 0 29 2 */7", "2096-03-01T00:00:00", ["2128-02-29 00:00", "2156-02-29 00:00"]),
        ] {
            assert_eq!(times(text, after, 2), expect, "{text} after {after}");
        }
    }

    #[test]
    fn a_wrong_expression_says_which_field_and_what_is_allowed() {
        for (text, words) in [
            ("0 30 2 * * *", "has 6 fields; write five: minute, hour"),
            ("0 30 2 * * * 2026", "there are no seconds or years"),
            ("", "has 0 fields"),
            ("@Daily", "is @daily; write \"0 0 * * *\""),
            ("60 2 * * *", "has the minute \"60\"; allowed: 0 to 59;"),
            ("0 24 * * *", "has the hour \"24\"; allowed: 0 to 23;"),
            ("0 2 0 * *", "has the day of month \"0\"; allowed: 1 to 31;"),
            ("0 2 * janu *", "has the month \"janu\"; allowed: 1 to 12 or jan to dec;"),
            ("0 2 * * 8", "has the day of week \"8\"; allowed: 0 to 7 or sun to sat;"),
            ("mon 2 * * *", "has the minute \"mon\""),
            ("0 2 * * 5-1", "has the day of week \"5-1\""),
            ("5/10 * * * *", "has the minute \"5/10\""),
            ("*/0 * * * *", "has the minute \"*/0\""),
            ("1,,2 * * * *", "has the minute \"1,,2\""),
            ("+1 * * * *", "has the minute \"+1\""),
            ("0 2 L * *", "has the day of month \"L\""),
            ("0 2 ? * *", "has the day of month \"?\""),
            ("0 0 30 2 *", "names a date that no year has; "),
            ("0 0 31 4,6,sep *", "names a date that no year has; "),
        ] {
            let (problem, hint) = Cron::parse(text).expect_err(text);
            assert!(format!("{problem}; {hint}").contains(words), "{text}: {problem}; {hint}");
        }
    }

    #[test]
    fn only_all_hours_are_hourly() {
        for (text, hourly) in
            [("0 * * * *", true), ("0 0-23 * * *", true), ("0 */1 * * *", true), ("0 */2 * * *", false)]
        {
            assert_eq!(Cron::parse(text).expect(text).is_hourly(), hourly, "{text}");
        }
    }
}
