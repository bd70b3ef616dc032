//! Deletes: ids are read where the ledger has none, and a read proves every delete.

use std::time::Duration;

use chrono::TimeDelta;

use super::driver::{Driver, accepted, change, changes, delete, deleted, html, lost, problem, received, utc};
use crate::destination::{Body, Echo, ReadError};
use crate::record::{Key, PlannedChange, RequestOutcome, RunStatus, Verdict};

/// Deletes of the values of customers 1 to `customers`, whose ids are 100 more than theirs.
fn deletes(customers: i64) -> Vec<PlannedChange> {
    (1..=customers).map(|customer| delete(customer, Some(100 + customer))).collect()
}

fn row(customer: i64, value: &str, id: i64) -> Echo {
    Echo { key: Key::new(customer, 1), value: value.to_owned(), value_id: Some(id) }
}

fn verdict(driver: &Driver, customer: i64) -> &Verdict {
    &driver.outcomes[&Key::new(customer, 1)].verdict
}

fn reason(driver: &Driver, customer: i64) -> &str {
    verdict(driver, customer).reason().expect("a reason")
}

#[test]
fn promise_3_a_204_proves_nothing_and_a_read_without_a_value_does() {
    let mut driver = Driver::new(deletes(2));
    assert_eq!(driver.sent[0].ids, [101, 102]);
    driver.respond(deleted);
    assert!(driver.outcomes.is_empty(), "nothing is confirmed by the response");
    assert_eq!(driver.read_backs[0].1, [Key::new(1, 1), Key::new(2, 1)]);
    driver.read_back(|_| Ok(vec![row(2, "value 2", 102)]));
    assert_eq!(*verdict(&driver, 1), Verdict::Absent { value_id: Some(101), reason: None });
    let Verdict::Unknown { observed_value, .. } = verdict(&driver, 2) else { panic!("still there") };
    assert_eq!(observed_value.as_deref(), Some("value 2"));
    assert_eq!(driver.requests[&1].1.as_ref().map(|end| end.outcome), Some(RequestOutcome::Accepted));
    assert_eq!(driver.end.as_ref().map(|end| end.status), Some(RunStatus::Succeeded));
}

#[test]
fn promise_2_requests_delete_for_ten_customers_and_at_most_forty_values() {
    let mut plan = Vec::new();
    for customer in 1..=12 {
        for attribute in 1..=if customer == 12 { 50 } else { 1 } {
            let mut planned = delete(customer, Some(100 * customer + attribute));
            planned.change.key = Key::new(customer, attribute);
            plan.push(planned);
        }
    }
    let mut driver = Driver::new(plan);
    driver.run(deleted);
    let sizes: Vec<usize> = driver.sent.iter().map(|sent| sent.ids.len()).collect();
    assert_eq!(sizes, [10, 40, 11]);
}

#[test]
fn values_are_written_before_others_are_deleted_and_never_by_one_request() {
    let mut plan = changes(3);
    plan[1] = delete(2, Some(102));
    let mut driver = Driver::new(plan);
    driver.run(|sent| if sent.ids.is_empty() { accepted(sent) } else { deleted(sent) });
    let sent: Vec<_> = driver.sent.iter().map(|sent| (sent.customers(), sent.ids.clone())).collect();
    assert_eq!(sent, [(vec![1, 3], vec![]), (vec![2], vec![102])]);
    assert_eq!((driver.confirmed(), driver.absent()), (vec![1, 3], vec![2]));
}

#[test]
fn promise_14_without_an_id_the_value_is_read_and_only_ours_is_deleted() {
    let plan = vec![delete(1, None), delete(2, None), delete(3, None), delete(4, Some(104)), delete(5, None)];
    let mut driver = Driver::new(plan);
    let sought = [1, 2, 3, 5].map(|customer| Key::new(customer, 1));
    assert_eq!(driver.finds[0].1, sought);
    assert!(driver.sent.is_empty(), "the batch waits for its ids");
    let nameless = Echo { value_id: None, ..row(5, "value 5", 0) };
    driver.find(|_| Ok(vec![row(1, "value 1", 7), row(2, "of others", 8), nameless.clone()]));
    assert_eq!(driver.sent[0].ids, [7, 104]);
    assert!(reason(&driver, 2).contains("attrsync did not send"), "{}", reason(&driver, 2));
    assert!(matches!(verdict(&driver, 3), Verdict::Absent { value_id: None, reason: Some(_) }));
    assert!(reason(&driver, 5).contains("names no id"));
    driver.run(deleted);
    assert_eq!((driver.absent(), driver.rejected()), (vec![1, 3, 4], vec![2, 5]));
    assert_eq!(*verdict(&driver, 1), Verdict::Absent { value_id: Some(7), reason: None });
}

