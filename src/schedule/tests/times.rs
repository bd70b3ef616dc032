//! The times of a schedule, against a slow oracle that walks minute by minute.

use std::sync::LazyLock;

use chrono::{DateTime, Datelike as _, NaiveDateTime, TimeDelta, Timelike as _, Utc};
use proptest::prelude::*;

use super::{cron, utc, zone};

/// Zones, each with days on which its clock changes.
const CHANGES: &[(&str, &str)] = &[
    ("UTC", "2026-03-01 00:00"),
    ("Europe/Berlin", "2026-03-29 01:00"),
    ("Europe/Berlin", "2026-10-25 01:00"),
    ("America/New_York", "2026-03-08 07:00"),
    ("America/New_York", "2026-11-01 06:00"),
    // Half an hour.
    ("Australia/Lord_Howe", "2026-04-04 15:00"),
    ("Australia/Lord_Howe", "2026-10-03 15:30"),
    // At midnight.
    ("America/Sao_Paulo", "2018-02-18 02:00"),
    ("America/Sao_Paulo", "2018-11-04 03:00"),
    ("Asia/Beirut", "2025-03-29 22:00"),
    ("Asia/Beirut", "2025-10-25 21:00"),
    // Two hours.
    ("Antarctica/Troll", "2026-10-25 01:00"),
    // A day that was left out.
    ("Pacific/Apia", "2011-12-30 10:00"),
    // A day that was repeated.
    ("Pacific/Kwajalein", "1969-09-30 13:00"),
];

/// The values that a field of numbers names, read in another way than the parser does.
fn values(field: &str, lowest: u32, highest: u32) -> Vec<bool> {
    let named = |value: u32| {
        field.split(',').any(|part| {
            let (range, step) = part.split_once('/').unwrap_or((part, "1"));
            let ends: Vec<u32> = match range {
                "*" => vec![lowest, highest],
                _ => range.split('-').map(|end| end.parse().expect("a number")).collect(),
            };
            let (low, high) = (ends[0], ends[ends.len() - 1]);
            let step: u32 = step.parse().expect("a number");
            (low..=high).contains(&value) && (value - low).is_multiple_of(step)
        })
    };
    (0..=highest).map(|value| value >= lowest && named(value)).collect()
}

/// Whether an expression names a local time.
fn matcher(expression: &str) -> impl Fn(NaiveDateTime) -> bool + use<> {
    let fields: Vec<String> = expression.split(' ').map(str::to_owned).collect();
    let ranges = [(0, 59), (0, 23), (1, 31), (1, 12), (0, 6)];
    let sets: Vec<Vec<bool>> =
        fields.iter().zip(ranges).map(|(field, (low, high))| values(field, low, high)).collect();
    let is_any = |field: &String| field.starts_with('*');
    let either = !is_any(&fields[2]) && !is_any(&fields[4]);
    move |local| {
        let has = |field: usize, value: u32| sets[field][value as usize];
        let day = has(2, local.day());
        let weekday = has(4, local.weekday().num_days_from_sunday());
        let day = if either { day || weekday } else { day && weekday };
        has(0, local.minute()) && has(1, local.hour()) && has(3, local.month()) && day
    }
}

/// The minutes around a change of a clock, each with its local time.
struct Walk {
    zone: &'static str,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
    /// From some days before `from` on, because a day may be repeated.
    minutes: Vec<(DateTime<Utc>, NaiveDateTime)>,
}

static WALKS: LazyLock<Vec<Walk>> = LazyLock::new(|| {
    let walk = |&(name, at): &(&'static str, &str)| {
        let (rules, from, to) = (zone(name), utc(at) - TimeDelta::hours(30), utc(at) + TimeDelta::hours(54));
        let minutes = (-3 * 24 * 60..=(to - from).num_minutes()).map(|minute| {
            let instant = from + TimeDelta::minutes(minute);
            (instant, rules.local(instant))
        });
        Walk { zone: name, from, to, minutes: minutes.collect() }
    };
    CHANGES.iter().map(walk).collect()
});

