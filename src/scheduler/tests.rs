use chrono::TimeZone as _;
use jiff::tz::TimeZone;

use super::*;
use crate::schedule::{Cron, OnMissed, Timing, Zone};

fn at(hour: u32, minute: u32, second: u32) -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 3, 1, hour, minute, second).single().expect("a time")
}

/// Hourly syncs of these names, whose times up to 00:30 are accounted for.
fn hourly(names: &[&str], max_runs: usize) -> Scheduler {
    let mut scheduler = Scheduler::new(max_runs);
    let syncs = names.iter().map(|name| Scheduled {
        name: (*name).to_owned(),
        schedule: Some(every_hour()),
        delay: Duration::ZERO,
    });
    let looks = scheduler.on(Event::Configured(syncs.collect()), at(0, 30, 0));
    assert_eq!(looks, [look(names)]);
    for name in names {
        assert_eq!(scheduler.on(looked(name, at(0, 30, 0)), at(0, 30, 0)), []);
    }
    scheduler
}

fn claimed(until: DateTime<Utc>) -> Claimed {
    Claimed { until: Some(until), ..Claimed::default() }
}

fn looked(name: &str, until: DateTime<Utc>) -> Event {
    Event::Looked(name.to_owned(), claimed(until), false)
}

fn done(name: &str, until: DateTime<Utc>) -> Event {
    Event::Ended(name.to_owned(), End::Done(claimed(until)))
}

fn asked(name: &str, customers: Option<&[i64]>) -> Event {
    Event::Asked(name.to_owned(), wish(customers))
}

fn wish(customers: Option<&[i64]>) -> Wish {
    let notified = customers.map_or(Notified::Everything, |ids| ids.iter().copied().collect());
    Wish { notified, trigger: Trigger::Change }
}

fn every_hour() -> Schedule {
    let timing =
        Timing::Cron(vec![Cron::parse("0 * * * *").expect("an expression")], Zone::new(TimeZone::UTC));
    Schedule::new(timing, Duration::ZERO, OnMissed::Run)
}

fn look(names: &[&str]) -> Action {
    Action::Look(names.iter().map(|name| (*name).to_owned()).collect())
}

fn start(name: &str) -> Action {
    Action::Start(name.to_owned(), None)
}

#[test]
fn a_sync_starts_when_the_ledger_says_that_its_time_is_open() {
    let mut scheduler = hourly(&["a"], 1);
    assert_eq!(scheduler.wake_at(at(0, 30, 0)), Some(at(1, 0, 0)));
    assert_eq!(scheduler.on(Event::Tick, at(0, 59, 59)), []);
    assert_eq!(scheduler.on(Event::Tick, at(1, 0, 0)), [look(&["a"])]);
    assert_eq!(scheduler.on(looked("a", at(0, 30, 0)), at(1, 0, 0)), [start("a")]);
    assert_eq!(scheduler.on(Event::Tick, at(1, 0, 1)), [], "once");
    assert_eq!(scheduler.on(done("a", at(1, 0, 0)), at(1, 10, 0)), []);
    assert_eq!(scheduler.next_start("a", at(1, 10, 0)), Some(at(2, 0, 0)));
}

#[test]
fn a_time_that_another_process_has_claimed_is_not_started() {
    let mut scheduler = hourly(&["a"], 1);
    assert_eq!(scheduler.on(Event::Tick, at(1, 0, 0)), [look(&["a"])]);
    assert_eq!(scheduler.on(looked("a", at(1, 0, 0)), at(1, 0, 0)), []);
    assert_eq!(scheduler.wake_at(at(1, 0, 0)), Some(at(2, 0, 0)));
}

#[test]
fn a_store_that_another_process_holds_is_looked_at_again_after_a_second() {
    let mut scheduler = hourly(&["a"], 1);
    assert_eq!(scheduler.on(Event::Tick, at(1, 0, 0)), [look(&["a"])]);
    let locked = Event::Looked("a".to_owned(), claimed(at(0, 30, 0)), true);
    assert_eq!(scheduler.on(locked, at(1, 0, 0)), []);
    assert_eq!(scheduler.wake_at(at(1, 0, 0)), Some(at(1, 0, 1)));
    assert_eq!(scheduler.on(Event::Tick, at(1, 0, 1)), [look(&["a"])]);
}

