//! A success with errors of single items.

use super::driver::{Driver, Sent, accepted, changes, received};
use crate::destination::{Body, Echo, Response};
use crate::record::{Key, RequestOutcome, Verdict};

/// 200 for everything but these customers, with these errors.
fn partial(sent: &Sent, bad: &[i64], errors: &[(String, &str)]) -> Response {
    let Response::Received(mut response) = accepted(sent) else { panic!() };
    let Body::Echoes(echoes) = response.body else { panic!() };
    let echoes = echoes.into_iter().filter(|echo| !bad.contains(&echo.key.customer_id)).collect();
    let errors = errors.iter().map(|(field, text)| vec![(field.clone(), (*text).to_owned())]).collect();
    response.body = Body::Partial { echoes, errors };
    Response::Received(response)
}

fn reason(driver: &Driver, customer: i64) -> &str {
    match &driver.outcomes[&Key::new(customer, 1)].verdict {
        Verdict::Rejected { reason } => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn promise_6_a_named_item_is_rejected_and_the_others_are_confirmed_by_one_request() {
    let mut driver = Driver::new(changes(10));
    driver.respond(|sent| partial(sent, &[4], &[("3.value".to_owned(), "not allowed")]));
    assert_eq!((driver.confirmed().len(), driver.rejected()), (9, vec![4]));
    assert_eq!(reason(&driver, 4), "200 · value: not allowed");
    assert_eq!((driver.sent.len(), driver.read_backs.len()), (1, 0));
    assert_eq!(driver.requests[&1].1.as_ref().map(|end| end.outcome), Some(RequestOutcome::Accepted));
}

#[test]
fn promise_3_a_value_that_is_echoed_and_named_by_an_error_is_read_back() {
    let mut driver = Driver::new(changes(10));
    driver.respond(|sent| partial(sent, &[], &[("3.value".to_owned(), "not allowed")]));
    assert_eq!(driver.read_backs[0].1, [Key::new(4, 1)]);
    let echo = Echo { key: Key::new(4, 1), value: "value 4".to_owned(), value_id: None };
    driver.read_back(|_| Ok(vec![echo.clone()]));
    assert_eq!(driver.confirmed().len(), 10, "the store has it");

    let mut driver = Driver::new(changes(10));
    let contradicts = |sent: &Sent| match sent.customers().iter().position(|customer| *customer == 4) {
        Some(at) => partial(sent, &[], &[(format!("{at}.value"), "not allowed")]),
        None => accepted(sent),
    };
    driver.run(contradicts);
    assert_eq!((driver.confirmed().len(), driver.rejected()), (9, vec![4]), "the store does not have it");
    assert!(reason(&driver, 4).contains("not allowed"));
}

#[test]
fn an_item_that_is_neither_echoed_nor_named_is_read_back() {
    let mut driver = Driver::new(changes(10));
    driver.respond(|sent| partial(sent, &[4, 6], &[("3.value".to_owned(), "not allowed")]));
    assert_eq!(driver.read_backs[0].1, [Key::new(6, 1)]);
    let echo = Echo { key: Key::new(6, 1), value: "value 6".to_owned(), value_id: None };
    driver.read_back(|_| Ok(vec![echo.clone()]));
    assert_eq!((driver.confirmed().len(), driver.rejected()), (9, vec![4]));
}

#[test]
fn promise_6_an_error_that_names_nothing_is_about_what_is_neither_echoed_nor_there() {
    let mut driver = Driver::new(changes(10));
    driver.run(|sent| match sent.customers().contains(&4) {
        true => partial(sent, &[4], &[(String::new(), "not allowed")]),
        false => accepted(sent),
    });
    assert_eq!((driver.confirmed().len(), driver.rejected()), (9, vec![4]));
    assert!(reason(&driver, 4).contains("not allowed"));
    assert!(driver.sent.len() <= 3, "{}", driver.sent.len());
}

#[test]
fn an_error_within_a_success_that_passes_rejects_no_value() {
    let mut driver = Driver::new(changes(10));
    driver.respond(|sent| partial(sent, &[4, 5], &[(String::new(), "try again")]));
    driver.run(accepted);
    assert_eq!(driver.confirmed().len(), 10);
}

#[test]
fn errors_without_a_list_are_about_the_values_that_are_not_there() {
    let mut driver = Driver::new(changes(2));
    let errors = vec![vec![("1.value".to_owned(), "not allowed".to_owned())]];
    driver.respond(|_| received(200, Body::Partial { echoes: Vec::new(), errors: errors.clone() }));
    let echo = Echo { key: Key::new(1, 1), value: "value 1".to_owned(), value_id: None };
    driver.read_back(|_| Ok(vec![echo.clone()]));
    assert_eq!((driver.confirmed(), driver.rejected()), (vec![1], vec![2]));
}

#[test]
fn an_item_whose_error_may_pass_is_sent_again() {
    let mut driver = Driver::new(changes(10));
    let busy = [("3.status".to_owned(), "503"), ("3.message".to_owned(), "busy")];
    let fields = |(field, text): &(String, &str)| (field.clone(), (*text).to_owned());
    driver.respond(|sent| {
        let Response::Received(mut response) = partial(sent, &[4], &[]) else { panic!() };
        let Body::Partial { errors, .. } = &mut response.body else { panic!() };
        errors.push(busy.iter().map(fields).collect());
        Response::Received(response)
    });
    driver.read_back(|_| Ok(Vec::new()));
    assert_eq!(driver.requests[&1].1.as_ref().map(|end| end.outcome), Some(RequestOutcome::InDoubt));
    driver.run(accepted);
    assert_eq!((driver.confirmed().len(), driver.sent[1].customers()), (10, vec![4]));
}