/// The times of an expression in the minutes of a walk.
fn walk(expression: &str, walk: &Walk) -> Vec<DateTime<Utc>> {
    let matches = matcher(expression);
    let hourly = ["*", "0-23"].contains(&expression.split(' ').nth(1).expect("an hour"));
    let (_, mut furthest) = walk.minutes[0];
    let mut times = Vec::new();
    for (now, local) in walk.minutes.iter().copied() {
        let mut named = false;
        while furthest < local {
            furthest += TimeDelta::minutes(1);
            named |= matches(furthest);
        }
        if hourly {
            named = matches(local);
        }
        if named && now > walk.from {
            times.push(now);
        }
    }
    times
}

/// An expression that often meets the hours in which clocks change.
fn expressions() -> impl Strategy<Value = String> {
    let minutes = prop::sample::select(vec!["0", "30", "*/15", "15,45", "5-50/20", "1-59/7", "*"]);
    let hours = prop::sample::select(vec![
        "*", "0-23", "0", "1", "2", "3", "23", "*/2", "0-3", "1,2,3", "22-23", "0,12", "1-23/2",
    ]);
    let days = prop::sample::select(vec!["*", "*", "*", "*/2", "1-31", "29,30,31", "8"]);
    let weekdays = prop::sample::select(vec!["*", "*", "*", "0", "1-5", "0,6", "*/3"]);
    (minutes, hours, days, weekdays)
        .prop_map(|(minutes, hours, days, weekdays)| format!("{minutes} {hours} {days} * {weekdays}"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn the_times_are_those_of_the_oracle(
        expression in expressions(),
        change in 0..CHANGES.len(),
        seconds in 1..60_i64,
    ) {
        let change = &WALKS[change];
        let schedule = cron(&[&expression], change.zone);
        let mut found = Vec::new();
        let mut after = change.from;
        while let Some(next) = schedule.next_after(after).filter(|next| *next <= change.to) {
            found.push(next);
            after = next;
        }
        let expected = walk(&expression, change);
        prop_assert_eq!(&found, &expected, "{} in {}", expression, change.zone);
        // From any instant in between, the next time is the same.
        for next in found {
            prop_assert_eq!(schedule.next_after(next - TimeDelta::seconds(seconds)), Some(next));
        }
    }
}

/// The times of a schedule from one time on, in UTC.
fn times(expressions: &[&str], zone: &str, after: &str, count: usize) -> Vec<String> {
    let schedule = cron(expressions, zone);
    let times = std::iter::successors(schedule.next_after(utc(after)), |time| schedule.next_after(*time));
    times.take(count).map(|time| time.format("%d %H:%M").to_string()).collect()
}

#[test]
fn daylight_saving_moves_and_repeats_no_night() {
    // The clock goes from 02:00 to 03:00, and from 03:00 to 02:00.
    let berlin = "Europe/Berlin";
    assert_eq!(times(&["30 2 * * *"], berlin, "2026-03-28 00:00", 3), ["28 01:30", "29 01:00", "30 00:30"]);
    assert_eq!(times(&["30 2 * * *"], berlin, "2026-10-24 00:00", 3), ["24 00:30", "25 00:30", "26 01:30"]);
    // Several times that do not exist are one time.
    let expressions = ["*/20 2 * * *", "0 3 * * *"];
    assert_eq!(times(&expressions, berlin, "2026-03-28 03:00", 2), ["29 01:00", "30 00:00"]);
    // Every hour goes by the time that passes.
    assert_eq!(times(&["30 * * * *"], berlin, "2026-10-25 00:00", 3), ["25 00:30", "25 01:30", "25 02:30"]);
    assert_eq!(times(&["30 * * * *"], berlin, "2026-03-29 00:00", 3), ["29 00:30", "29 01:30", "29 02:30"]);
    // A day that was left out.
    let after = "2011-12-29 00:00";
    assert_eq!(times(&["30 2 * * *"], "Pacific/Apia", after, 3), ["29 12:30", "30 10:00", "30 12:30"]);
}

#[test]
fn several_expressions_are_one_schedule() {
    let expressions = ["0 6 * * *", "0 6,18 * * mon-fri"];
    let expect = ["02 06:00", "02 18:00", "03 06:00", "04 06:00", "05 06:00"];
    assert_eq!(times(&expressions, "UTC", "2026-01-01 18:00", 5), expect);
}
