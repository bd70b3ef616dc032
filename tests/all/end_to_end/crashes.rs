//! Promises 3, 4 and 5: the ledger claims no more than the store confirmed, and a killed run needs no help.

use std::time::Duration;

use attrsync::sandbox::Fault;

use super::world::{LedgerKind, Said, World, until};

#[test]
fn promise_4_a_value_that_is_changed_and_changed_back_ends_equal_to_the_source() {
    for kind in LedgerKind::BOTH {
        let world = World::with_customers(kind, 10);
        world.sync().exits(0);
        // The change is applied, and its response is lost with the run.
        world.change("second", "1, 2, 3");
        world.script(&[Fault::Slow]);
        let running = world.start(&["sync"]);
        until("the change is applied", || world.value(1, 1).as_deref() == Some("second"));
        running.signal("KILL");
        running.end();
        let unconfirmed = "select count(*) as n from entries where belief = 'unconfirmed'";
        assert_eq!(world.number(unconfirmed), 3);

        world.change("first", "1, 2, 3");
        let said = world.sync().exits(0).balances();
        assert_eq!(said.count("confirmed"), 3);
        world.assert_landed(10, "first");
    }
}

/// Changes three values to `second`, and kills the run while the store delays the request. Returns when it was sent.
fn killed_with_a_delayed_request(world: &World) -> u64 {
    world.change("second", "1, 2, 3");
    world.script(&[Fault::Late]);
    let running = world.start(&["sync"]);
    until("the request is sent", || world.writes().len() == 2);
    running.signal("KILL");
    running.end();
    world.writes()[1].at_ms
}

/// Changes the three values to `third`. Asserts that they are sent no earlier than `window_ms` after `sent`, and that
/// the delayed request does not overwrite them.
fn assert_sent_after_the_window(world: &World, sent: u64, window_ms: u64) {
    let next = world.writes().len();
    world.change("third", "1, 2, 3");
    world.sync().exits(0).balances();
    until("the delayed request is applied", || world.writes()[1].applied);
    assert_eq!(world.value(1, 1).as_deref(), Some("third"));
    let after = world.writes()[next].at_ms - sent;
    assert!(after + 100 >= window_ms, "sent {after} ms after a request that is in doubt for {window_ms} ms");
}

#[test]
fn promise_4_a_delayed_request_does_not_overwrite_a_newer_value() {
    let world = World::with_customers(LedgerKind::File, 10);
    world.sync().exits(0);
    let sent = killed_with_a_delayed_request(&world);
    assert_sent_after_the_window(&world, sent, 2_000);
}

#[test]
fn promise_4_the_in_doubt_window_is_that_of_the_run_that_sent_the_request() {
    let world = World::with_customers(LedgerKind::Postgres, 10);
    world.sync().exits(0);
    world.time_out_after(3);
    let sent = killed_with_a_delayed_request(&world);
    world.configure("");
    assert_eq!(world.run(&["plan", "--json"]).exits(0).json()["counts"]["planned"], 3);
    assert_sent_after_the_window(&world, sent, 6_000);
}

#[test]
fn promise_3_a_request_stays_in_doubt_when_a_later_run_confirms_the_same_value() {
    for kind in LedgerKind::BOTH {
        let world = World::with_customers(kind, 10);
        world.sync().exits(0);
        // Long enough for the next run to end before the delayed request is applied, also on a busy machine.
        world.time_out_after(4);
        let sent = killed_with_a_delayed_request(&world);
        assert_eq!(world.sync().exits(0).balances().count("confirmed"), 3);
        assert!(!world.writes()[1].applied);
        assert_sent_after_the_window(&world, sent, 8_000);
    }
}

