//! Requests of an earlier run that may still be applied, and what is recorded of those of this run.

use std::time::Duration;

use chrono::TimeDelta;

use super::driver::{Driver, accepted, change, changes, lost, utc};
use crate::push::Wait;
use crate::record::{Key, PlannedChange, WaitReason};

/// A change of customer `customer`, whose last request with value `sent` is in doubt for two minutes.
fn in_doubt(customer: i64, sent: &str) -> PlannedChange {
    let mut planned = change(customer, 1);
    planned.change.in_doubt_until = Some(utc() + TimeDelta::minutes(2));
    planned.is_in_doubt = true;
    planned.in_doubt_value = Some(sent.to_owned());
    planned
}

#[test]
fn a_changed_value_goes_last_and_is_sent_only_when_the_window_has_passed() {
    let mut plan = changes(20);
    plan[0] = in_doubt(1, "another");
    let mut driver = Driver::new(plan);
    while !driver.in_flight.is_empty() {
        driver.respond(accepted);
    }
    assert_eq!((driver.confirmed().len(), driver.outcomes.contains_key(&Key::new(1, 1))), (19, false));
    let until = Duration::from_secs(120);
    let told = Wait { reason: WaitReason::InDoubt, until, response: String::new() };
    assert_eq!(driver.push.told_wait, Some(told));
    assert_eq!(driver.timer, Some(Duration::from_secs(120)));
    driver.run(accepted);
    assert_eq!(driver.sent.last().map(|sent| sent.customers()), Some(vec![1]));
    assert_eq!(driver.outcomes[&Key::new(1, 1)].in_doubt_until, None, "the window has passed");
    assert_eq!(driver.push.extra_requests().in_doubt, 1, "the request that it had for itself is counted");
}

#[test]
fn the_same_value_is_sent_at_once_and_stays_in_doubt_until_the_older_request_cannot_be_applied() {
    let mut driver = Driver::new(vec![in_doubt(1, "value 1")]);
    driver.respond(accepted);
    assert_eq!(driver.elapsed, Duration::ZERO);
    assert_eq!(driver.outcomes[&Key::new(1, 1)].in_doubt_until, Some(utc() + TimeDelta::minutes(2)));
}

#[test]
fn a_value_confirmed_after_a_lost_response_stays_in_doubt_until_the_lost_request_cannot_be_applied() {
    let mut driver = Driver::new(changes(10));
    driver.respond(|_| lost());
    driver.pass();
    driver.respond(accepted);
    let window = driver.requests[&1].0.in_doubt_until;
    assert_eq!(window, utc() + TimeDelta::minutes(2), "twice the time-out after it was sent");
    assert!(driver.outcomes.values().all(|outcome| outcome.in_doubt_until == Some(window)));
}

#[test]
fn a_request_with_a_clear_response_is_not_in_doubt() {
    let mut driver = Driver::new(changes(10));
    driver.respond(accepted);
    assert!(driver.outcomes.values().all(|outcome| outcome.in_doubt_until.is_none()));
}

#[test]
fn a_clock_that_was_set_back_makes_nothing_wait_longer_than_the_longest_window() {
    let mut planned = in_doubt(1, "another");
    planned.change.in_doubt_until = Some(utc() + TimeDelta::days(3));
    let driver = Driver::new(vec![planned]);
    assert_eq!(driver.timer, Some(Duration::from_secs(1_200)));
}
