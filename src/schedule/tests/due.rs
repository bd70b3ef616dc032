//! What is due: every line of the rules for downtime, interrupted runs and clocks that were set.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::super::{Due, OnMissed, Schedule};
use super::{cron, every, utc};
use crate::record::{Claimed, MissedTimes};

const DOWN: &str = "the machine or serve was not running";

/// Times are accounted for up to `until`.
fn until(until: &str) -> Claimed {
    Claimed { until: Some(utc(until)), ..Claimed::default() }
}

fn interrupted(time: &str) -> Claimed {
    Claimed { interrupted: Some(utc(time)), ..until(time) }
}

fn nightly() -> Schedule {
    cron(&["30 2 * * *"], "UTC")
}

fn skipping() -> Schedule {
    Schedule { on_missed: OnMissed::Skip, ..nightly() }
}

fn missed(first: &str, last: &str, times: i64, reason: &str) -> Option<MissedTimes> {
    Some(MissedTimes { first: utc(first), last: utc(last), times, reason: reason.to_owned() })
}

fn run(scheduled_for: &str, missed: Option<MissedTimes>) -> Due {
    Due::Run { scheduled_for: utc(scheduled_for), missed, until: utc(scheduled_for) }
}

fn pass_over(missed: Option<MissedTimes>, until: &str) -> Due {
    Due::PassOver { missed, until: utc(until) }
}

fn not_before(time: &str) -> Due {
    Due::NotBefore(Some(utc(time)))
}

#[track_caller]
fn check(schedule: &Schedule, claimed: &Claimed, now: &str, expect: Due) {
    assert_eq!(schedule.due(claimed, utc(now)), expect, "{claimed:?} at {now}");
}

#[test]
fn the_first_start_runs_nothing_that_has_passed() {
    check(&nightly(), &Claimed::default(), "2026-01-05 12:00", pass_over(None, "2026-01-05 12:00"));
    check(&nightly(), &until("2026-01-05 12:00"), "2026-01-05 12:00", not_before("2026-01-06 02:30"));
    check(&every(300), &Claimed::default(), "2026-01-05 12:00", run("2026-01-05 12:00", None));
}

#[test]
fn a_time_is_due_once() {
    let claimed = until("2026-01-05 02:30");
    check(&nightly(), &claimed, "2026-01-06 02:29:59", not_before("2026-01-06 02:30"));
    check(&nightly(), &claimed, "2026-01-06 02:30", run("2026-01-06 02:30", None));
    check(&nightly(), &claimed, "2026-01-06 23:00", run("2026-01-06 02:30", None));
    check(&nightly(), &until("2026-01-06 02:30"), "2026-01-06 23:00", not_before("2026-01-07 02:30"));
}

#[test]
fn a_machine_with_a_slower_clock_waits_for_the_next_time() {
    check(&nightly(), &until("2026-01-06 02:30"), "2026-01-06 02:29:10", not_before("2026-01-07 02:30"));
}

#[test]
fn after_downtime_the_newest_time_is_run_and_the_others_are_missed() {
    let claimed = until("2026-01-02 02:30");
    let older = missed("2026-01-03 02:30", "2026-01-05 02:30", 3, DOWN);
    check(&nightly(), &claimed, "2026-01-06 09:00", run("2026-01-06 02:30", older));
    check(&nightly(), &until("2026-01-05 02:30"), "2026-01-06 09:00", run("2026-01-06 02:30", None));
}

#[test]
fn with_skip_a_time_is_run_only_within_a_minute_and_the_jitter() {
    let claimed = until("2026-01-05 02:30");
    check(&skipping(), &claimed, "2026-01-06 02:31", run("2026-01-06 02:30", None));
    let skipped = pass_over(missed("2026-01-06 02:30", "2026-01-06 02:30", 1, DOWN), "2026-01-06 02:30");
    check(&skipping(), &claimed, "2026-01-06 02:31:01", skipped.clone());
    let spread = Schedule { jitter: Duration::from_secs(600), ..skipping() };
    check(&spread, &claimed, "2026-01-06 02:41", run("2026-01-06 02:30", None));
    check(&spread, &claimed, "2026-01-06 02:41:01", skipped);

    let claimed = until("2026-01-03 02:30");
    let older = missed("2026-01-04 02:30", "2026-01-05 02:30", 2, DOWN);
    check(&skipping(), &claimed, "2026-01-06 02:30:30", run("2026-01-06 02:30", older));
    let all = missed("2026-01-04 02:30", "2026-01-06 02:30", 3, DOWN);
    check(&skipping(), &claimed, "2026-01-06 09:00", pass_over(all, "2026-01-06 02:30"));
}

#[test]
fn the_reason_says_whether_the_run_before_was_still_going() {
    for (started, ended, reason) in [
        ("2026-01-02 02:30", "2026-01-05 03:00", "the run before was still going"),
        (
            "2026-01-02 02:30",
            "2026-01-04 03:00",
            "the run before was still going, or the machine or serve was not running",
        ),
        ("2026-01-02 02:30", "2026-01-02 03:00", DOWN),
        ("2026-01-06 08:00", "2026-01-06 08:59", DOWN),
    ] {
        let last_run = Some((utc(started), utc(ended)));
        let claimed = Claimed { last_run, ..until("2026-01-02 02:30") };
        let older = missed("2026-01-03 02:30", "2026-01-05 02:30", 3, reason);
        check(&nightly(), &claimed, "2026-01-06 09:00", run("2026-01-06 02:30", older));
    }
}

