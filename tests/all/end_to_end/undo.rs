//! A run is undone: the store holds the values from before it, and syncs keep them until the source changes.

use std::time::Duration;

use attrsync::record::Key;
use attrsync::sandbox::Fault;

use super::world::{LedgerKind, Said, World, until};

/// `attrsync undo RUN --apply --json`
fn undo(world: &World, run: i64, arguments: &[&str]) -> Said {
    world.run(&[&["undo", &run.to_string(), "--apply", "--json"], arguments].concat())
}

fn run_id(said: &Said) -> i64 {
    said.json()["run_id"].as_i64().expect("a run")
}

fn pins(world: &World) -> i64 {
    world.number("select count(*) as n from pins")
}

/// A store with the value `first` of 20 customers, of which a second run has changed, created and deleted some. Returns the
/// second run.
fn changed(kind: LedgerKind) -> (World, i64) {
    let world = World::with_customers(kind, 20);
    world.use_long_timeout();
    let config = std::fs::read_to_string(world.path().join("sync.toml")).expect("a configuration");
    world.write_config(&(config + "[missing]\naction = \"delete\"\n[guard]\nenabled = false\n"));
    world.sync().exits(0);
    world.change("second", "1, 2, 3, 4");
    world.execute("insert into customer_attribute_values values (21, 1, 'new')");
    world.execute("delete from customer_attribute_values where customer_id = 7");
    let said = world.sync().exits(0).balances();
    assert_eq!((said.count("confirmed"), said.count("deletes")), (6, 1));
    (world, run_id(&said))
}

fn values_of(world: &World) -> [Option<String>; 4] {
    [1, 4, 21, 7].map(|customer| world.value(customer, 1))
}

fn a_run_is_undone_and_the_source_wins_when_it_changes(kind: LedgerKind) {
    let (world, run) = changed(kind);
    let text = |text: &str| Some(text.to_owned());
    let runs = || world.number("select count(*) as n from runs");
    let (before, writes) = (runs(), world.writes().len());
    world.run(&["undo", &run.to_string()]).exits(0).tells(&[
        "~ customer 1 · loyalty_tier (1): \"second\" → \"first\"",
        "- customer 21 · loyalty_tier (1): \"new\" → no value",
        "+ customer 7 · loyalty_tier (1): \"first\"",
        "Plan: 1 to create, 4 to update, 1 to delete · 2 calls",
        "run 2 had sent 6 changes",
        "--apply` sends them",
    ]);
    let planned = world.run(&["undo", &run.to_string(), "--json", "--detailed-exitcode"]).exits(2).json();
    assert_eq!(
        (&planned["counts"]["planned"], &planned["undone"]["conflicts_total"]),
        (&6.into(), &0.into())
    );
    assert_eq!((runs(), world.writes().len()), (before, writes), "nothing is written");

    let said = undo(&world, run, &[]).exits(0).balances();
    assert_eq!((said.count("confirmed"), said.count("deletes"), said.count("invalid")), (6, 1, 0));
    let restored = [text("first"), text("first"), None, text("first")];
    assert_eq!(values_of(&world), restored);
    assert_eq!(pins(&world), 6);
    let row = world.run(&["runs", &run_id(&said).to_string(), "--json"]).exits(0).json();
    assert_eq!((&row["run"]["kind"], &row["run"]["of_run_id"]), (&"undo".into(), &run.into()));
    world.run(&["check", "--ledger"]).exits(0);

    let writes = world.writes().len();
    for _ in 0..3 {
        let said = world.sync().exits(0).balances();
        assert_eq!((said.count("planned"), said.count("pinned"), said.count("orphans")), (0, 6, 0));
    }
    assert_eq!((world.writes().len(), values_of(&world)), (writes, restored.clone()));
    world.run(&["status"]).exits(0).tells(&["6 pinned values"]);
    assert_eq!(world.run(&["status", "--json"]).exits(0).json()["syncs"][0]["pins"], 6);
    world.run(&["plan"]).exits(0).tells(&["6 pinned"]);
    world.run(&["explain", "1"]).exits(0).tells(&["keeps \"first\" as long as the source says \"second\""]);
    world.run(&["explain", "21"]).exits(0).tells(&["keeps no value as long as the source says \"new\""]);
    world.run(&["explain", "7"]).exits(0).tells(&["keeps \"first\" as long as the source says no value"]);
    // Again: there is nothing left to undo.
    let again = undo(&world, run, &[]).exits(0).balances();
    assert_eq!((again.count("planned"), &again.json()["undone"]["done"]), (0, &6.into()));

    // The source changes, and wins: to another value, to the value that was restored, and by a row that is new.
    world.change("third", "1");
    world.change("first", "2");
    world.execute("insert into customer_attribute_values values (7, 1, 'back')");
    let said = world.sync().exits(0).balances();
    assert_eq!((said.count("planned"), said.count("pinned")), (2, 3));
    assert_eq!((world.value(1, 1), world.value(7, 1)), (text("third"), text("back")));
    assert_eq!(pins(&world), 3);
    world.run(&["check", "--ledger"]).exits(0);
    // What was ignored is sent if the source returns to it.
    world.change("second", "1, 2");
    world.sync().exits(0).balances();
    assert_eq!((world.value(1, 1), world.value(2, 1)), (text("second"), text("second")));
    let said = world.run(&["sync", "--ignore-pins", "--json"]).exits(0).balances();
    assert_eq!((said.count("planned"), said.count("pinned"), pins(&world)), (3, 0, 0));
    assert_eq!((world.value(3, 1), world.value(21, 1)), (text("second"), text("new")));
    let edits = world.ask("select edit, count from belief_edits where edit = 'unpin'");
    assert_eq!(edits[0]["count"], 3);
    assert_eq!(world.sync().exits(0).count("planned"), 0);
    world.run(&["check", "--ledger"]).exits(0);
}