#[test]
fn promise_5_after_a_kill_the_next_run_needs_no_help() {
    for kind in LedgerKind::BOTH {
        let world = World::with_customers(kind, 300);
        world.store().options.latency = Duration::from_millis(50);
        world.use_long_timeout();
        let running = world.start(&["sync"]);
        until("some requests were applied", || world.store().tally().applied >= 7);
        running.signal("KILL");
        running.end();
        let stored = world.values().len();
        let confirmed = "select count(*) as n from entries where belief = 'confirmed'";
        assert!(world.number(confirmed) <= stored as i64, "the ledger claims more than the store holds");

        let before = shown_of_run_1(&world);
        world.store().options.latency = Duration::from_millis(2);
        let written = world.writes().len();
        let said = world.sync().exits(0).balances();
        assert_eq!(shown_of_run_1(&world), before, "the run that closes it changes no word");
        assert!(
            before[1].contains("\"outcome\":\"unknown\"") && before[3].contains(": unknown"),
            "{before:?}"
        );
        let runs = world.ask(
            "select status, planned - confirmed - rejected - unknown - deferred as n from runs order by id",
        );
        assert_eq!(runs[0]["status"], "interrupted");
        let listed = world.run(&["runs", "--json"]).exits(0).json();
        let first = listed["runs"].as_array().and_then(|runs| runs.last()).expect("the first run");
        assert_eq!((&first["id"], first["duration_ms"].is_null()), (&1.into(), true), "its end is not known");
        assert!(runs.iter().all(|run| run["n"] == 0), "{runs:?}");
        assert!(world.writes().len() > written);
        world.assert_landed(300, "first");
        // Three requests in flight, and three outcomes that were not committed yet.
        assert!(said.count("planned") <= 300 - stored as i64 + 60, "{said:#?} with {stored} in the store");
        assert!(world.store().tally().items <= 300 + 60, "at most six requests are sent again");
        assert_eq!(world.store().tally().over_in_flight, 0);
        world.sync().exits(0);
    }
}

/// What the commands tell of the first run, which was killed: its line in the list, its failures, and one of its values.
fn shown_of_run_1(world: &World) -> Vec<String> {
    let line_of = |said: Said, word: &str| {
        let line = said.out.lines().find(|line| line.contains(word)).unwrap_or_else(|| panic!("{said:#?}"));
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let listed = line_of(world.run(&["runs"]).exits(0), "interrupted");
    let run = world.run(&["runs", "1", "--json"]).exits(0).json();
    let first = &run["failures"][0];
    let explained = line_of(world.run(&["explain", &first["customer_id"].to_string()]).exits(0), " run 1 ");
    vec![listed, first.to_string(), run["failures_total"].to_string(), explained]
}

#[test]
fn promise_3_the_beliefs_of_two_stores_are_separate() {
    for kind in LedgerKind::BOTH {
        let world = World::with_customers(kind, 20);
        world.sync().exits(0);
        let entries = "select * from entries where store_id = 1 order by customer_id";
        let before = world.ask(entries);
        let (other, model) = world.second_store();
        let config = world.config("");
        world.write_config(&config.replace(&world.address.to_string(), &other.addr.to_string()));
        world.change("second", "1, 2, 3");
        let said = world.sync().exits(0).balances();
        assert_eq!(said.count("confirmed"), 20);
        assert_eq!(model.lock().expect("the model").values().count(), 20);
        assert_eq!(world.ask(entries), before);
        world.write_config(&config);
        assert_eq!(world.sync().exits(0).count("confirmed"), 3);
    }
}

#[test]
fn a_full_sync_of_one_customer_leaves_the_beliefs_of_the_others() {
    let world = World::with_customers(LedgerKind::File, 20);
    world.sync().exits(0);
    let said = world.run(&["sync", "--json", "--full", "--customer", "4"]).exits(0).balances();
    assert_eq!((said.count("planned"), said.count("confirmed")), (1, 1));
    assert_eq!(world.number("select count(*) as n from entries where belief = 'confirmed'"), 20);
    assert_eq!(world.sync().exits(0).count("planned"), 0);
}

#[test]
fn promise_5_a_full_sync_sends_every_value() {
    let world = World::with_customers(LedgerKind::File, 20);
    world.sync().exits(0);
    world.store().set_value(attrsync::record::Key::new(4, 1), None);
    assert_eq!(world.sync().exits(0).count("planned"), 0);
    let said = world.run(&["sync", "--json", "--full"]).exits(0).balances();
    assert_eq!(said.count("confirmed"), 20);
    world.assert_landed(20, "first");
}

#[cfg(feature = "failpoints")]
#[test]
fn promise_5_a_run_killed_before_a_commit_of_its_migrations_needs_no_help() {
    for kind in LedgerKind::BOTH {
        for arrival in 1..=6 {
            let world = World::with_customers(kind, 3);
            let mut command = world.program(&["sync"]);
            command.env("ATTRSYNC_FAILPOINT", format!("migrating:{arrival}"));
            let died = command.output().expect("the program runs").status.code().is_none();
            assert!(died || arrival > 1, "the first commit creates the table of migrations");
            world.sync().exits(0);
            world.assert_landed(3, "first");
        }
    }
}
