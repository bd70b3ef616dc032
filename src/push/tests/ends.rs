//! How a push ends.

use std::time::Duration;

use super::driver::{Driver, Hold, accepted, change, changes, html, lost, refusing};
use crate::config::PushConfig;
use crate::destination::Response;
use crate::push::Event;
use crate::record::{Counts, RequestOutcome, RunStatus, Verdict};

#[test]
fn an_empty_plan_ends_at_once_without_a_request() {
    let driver = Driver::new(Vec::new());
    assert_eq!(driver.end.expect("an end").status, RunStatus::Succeeded);
    assert!(driver.requests.is_empty());
}

#[test]
fn promise_1_ten_customers_fill_a_request() {
    let mut driver = Driver::new(changes(1_005));
    driver.run(accepted);
    assert_eq!((driver.sent.len(), driver.counts().requests), (101, 101));
}

#[test]
fn max_duration_stops_the_run_politely() {
    let config = PushConfig { max_duration: Some(Duration::from_secs(60)), ..PushConfig::default() };
    let mut driver = Driver::with(changes(500), config, Hold::default());
    driver.respond(accepted);
    assert_eq!(driver.timer, Some(Duration::from_secs(60)));
    driver.pass();
    let end = driver.run(accepted).clone();
    assert_eq!(end.status, RunStatus::Stopped);
    assert!(end.message.expect("a message").contains("max_duration"));
    assert_eq!(driver.counts().unknown, 0);
}

#[test]
fn what_may_have_been_applied_is_unknown_when_the_run_ends_and_the_rest_deferred() {
    let mut driver = Driver::new(changes(100));
    driver.respond(|_| lost());
    driver.event(Event::StopAsked);
    driver.run(accepted);
    let unknown = driver.ended(|verdict| matches!(verdict, Verdict::Unknown { .. }));
    assert_eq!(unknown, (1..=10).collect::<Vec<_>>());
    let counts = driver.counts();
    assert_eq!((counts.confirmed, counts.unknown, counts.deferred), (30, 10, 60));
}

#[test]
fn a_failure_to_connect_that_cannot_pass_stops_the_run_at_once() {
    let untrusted = Response::NotSent {
        reason: "the certificate there has expired".to_owned(),
        hint: "check the clock",
        may_pass: false,
    };
    let mut driver = Driver::new(changes(100));
    driver.respond(accepted);
    driver.respond(|_| untrusted.clone());
    let sent = driver.sent.len();
    let end = driver.run(|_| untrusted.clone()).clone();
    assert_eq!((driver.sent.len(), driver.elapsed), (sent, Duration::ZERO), "nothing is tried again");
    assert_eq!(end.status, RunStatus::Failed);
    assert_eq!(end.message.expect("a message"), "the certificate there has expired; nothing more was sent");
    assert_eq!(end.hint.expect("a hint"), "check the clock");
    let outcome = driver.requests[&2].1.as_ref().map(|end| end.outcome);
    assert_eq!(outcome, Some(RequestOutcome::NotSent), "no response to it was read");
    let counts = driver.counts();
    assert_eq!((counts.confirmed, counts.deferred, counts.unknown, counts.requests), (10, 90, 0, 1));
}

#[test]
fn a_run_of_any_size_whose_every_request_failed_is_failed_and_not_partial() {
    let config = PushConfig { max_attempts: 1, ..PushConfig::default() };
    for customers in [1, 10, 50] {
        let mut driver = Driver::with(changes(customers), config.clone(), Hold::default());
        let end = driver.run(|_| html(500)).clone();
        assert_eq!(end.status, RunStatus::Failed);
        let message = end.message.expect("a message");
        assert!(message.contains("calls in a row failed within 10 min"), "{message}");
        let only = "only customer 1 · attribute 1 was left to send";
        assert_eq!(message.ends_with(only), customers == 1, "{message}");
    }
}

#[test]
fn promise_12_the_end_names_the_last_value_if_the_store_takes_it_never() {
    let mut driver = Driver::new(changes(41));
    let end =
        driver.run(|sent| if sent.customers().contains(&41) { html(500) } else { accepted(sent) }).clone();
    assert_eq!((end.status, driver.confirmed().len()), (RunStatus::Failed, 40));
    let message = end.message.expect("a message");
    assert!(message.ends_with("; only customer 41 · attribute 1 was left to send"), "{message}");
    assert_eq!((driver.counts().unknown, driver.counts().deferred), (1, 0));
}

#[test]
fn a_run_whose_every_value_was_rejected_is_through() {
    let mut driver = Driver::new(changes(20));
    let everybody: Vec<i64> = (1..=20).collect();
    let end = driver.run(refusing(&everybody)).clone();
    assert_eq!((end.status, driver.rejected().len()), (RunStatus::Succeeded, 20));
}

#[test]
fn promise_7_a_run_succeeds_only_if_every_change_is_accounted_for() {
    let end = Driver::new(Vec::new()).end.expect("an end");
    let counts = |counts| end.clone().checked(&counts).status;
    let none = Counts::default();
    assert_eq!(counts(Counts { planned: 3, confirmed: 3, ..none }), RunStatus::Succeeded);
    assert_eq!(counts(Counts { planned: 3, confirmed: 2, ..none }), RunStatus::Failed);
    assert_eq!(counts(Counts { planned: 3, confirmed: 2, deferred: 1, ..none }), RunStatus::Failed);
    for partial in [
        Counts { planned: 1, rejected: 1, ..none },
        Counts { planned: 1, unknown: 1, ..none },
        Counts { still_rejected: 1, ..none },
        Counts { invalid: 1, ..none },
    ] {
        assert_eq!(counts(partial), RunStatus::Partial, "{partial:?}");
    }
}

#[test]
fn a_batch_larger_than_a_page_of_the_plan_is_sent_whole() {
    let plan =
        (1..=25).flat_map(|customer| (1..=50).map(move |attribute| change(customer, attribute))).collect();
    let mut driver = Driver::new(plan);
    driver.run(accepted);
    assert_eq!(driver.sent.iter().map(|sent| sent.items.len()).collect::<Vec<_>>(), [500, 500, 250]);
}