#[test]
fn an_interrupted_time_is_run_again_unless_a_newer_one_is_due() {
    let claimed = interrupted("2026-01-06 02:30");
    for schedule in [nightly(), skipping()] {
        check(&schedule, &claimed, "2026-01-06 02:31", run("2026-01-06 02:30", None));
        check(&schedule, &claimed, "2026-01-07 02:29:59", run("2026-01-06 02:30", None));
    }
    // The interrupted time is recorded by itself, and then the newer times are looked at.
    let reason = "its run was interrupted, and a later time came before it could be run again";
    let superseded = missed("2026-01-06 02:30", "2026-01-06 02:30", 1, reason);
    for (schedule, now) in [(nightly(), "2026-01-07 02:30"), (skipping(), "2026-01-09 05:00")] {
        check(&schedule, &claimed, now, pass_over(superseded.clone(), "2026-01-06 02:30"));
    }
    check(&nightly(), &until("2026-01-06 02:30"), "2026-01-07 02:30", run("2026-01-07 02:30", None));
}

#[test]
fn every_counts_from_the_start_of_the_run_before() {
    let started = until("2026-01-05 12:00:07");
    let due = |scheduled_for: &str, now: &str| Due::Run {
        scheduled_for: utc(scheduled_for),
        missed: None,
        until: utc(now),
    };
    check(&every(300), &started, "2026-01-05 12:05:06", not_before("2026-01-05 12:05:07"));
    check(&every(300), &started, "2026-01-05 12:05:09", due("2026-01-05 12:05:07", "2026-01-05 12:05:09"));
    check(&every(300), &started, "2026-01-09 12:00", due("2026-01-05 12:05:07", "2026-01-09 12:00"));
    let killed = Claimed { interrupted: Some(utc("2026-01-05 11:59")), ..started };
    check(&every(300), &killed, "2026-01-05 12:01", due("2026-01-05 11:59", "2026-01-05 12:01"));
}

#[test]
fn a_clock_that_was_set_back_repeats_no_time_with_a_run() {
    let claimed = until("2026-01-06 02:30");
    check(&nightly(), &claimed, "2026-01-04 12:00", pass_over(None, "2026-01-04 12:00"));
    check(&every(300), &claimed, "2026-01-04 12:00", pass_over(None, "2026-01-04 12:00"));

    // The times come again: the one with a run is passed over, the others are due.
    let finished = vec![utc("2026-01-05 02:30")];
    let again = Claimed { finished, ..until("2026-01-04 12:00") };
    check(&nightly(), &again, "2026-01-04 12:01", not_before("2026-01-05 02:30"));
    check(&nightly(), &again, "2026-01-05 02:30", pass_over(None, "2026-01-05 02:30"));
    check(&nightly(), &again, "2026-01-06 02:30", run("2026-01-06 02:30", None));
    let second = missed("2026-01-06 02:30", "2026-01-06 02:30", 1, DOWN);
    check(&nightly(), &again, "2026-01-07 02:30", run("2026-01-07 02:30", second));
    let newest = Claimed { finished: vec![utc("2026-01-06 02:30")], ..until("2026-01-04 12:00") };
    let due =
        Due::Run { scheduled_for: utc("2026-01-05 02:30"), missed: None, until: utc("2026-01-06 02:30") };
    check(&nightly(), &newest, "2026-01-06 12:00", due);
    // Missed times before and after it are recorded separately.
    let before = missed("2026-01-05 02:30", "2026-01-06 02:30", 2, DOWN);
    let between = Claimed { finished: vec![utc("2026-01-07 02:30")], ..until("2026-01-04 12:00") };
    check(&nightly(), &between, "2026-01-09 12:00", pass_over(before, "2026-01-07 02:30"));
    let taken = Claimed { finished: vec![utc("2026-01-05 12:05")], ..until("2026-01-05 12:00") };
    check(&every(300), &taken, "2026-01-05 12:05", pass_over(None, "2026-01-05 12:05"));
}

#[test]
fn a_run_that_was_interrupted_before_the_clock_was_set_back_is_run_again() {
    let again = Claimed { interrupted: Some(utc("2026-02-01 02:30")), ..until("2026-01-04 12:00") };
    let due =
        Due::Run { scheduled_for: utc("2026-02-01 02:30"), missed: None, until: utc("2026-01-04 12:00") };
    check(&nightly(), &again, "2026-01-04 12:01", due.clone());
    check(&nightly(), &again, "2026-01-05 02:30", due);
}

/// Accounts for everything as a ledger does, and returns the times that were run and the number of missed ones.
fn account(schedule: &Schedule, mut claimed: Claimed, now: DateTime<Utc>) -> (Vec<DateTime<Utc>>, i64) {
    let (mut ran, mut missed_times) = (Vec::new(), 0);
    loop {
        let (missed, until) = match schedule.due(&claimed, now) {
            Due::NotBefore(_) => return (ran, missed_times),
            Due::Run { scheduled_for, missed, until } => {
                ran.push(scheduled_for);
                (missed, until)
            }
            Due::PassOver { missed, until } => (missed, until),
        };
        missed_times += missed.map_or(0, |missed| missed.times);
        claimed.until = Some(until);
    }
}

#[test]
fn a_ledger_from_an_old_backup_is_caught_up_in_bounded_steps() {
    let minutely = cron(&["* * * * *"], "UTC");
    for minutes in [1, 9_999, 10_000, 10_001, 10_002, 20_001, 30_003] {
        let start = utc("2026-01-01 00:00");
        let now = start + chrono::TimeDelta::minutes(minutes);
        let claimed = Claimed { until: Some(start), ..Claimed::default() };
        assert_eq!(account(&minutely, claimed, now), (vec![now], minutes - 1), "{minutes} minutes");
    }
}
