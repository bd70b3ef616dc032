//! The consequences of the store's responses for a run: its exit code, counts and messages.

use std::time::Duration;

use attrsync::config::Secret;
use attrsync::sandbox::{AttributeSpec, Fault, QuotaRule};

use super::world::{LedgerKind, World, until};

#[test]
fn promise_12_a_response_after_which_nothing_can_succeed_stops_the_run_with_advice() {
    for (status, words) in [
        (401, "access_token"),
        (403, "scope"),
        (404, "hash"),
        (405, "api_url"),
        (501, "api_url"),
        (505, "api_url"),
        (507, "plan"),
    ] {
        let world = World::with_customers(LedgerKind::File, 200);
        world.script(&[Fault::None, Fault::Status(status)]);
        let said = world.sync().exits(1).balances().tells(&[words, &status.to_string()]);
        assert_eq!(said.json()["status"], "failed", "{status}");
        assert!(said.count("deferred") >= 100 && said.count("confirmed") >= 10, "{status}: {said:#?}");
        assert_eq!((said.count("unknown"), said.count("rejected")), (0, 0), "{status}");
        assert_eq!(said.count("confirmed"), world.values().len() as i64, "{status}");
        let requests = world.writes().len();
        assert_eq!(
            said.json()["requests"],
            requests,
            "{status}: a request that was only prepared is not counted"
        );
        assert_eq!(world.number("select requests as n from runs"), requests as i64);
        world.sync().exits(0).balances();
        world.assert_landed(200, "first");
        assert_eq!(world.number("select count(*) as n from changes where in_doubt_until is not null"), 0);
    }
}

#[test]
fn promise_12_a_store_that_refuses_to_be_read_is_explained() {
    for (kind, spoil, words) in [
        (LedgerKind::File, "revoked", ["401", "access_token"]),
        (LedgerKind::Postgres, "scope", ["403", "scope"]),
        (LedgerKind::File, "hash", ["404", "hash"]),
        (LedgerKind::File, "token", ["401", "access_token"]),
        (LedgerKind::File, "attributes", ["no customer attributes", "hash"]),
    ] {
        let world = World::with_customers(kind, 5);
        match spoil {
            "revoked" => world.store().options.rules.revoked = true,
            "scope" => world.store().options.rules.scope_missing = true,
            "hash" => world.store().options.hash = "another".to_owned(),
            "token" => world.store().options.token = Secret::new("another"),
            _ => (1..=3).for_each(|id| world.store().delete_attribute(id)),
        }
        let said = world.sync().exits(1).tells(&words).tells(&["hint:"]);
        assert_eq!(said.json()["status"], "failed", "{said:#?}");
        assert!(world.writes().is_empty());
        assert_eq!(world.number("select count(*) as n from runs where status = 'failed'"), 1, "{spoil}");
    }
}

#[test]
fn promise_5_a_run_ends_with_every_value_in_the_store_after_any_network_fault() {
    let faults = [
        Fault::Status(503),
        Fault::Refused,
        Fault::Html,
        Fault::Dropped,
        Fault::Cut,
        Fault::Reset,
        Fault::Lost,
        Fault::Silent,
        Fault::Late,
    ];
    std::thread::scope(|scope| {
        for (index, fault) in faults.into_iter().enumerate() {
            scope.spawn(move || {
                let world = World::with_customers(LedgerKind::BOTH[index % 2], 60);
                let times_out = matches!(fault, Fault::Silent | Fault::Late);
                if !times_out {
                    world.use_long_timeout();
                }
                world.script(&[fault, Fault::None, fault, fault]);
                let said = world.sync().exits(0).balances();
                assert_eq!(said.count("confirmed"), 60, "{fault}");
                // A busy machine may cause a further time-out if they are short.
                let requests = said.count("requests");
                assert!(
                    requests == 9 || times_out && requests > 9,
                    "{fault}: {requests} requests, not six and three of them again"
                );
                let again = world.number("select count(*) as n from requests where parent_id is not null");
                assert_eq!(again, requests - 6, "{fault}");
                world.assert_landed(60, "first");
                assert!(world.store().tally().max_in_flight <= 3, "{fault}");
            });
        }
    });
}

