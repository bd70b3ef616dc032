//! What a response means, row by row.

use std::time::Duration;

use super::driver::{
    Driver, Sent, accepted, change, changes, html, limited, lost, problem, received, refusing,
};
use crate::destination::{Body, Echo, ReadError, Response};
use crate::push::Event;
use crate::record::{Key, RequestOutcome, RunStatus, Verdict};

/// The outcome of the first request, after its response and everything that follows at once.
fn first_outcome(response: impl Fn(&Sent) -> Response) -> (Driver, Option<RequestOutcome>) {
    let mut driver = Driver::new(changes(10));
    driver.respond(response);
    let outcome = driver.requests[&1].1.as_ref().map(|end| end.outcome);
    (driver, outcome)
}

fn echoes(items: &[(i64, &str)]) -> Vec<Echo> {
    let echo = |(customer, value): &(i64, &str)| Echo {
        key: Key::new(*customer, 1),
        value: (*value).to_owned(),
        value_id: Some(*customer),
    };
    items.iter().map(echo).collect()
}

#[test]
fn promise_3_a_2xx_is_believed_by_its_echoes() {
    let (driver, outcome) = first_outcome(accepted);
    assert_eq!(outcome, Some(RequestOutcome::Accepted));
    assert_eq!(driver.confirmed().len(), 10);
    assert_eq!(driver.end.expect("an end").status, RunStatus::Succeeded);
}

#[test]
fn an_echo_of_another_value_is_confirmed_as_altered() {
    let mut driver = Driver::new(changes(1));
    driver.respond(|_| received(201, Body::Echoes(echoes(&[(1, "VALUE 1")]))));
    let Verdict::Confirmed { stored_value, .. } = &driver.outcomes[&Key::new(1, 1)].verdict else { panic!() };
    assert_eq!(stored_value.as_deref(), Some("VALUE 1"));
}

#[test]
fn promise_3_a_missing_echo_is_read_back_and_believed_only_as_far_as_the_store_shows_it() {
    for (shown, confirmed) in [("value 2", true), ("something else", false)] {
        let mut driver = Driver::new(changes(2));
        driver.respond(|_| received(200, Body::Echoes(echoes(&[(1, "value 1")]))));
        assert_eq!(driver.read_backs[0].1, [Key::new(2, 1)], "only the missing key is read");
        assert!(driver.outcomes.is_empty(), "nothing is committed before the read");
        driver.read_back(|_| Ok(echoes(&[(2, shown)])));
        let verdict = &driver.outcomes[&Key::new(2, 1)].verdict;
        assert_eq!(matches!(verdict, Verdict::Confirmed { .. }), confirmed, "{shown}: {verdict:?}");
        if let Verdict::Unknown { observed_value, .. } = verdict {
            assert_eq!(observed_value.as_deref(), Some(shown));
        }
    }
}

#[test]
fn an_echo_that_equals_what_was_there_before_proves_nothing() {
    let mut planned = change(1, 1);
    planned.change.previous_value = Some("old".to_owned());
    let mut driver = Driver::new(vec![planned]);
    driver.respond(|_| received(200, Body::Echoes(echoes(&[(1, "old")]))));
    assert_eq!(driver.read_backs.len(), 1);
}

#[test]
fn a_failed_read_back_leaves_the_value_unknown() {
    let mut driver = Driver::new(changes(1));
    driver.respond(|_| received(200, Body::Echoes(Vec::new())));
    driver.read_back(|_| Err(ReadError(html(503))));
    assert!(matches!(driver.outcomes[&Key::new(1, 1)].verdict, Verdict::Unknown { .. }));
}

#[test]
fn a_2xx_without_a_readable_body_is_read_back_and_then_in_doubt() {
    for body in ["", "<html>welcome</html>"] {
        let mut driver = Driver::new(changes(2));
        driver.respond(|_| received(204, Body::Unreadable(body.to_owned())));
        driver.read_back(|_| Ok(echoes(&[(1, "value 1")])));
        assert_eq!(driver.confirmed(), [1], "what the read shows is believed");
        assert_eq!(driver.requests[&1].1.as_ref().map(|end| end.outcome), Some(RequestOutcome::InDoubt));
        driver.pass();
        assert_eq!(driver.sent[1].customers(), [2], "the rest is sent again");
        driver.run(accepted);
        assert_eq!(driver.confirmed(), [1, 2]);
    }
}

#[test]
fn promise_6_a_refused_value_is_found_and_its_neighbours_are_confirmed() {
    for status in [400, 422] {
        let mut driver = Driver::new(changes(10));
        let end = driver
            .run(|sent| if sent.customers().contains(&4) { problem(status, "No") } else { accepted(sent) })
            .clone();
        assert_eq!((driver.rejected(), driver.confirmed().len()), (vec![4], 9), "{status}");
        assert_eq!(end.status, RunStatus::Succeeded, "the counts make it partial");
    }
}