#[test]
fn many_values_of_others_stop_no_run() {
    let mut driver = Driver::new((1..=40).map(|customer| delete(customer, None)).collect());
    while !driver.finds.is_empty() {
        driver.find(|keys| Ok(keys.iter().map(|key| row(key.customer_id, "of others", 1)).collect()));
    }
    assert_eq!(driver.rejected().len(), 40);
    assert_eq!(driver.end.as_ref().map(|end| end.status), Some(RunStatus::Succeeded));
}

#[test]
fn a_value_under_another_id_is_deleted_once_more_if_it_is_ours() {
    let mut driver = Driver::new(deletes(3));
    driver.respond(deleted);
    let rows = vec![row(1, "value 1", 201), row(2, "of others", 202)];
    driver.read_back(|_| Ok(rows.clone()));
    assert!(reason(&driver, 2).contains("the value is deleted, but"), "{}", reason(&driver, 2));
    assert_eq!(driver.absent(), [3]);
    assert_eq!(driver.sent[1].ids, [201]);
    driver.respond(deleted);
    driver.read_back(|_| Ok(vec![row(1, "value 1", 301)]));
    assert!(matches!(verdict(&driver, 1), Verdict::Unknown { .. }), "it is not chased for ever");
    assert!(driver.end.is_some());
}

#[test]
fn ids_that_cannot_be_read_defer_their_deletes_and_fail_the_run_at_its_end() {
    let mut plan = changes(2);
    plan[1] = delete(2, None);
    let mut driver = Driver::new(plan);
    driver.respond(accepted);
    driver.find(|_| Err(ReadError(html(502))));
    assert!(matches!(verdict(&driver, 2), Verdict::Deferred { .. }));
    let end = driver.end.as_ref().expect("an end");
    assert_eq!((end.status, driver.confirmed()), (RunStatus::Failed, vec![1]));
    assert!(end.message.as_ref().is_some_and(|message| message.contains("could not be read")));
}

#[test]
fn a_lost_delete_is_sent_again_and_stays_in_doubt() {
    let mut driver = Driver::new(deletes(10));
    driver.respond(|_| lost());
    driver.pass();
    driver.respond(deleted);
    driver.read_back(|_| Ok(Vec::new()));
    assert_eq!(driver.absent().len(), 10);
    let window = driver.requests[&1].0.in_doubt_until;
    assert!(driver.outcomes.values().all(|outcome| outcome.in_doubt_until == Some(window)));
}

#[test]
fn a_delete_waits_for_a_value_in_doubt_but_not_for_the_same_delete() {
    let in_doubt = |sent: Option<&str>, planned: PlannedChange| {
        let mut planned = planned;
        planned.change.in_doubt_until = Some(utc() + TimeDelta::minutes(2));
        planned.is_in_doubt = true;
        planned.in_doubt_value = sent.map(str::to_owned);
        planned
    };
    let repeated = Driver::new(vec![in_doubt(None, delete(1, Some(101)))]);
    assert_eq!(repeated.sent.len(), 1);
    let after_a_value = Driver::new(vec![in_doubt(Some("value 1"), delete(1, Some(101)))]);
    assert_eq!((after_a_value.sent.len(), after_a_value.timer), (0, Some(Duration::from_secs(120))));
    let after_a_delete = Driver::new(vec![in_doubt(None, change(1, 1))]);
    assert_eq!((after_a_delete.sent.len(), after_a_delete.timer), (0, Some(Duration::from_secs(120))));
    let mut unread = Driver::new(vec![in_doubt(Some("value 1"), delete(1, None))]);
    assert!(unread.finds.is_empty(), "a read before that would prove nothing");
    unread.pass();
    assert_eq!(unread.finds.len(), 1);
}

#[test]
fn promise_6_a_refused_delete_is_found_by_bisection_and_harms_no_other() {
    let mut driver = Driver::new(deletes(10));
    driver.run(|sent| match sent.customers().contains(&4) {
        true => problem(422, "cannot be deleted"),
        false => deleted(sent),
    });
    assert_eq!((driver.absent().len(), driver.rejected()), (9, vec![4]));
}

#[test]
fn a_delete_that_is_too_large_is_sent_in_parts() {
    let mut driver = Driver::new(deletes(30));
    driver.run(|sent| match sent.ids.len() {
        6.. => received(414, Body::Problem { title: "URI Too Long".to_owned(), errors: Vec::new() }),
        _ => deleted(sent),
    });
    assert_eq!(driver.absent().len(), 30);
    assert!(driver.kept_sizes.is_empty(), "it says nothing of requests that write values");
}

#[test]
fn a_success_that_cannot_be_read_proves_nothing() {
    let mut driver = Driver::new(deletes(2));
    driver.respond(|_| html(200));
    driver.read_back(|_| Ok(vec![row(1, "value 1", 101)]));
    assert_eq!(driver.absent(), [2]);
    driver.pass();
    assert_eq!(driver.sent[1].ids, [101], "something else than the store may have responded");
}