#[test]
fn a_run_is_undone_with_a_ledger_file() {
    a_run_is_undone_and_the_source_wins_when_it_changes(LedgerKind::File);
}

#[test]
fn a_run_is_undone_with_a_ledger_in_postgres() {
    a_run_is_undone_and_the_source_wins_when_it_changes(LedgerKind::Postgres);
}

fn what_was_changed_since_is_left_alone(kind: LedgerKind) {
    let (world, run) = changed(kind);
    world.change("third", "1");
    let later = run_id(&world.sync().exits(0));
    world.store().set_value(Key::new(2, 1), Some("theirs"));
    world.store().set_value(Key::new(3, 1), None);
    world.store().set_value(Key::new(21, 1), Some("theirs"));
    world.run(&["undo", &run.to_string()]).exits(0).tells(&[
        "4 conflicts left alone",
        "! customer 1 · attribute 1: sent \"second\", before \"first\": run 3 has changed it since",
        "which attrsync did not send (\"theirs\")",
        "! customer 3 · attribute 1: sent \"second\", before \"first\": the store holds no value any more",
    ]);
    let said = undo(&world, run, &[]).exits(3).balances();
    let undone = said.json()["undone"].clone();
    assert_eq!((said.count("confirmed"), &undone["conflicts_total"]), (2, &4.into()), "{undone}");
    let kinds: Vec<_> =
        undone["conflicts"].as_array().expect("a list").iter().map(|it| it["conflict"].clone()).collect();
    assert_eq!(kinds, ["changed_since", "foreign", "removed", "foreign"]);
    assert_eq!(undone["conflicts"][0]["changed_by_run_id"], later);
    assert_eq!(world.value(1, 1).as_deref(), Some("third"));
    assert_eq!(world.value(2, 1).as_deref(), Some("theirs"));
    assert_eq!((world.value(3, 1), world.value(21, 1).as_deref()), (None, Some("theirs")));
    assert_eq!((world.value(4, 1).as_deref(), world.value(7, 1).as_deref()), (Some("first"), Some("first")));
    assert_eq!(pins(&world), 2);
    // The run lists them, and it is no reason for concern later.
    let id = run_id(&said).to_string();
    world.run(&["runs", &id]).exits(0).tells(&["run 3 has changed it since", "partial"]);
    world.run(&["status"]).exits(0);
    world.run(&["check", "--ledger"]).exits(0);
    assert_eq!(world.sync().exits(0).count("pinned"), 2);
}