#[test]
fn the_reason_of_a_rejection_has_no_position_in_the_batch() {
    let mut driver = Driver::new(changes(10));
    driver.run(|sent| match sent.customers().iter().position(|customer| *customer == 7) {
        Some(index) => {
            let errors = vec![(format!("{index}.value"), "too long".to_owned())];
            received(422, Body::Problem { title: "Invalid".to_owned(), errors })
        }
        None => accepted(sent),
    });
    let Verdict::Rejected { reason } = &driver.outcomes[&Key::new(7, 1)].verdict else { panic!() };
    assert_eq!(reason, "422 · Invalid · value: too long");
}

#[test]
fn a_page_of_a_firewall_is_about_the_content_while_reads_succeed() {
    for status in [302, 403, 404, 405, 406, 415, 501, 505] {
        for bad in 1..=10 {
            let mut driver = Driver::new(changes(10));
            let end = driver
                .run(|sent| if sent.customers().contains(&bad) { html(status) } else { accepted(sent) })
                .clone();
            assert_eq!((driver.rejected(), driver.confirmed().len()), (vec![bad], 9), "{status}");
            let Verdict::Rejected { reason } = &driver.outcomes[&Key::new(bad, 1)].verdict else { panic!() };
            assert!(reason.starts_with("refused by something before the store"), "{reason}");
            assert_eq!(end.status, RunStatus::Succeeded);
        }
    }
}

#[test]
fn promise_6_a_way_that_passes_no_write_rejects_nothing_and_stops_the_run() {
    for customers in [1, 2, 10, 400] {
        for accepted_before in [0, 5] {
            let mut driver = Driver::new(changes(customers));
            for _ in 0..accepted_before.min(customers / 10) {
                driver.respond(accepted);
            }
            let before = driver.confirmed().len();
            let end = driver.run(|_| html(405)).clone();
            assert_eq!((driver.rejected(), driver.confirmed().len()), (vec![], before), "{customers}");
            if before as i64 == customers {
                continue;
            }
            assert_eq!(end.status, RunStatus::Failed);
            assert!(end.hint.expect("a hint").contains("PUT and DELETE requests"));
            assert!(driver.sent.len() < 60, "{} requests", driver.sent.len());
            let counts = driver.counts();
            assert_eq!((counts.unknown, counts.deferred), (0, customers - before as i64));
        }
    }
}

#[test]
fn a_last_value_that_is_blocked_is_rejected_if_other_writes_were_accepted() {
    let mut driver = Driver::new(changes(11));
    driver.run(|sent| if sent.customers() == [11] { html(405) } else { accepted(sent) });
    assert_eq!((driver.rejected(), driver.confirmed().len()), (vec![11], 10));
}

#[test]
fn a_firewall_that_refuses_the_only_value_is_named_in_its_reason() {
    let mut driver = Driver::new(changes(1));
    driver.run(|_| html(403));
    let Verdict::Rejected { reason } = &driver.outcomes[&Key::new(1, 1)].verdict else { panic!() };
    assert!(reason.starts_with("refused by something before the store"), "{reason}");
    assert_eq!(driver.sent.len(), 2);
}

#[test]
fn promise_6_a_refusal_that_passes_rejects_no_value_of_a_batch_of_any_size() {
    for customers in [1, 2, 10] {
        for response in [html(403), html(406), problem(422, "No"), problem(400, "No")] {
            let mut driver = Driver::new(changes(customers));
            driver.respond(|_| response.clone());
            driver.run(accepted);
            assert_eq!(driver.confirmed().len() as i64, customers, "{response:?}");
        }
    }
}

#[test]
fn a_page_of_a_firewall_stops_the_run_when_reads_fail_too() {
    let mut driver = Driver::new(changes(100));
    driver.respond(|_| html(403));
    assert_eq!(driver.reads_to_check, 1);
    driver.event(Event::ReadsChecked(Err(ReadError(html(403)))));
    driver.reads_to_check = 0;
    let end = driver.run(accepted).clone();
    assert_eq!(end.status, RunStatus::Failed);
    assert!(end.hint.expect("a hint").contains("scope"));
    assert_eq!(driver.rejected(), [0_i64; 0]);
}

#[test]
fn a_response_after_which_nothing_can_succeed_stops_the_run_with_advice() {
    for (response, advice) in [
        (problem(401, "No"), "access_token"),
        (html(401), "access_token"),
        (problem(403, "No"), "scope"),
        (problem(404, "No"), "hash"),
        (problem(301, "No"), "api_url"),
        (problem(405, "No"), "api_url"),
        (problem(415, "No"), "api_url"),
        (problem(501, "No"), "api_url"),
        (problem(505, "No"), "api_url"),
        (html(507), "room"),
        (problem(451, "No"), "[store]"),
    ] {
        let mut driver = Driver::new(changes(200));
        driver.respond(accepted);
        driver.respond(|_| response.clone());
        let sent = driver.sent.len();
        let end = driver.run(accepted).clone();
        assert_eq!(end.status, RunStatus::Failed, "{response:?}");
        assert!(end.hint.as_ref().is_some_and(|hint| hint.contains(advice)), "{end:?}");
        assert_eq!(driver.sent.len(), sent, "{response:?}: nothing more is sent");
        assert_eq!(driver.requests[&2].1.as_ref().map(|end| end.outcome), Some(RequestOutcome::Fatal));
        let counts = driver.counts();
        assert_eq!((counts.unknown, counts.rejected), (0, 0), "{response:?}: nothing of it was applied");
    }
}

