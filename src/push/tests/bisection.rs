//! How a push sorts a refused batch.

use super::driver::{Driver, Hold, accepted, changes, html, lost, problem, refusing};
use crate::config::PushConfig;
use crate::destination::Response;
use crate::push::ExtraRequests;
use crate::record::Verdict;

#[test]
fn promise_6_both_halves_of_a_refused_batch_are_sent() {
    for bad in 1..=10 {
        let mut driver = Driver::new(changes(10));
        driver.run(refusing(&[bad]));
        let mut confirmed = driver.confirmed();
        confirmed.sort_unstable();
        let others: Vec<i64> = (1..=10).filter(|customer| *customer != bad).collect();
        assert_eq!((driver.rejected(), confirmed), (vec![bad], others));
        let extra = driver.sent.len() - 1;
        assert!(extra <= 4 + 3, "{extra} requests more than the refused one for customer {bad}");
    }
}

#[test]
fn a_refusal_that_passes_rejects_no_value() {
    let mut driver = Driver::new(changes(10));
    driver.respond(|_| problem(422, "Try again"));
    driver.run(accepted);
    assert_eq!((driver.rejected(), driver.confirmed().len()), (Vec::new(), 10));
}

#[test]
fn promise_6_several_bad_values_are_found() {
    let bad = [1, 9, 10, 23, 24, 25, 26, 37];
    let mut driver = Driver::new(changes(40));
    driver.run(refusing(&bad));
    assert_eq!((driver.rejected(), driver.confirmed().len()), (bad.to_vec(), 32));
}

#[test]
fn a_bisection_survives_failures_on_its_way() {
    let mut driver = Driver::new(changes(10));
    let mut request = 0;
    while driver.end.is_none() {
        if driver.in_flight.is_empty() {
            driver.pass();
            continue;
        }
        request += 1;
        if request % 2 == 0 {
            driver.respond(|_| html(502));
        } else {
            driver.respond(refusing(&[6]));
        }
    }
    assert_eq!((driver.rejected(), driver.confirmed().len()), (vec![6], 9));
}

#[test]
fn a_bisection_ends_with_the_run_and_every_change_has_an_outcome() {
    let mut driver = Driver::new(changes(10));
    driver.respond(|_| problem(422, "No"));
    driver.respond(|_| problem(401, "No"));
    assert!(driver.end.is_some());
    let deferred = driver.ended(|verdict| matches!(verdict, Verdict::Deferred { .. }));
    assert_eq!(deferred, (1..=10).collect::<Vec<_>>());
}

#[test]
fn a_learned_size_holds_for_the_parts_of_a_bisection() {
    let config = PushConfig { values_per_request: Some(4), ..PushConfig::default() };
    let mut driver = Driver::with(changes(10), config, Hold::default());
    driver.run(refusing(&[2]));
    assert!(driver.sent.iter().all(|sent| sent.items.len() <= 4));
    assert_eq!((driver.rejected(), driver.confirmed().len()), (vec![2], 9));
}

#[test]
fn a_request_that_never_left_is_no_extra_one() {
    let mut driver = Driver::new(changes(10));
    (0..3).for_each(|_| {
        driver.respond(|_| Response::not_sent("connection refused"));
        driver.pass();
    });
    driver.run(accepted);
    assert_eq!((driver.counts().requests, driver.push.extra_requests()), (1, ExtraRequests::default()));
}

#[test]
fn requests_that_the_plan_does_not_need_are_counted_by_cause() {
    let mut driver = Driver::new(changes(20));
    driver.respond(|_| lost());
    driver.run(refusing(&[13]));
    let ExtraRequests { repeated, bisection, learned_size, .. } = driver.push.extra_requests();
    assert_eq!((repeated, learned_size), (1, None));
    assert_eq!(2 + repeated + bisection, driver.sent.len() as u64, "two requests are the plan's");
}