#[test]
fn promise_14_what_was_changed_since_is_left_alone_with_a_ledger_file() {
    what_was_changed_since_is_left_alone(LedgerKind::File);
}

#[test]
fn promise_14_what_was_changed_since_is_left_alone_with_a_ledger_in_postgres() {
    what_was_changed_since_is_left_alone(LedgerKind::Postgres);
}

#[test]
fn a_full_sync_and_one_of_some_customers_keep_pins() {
    let (world, run) = changed(LedgerKind::File);
    undo(&world, run, &[]).exits(0);
    world.change("third", "1, 2");
    let said = world.run(&["sync", "--customer", "2", "--customer", "3", "--json"]).exits(0).balances();
    assert_eq!((said.count("planned"), said.count("pinned"), pins(&world)), (1, 1, 5));
    let said = world.run(&["sync", "--full", "--customer", "3", "--customer", "21", "--json"]).exits(0);
    assert_eq!((said.count("confirmed"), said.count("pinned")), (1, 1));
    assert_eq!((world.value(3, 1).as_deref(), world.value(21, 1)), (Some("first"), None));
    world.run(&["check", "--ledger"]).exits(0);
}

#[test]
fn an_undo_is_undone() {
    let (world, run) = changed(LedgerKind::File);
    let first = run_id(&undo(&world, run, &[]).exits(0));
    let second = undo(&world, first, &[]).exits(0).balances();
    assert_eq!((second.count("confirmed"), pins(&world)), (6, 0), "the source desires what the store holds");
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(values_of(&world), [text("second"), text("second"), text("new"), None]);
    assert_eq!(world.sync().exits(0).balances().count("planned"), 0);
    // Forth and back once more, for some keys.
    let third = undo(&world, run_id(&second), &["--customer", "1", "--customer", "4"]).exits(0).balances();
    assert_eq!((third.count("confirmed"), pins(&world)), (2, 2));
    assert_eq!(values_of(&world), [text("first"), text("first"), text("new"), None]);
    world.run(&["check", "--ledger"]).exits(0);
}

#[test]
fn a_value_that_was_in_doubt_before_the_run_is_left_alone() {
    let world = World::with_customers(LedgerKind::File, 10);
    world.sync().exits(0);
    world.change("second", "1");
    world.script(&[Fault::Slow]);
    let running = world.start(&["sync"]);
    until("the change is applied", || world.value(1, 1).as_deref() == Some("second"));
    running.signal("KILL");
    running.end();
    world.change("third", "1, 2");
    let run = run_id(&world.sync().exits(0));
    let undone = undo(&world, run, &[]).exits(3).json()["undone"].clone();
    assert_eq!(undone["conflicts"][0]["conflict"], "previous_unknown");
    assert_eq!((world.value(1, 1).as_deref(), world.value(2, 1).as_deref()), (Some("third"), Some("first")));
    world.run(&["check", "--ledger"]).exits(0);
}

#[test]
fn a_run_that_cannot_be_undone_is_refused_with_the_reason() {
    let (world, run) = changed(LedgerKind::File);
    let runs = || world.number("select count(*) as n from runs");
    let idle = run_id(&world.sync().exits(0));
    world.change("third", "1");
    let saved = run_id(&world.run(&["plan", "--save", "--json"]).exits(0));
    let before = runs();
    for (id, words) in [
        (99, "there is no run 99"),
        (idle, "has sent no change, so there is nothing to undo: it is of kind sync and succeeded"),
        (saved, "it is of kind plan and saved"),
    ] {
        world.run(&["undo", &id.to_string()]).exits(1).tells(&[words]);
        undo(&world, id, &[]).exits(1).tells(&[words]);
    }
    // A person has removed a part of the history.
    let file = rusqlite::Connection::open(world.path().join("ledger.db")).expect("opens");
    let sql = format!("delete from changes where run_id = {run} and customer_id = 4");
    assert_eq!(file.execute(&sql, []).expect("removes it"), 1);
    world.run(&["undo", &run.to_string()]).exits(1).tells(&["holds 5 of the 6 changes that run 2 has sent"]);
    assert_eq!(runs(), before, "no run was opened");
    let writes = world.writes().len();
    undo(&world, run, &[]).exits(1).tells(&["holds 5 of the 6 changes"]);
    assert_eq!(world.writes().len(), writes);
    let (server, _model) = world.second_store();
    let other = world.config("").replace(&world.address.to_string(), &server.addr.to_string());
    std::fs::write(world.path().join("other.toml"), other).expect("a configuration");
    let other = ["--config", "other.toml", "undo", "2", "--apply"];
    world.run(&other).exits(1).tells(&["run 2 is of another store"]);
}

