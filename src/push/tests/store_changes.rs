//! Customers and attributes that the store deleted while the run was pushing.

use super::driver::{Driver, Sent, accepted, change, problem, refusing};
use crate::destination::ReadError;
use crate::push::{Event, Notice, Subject};
use crate::record::{PlannedChange, Verdict};

fn ten_values_each(customers: i64) -> Vec<PlannedChange> {
    (1..=customers).flat_map(|customer| (1..=10).map(move |attribute| change(customer, attribute))).collect()
}

/// Runs until the first existence check.
fn until_check(driver: &mut Driver, bad: &[i64]) -> Vec<Subject> {
    while driver.existence_checks.is_empty() {
        driver.respond(refusing(bad));
    }
    driver.existence_checks.pop_front().expect("a check")
}

#[test]
fn three_rejections_in_a_row_lead_to_a_check_and_the_rest_is_rejected_without_sending() {
    let mut driver = Driver::new(ten_values_each(1));
    assert_eq!(until_check(&mut driver, &[1]), [Subject::Customer(1)]);
    assert_eq!(driver.rejected().len(), 3);
    let sent = driver.sent.len();
    driver.event(Event::ExistenceChecked(Ok(vec![Subject::Customer(1)])));
    driver.run(|_| problem(422, "No"));
    assert!(driver.sent.len() <= sent + 1, "only what was on the wire");
    assert_eq!(driver.rejected().len(), 10);
    let reasons = driver.outcomes.values().filter(|outcome| match &outcome.verdict {
        Verdict::Rejected { reason } => reason.contains("no longer has customer 1"),
        _ => false,
    });
    assert!(reasons.count() >= 6);
}

#[test]
fn nothing_new_is_chosen_while_a_check_is_under_way() {
    let mut driver = Driver::new(ten_values_each(2_000));
    until_check(&mut driver, &[1]);
    while !driver.in_flight.is_empty() {
        driver.respond(refusing(&[1]));
    }
    let recorded = driver.requests.len();
    assert!(driver.end.is_none());
    driver.event(Event::ExistenceChecked(Ok(vec![Subject::Customer(1)])));
    assert!(driver.requests.len() > recorded);
}

#[test]
fn a_subject_that_exists_is_checked_once_and_its_values_are_sent() {
    let mut driver = Driver::new(ten_values_each(1));
    until_check(&mut driver, &[1]);
    driver.event(Event::ExistenceChecked(Ok(Vec::new())));
    driver.run(refusing(&[1]));
    assert!(driver.existence_checks.is_empty());
    assert_eq!(driver.rejected().len(), 10);
}

#[test]
fn a_deleted_attribute_spares_the_rest_of_its_values() {
    let mut driver =
        Driver::new((1..=30).flat_map(|customer| [change(customer, 1), change(customer, 7)]).collect());
    let response = |sent: &Sent| {
        let refused = sent.items.iter().any(|(key, _)| key.attribute_id == 7);
        if refused { problem(422, "No") } else { accepted(sent) }
    };
    while driver.existence_checks.is_empty() {
        driver.respond(response);
    }
    let subjects = driver.existence_checks.pop_front().expect("a check");
    assert_eq!(subjects, [Subject::Attribute(7)]);
    driver.event(Event::ExistenceChecked(Ok(subjects)));
    let sent = driver.sent.len();
    driver.run(response);
    assert_eq!((driver.rejected().len(), driver.confirmed().len()), (30, 30));
    assert!(driver.sent.len() <= sent + 8, "{} requests after the check", driver.sent.len() - sent);
}

#[test]
fn a_failed_check_costs_requests_and_changes_no_outcome() {
    let mut driver = Driver::new(ten_values_each(2));
    until_check(&mut driver, &[1]);
    driver.event(Event::ExistenceChecked(Err(ReadError(problem(503, "No")))));
    assert!(driver.notices.iter().any(|notice| matches!(notice, Notice::CheckFailed(_))));
    driver.run(refusing(&[1]));
    assert_eq!((driver.rejected().len(), driver.confirmed().len()), (10, 10));
}

#[test]
fn a_confirmation_ends_the_row_of_rejections() {
    let mut driver = Driver::new(ten_values_each(1));
    let bad = |sent: &Sent| sent.items.iter().any(|(key, _)| [1, 10].contains(&key.attribute_id));
    driver.run(|sent| if bad(sent) { problem(422, "No") } else { accepted(sent) });
    assert_eq!((driver.rejected().len(), driver.confirmed().len()), (2, 8));
    assert!(driver.existence_checks.is_empty());
}
