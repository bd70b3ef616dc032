//! The first customers are sent and read back before the rest.

use std::collections::BTreeSet;

use super::driver::{Driver, Hold, Sent, accepted, change, changes, lost, problem, refusing};
use crate::config::PushConfig;
use crate::destination::{Echo, ReadError, Response};
use crate::push::Event;
use crate::record::{Key, PlannedChange, RequestSizes, RunStatus};

/// Starts with a canary of so many customers.
fn with_canary(plan: Vec<PlannedChange>, customers: usize) -> Driver {
    Driver::knowing(plan, PushConfig::default(), Hold::default(), RequestSizes::default(), Some(customers))
}

/// The values of a store that holds what it was sent.
fn shown_by_store(keys: &[Key]) -> Result<Vec<Echo>, ReadError> {
    let echo = |key: &Key| Echo { key: *key, value: format!("value {}", key.customer_id), value_id: None };
    Ok(keys.iter().map(echo).collect())
}

/// Responds to everything on the wire until nothing is.
fn respond_to_all(driver: &mut Driver, response: impl Fn(&Sent) -> Response) {
    while !driver.in_flight.is_empty() {
        driver.respond(&response);
    }
}

fn customers_sent(driver: &Driver) -> usize {
    driver.sent.iter().flat_map(Sent::customers).collect::<BTreeSet<_>>().len()
}

#[test]
fn promise_10_the_rest_is_sent_once_the_canary_is_shown() {
    let mut driver = with_canary(changes(1_000), 100);
    respond_to_all(&mut driver, accepted);
    assert_eq!((customers_sent(&driver), driver.canary_reads.len()), (100, 1));
    assert_eq!(driver.canary_reads[0].len(), 100);
    driver.read_canary(shown_by_store);
    assert_eq!(driver.run(accepted).status, RunStatus::Succeeded);
    assert_eq!((driver.sent.len(), driver.counts().confirmed), (100, 1_000));
}

#[test]
fn promise_10_a_store_that_does_not_keep_what_it_echoes_gets_no_further_customer() {
    let mut driver = with_canary(changes(1_000), 25);
    respond_to_all(&mut driver, accepted);
    for _ in 0..4 {
        driver.read_canary(|keys| {
            let mut values = shown_by_store(keys)?;
            values.retain(|echo| echo.key.customer_id != 12);
            Ok(values)
        });
        assert_eq!(driver.unconfirmed.is_empty(), driver.end.is_none());
        if driver.end.is_none() {
            driver.pass();
            assert_eq!(driver.canary_reads[0], [Key::new(12, 1)], "only what was not shown is read again");
        }
    }
    let end = driver.end.as_ref().expect("an end");
    assert_eq!(end.status, RunStatus::Failed);
    assert!(end.message.as_ref().expect("a message").contains("customer 12 · attribute 1"), "{end:?}");
    assert!(end.hint.is_some());
    assert_eq!((customers_sent(&driver), driver.counts().deferred), (25, 975));
    assert_eq!(driver.unconfirmed, [Key::new(12, 1)], "the next run sends it again");
}

#[test]
fn a_write_that_a_read_shows_only_after_a_moment_is_no_failure() {
    let mut driver = with_canary(changes(50), 10);
    respond_to_all(&mut driver, accepted);
    driver.read_canary(|_| Ok(Vec::new()));
    driver.pass();
    driver.read_canary(shown_by_store);
    assert_eq!(driver.run(accepted).status, RunStatus::Succeeded);
}

#[test]
fn promise_1_a_canary_costs_no_further_write_request() {
    let plan: Vec<_> = (1..=40).flat_map(|id| (1..=3).map(move |attribute| change(id, attribute))).collect();
    let config = PushConfig { values_per_request: Some(10), ..PushConfig::default() };
    let mut driver = Driver::knowing(plan, config, Hold::default(), RequestSizes::default(), Some(20));
    respond_to_all(&mut driver, accepted);
    assert_eq!((customers_sent(&driver), driver.sent.len()), (20, 6));
    driver.read_canary(shown_by_store);
    driver.run(accepted);
    assert_eq!(driver.sent.len(), 12);
}