#[test]
fn promise_3_a_lost_response_confirms_nothing() {
    let mut driver = Driver::new(changes(10));
    driver.respond(|_| lost());
    assert_eq!(driver.requests[&1].1.as_ref().map(|end| end.outcome), Some(RequestOutcome::InDoubt));
    assert!(driver.outcomes.is_empty() && driver.end.is_none());
    let counts = driver.counts();
    assert_eq!((counts.confirmed, counts.unknown), (0, 10));
}

#[test]
fn a_request_in_doubt_is_sent_again_after_a_growing_pause() {
    let responses =
        [html(500), html(502), html(503), html(504), problem(409, "No"), html(409), html(408), html(423)];
    for response in responses.into_iter().chain([html(400), html(444), html(499), html(599), lost()]) {
        let mut driver = Driver::new(changes(10));
        driver.respond(|_| response.clone());
        assert_eq!(
            driver.requests[&1].1.as_ref().map(|end| end.outcome),
            Some(RequestOutcome::InDoubt),
            "{response:?}"
        );
        assert!(driver.outcomes.is_empty());
        driver.pass();
        assert_eq!(driver.sent.len(), 2, "{response:?}");
        assert_eq!(driver.requests[&2].0.parent_id, Some(1));
        driver.run(accepted);
        assert_eq!(driver.confirmed().len(), 10, "{response:?}");
    }
}

#[test]
fn a_value_that_keeps_failing_is_unknown_and_its_neighbours_are_confirmed() {
    let mut driver = Driver::new(changes(40));
    let end =
        driver.run(|sent| if sent.customers().contains(&14) { html(500) } else { accepted(sent) }).clone();
    assert_eq!(driver.confirmed().len(), 39);
    let Verdict::Unknown { reason, .. } = &driver.outcomes[&Key::new(14, 1)].verdict else { panic!() };
    let times = driver.sent.iter().filter(|sent| sent.customers().contains(&14)).count();
    let said = format!("sent {times} times without a clear response; the last: 500");
    assert!(times > 2 && reason.starts_with(&said), "{times}: {reason}");
    assert!(driver.outcomes[&Key::new(14, 1)].in_doubt_until.is_some());
    assert_eq!(end.status, RunStatus::Succeeded);
}

#[test]
fn nothing_is_split_while_nothing_succeeds_and_the_circuit_breaker_stops_the_run() {
    let mut driver = Driver::new(changes(400));
    let end = driver.run(|_| html(503)).clone();
    assert_eq!(end.status, RunStatus::Failed);
    let message = end.message.expect("a message");
    assert!(message.contains("calls in a row failed within 10 min"), "{message}");
    assert!(message.contains("the last response: 503"), "{message}");
    assert!(driver.elapsed < Duration::from_secs(700) && driver.sent.len() < 250, "{:?}", driver.elapsed);
    assert!(driver.sent.iter().all(|sent| sent.items.len() == 10), "no batch was split");
    assert!(driver.counts().deferred >= 250, "{:?}", driver.counts());
}

#[test]
fn a_store_that_fails_for_five_minutes_costs_no_night() {
    let minutes = Duration::from_secs(300);
    for response in [html(503), lost(), Response::not_sent("refused"), limited(Some(0))] {
        for customers in [1, 10, 400] {
            let mut driver = Driver::new(changes(customers));
            while driver.elapsed < minutes {
                match driver.in_flight.is_empty() {
                    true => driver.pass(),
                    false => drop(driver.respond(|_| response.clone())),
                }
            }
            assert!(driver.sent.len() < 150, "{} requests: {response:?}", driver.sent.len());
            driver.run(accepted);
            assert_eq!(driver.confirmed().len() as i64, customers, "{response:?}");
        }
    }
}

#[test]
fn a_request_that_never_left_counts_as_no_request_and_its_values_are_deferred() {
    let mut driver = Driver::new(changes(30));
    let end = driver.run(|_| Response::not_sent("connection refused")).clone();
    assert_eq!(end.status, RunStatus::Failed);
    let counts = driver.counts();
    assert_eq!((counts.requests, counts.deferred, counts.unknown), (0, 30, 0));
}

#[test]
fn twenty_rejections_without_a_confirmation_stop_the_run() {
    let mut driver = Driver::new(changes(400));
    let everybody: Vec<i64> = (1..=400).collect();
    let end = driver.run(refusing(&everybody)).clone();
    assert_eq!(end.status, RunStatus::Failed);
    assert!(end.message.expect("a message").contains("confirmed none"));
    assert!(driver.rejected().len() < 30, "{:?}", driver.rejected());
}
