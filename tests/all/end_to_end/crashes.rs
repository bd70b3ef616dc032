//! Promises 3, 4 and 5: the ledger claims no more than the store confirmed, wherever a run was killed.

use std::time::Duration;

use attrsync::sandbox::Fault;

use super::world::{Books, World, until};

#[test]
fn promise_4_there_and_back_ends_where_the_source_is() {
    for books in Books::BOTH {
        let world = World::with_customers(books, 10);
        world.sync().exits(0);
        // The change is applied, its answer lost with the run.
        world.change("second", "1, 2, 3");
        world.script(&[Fault::Slow]);
        let running = world.start(&["sync"]);
        until("the change is applied", || world.value(1, 1).as_deref() == Some("second"));
        running.signal("KILL");
        running.end();
        let unsure = "select count(*) as n from entries where belief = 'unconfirmed'";
        assert_eq!(world.number(unsure), 3);

        world.change("first", "1, 2, 3");
        let said = world.sync().exits(0).balances();
        assert_eq!(said.count("confirmed"), 3);
        world.assert_landed(10, "first");
    }
}

#[test]
fn promise_4_a_copy_that_arrives_late_does_not_overtake_its_successor() {
    let world = World::with_customers(Books::File, 10);
    world.sync().exits(0);
    world.change("second", "1, 2, 3");
    world.script(&[Fault::Late]);
    let running = world.start(&["sync"]);
    until("the change is on its way", || world.writes().len() == 2);
    let sent = world.writes()[1].at_ms;
    running.signal("KILL");
    running.end();

    world.change("third", "1, 2, 3");
    world.sync().exits(0).balances();
    until("the late copy was applied", || world.writes()[1].applied);
    assert_eq!(world.value(1, 1).as_deref(), Some("third"));
    let next = world.writes()[2].at_ms;
    assert!(next >= sent + 1_900, "sent {} ms after one that may arrive for two seconds", next - sent);
}

#[test]
fn promise_4_a_late_copy_of_a_run_with_a_longer_time_out_overtakes_nothing() {
    for books in Books::BOTH {
        let world = World::with_customers(books, 10);
        world.sync().exits(0);
        world.change("second", "1, 2, 3");
        // Requests may be late by what that run waits, not by what the next one does.
        world.time_out_after(3);
        world.script(&[Fault::Late]);
        let running = world.start(&["sync"]);
        until("the change is on its way", || world.writes().len() == 2);
        let sent = world.writes()[1].at_ms;
        running.signal("KILL");
        running.end();

        world.configure("");
        world.change("third", "1, 2, 3");
        let plan = world.run(&["plan", "--json"]).exits(0).json();
        assert_eq!(plan["counts"]["planned"], 3);
        world.sync().exits(0).balances();
        until("the late copy was applied", || world.writes()[1].applied);
        assert_eq!(world.value(1, 1).as_deref(), Some("third"));
        let next = world.writes()[2].at_ms;
        assert!(next >= sent + 5_900, "sent {} ms after one that may arrive for six seconds", next - sent);
    }
}

#[test]
fn promise_3_a_late_copy_is_remembered_when_a_later_run_confirms_the_same_value() {
    for books in Books::BOTH {
        let world = World::with_customers(books, 10);
        world.sync().exits(0);
        world.change("second", "1, 2, 3");
        // Time enough for the next run before the copy arrives, also on a busy machine.
        world.time_out_after(4);
        world.script(&[Fault::Late]);
        let running = world.start(&["sync"]);
        until("the change is on its way", || world.writes().len() == 2);
        let sent = world.writes()[1].at_ms;
        running.signal("KILL");
        running.end();
        // The same value again, which is confirmed at once: the copy is still on its way.
        assert_eq!(world.sync().exits(0).balances().count("confirmed"), 3);
        assert!(!world.writes()[1].applied);

        world.change("third", "1, 2, 3");
        world.sync().exits(0).balances();
        until("the late copy was applied", || world.writes()[1].applied);
        assert_eq!(world.value(1, 1).as_deref(), Some("third"));
        let next = world.writes()[3].at_ms;
        assert!(next >= sent + 7_900, "sent {} ms after one that may arrive for eight seconds", next - sent);
    }
}

#[test]
fn promise_5_after_a_kill_the_next_run_needs_no_help() {
    for books in Books::BOTH {
        let world = World::with_customers(books, 300);
        world.store().options.latency = Duration::from_millis(50);
        world.be_patient();
        let running = world.start(&["sync"]);
        until("some calls were answered", || world.store().tally().applied >= 7);
        running.signal("KILL");
        running.end();
        let held = world.held().len();
        let confirmed = "select count(*) as n from entries where belief = 'confirmed'";
        assert!(world.number(confirmed) <= held as i64, "the ledger claims more than the store holds");

        world.store().options.latency = Duration::from_millis(2);
        let began = world.writes().len();
        let said = world.sync().exits(0).balances();
        let runs = world.ask(
            "select status, planned - confirmed - rejected - unknown - deferred as n from runs order by id",
        );
        assert_eq!(runs[0]["status"], "interrupted");
        assert!(runs.iter().all(|run| run["n"] == 0), "{runs:?}");
        assert!(world.writes().len() > began);
        world.assert_landed(300, "first");
        // Three in flight, and one that was begun ahead.
        assert!(said.count("planned") <= 300 - held as i64 + 40, "{said:#?} with {held} in the store");
        assert!(world.store().tally().items <= 300 + 40, "at most the calls in flight are sent again");
        assert_eq!(world.store().tally().over_in_flight, 0);
        world.sync().exits(0);
    }
}

#[test]
fn promise_5_a_run_killed_again_and_again_comes_to_its_end() {
    let world = World::with_customers(Books::File, 400);
    world.store().options.latency = Duration::from_millis(15);
    for round in 1..=6 {
        let running = world.start(&["sync"]);
        until("it has sent something", || world.store().tally().applied >= round * 5);
        running.signal("KILL");
        running.end();
    }
    world.sync().exits(0).balances();
    world.assert_landed(400, "first");
    assert_eq!(world.number("select count(*) as n from runs where status = 'interrupted'"), 6);
}

#[test]
fn promise_3_a_rehearsal_says_nothing_of_the_first_store() {
    for books in Books::BOTH {
        let world = World::with_customers(books, 20);
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
fn promise_5_a_distrusted_ledger_is_sent_anew() {
    let world = World::with_customers(Books::File, 20);
    world.sync().exits(0);
    world.store().set_value(attrsync::record::Key::new(4, 1), None);
    assert_eq!(world.sync().exits(0).count("planned"), 0);
    let said = world.run(&["sync", "--json", "--full"]).exits(0).balances();
    assert_eq!(said.count("confirmed"), 20);
    world.assert_landed(20, "first");
}

#[cfg(feature = "failpoints")]
#[test]
fn promise_5_a_run_killed_before_any_commit_of_its_migrations_leaves_nothing_half_done() {
    for books in Books::BOTH {
        for arrival in 1..=6 {
            let world = World::with_customers(books, 3);
            let mut command = world.program(&["sync"]);
            command.env("ATTRSYNC_FAILPOINT", format!("migrating:{arrival}"));
            let died = command.output().expect("the program runs").status.code().is_none();
            assert!(died || arrival > 1, "the first commit makes the table of migrations");
            world.sync().exits(0);
            world.assert_landed(3, "first");
        }
    }
}
