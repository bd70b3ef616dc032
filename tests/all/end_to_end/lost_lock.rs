//! A run that loses its lock while its process is stopped, and continues after another run has taken over.
//!
//! It sends nothing more, makes the values that it may have sent unconfirmed, and names the run that has the store.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use serde_json::Value;

use super::world::{LedgerKind, Running, Said, World, until};

/// The records of runs. A run that lost its lock changes none of them.
const RECORDS: [&str; 4] = [
    "select id, status, planned, confirmed, rejected, unknown, deferred, requests from runs order by id",
    "select * from requests order by id",
    "select * from changes order by run_id, customer_id, attribute_id",
    "select id, owner_run_id from stores order by id",
];

/// Starts a run and stops its process with three requests in flight. The store has applied each, and no response is
/// read.
fn stopped_run(world: &World) -> Running {
    world.store().options.latency = Duration::from_millis(250);
    let run = world.start(&["sync", "--json"]);
    until("three requests are in flight", || world.writes().len() == 3);
    run.signal("STOP");
    until("they are applied", || world.writes().iter().all(|write| write.applied));
    world.store().options.latency = Duration::from_millis(2);
    run
}

/// The confirmed values of the ledger, by customer.
fn claims(world: &World) -> BTreeMap<i64, String> {
    let sql = "select customer_id as id, value from entries where belief = 'confirmed'";
    let claim = |row: &Value| Some((row["id"].as_i64()?, row["value"].as_str()?.to_owned()));
    world.ask(sql).iter().map(|row| claim(row).expect("a claim")).collect()
}

/// Asserts that a stopped run made the values of its three requests unconfirmed, and no others: an intent that was
/// recorded ahead was not sent. Returns the number of these values.
fn made_unconfirmed(world: &World) -> i64 {
    let claims = claims(world);
    assert_eq!(claims.keys().copied().collect::<Vec<_>>(), (31..=60).collect::<Vec<_>>());
    30
}

fn records(world: &World) -> Vec<Vec<Value>> {
    RECORDS.iter().map(|sql| world.ask(sql)).collect()
}

/// Ends the session that holds the store's lock, as the server does for a client that no longer responds.
fn end_session(world: &World) {
    world.execute_at(
        &world.ledger_url,
        "select pg_terminate_backend(pid, 5000) from pg_locks join pg_database d on d.oid = database
         where locktype = 'advisory' and datname = current_database()",
    );
}

/// Continues a run after run 2 has taken over, and asserts that it sends and records nothing.
fn continue_the_loser(world: &World, run: Running) -> Said {
    let (writes, before) = (world.writes().len(), records(world));
    run.signal("CONT");
    let said =
        run.end().exits(1).tells(&["another run has taken over this store", "run 2", "start this one again"]);
    assert_eq!(world.writes().len(), writes, "a request was sent: {said:#?}");
    assert_eq!(records(world), before, "a record was written: {said:#?}");
    said
}

/// Asserts that the store equals the source, and that the ledger claims nothing else.
fn assert_in_step(world: &World, customers: usize, changed: &[i64]) {
    let desired = |customer| if changed.contains(&customer) { "second" } else { "first" };
    for (customer, value) in world.values() {
        assert_eq!(value, desired(customer), "of customer {customer}");
    }
    assert_eq!(world.values().len(), customers);
    for (customer, claimed) in claims(world) {
        assert_eq!(world.value(customer, 1), Some(claimed), "of customer {customer}");
    }
}

#[test]
fn promise_3_a_stopped_run_keeps_the_store() {
    for kind in LedgerKind::BOTH {
        let world = World::with_customers(kind, 60);
        let stopped = stopped_run(&world);
        world.run(&["sync"]).exits(5).tells(&["another run holds this store", "run 1"]);
        stopped.signal("CONT");
        stopped.end().exits(0).balances();
        world.assert_landed(60, "first");
    }
}

#[test]
fn promise_3_a_run_whose_session_was_ended_sends_nothing_more() {
    let world = World::with_customers(LedgerKind::Postgres, 60);
    let stopped = stopped_run(&world);
    end_session(&world);
    world.change("second", "1, 2, 31, 60");
    let second = world.sync().exits(0).balances();
    assert_eq!(second.count("confirmed"), 60);
    continue_the_loser(&world, stopped);

    let unconfirmed = made_unconfirmed(&world);
    assert_in_step(&world, 60, &[1, 2, 31, 60]);
    let third = world.sync().exits(0).balances();
    assert_eq!(third.count("confirmed"), unconfirmed);
    assert_eq!(claims(&world).len(), 60);
    assert_in_step(&world, 60, &[1, 2, 31, 60]);
}

