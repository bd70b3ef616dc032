//! How long a push waits because the store asks for it.

use std::time::Duration;

use super::driver::{Driver, Hold, accepted, changes, limited};
use crate::config::PushConfig;
use crate::destination::{Body, HttpResponse, Response};
use crate::push::Wait;
use crate::record::{RunStatus, WaitReason};

#[test]
fn a_429_is_waited_out_and_is_no_failed_attempt() {
    let config = PushConfig { max_attempts: 1, ..PushConfig::default() };
    let mut driver = Driver::with(changes(10), config, Hold::default());
    for _ in 0..5 {
        driver.respond(|_| limited(Some(60)));
        assert_eq!(driver.timer, Some(driver.elapsed + Duration::from_secs(60)), "the store's time");
        let until = driver.elapsed + Duration::from_secs(60);
        let told = Wait { reason: WaitReason::Limited, until, response: String::new() };
        assert_eq!(driver.push.told_wait, Some(told));
        driver.pass();
    }
    driver.run(accepted);
    assert_eq!(driver.confirmed().len(), 10);
}

#[test]
fn the_own_back_off_is_the_least_pause_after_a_429() {
    let mut driver = Driver::new(changes(10));
    let mut pauses = Vec::new();
    for _ in 0..6 {
        driver.respond(|_| limited(Some(0)));
        pauses.push(driver.timer.expect("a timer") - driver.elapsed);
        driver.pass();
    }
    assert!(pauses[0] >= Duration::from_millis(350) && pauses[5] >= Duration::from_secs(10), "{pauses:?}");
}

#[test]
fn a_429_without_a_time_takes_a_slot_away_until_requests_are_accepted_again() {
    let mut driver = Driver::new(changes(1_000));
    driver.respond(|_| limited(None));
    driver.respond(|_| limited(None));
    driver.respond(accepted);
    assert_eq!(driver.in_flight.len(), 1);
    for _ in 0..25 {
        driver.respond(accepted);
    }
    assert_eq!(driver.in_flight.len(), 2);
}

#[test]
fn waiting_for_a_429_is_bounded_in_time() {
    for wait in [None, Some(0), Some(30), Some(3_600)] {
        let mut driver = Driver::new(changes(400));
        let end = driver.run(|_| limited(wait)).clone();
        assert_eq!(end.status, RunStatus::Failed);
        let message = end.message.expect("a message");
        assert!(message.contains("for being too many within 10 min"), "{wait:?}: {message}");
        assert!(driver.elapsed <= Duration::from_secs(960), "{wait:?}: {:?}", driver.elapsed);
        assert!(driver.sent.len() < 300, "{wait:?}: {}", driver.sent.len());
        assert_eq!(driver.counts().deferred, 400, "nothing was applied");
    }
}

#[test]
fn a_wait_that_the_store_asks_for_ends_at_give_up_after() {
    for (status, words) in [(429, "the store refused a call for being too many"), (503, "a call failed")] {
        let config = PushConfig { give_up_after: Duration::from_secs(60), ..PushConfig::default() };
        let mut driver = Driver::with(changes(10), config, Hold::default());
        let (wait, body) = (Some(Duration::from_secs(300)), Body::Unreadable(String::new()));
        let response = Response::Received(HttpResponse { status, request_id: None, wait, body });
        driver.respond(|_| response.clone());
        let told = driver.push.told_wait.clone().expect("a wait");
        assert_eq!(told.until, Duration::from_secs(60), "{status}");
        let end = driver.run(|_| response.clone()).clone();
        assert_eq!((end.status, driver.elapsed), (RunStatus::Failed, Duration::from_secs(60)), "{status}");
        let message = end.message.expect("a message");
        assert!(message.contains(&format!("{words} within 1 min")), "{message}");
        assert!(
            message.contains("asks to wait for 4 min more, longer than [push] give_up_after"),
            "{message}"
        );
        assert_eq!(driver.sent.len(), 1, "{status}: not before the store's time");
    }
}

#[test]
fn a_retry_after_of_any_failure_is_waited_out() {
    let body = Body::Unreadable("maintenance".to_owned());
    let wait = Some(Duration::from_secs(60));
    let response = Response::Received(HttpResponse { status: 503, request_id: None, wait, body });
    let mut driver = Driver::new(changes(10));
    driver.respond(|_| response.clone());
    assert_eq!(driver.timer, Some(Duration::from_secs(60)));
    driver.run(accepted);
    assert_eq!(driver.confirmed().len(), 10);
}