#[test]
fn promise_2_a_run_waits_as_long_as_a_429_says() {
    for retry_after in [false, true] {
        let world = World::with_customers(LedgerKind::File, 200);
        {
            let mut store = world.store();
            store.options.quota.window_ms = 1000;
            store.options.quota.retry_after = retry_after;
        }
        world.script(&[Fault::None, Fault::None, Fault::Limited]);
        let said = world.sync().exits(0).balances();
        assert_eq!(said.count("confirmed"), 200);
        let writes = world.writes();
        let refused = writes.iter().find(|write| write.status == Some(429)).expect("a 429").at_ms;
        let window_ends = (refused / 1000 + 1) * 1000;
        let meanwhile: Vec<_> =
            writes.iter().filter(|write| write.at_ms > refused && write.at_ms < window_ends).collect();
        assert!(meanwhile.len() <= 2, "more than what was in flight, refused at {refused}: {meanwhile:?}");
        world.assert_landed(200, "first");
    }
}

#[test]
fn promise_2_a_429_without_headers_reduces_the_requests_in_flight() {
    let world = World::with_customers(LedgerKind::File, 400);
    world.script(&[Fault::LimitedBare; 4]);
    let said = world.sync().exits(0).balances();
    assert_eq!(said.count("confirmed"), 400);
    let writes = world.writes();
    let last = writes.iter().rposition(|write| write.status == Some(429)).expect("a 429");
    let after = &writes[last + 3..last + 13];
    assert!(after.iter().all(|write| write.in_flight == 1), "{after:?}");
    world.assert_landed(400, "first");
}

/// The window outlasts the test, so that the speed of the machine does not matter.
#[test]
fn promise_2_a_share_of_the_quota_is_left_to_others() {
    let world = World::with_customers(LedgerKind::File, 200);
    world.use_long_timeout();
    world.store().options.quota = QuotaRule { requests: 20, window_ms: 86_400_000, ..QuotaRule::default() };
    let running = world.start_heard(&["sync", "--json"], "stderr");
    until("the quota is used but for the reserve", || world.store().requests().count() >= 16);
    until("the wait is told", || world.heard("stderr").contains("rate quota used up"));
    running.signal("TERM");
    let said = running.end().exits(1).balances();
    assert!(said.count("deferred") > 0, "{said:#?}");
    let store = world.store();
    assert_eq!((store.requests().count(), store.tally().limited), (16, 0), "{:?}", store.tally());
}

#[test]
fn promise_7_a_store_that_always_fails_trips_the_circuit_breaker() {
    for kind in LedgerKind::BOTH {
        let world = World::with_customers(kind, 100);
        world.store().options.rules.fixed_status = Some(503);
        let said = world.sync().exits(1).balances().tells(&["calls in a row failed"]);
        assert!(said.count("unknown") > 0 && said.count("deferred") > 0, "{said:#?}");
        assert_eq!(said.count("unknown") + said.count("deferred"), 100);
        assert_eq!(said.json()["status"], "failed");
        world.store().heal();
        world.sync().exits(0).balances();
        world.assert_landed(100, "first");
    }
}

#[test]
fn promise_7_a_store_that_always_fails_fails_a_run_of_any_size() {
    for customers in [1, 2, 3] {
        let world = World::with_customers(LedgerKind::File, customers);
        world.store().options.rules.fixed_status = Some(503);
        let said = world.sync().exits(1).balances().tells(&["hint:", "when the store responds again"]);
        assert_eq!(
            (said.count("confirmed"), said.json()["status"].as_str()),
            (0, Some("failed")),
            "{said:#?}"
        );
        assert_eq!(said.count("unknown"), customers as i64);
        world.store().heal();
        world.sync().exits(0).balances();
        world.assert_landed(customers, "first");
    }
}

#[test]
fn promise_12_an_unreachable_store_is_reported_with_a_hint() {
    let mut world = World::with_customers(LedgerKind::File, 5);
    world.stop_store();
    world.sync().exits(1).tells(&["api_url", "hint:"]);
    world.run(&["check"]).exits(1).tells(&["FAILED"]);
}