#[test]
fn those_that_have_waited_longest_run_first() {
    let mut scheduler = hourly(&["a", "b", "c"], 2);
    assert_eq!(scheduler.on(Event::Tick, at(1, 0, 0)), [look(&["a", "b", "c"])]);
    assert_eq!(scheduler.on(looked("c", at(0, 30, 0)), at(1, 0, 0)), [start("c")]);
    assert_eq!(scheduler.on(looked("b", at(0, 30, 0)), at(1, 0, 0)), [start("b")]);
    assert_eq!(scheduler.on(looked("a", at(0, 30, 0)), at(1, 0, 0)), [], "two run");
    assert_eq!(scheduler.on(asked("c", None), at(1, 0, 1)), [], "it runs already");
    let actions = scheduler.on(done("c", at(1, 0, 0)), at(1, 0, 2));
    assert_eq!(actions, [start("a")], "a has waited, and c only now");
    let actions = scheduler.on(done("a", at(1, 0, 0)), at(1, 0, 3));
    assert_eq!(actions, [Action::Start("c".to_owned(), Some(wish(None)))]);
}

#[test]
fn requests_during_a_run_are_remembered_as_one() {
    let mut scheduler = hourly(&["a"], 1);
    let first = Action::Start("a".to_owned(), Some(wish(Some(&[1]))));
    assert_eq!(scheduler.on(asked("a", Some(&[1])), at(0, 40, 0)), [first]);
    assert_eq!(scheduler.on(asked("a", Some(&[2])), at(0, 40, 1)), []);
    assert_eq!(scheduler.on(asked("a", Some(&[3])), at(0, 40, 2)), []);
    let second = Action::Start("a".to_owned(), Some(wish(Some(&[2, 3]))));
    assert_eq!(scheduler.on(done("a", at(0, 30, 0)), at(0, 41, 0)), [second]);
    assert_eq!(scheduler.on(asked("a", Some(&[4])), at(0, 41, 1)), []);
    assert_eq!(scheduler.on(asked("a", None), at(0, 41, 2)), []);
    let third = Action::Start("a".to_owned(), Some(wish(None)));
    assert_eq!(scheduler.on(done("a", at(0, 30, 0)), at(0, 42, 0)), [third]);
}

#[test]
fn what_could_not_be_run_is_tried_again_with_growing_pauses() {
    let mut scheduler = hourly(&["a"], 1);
    let start = Action::Start("a".to_owned(), Some(wish(Some(&[1]))));
    let mut now = at(0, 40, 0);
    assert_eq!(scheduler.on(asked("a", Some(&[1])), now), [start]);
    let mut pauses = Vec::new();
    for _ in 0..11 {
        assert_eq!(scheduler.on(Event::Ended("a".to_owned(), End::Failed), now), []);
        let next = scheduler.wake_at(now).expect("a next try");
        pauses.push((next - now).num_seconds());
        now = next;
        let actions = scheduler.on(Event::Tick, now);
        let [Action::Start(_, Some(wish))] = actions.as_slice() else { panic!("{actions:?}") };
        assert_eq!(wish.notified, [1].into_iter().collect(), "nothing that was asked for is lost");
    }
    assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
}

#[test]
fn what_was_notified_is_tried_again_although_the_failed_run_was_that_of_a_scheduled_time() {
    let mut scheduler = hourly(&["a", "b"], 1);
    scheduler.on(asked("b", None), at(0, 59, 0));
    scheduler.on(asked("a", Some(&[1])), at(0, 59, 1));
    // The scheduled time comes while the change waits for the other sync, and the run is for both.
    let actions = scheduler.on(done("b", at(0, 30, 0)), at(1, 0, 0));
    assert_eq!(actions, [Action::Start("a".to_owned(), Some(wish(Some(&[1])))), look(&["b"])]);
    let failed = |hour| Event::Ended("a".to_owned(), End::RunFailed(claimed(at(hour, 0, 0))));
    assert_eq!(scheduler.on(failed(1), at(1, 10, 0)), []);
    let actions = scheduler.on(Event::Tick, at(1, 10, 1));
    assert_eq!(actions, [Action::Start("a".to_owned(), Some(wish(Some(&[1]))))]);
    assert_eq!(scheduler.on(done("a", at(1, 0, 0)), at(1, 11, 0)), []);
    assert_eq!(scheduler.next_start("a", at(1, 11, 0)), Some(at(2, 0, 0)));
}