#[test]
fn promise_3_a_run_that_lost_its_lock_does_not_disturb_the_other_run() {
    let world = World::with_customers(LedgerKind::Postgres, 60);
    let stopped = stopped_run(&world);
    end_session(&world);
    world.change("second", "1");
    world.store().options.latency = Duration::from_millis(300);
    let second = world.start(&["sync", "--json"]);
    until("the second sends", || world.writes().len() >= 4);
    stopped.signal("CONT");
    stopped.end().exits(1).tells(&["run 2"]);
    let second = second.end().exits(0).balances();
    assert_eq!(second.count("confirmed"), 60);
    assert_eq!(world.store().tally().over_in_flight, 0);
    assert_in_step(&world, 60, &[1]);
    world.sync().exits(0).balances();
    assert_eq!(claims(&world).len(), 60);
    assert_in_step(&world, 60, &[1]);
}

#[test]
fn promise_3_a_run_that_loses_its_lock_while_it_plans_sends_nothing() {
    let world = World::with_customers(LedgerKind::Postgres, 60);
    let config = world.config("");
    let slow =
        "query = \"select customer_id, attribute_id, value from customer_attribute_values, pg_sleep(3)\"";
    world.write_config(&config.replace("table = \"customer_attribute_values\"", slow));
    let stopped = world.start(&["sync", "--json"]);
    until("it plans", || world.run(&["runs"]).out.contains("planning"));
    stopped.signal("STOP");
    end_session(&world);
    world.write_config(&config);
    world.sync().exits(0).balances();
    continue_the_loser(&world, stopped);
    world.assert_landed(60, "first");
}

#[test]
fn promise_3_a_lost_session_without_another_run_is_reported_as_such() {
    let world = World::with_customers(LedgerKind::Postgres, 60);
    let stopped = stopped_run(&world);
    end_session(&world);
    let writes = world.writes().len();
    stopped.signal("CONT");
    let said = stopped.end().exits(1).tells(&["the ledger failed to", "the next sync"]);
    assert!(!said.err.contains("taken over"), "{said:#?}");
    assert_eq!(world.writes().len(), writes);
    assert_eq!(claims(&world).len(), 0, "a value in flight is claimed");
    world.sync().exits(0).balances();
    world.assert_landed(60, "first");
}

/// The lock is a file beside the ledger. A user may remove it to get rid of a run that hangs.
#[test]
fn promise_3_a_run_whose_lock_file_was_removed_sends_nothing_more() {
    let world = World::with_customers(LedgerKind::File, 60);
    let stopped = stopped_run(&world);
    world.run(&["sync"]).exits(5);
    fs::remove_file(world.path().join("ledger.db.lock")).expect("the lock's file");
    world.change("second", "1, 2, 31, 60");
    world.sync().exits(0).balances();
    continue_the_loser(&world, stopped);

    let unconfirmed = made_unconfirmed(&world);
    assert_in_step(&world, 60, &[1, 2, 31, 60]);
    assert_eq!(world.sync().exits(0).balances().count("confirmed"), unconfirmed);
    assert_in_step(&world, 60, &[1, 2, 31, 60]);
}

/// The ledger is moved away while a run is stopped, and another run creates a new one in its place.
#[test]
fn promise_3_a_run_whose_ledger_was_replaced_sends_nothing_more() {
    let world = World::with_customers(LedgerKind::File, 60);
    let stopped = stopped_run(&world);
    for suffix in ["", "-wal", "-shm", ".lock"] {
        let name = |stem: &str| world.path().join(format!("{stem}{suffix}"));
        fs::rename(name("ledger.db"), name("old.db")).expect("a file of the ledger");
    }
    world.change("second", "1, 2, 31, 60");
    world.sync().exits(0).balances();
    let (writes, before) = (world.writes().len(), records(&world));
    stopped.signal("CONT");
    stopped.end().exits(1).tells(&["was moved, deleted or replaced under the run"]);
    assert_eq!(world.writes().len(), writes);
    assert_eq!(records(&world), before);
    world.assert_landed(4, "second");
    assert_in_step(&world, 60, &[1, 2, 31, 60]);
}

#[test]
fn promise_4_a_request_with_an_old_intent_is_not_sent() {
    for kind in LedgerKind::BOTH {
        let world = World::with_customers(kind, 400);
        world.store().options.latency = Duration::from_millis(300);
        let run = world.start(&["sync", "--json"]);
        // A fourth intent is recorded ahead while three requests are in flight.
        let intents = || world.number("select count(*) as n from requests") as usize;
        let caught = (1..=8).any(|round| {
            until("the next requests are in flight", || world.writes().len() >= 3 * round + 3);
            std::thread::sleep(Duration::from_millis(60));
            run.signal("STOP");
            let caught = intents() > world.writes().len();
            if !caught {
                run.signal("CONT");
            }
            caught
        });
        assert!(caught, "no request was stopped between its intent and its sending");
        // Longer than the five seconds that an intent may be old when its request is sent.
        std::thread::sleep(Duration::from_millis(5_300));
        run.signal("CONT");
        run.end().exits(0).balances();
        let stale = "select count(*) as n from requests where http_status is null and error like '%within five seconds%'";
        let stale = usize::try_from(world.number(stale)).expect("a count");
        assert!(stale > 0, "the request was sent");
        assert_eq!(intents(), world.writes().len() + stale, "all other requests were sent");
        world.assert_landed(400, "first");
    }
}