#[test]
fn promise_7_a_store_that_stops_during_a_run_ends_it_and_the_next_run_completes() {
    let mut world = World::with_customers(LedgerKind::File, 400);
    world.store().options.latency = Duration::from_millis(20);
    let running = world.start(&["sync", "--json"]);
    until("some requests were sent", || world.store().tally().applied >= 4);
    world.stop_store();
    let said = running.end().exits(1).balances().tells(&["calls in a row failed"]);
    assert!(said.count("confirmed") >= 4 && said.count("deferred") > 0, "{said:#?}");
    world.start_store();
    world.sync().exits(0).balances();
    world.assert_landed(400, "first");
}

#[test]
fn promise_6_only_rejections_trip_the_circuit_breaker() {
    let world = World::with_customers(LedgerKind::File, 200);
    world.use_long_timeout();
    world.execute("update customer_attribute_values set value = '!reject'");
    let said = world.sync().exits(1).balances().tells(&["rejected", "confirmed none"]);
    let rejected = said.count("rejected");
    assert!((20..=60).contains(&rejected), "{said:#?}");
    assert_eq!(said.count("deferred"), 200 - rejected);
}

#[test]
fn promise_6_a_run_that_rejects_its_last_value_does_not_trip_the_circuit_breaker() {
    let world = World::with_customers(LedgerKind::File, 20);
    world.use_long_timeout();
    world.execute("update customer_attribute_values set value = '!reject'");
    let said = world.sync().exits(3).balances();
    assert_eq!((said.count("rejected"), said.count("deferred")), (20, 0));
}

#[test]
fn promise_6_values_of_a_deleted_customer_are_rejected_without_being_sent() {
    for kind in LedgerKind::BOTH {
        let world = World::with_customers(kind, 12);
        for id in 4..=60 {
            world.store().add_attribute(AttributeSpec::new(id, &format!("attribute {id}"), "string"));
        }
        world.execute("insert into customer_attribute_values select 5, a, 'x' from generate_series(2, 60) a");
        world.store().delete_customer(5);
        world.configure("values_per_request = 10");
        let said = world.sync().exits(3).balances();
        assert_eq!((said.count("confirmed"), said.count("rejected")), (11, 60));
        let reasons = world.ask("select reason, count(*) as n from outcomes where outcome = 'rejected' group by reason order by 2");
        let all = format!("{reasons:?}");
        assert!(all.contains("no longer has customer 5") && all.contains("invalid customer ID"), "{all}");
        assert!(reasons.last().expect("reasons")["n"].as_i64() >= Some(50), "{all}");
        assert!(world.writes().len() <= 40, "{} requests", world.writes().len());
        world.store().reset_log();
        world.sync().exits(3);
        assert!(world.writes().is_empty());
    }
}

#[test]
fn promise_6_values_of_a_deleted_attribute_are_rejected_without_being_sent() {
    let world = World::with_customers(LedgerKind::File, 300);
    world.execute("insert into customer_attribute_values select c, 2, 'x' from generate_series(1, 300) c");
    world.sync().exits(0);
    world.disable_guard();
    world.execute("update customer_attribute_values set value = 'second'");
    world.store().options.latency = Duration::from_millis(10);
    let before = world.writes().len();
    let running = world.start(&["sync", "--json"]);
    until("some requests were sent", || world.writes().len() >= before + 6);
    world.store().delete_attribute(2);
    let said = running.end().exits(3).balances();
    assert_eq!(said.count("confirmed") + said.count("rejected"), 600, "{said:#?}");
    assert!(said.count("confirmed") >= 300);
    world.assert_landed(300, "second");
    let deleted = "select count(*) as n from outcomes where reason like '%no longer has attribute 2%'";
    assert!(world.number(deleted) > 100);
}

#[test]
fn promise_6_a_refusal_that_passes_rejects_no_value() {
    for status in [400, 409, 422] {
        let world = World::with_customers(LedgerKind::File, 30);
        world.use_long_timeout();
        world.script(&[Fault::Status(status)]);
        let said = world.sync().exits(0).balances();
        assert_eq!((said.count("confirmed"), said.count("rejected")), (30, 0), "{status}");
        world.assert_landed(30, "first");
    }
}
