//! The slot rule: what may be on the wire, recorded ahead, and waiting for its commit.

use std::collections::BTreeSet;
use std::time::Duration;

use super::driver::{Driver, Hold, accepted, changes, limited, lost};
use crate::config::PushConfig;
use crate::push::{Event, INTENT_VALID};
use crate::record::{RequestOutcome, RunStatus};

fn holding(hold: Hold, customers: i64) -> Driver {
    Driver::with(changes(customers), PushConfig::default(), hold)
}

#[test]
fn promise_2_three_requests_are_in_flight_and_never_a_fourth() {
    let mut driver = Driver::new(changes(200));
    for _ in 0..15 {
        assert_eq!(driver.in_flight.len(), 3);
        driver.respond(accepted);
    }
    driver.run(accepted);
    assert_eq!((driver.sent.len(), driver.confirmed().len()), (20, 200));
}

#[test]
fn promise_4_nothing_is_sent_before_its_intent_is_committed() {
    let mut driver = holding(Hold { intents: true, ..Hold::default() }, 50);
    assert_eq!(
        (driver.pending_actions.len(), driver.sent.len()),
        (3, 0),
        "three intents are being committed"
    );
    driver.perform_pending();
    assert_eq!(driver.sent.len(), 1, "the one whose intent is committed is sent");
    assert_eq!(driver.sent[0].request_id, 1);
}

#[test]
fn a_slot_is_free_when_the_response_is_read_and_not_before() {
    let mut driver = holding(Hold { outcomes: true, ..Hold::default() }, 100);
    let third = driver.in_flight[2].request_id;
    assert_eq!(driver.sent.len(), 3, "no slot is free while no response was read");
    driver.respond(accepted);
    assert_eq!(driver.in_flight.len(), 3, "the next is sent although no outcome is committed");
    assert!(driver.sent[3].request_id > third);
    assert_eq!(driver.pending_actions.len(), 1);
}

#[test]
fn nothing_is_sent_while_workers_outcomes_wait_for_their_commit() {
    let mut driver = holding(Hold { outcomes: true, ..Hold::default() }, 200);
    for _ in 0..5 {
        driver.respond(accepted);
    }
    assert_eq!(
        (driver.pending_actions.len(), driver.in_flight.len()),
        (5, 0),
        "with three waiting nothing new is sent"
    );
    let sent = driver.sent.len();
    driver.perform_pending();
    driver.perform_pending();
    assert_eq!(driver.sent.len(), sent, "three still wait");
    driver.perform_pending();
    assert!(driver.sent.len() > sent, "one commit lets the next be sent");
}

#[test]
fn promise_5_at_most_six_requests_are_sent_again_after_a_kill() {
    let mut driver = holding(Hold { outcomes: true, ..Hold::default() }, 500);
    let mut most = 0;
    for step in 0..60 {
        let uncommitted = driver.in_flight.len() + driver.pending_actions.len();
        most = most.max(uncommitted);
        if step % 3 == 2 && !driver.pending_actions.is_empty() || driver.in_flight.is_empty() {
            driver.perform_pending();
        } else {
            driver.respond(accepted);
        }
    }
    assert!((4..=6).contains(&most), "{most} requests without a committed outcome");
}

#[test]
fn at_most_workers_intents_are_recorded_ahead() {
    let mut driver = Driver::new(changes(500));
    assert_eq!(driver.requests.len(), 3, "no intent is ahead while it is not known how fast the store is");
    driver.respond(accepted);
    assert_eq!(driver.requests.len(), 4 + 3);
    driver.respond(accepted);
    assert_eq!(driver.requests.len(), 5 + 3);
}

#[test]
fn an_intent_that_waited_too_long_is_not_sent() {
    let mut driver = Driver::new(changes(500));
    driver.respond(accepted);
    let ahead = driver.requests.len() as i64;
    driver.elapsed += INTENT_VALID + Duration::from_millis(1);
    driver.respond(accepted);
    for request in ahead - 2..=ahead {
        let end = driver.requests[&request].1.as_ref().expect("an outcome");
        assert_eq!(end.outcome, RequestOutcome::NotSent, "request {request}");
    }
    driver.run(accepted);
    assert_eq!(driver.confirmed().len(), 500);
    assert_eq!(driver.counts().requests, 50, "a request that was not sent does not count");
}

