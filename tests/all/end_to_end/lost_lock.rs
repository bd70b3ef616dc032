//! A run that lost its lock while it slept: stopped in mid-push, and woken after another run took over.
//!
//! It sends nothing more, takes back the certainty of what it may have sent, and says who has the store now.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use serde_json::Value;

use super::world::{Books, Running, Said, World, until};

/// What belongs to runs, as opposed to beliefs: a run that lost its lock changes nothing of it.
const RECORDS: [&str; 4] = [
    "select * from runs order by id",
    "select * from requests order by id",
    "select * from changes order by run_id, customer_id, attribute_id",
    "select id, owner_run_id from stores order by id",
];

/// A run that sleeps with three calls in flight, each applied by the store, its answer not yet read.
fn asleep(world: &World) -> Running {
    world.store().options.latency = Duration::from_millis(250);
    let run = world.start(&["sync", "--json"]);
    until("three calls are in flight", || world.writes().len() == 3);
    run.signal("STOP");
    until("they are applied", || world.writes().iter().all(|write| write.applied));
    world.store().options.latency = Duration::from_millis(2);
    run
}

/// What the ledger claims, by customer.
fn claims(world: &World) -> BTreeMap<i64, String> {
    let sql = "select customer_id as id, value from entries where belief = 'confirmed'";
    let claim = |row: &Value| Some((row["id"].as_i64()?, row["value"].as_str()?.to_owned()));
    world.ask(sql).iter().map(|row| claim(row).expect("a claim")).collect()
}

fn records(world: &World) -> Vec<Vec<Value>> {
    RECORDS.iter().map(|sql| world.ask(sql)).collect()
}

/// Ends the session that holds the store's lock, as the server does with that of a client that it does not hear.
fn end_session(world: &World) {
    world.execute_at(
        &world.ledger_url,
        "select pg_terminate_backend(pid, 5000) from pg_locks join pg_database d on d.oid = database
         where locktype = 'advisory' and datname = current_database()",
    );
}

/// Wakes a run that was taken over by run 2, and holds it to what it may do.
fn wake_the_loser(world: &World, run: Running) -> Said {
    let (writes, before) = (world.writes().len(), records(world));
    run.signal("CONT");
    let said =
        run.end().exits(1).tells(&["another run has taken over this store", "run 2", "start this one again"]);
    assert_eq!(world.writes().len(), writes, "it sent something: {said:#?}");
    assert_eq!(records(world), before, "it wrote something: {said:#?}");
    said
}

/// The store holds what the source wants, and the ledger claims nothing else; the next run makes sure of the rest.
fn assert_well(world: &World, customers: usize, changed: &[i64]) {
    let wanted = |customer| if changed.contains(&customer) { "second" } else { "first" };
    for (customer, value) in world.held() {
        assert_eq!(value, wanted(customer), "of customer {customer}");
    }
    assert_eq!(world.held().len(), customers);
    for (customer, claimed) in claims(world) {
        assert_eq!(world.value(customer, 1), Some(claimed), "of customer {customer}");
    }
}

#[test]
fn promise_3_a_run_that_sleeps_keeps_the_store() {
    for books in Books::BOTH {
        let world = World::with_customers(books, 60);
        let sleeper = asleep(&world);
        world.run(&["sync"]).exits(5).tells(&["another run holds this store", "run 1"]);
        sleeper.signal("CONT");
        sleeper.end().exits(0).balances();
        world.assert_landed(60, "first");
    }
}

#[test]
fn promise_3_a_run_whose_session_was_ended_sends_nothing_more() {
    let world = World::with_customers(Books::Postgres, 60);
    let sleeper = asleep(&world);
    end_session(&world);
    world.change("second", "1, 2, 31, 60");
    let second = world.sync().exits(0).balances();
    assert_eq!(second.count("confirmed"), 60);
    wake_the_loser(&world, sleeper);

    // It may have sent thirty values, and takes back the certainty of no others.
    assert_eq!(claims(&world).len(), 30);
    assert!(claims(&world).keys().all(|customer| *customer > 30));
    assert_well(&world, 60, &[1, 2, 31, 60]);
    let third = world.sync().exits(0).balances();
    assert_eq!(third.count("confirmed"), 30);
    assert_eq!(claims(&world).len(), 60);
    assert_well(&world, 60, &[1, 2, 31, 60]);
}

#[test]
fn promise_3_a_run_that_is_taken_over_while_the_other_still_works_leaves_it_alone() {
    let world = World::with_customers(Books::Postgres, 60);
    let sleeper = asleep(&world);
    end_session(&world);
    world.change("second", "1");
    world.store().options.latency = Duration::from_millis(300);
    let second = world.start(&["sync", "--json"]);
    until("the second sends", || world.writes().len() >= 4);
    sleeper.signal("CONT");
    sleeper.end().exits(1).tells(&["run 2"]);
    let second = second.end().exits(0).balances();
    assert_eq!(second.count("confirmed"), 60);
    assert_eq!(world.store().tally().over_in_flight, 0);
    assert_well(&world, 60, &[1]);
    world.sync().exits(0).balances();
    assert_eq!(claims(&world).len(), 60);
    assert_well(&world, 60, &[1]);
}

