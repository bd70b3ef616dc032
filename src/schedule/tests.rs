mod due;
mod times;

use std::time::Duration;

use chrono::{DateTime, Utc};
use jiff::tz::TimeZone;

use super::{Cron, OnMissed, Schedule, Timing, Zone};
use crate::record::StoreName;

/// Parses a time in UTC without its seconds: `2026-01-02 03:04`.
fn utc(text: &str) -> DateTime<Utc> {
    let padded = if text.len() == 16 { format!("{text}:00Z") } else { format!("{text}Z") };
    padded.parse().expect(text)
}

fn zone(name: &str) -> Zone {
    Zone::new(TimeZone::get(name).expect(name))
}

fn cron(expressions: &[&str], zone_name: &str) -> Schedule {
    let expressions = expressions.iter().map(|text| Cron::parse(text).expect(text)).collect();
    Schedule::new(Timing::Cron(expressions, zone(zone_name)), Duration::ZERO, OnMissed::Run)
}

fn every(seconds: u64) -> Schedule {
    Schedule::new(Timing::Every(Duration::from_secs(seconds)), Duration::ZERO, OnMissed::Run)
}

#[test]
fn a_delay_is_stable_and_spreads_over_the_jitter() {
    let jitter = Duration::from_secs(600);
    let schedule = Schedule { jitter, ..every(3_600) };
    let delay =
        |number: u32| schedule.delay(&StoreName::new("https://api.bigcommerce.com", format!("s{number}")));
    let delays: Vec<Duration> = (0..1_000).map(delay).collect();
    assert_eq!(delays, (0..1_000).map(delay).collect::<Vec<_>>());
    assert!(delays.iter().all(|delay| *delay < jitter));
    for minute in 0..10 {
        let range = Duration::from_secs(minute * 60)..Duration::from_secs((minute + 1) * 60);
        let count = delays.iter().filter(|delay| range.contains(*delay)).count();
        assert!((50..=150).contains(&count), "{count} of 1,000 stores in minute {minute}");
    }
    assert_eq!(every(60).delay(&StoreName::new("https://a", "b")), Duration::ZERO);
}

#[test]
fn the_shortest_interval_is_that_of_all_expressions() {
    let shortest = |schedule: &Schedule| schedule.shortest_interval().expect("an interval").as_secs() / 60;
    assert_eq!(shortest(&every(300)), 5);
    assert_eq!(shortest(&cron(&["0 6 * * *"], "UTC")), 24 * 60);
    assert_eq!(shortest(&cron(&["0 6 * * *", "45 5 * * sun"], "UTC")), 15);
    assert_eq!(shortest(&cron(&["0 6 * * *"], "Europe/Berlin")), 23 * 60);
}
