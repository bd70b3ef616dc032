//! What a refusal for the size of a request teaches.

use chrono::TimeDelta;

use super::driver::{Driver, Hold, Sent, accepted, change, changes, html, problem, utc};
use crate::config::PushConfig;
use crate::destination::Response;
use crate::record::{DatedSize, PlannedChange, RequestOutcome, RequestSizes};

/// Four customers with five values each.
fn twenty_values() -> Vec<PlannedChange> {
    (1..=4).flat_map(|customer| (1..=5).map(move |attribute| change(customer, attribute))).collect()
}

/// A driver that knows from an earlier run how large a request was accepted, some days ago.
fn knowing(plan: Vec<PlannedChange>, accepted: usize, days_ago: i64) -> Driver {
    let accepted = Some(DatedSize { values: accepted, at: utc() - TimeDelta::days(days_ago) });
    let sizes = RequestSizes { learned: None, accepted };
    Driver::knowing(plan, PushConfig::default(), Hold::default(), sizes, None)
}

/// A store that accepts so many values in a request.
fn accepting(most: usize, refusal: Response) -> impl Fn(&Sent) -> Response {
    move |sent| if sent.items.len() > most { refusal.clone() } else { accepted(sent) }
}

fn sizes(driver: &Driver) -> Vec<usize> {
    driver.sent.iter().map(|sent| sent.items.len()).collect()
}

fn learned(driver: &Driver) -> Option<usize> {
    driver.kept_sizes.last().and_then(|sizes| sizes.learned).map(|learned| learned.values)
}

#[test]
fn a_refusal_by_the_store_splits_the_batch_and_is_learned() {
    let too_many = ["Max batch size allowed is 10", "Too many items, at most 10"];
    let responses = [problem(422, too_many[0]), problem(400, too_many[1]), problem(413, "Too large")];
    for response in responses {
        let mut driver = Driver::new(twenty_values());
        driver.run(accepting(10, response));
        assert_eq!(sizes(&driver), [20, 10, 10]);
        assert_eq!((learned(&driver), driver.outcomes.len()), (Some(10), 20));
    }
}

#[test]
fn a_gateway_has_to_refuse_a_size_twice_before_it_is_learned() {
    let mut driver = Driver::new(twenty_values());
    driver.run(accepting(10, html(413)));
    assert_eq!(sizes(&driver), [20, 20, 10, 10]);
    assert_eq!((learned(&driver), driver.outcomes.len()), (Some(10), 20));
}

#[test]
fn promise_1_one_refusal_of_a_gateway_teaches_nothing_wherever_it_comes() {
    for stray in 0..10 {
        let mut driver = Driver::new(changes(100));
        for _ in 0..stray {
            driver.respond(accepted);
        }
        driver.respond(|_| html(413));
        driver.run(accepted);
        assert_eq!((driver.sent.len(), driver.confirmed().len()), (11, 100), "call {stray}");
        assert_eq!(learned(&driver), None, "call {stray}");
    }
}

#[test]
fn promise_1_a_gateway_that_refuses_all_requests_in_flight_once_teaches_nothing() {
    let mut driver = Driver::new(changes(100));
    for _ in 0..3 {
        driver.respond(|_| html(413));
    }
    driver.run(accepted);
    assert_eq!((driver.sent.len(), driver.confirmed().len()), (13, 100));
    assert_eq!(learned(&driver), None);
}

#[test]
fn a_refusal_of_a_request_no_larger_than_one_of_a_run_before_is_in_doubt() {
    for refusal in [html(413), problem(413, "Too large"), problem(422, "Max batch size allowed is 10")] {
        let mut driver = knowing(twenty_values(), 20, 6);
        for _ in 0..3 {
            driver.respond(|_| refusal.clone());
            let last = driver.requests.values().last().and_then(|(_, end)| end.as_ref());
            assert_eq!(last.map(|end| end.outcome), Some(RequestOutcome::InDoubt));
            driver.pass();
        }
        driver.run(accepted);
        assert_eq!((sizes(&driver), learned(&driver)), (vec![20; 4], None), "{refusal:?}");
    }
}

#[test]
fn a_store_that_accepts_less_than_it_did_is_learned_in_one_run() {
    let mut driver = knowing(twenty_values(), 20, 1);
    driver.run(accepting(10, problem(413, "Too large")));
    assert_eq!(sizes(&driver), [20, 20, 20, 20, 10, 10]);
    assert_eq!((learned(&driver), driver.outcomes.len()), (Some(10), 20));
}

#[test]
fn what_was_accepted_long_ago_contradicts_no_refusal() {
    let mut driver = knowing(twenty_values(), 20, 8);
    driver.run(accepting(10, problem(413, "Too large")));
    assert_eq!(sizes(&driver), [20, 10, 10]);
}

#[test]
fn promise_6_a_size_refusal_of_a_single_value_rejects_nothing_and_is_in_doubt() {
    let mut driver = Driver::new(changes(1));
    let refusals = std::cell::Cell::new(5);
    driver.run(|sent| match refusals.get() {
        0 => accepted(sent),
        left => {
            refusals.set(left - 1);
            html(413)
        }
    });
    assert_eq!((driver.confirmed(), learned(&driver)), (vec![1], None));
}

#[test]
fn a_gateway_that_refuses_everything_for_its_size_for_a_while_teaches_later_runs_nothing() {
    let mut driver = Driver::new(twenty_values());
    driver.run(|_| html(413));
    assert_eq!(driver.rejected(), [0_i64; 0]);
    assert_eq!(driver.kept_sizes, [], "no request of a smaller size was accepted");
}

#[test]
fn a_gateway_that_refuses_every_size_stops_the_run_soon_and_is_named() {
    for plan in [changes(1), twenty_values(), changes(400)] {
        let mut driver = Driver::new(plan);
        let end = driver.run(|_| html(413)).clone();
        let (message, hint) = (end.message.expect("a message"), end.hint.expect("a hint"));
        assert!(message.contains("calls of one value were refused for their size"), "{message}");
        assert!(message.contains("413") && hint.contains("let request bodies"), "{message}; {hint}");
        assert!(driver.sent.len() < 70, "{} requests", driver.sent.len());
        assert_eq!((driver.rejected(), driver.kept_sizes.len()), (vec![], 0));
    }
}

#[test]
fn the_largest_accepted_request_is_kept_for_later_runs() {
    let mut driver = Driver::new(twenty_values());
    driver.run(accepted);
    let accepted = Some(DatedSize { values: 20, at: utc() });
    assert_eq!(driver.kept_sizes, [RequestSizes { learned: None, accepted }]);
}