#[test]
fn promise_3_a_run_that_is_taken_over_while_it_plans_sends_nothing() {
    let world = World::with_customers(Books::Postgres, 60);
    let config = world.config("");
    let slow =
        "query = \"select customer_id, attribute_id, value from customer_attribute_values, pg_sleep(3)\"";
    world.write_config(&config.replace("table = \"customer_attribute_values\"", slow));
    let sleeper = world.start(&["sync", "--json"]);
    until("it plans", || world.run(&["runs"]).out.contains("planning"));
    sleeper.signal("STOP");
    end_session(&world);
    world.write_config(&config);
    world.sync().exits(0).balances();
    wake_the_loser(&world, sleeper);
    world.assert_landed(60, "first");
}

#[test]
fn promise_3_a_lost_session_that_nobody_took_over_is_told_as_such() {
    let world = World::with_customers(Books::Postgres, 60);
    let sleeper = asleep(&world);
    end_session(&world);
    let writes = world.writes().len();
    sleeper.signal("CONT");
    let said = sleeper.end().exits(1).tells(&["the ledger failed to", "the next sync"]);
    assert!(!said.err.contains("taken over"), "{said:#?}");
    assert_eq!(world.writes().len(), writes);
    assert_eq!(claims(&world).len(), 0, "nothing of what was in flight is claimed");
    world.sync().exits(0).balances();
    world.assert_landed(60, "first");
}

/// The lock is beside the file, and somebody may remove it to be rid of a run that does not answer.
#[test]
fn promise_3_a_run_whose_lock_file_was_removed_sends_nothing_more() {
    let world = World::with_customers(Books::File, 60);
    let sleeper = asleep(&world);
    world.run(&["sync"]).exits(5);
    fs::remove_file(world.path().join("ledger.db.lock")).expect("the lock's file");
    world.change("second", "1, 2, 31, 60");
    world.sync().exits(0).balances();
    wake_the_loser(&world, sleeper);

    assert_eq!(claims(&world).len(), 30);
    assert_well(&world, 60, &[1, 2, 31, 60]);
    assert_eq!(world.sync().exits(0).balances().count("confirmed"), 30);
    assert_well(&world, 60, &[1, 2, 31, 60]);
}

/// The ledger is moved away under a run that sleeps, and another run begins a new one in its place.
#[test]
fn promise_3_a_run_whose_ledger_was_replaced_sends_nothing_more() {
    let world = World::with_customers(Books::File, 60);
    let sleeper = asleep(&world);
    for suffix in ["", "-wal", "-shm", ".lock"] {
        let name = |stem: &str| world.path().join(format!("{stem}{suffix}"));
        fs::rename(name("ledger.db"), name("old.db")).expect("a file of the ledger");
    }
    world.change("second", "1, 2, 31, 60");
    world.sync().exits(0).balances();
    let (writes, before) = (world.writes().len(), records(&world));
    sleeper.signal("CONT");
    sleeper.end().exits(1).tells(&["was moved or deleted under the run"]);
    assert_eq!(world.writes().len(), writes);
    assert_eq!(records(&world), before);
    world.assert_landed(4, "second");
    assert_well(&world, 60, &[1, 2, 31, 60]);
}

#[test]
fn promise_4_a_request_that_was_begun_and_slept_over_is_not_sent() {
    for books in Books::BOTH {
        let world = World::with_customers(books, 400);
        world.store().options.latency = Duration::from_millis(300);
        let run = world.start(&["sync", "--json"]);
        // Once the store has shown that it is quick, a fourth request is begun while three are in flight.
        let begun = || world.number("select count(*) as n from requests") as usize;
        let caught = (1..=8).any(|round| {
            until("the next calls are in flight", || world.writes().len() >= 3 * round + 3);
            std::thread::sleep(Duration::from_millis(60));
            run.signal("STOP");
            let caught = begun() > world.writes().len();
            if !caught {
                run.signal("CONT");
            }
            caught
        });
        assert!(caught, "no request was found between its begin and its sending");
        // Longer than a request may be old when it is sent.
        std::thread::sleep(Duration::from_millis(5_300));
        run.signal("CONT");
        run.end().exits(0).balances();
        let stale = "select count(*) as n from requests where http_status is null and error like '%within five seconds%'";
        let stale = usize::try_from(world.number(stale)).expect("a count");
        assert!(stale > 0, "it was sent");
        assert_eq!(begun(), world.writes().len() + stale, "all but the stale ones were sent");
        world.assert_landed(400, "first");
    }
}