/// Kills an undo at each of these points: the next undo, or the next sync, goes on.
#[cfg(feature = "failpoints")]
#[test]
fn a_killed_undo_goes_on() {
    for point in [
        "run-opened",
        "page-saved",
        "planned",
        "sealed",
        "intent-not-committed",
        "intent-committed:2",
        "before-request",
        "response-read",
        "before-delete",
        "delete-read",
        "outcome-not-committed",
        "outcome-committed:2",
        "sent",
    ] {
        for by_sync in [false, true] {
            let (world, run) = changed(LedgerKind::File);
            let mut killed = world.program(&["undo", &run.to_string(), "--apply"]);
            killed.env("ATTRSYNC_FAILPOINT", point);
            let killed = killed.output().expect("it runs");
            assert!(killed.status.code().is_none(), "{point}: {killed:?}");
            if by_sync {
                // It sends nothing but what the undo has started.
                world.sync().exits(0).balances();
                world.run(&["check", "--ledger"]).exits(0);
            }
            undo(&world, run, &[]).exits(0).balances();
            let text = |text: &str| Some(text.to_owned());
            assert_eq!(values_of(&world), [text("first"), text("first"), None, text("first")], "{point}");
            let said = world.sync().exits(0).balances();
            assert_eq!((said.count("planned"), said.count("pinned")), (0, 6), "{point}");
            world.run(&["check", "--ledger"]).exits(0);
        }
    }
}

/// The figures of "What it must show": 10,000 changes, 100 of them changed since.
#[test]
fn promise_14_a_run_of_ten_thousand_changes_is_undone_but_for_a_hundred_conflicts() {
    const ALL: i64 = 10_000;
    let world = World::with_customers(LedgerKind::File, usize::try_from(ALL).expect("a number"));
    world.use_long_timeout();
    world.disable_guard();
    {
        let mut store = world.store();
        (1_001..=ALL).for_each(|customer| store.add_customer(customer));
        store.options.latency = Duration::ZERO;
    }
    world.sync().exits(0);
    world.execute("update customer_attribute_values set value = 'bad'");
    let run = run_id(&world.sync().exits(0).balances());
    world.assert_landed(usize::try_from(ALL).expect("a number"), "bad");
    // 50 are changed by a later run, 30 by others in the store, 20 are deleted by others.
    world.execute("update customer_attribute_values set value = 'later' where customer_id <= 50");
    world.sync().exits(0);
    for customer in 51..=100 {
        let theirs = (customer <= 80).then_some("theirs");
        world.store().set_value(Key::new(customer, 1), theirs);
    }
    let others: std::collections::BTreeMap<i64, String> =
        world.values().into_iter().filter(|(customer, _)| *customer <= 100).collect();

    let said = undo(&world, run, &[]).exits(3).balances();
    assert_eq!((said.count("confirmed"), said.count("invalid")), (ALL - 100, 100));
    let as_before = || {
        let values = world.values();
        let restored =
            values.iter().filter(|(customer, value)| **customer > 100 && *value == "first").count();
        let kept = values.iter().filter(|(customer, _)| **customer <= 100);
        restored as i64 == ALL - 100 && kept.eq(others.iter())
    };
    assert!(as_before());
    let writes = world.writes().len();
    for _ in 0..3 {
        let said = world.sync().exits(0).balances();
        assert_eq!((said.count("planned"), said.count("pinned")), (0, ALL - 100));
    }
    assert!(as_before() && world.writes().len() == writes, "the syncs leave them alone");
    world.execute("update customer_attribute_values set value = 'good'");
    assert_eq!(world.sync().exits(0).balances().count("confirmed"), ALL);
    world.assert_landed(usize::try_from(ALL).expect("a number"), "good");
    assert_eq!((pins(&world), world.sync().exits(0).count("planned")), (0, 0));
}