#[test]
fn another_form_of_the_value_is_no_failure() {
    let mut driver = with_canary(changes(50), 10);
    respond_to_all(&mut driver, accepted);
    driver.read_canary(|keys| {
        let mut values = shown_by_store(keys)?;
        values[0].value = values[0].value.to_uppercase();
        Ok(values)
    });
    assert_eq!(driver.run(accepted).status, RunStatus::Succeeded);

    let mut plan = changes(50);
    plan.iter_mut().for_each(|planned| planned.change.value = Some("2026-12-31".to_owned()));
    let mut driver = with_canary(plan, 10);
    respond_to_all(&mut driver, accepted);
    driver.read_canary(|keys| {
        let mut values = shown_by_store(keys)?;
        values.iter_mut().for_each(|echo| echo.value = "2026-12-31T00:00:00Z".to_owned());
        Ok(values)
    });
    assert!(driver.canary_reads.is_empty() && !driver.in_flight.is_empty(), "the rest is sent");
}

#[test]
fn promise_6_rejected_values_are_no_failure_of_the_canary() {
    let mut driver = with_canary(changes(200), 20);
    let response = refusing(&[3, 14, 150]);
    while driver.canary_reads.is_empty() {
        match driver.in_flight.is_empty() {
            true => driver.pass(),
            false => drop(driver.respond(&response)),
        }
    }
    assert_eq!(driver.canary_reads[0].len(), 18, "only what was confirmed is read");
    driver.read_canary(shown_by_store);
    driver.run(&response);
    assert_eq!(driver.rejected(), [3, 14, 150]);
    assert_eq!(driver.counts().confirmed, 197);
}

#[test]
fn a_plan_whose_first_customers_are_all_rejected_goes_on() {
    let bad: Vec<i64> = (1..=5).collect();
    let mut driver = with_canary(changes(60), 5);
    driver.run(refusing(&bad));
    assert_eq!((driver.rejected(), driver.counts().confirmed), (bad, 55));
    assert!(driver.canary_reads.is_empty());
}

#[test]
fn promise_6_a_value_that_never_gets_a_clear_response_does_not_stop_the_canary() {
    let response = |sent: &Sent| match sent.customers().contains(&18) {
        true => problem(500, ""),
        false => accepted(sent),
    };
    let mut driver = with_canary(changes(300), 20);
    for _ in 0..10_000 {
        if driver.end.is_some() {
            break;
        }
        if !driver.canary_reads.is_empty() {
            driver.read_canary(shown_by_store);
        } else if driver.in_flight.is_empty() {
            driver.pass();
        } else {
            driver.respond(response);
        }
    }
    assert_eq!((driver.counts().confirmed, driver.counts().unknown), (299, 1));
}

#[test]
fn an_outage_in_the_canary_passes() {
    let mut driver = with_canary(changes(300), 20);
    for _ in 0..8 {
        respond_to_all(&mut driver, |_| lost());
        driver.pass();
    }
    for _ in 0..10_000 {
        if driver.end.is_some() {
            break;
        }
        if !driver.canary_reads.is_empty() {
            assert!(customers_sent(&driver) <= 20);
            driver.read_canary(shown_by_store);
        } else if driver.in_flight.is_empty() {
            driver.pass();
        } else {
            driver.respond(accepted);
        }
    }
    assert_eq!((driver.counts().confirmed, driver.counts().planned), (300, 300));
}

#[test]
fn a_stop_is_heard_while_the_canary_is_read() {
    let mut driver = with_canary(changes(300), 20);
    respond_to_all(&mut driver, accepted);
    driver.event(Event::StopAsked);
    assert!(driver.end.is_none(), "the read is under way");
    driver.read_canary(|_| Err(ReadError(lost())));
    assert_eq!(driver.end.as_ref().expect("an end").status, RunStatus::Stopped);
    assert_eq!(customers_sent(&driver), 20);
}

#[test]
fn a_canary_that_cannot_be_read_ends_the_run() {
    let mut driver = with_canary(changes(300), 20);
    respond_to_all(&mut driver, accepted);
    driver.read_canary(|_| Err(ReadError(problem(401, "no"))));
    let end = driver.end.as_ref().expect("an end");
    assert_eq!((end.status, customers_sent(&driver)), (RunStatus::Failed, 20));
}