#[test]
fn intents_ahead_are_taken_back_when_the_store_asks_to_wait() {
    let mut driver = Driver::new(changes(500));
    driver.respond(accepted);
    let recorded = driver.requests.len();
    driver.respond(|_| limited(Some(30)));
    let not_sent = |(_, end): &&(_, Option<crate::record::RequestEnd>)| {
        end.as_ref().is_some_and(|end| end.outcome == RequestOutcome::NotSent)
    };
    assert_eq!(driver.requests.values().filter(not_sent).count(), 3);
    driver.respond(accepted);
    driver.respond(accepted);
    assert_eq!(
        (driver.in_flight.len(), driver.requests.len()),
        (0, recorded),
        "nothing is sent in the pause"
    );
    assert_eq!(driver.timer, Some(Duration::from_secs(30)));
    driver.run(accepted);
    assert_eq!(driver.confirmed().len(), 500);
}

#[test]
fn a_polite_stop_sends_what_has_an_intent_and_prepares_nothing_new() {
    let mut driver = Driver::new(changes(500));
    driver.respond(accepted);
    let recorded = driver.requests.len();
    driver.event(Event::StopAsked);
    let end = driver.run(accepted).clone();
    assert_eq!(end.status, RunStatus::Stopped);
    assert_eq!((driver.requests.len(), driver.sent.len()), (recorded, recorded));
    let counts = driver.counts();
    assert_eq!(
        (counts.confirmed, counts.deferred, counts.unknown),
        (recorded as i64 * 10, 500 - recorded as i64 * 10, 0)
    );
}

#[test]
fn a_stop_with_nothing_left_to_stop_is_no_stop() {
    let mut driver = Driver::new(changes(25));
    driver.event(Event::StopAsked);
    assert_eq!(driver.run(accepted).status, RunStatus::Succeeded);
}

#[test]
fn a_run_that_lost_its_lock_knows_which_keys_it_may_have_sent() {
    let mut driver = holding(Hold { outcomes: true, ..Hold::default() }, 100);
    driver.respond(accepted);
    driver.respond(|_| lost());
    let keys = |driver: &Driver| {
        let keys = driver.push.keys_maybe_sent().into_iter().map(|key| key.customer_id);
        keys.collect::<BTreeSet<i64>>()
    };
    let sent: BTreeSet<i64> = driver.sent.iter().flat_map(|sent| sent.customers()).collect();
    assert_eq!(keys(&driver), sent, "an intent ahead was not sent");
    assert!(driver.requests.len() > driver.sent.len());
    driver.hold.outcomes = false;
    while !driver.pending_actions.is_empty() {
        driver.perform_pending();
    }
    assert!(keys(&driver).iter().all(|customer| *customer > 20), "two outcomes are committed");
}

#[test]
fn a_permit_is_acquired_for_each_request_and_one_at_a_time() {
    let mut driver = holding(Hold { permits: true, ..Hold::default() }, 100);
    for sent in 0..3 {
        assert_eq!((driver.pending_actions.len(), driver.sent.len()), (1, sent));
        driver.perform_pending();
    }
    assert_eq!(
        (driver.pending_actions.len(), driver.sent.len()),
        (0, 3),
        "no permit is asked for without a free slot"
    );
}

#[test]
fn a_ledger_that_takes_too_long_for_every_intent_is_named_and_not_the_store() {
    let config = PushConfig { give_up_after: Duration::from_secs(60), ..PushConfig::default() };
    let hold = Hold { intents: true, ..Hold::default() };
    let mut driver = Driver::with(changes(50), config, hold);
    while driver.end.is_none() {
        driver.elapsed += INTENT_VALID + Duration::from_millis(500);
        driver.perform_pending();
        assert!(driver.elapsed < Duration::from_secs(200), "the run ends in time");
    }
    let end = driver.end.clone().expect("an end");
    assert_eq!((end.status, driver.sent.len()), (RunStatus::Failed, 0));
    assert!(end.message.expect("a message").contains("the ledger took more than five seconds"));
    assert!(end.hint.expect("a hint").contains("[ledger] url"));
    assert_eq!(driver.counts().deferred, 50, "nothing was sent");
}

#[test]
fn an_intent_that_expired_before_it_could_leave_counts_as_no_failure_of_the_store() {
    let mut driver = Driver::new(changes(10));
    let expired = driver.in_flight.pop_front().expect("a request");
    driver.event(Event::IntentExpired { request_id: expired.request_id });
    let end = driver.requests[&expired.request_id].1.as_ref().expect("an end");
    assert_eq!(end.outcome, RequestOutcome::NotSent);
    driver.run(accepted);
    assert_eq!(driver.confirmed().len(), 10);
}