#[test]
fn a_run_that_failed_is_not_repeated_for_its_schedule_or_for_who_triggered_it() {
    let mut scheduler = hourly(&["a"], 1);
    let triggered = Wish { notified: Notified::Everything, trigger: Trigger::Api };
    for wish in [None, Some(triggered)] {
        let now = at(1, 0, 0);
        match wish {
            Some(wish) => drop(scheduler.on(Event::Asked("a".to_owned(), wish), now)),
            None => {
                scheduler.on(Event::Tick, now);
                assert_eq!(scheduler.on(looked("a", at(0, 30, 0)), now), [start("a")]);
            }
        }
        let failed = Event::Ended("a".to_owned(), End::RunFailed(claimed(now)));
        assert_eq!(scheduler.on(failed, now), []);
        assert_eq!(scheduler.wake_at(now), Some(at(2, 0, 0)));
    }
}

#[test]
fn a_pause_ends_when_a_person_triggers_a_run_or_corrects_the_configuration() {
    let triggered = || Wish { notified: Notified::Everything, trigger: Trigger::Api };
    let mut scheduler = hourly(&["a"], 1);
    let mut now = at(0, 40, 0);
    scheduler.on(asked("a", Some(&[1])), now);
    for _ in 0..8 {
        scheduler.on(Event::Ended("a".to_owned(), End::Failed), now);
        now = scheduler.wake_at(now).expect("a next try");
        scheduler.on(Event::Tick, now);
    }
    assert_eq!(scheduler.on(Event::Ended("a".to_owned(), End::Failed), now), []);
    assert_eq!(scheduler.on(asked("a", Some(&[2])), now), [], "a change waits");
    let actions = scheduler.on(Event::Asked("a".to_owned(), triggered()), now);
    assert_eq!(actions, [Action::Start("a".to_owned(), Some(triggered()))]);

    assert_eq!(scheduler.on(Event::Ended("a".to_owned(), End::Failed), now), []);
    assert_eq!(scheduler.wake_at(now), Some(now + TimeDelta::seconds(1)), "the pauses begin anew");
    let corrected = Scheduled { name: "a".to_owned(), schedule: Some(every_hour()), delay: Duration::ZERO };
    let actions = scheduler.on(Event::Configured(vec![corrected]), now);
    assert_eq!(actions, [Action::Start("a".to_owned(), Some(triggered()))]);
}

#[test]
fn a_clock_that_is_set_back_prolongs_no_pause() {
    let mut scheduler = hourly(&["a"], 1);
    scheduler.on(asked("a", None), at(0, 40, 0));
    scheduler.on(Event::Ended("a".to_owned(), End::Failed), at(0, 40, 0));
    let actions = scheduler.on(Event::Tick, at(0, 10, 0));
    assert_eq!(actions, [Action::Start("a".to_owned(), Some(wish(None)))]);
}

#[test]
fn a_sync_that_is_removed_ends_its_run_and_starts_no_other() {
    let mut scheduler = hourly(&["a"], 1);
    scheduler.on(asked("a", None), at(0, 40, 0));
    scheduler.on(Event::Configured(Vec::new()), at(0, 41, 0));
    assert_eq!(scheduler.running(), 1);
    assert_eq!(scheduler.on(asked("a", None), at(0, 42, 0)), []);
    assert_eq!(scheduler.on(done("a", at(0, 30, 0)), at(1, 0, 0)), []);
    assert_eq!((scheduler.running(), scheduler.wake_at(at(1, 0, 0))), (0, None));
}

#[test]
fn nothing_starts_after_a_stop() {
    let mut scheduler = hourly(&["a", "b"], 1);
    scheduler.on(asked("a", None), at(0, 40, 0));
    assert_eq!(scheduler.on(Event::Stop, at(0, 41, 0)), []);
    assert_eq!(scheduler.on(asked("b", None), at(0, 42, 0)), []);
    assert_eq!(scheduler.on(done("a", at(0, 30, 0)), at(1, 0, 0)), []);
}
