//! Rejected values are sent again: requeued by hand, when their attribute is redefined, when their customer is
//! restored.

use std::time::Duration;

use super::world::{LedgerKind, World, until};

#[test]
fn values_are_requeued_by_hand() {
    for kind in LedgerKind::BOTH {
        let world = World::with_customers(kind, 30);
        world.run(&["rejected", "--retry"]).exits(1).tells(&["no ledger yet"]);
        assert_eq!(world.ledger_files(), 0, "requeueing makes no ledger");
        world.change("no !reject", "7, 8, 9");
        world.sync().exits(3);
        world.store().options.rules.reject_marker = String::new();
        world.store().reset_log();

        let said = world.run(&["rejected", "--json", "--retry", "7:1", "8", "77", "9:2"]).exits(0);
        let report = said
            .tells(&[
                "nothing is rejected for customer 77",
                "nothing is rejected for customer 9 · lifetime_value (2)",
            ])
            .json();
        assert_eq!((&report["requeued"], &report["run_id"]), (&2.into(), &2.into()));
        assert_eq!(
            report["keys"][0],
            serde_json::json!({ "customer_id": 7, "attribute_id": 1, "requeued": 1 })
        );
        let run = world.run(&["runs", "2", "--json"]).exits(0).json();
        assert_eq!((&run["run"]["kind"], &run["run"]["status"]), (&"requeue".into(), &"succeeded".into()));
        assert_eq!((&run["run"]["planned"], &run["run"]["deferred"]), (&0.into(), &0.into()));
        world.run(&["explain", "7", "1"]).exits(0).tells(&["requeued by hand", "not allowed here"]);

        // The next sync sends them, and only them.
        let said = world.sync().exits(3).balances();
        assert_eq!((said.count("planned"), said.count("confirmed"), said.count("still_rejected")), (2, 2, 1));
        assert_eq!(world.writes().len(), 1);
        assert_eq!(world.value(8, 1).as_deref(), Some("no !reject"));

        // Every request had a response, so nothing waits for an in-doubt window, not even a value that has changed
        // since.
        world.run(&["rejected", "--retry", "9"]).exits(0);
        world.change("third", "9");
        world.sync().exits(0);
        assert_eq!(world.number("select count(*) as n from changes where in_doubt_until is not null"), 0);
        world.change("no !reject", "9");
        world.store().options.rules.reject_marker = "!reject".to_owned();
        world.sync().exits(3);
        world.store().options.rules.reject_marker = String::new();

        // Without keys all that are left. Then there is nothing to requeue.
        world.run(&["rejected", "--retry"]).exits(0).tells(&["requeued 1 value", "attrsync sync"]);
        world.sync().exits(0);
        let runs = world.number("select count(*) as n from runs");
        world.run(&["rejected", "--retry"]).exits(1).tells(&["nothing was requeued"]);
        world.run(&["rejected", "--retry", "7"]).exits(1).tells(&["nothing is rejected for customer 7"]);
        let said = world.run(&["rejected", "--json", "--retry", "7"]).exits(1).json();
        assert_eq!((&said["run_id"], &said["exit_code"]), (&serde_json::Value::Null, &1.into()));
        assert_eq!(world.number("select count(*) as n from runs"), runs, "nothing to requeue is no run");
        world.run(&["rejected", "--retry", "seven"]).exits(64).tells(&["CUSTOMER:ATTRIBUTE"]);
        world.run(&["rejected", "--retry", "7:no such"]).exits(1).tells(&["no attribute named no such"]);
    }
}

#[test]
fn values_that_left_the_source_are_requeued_off_the_list() {
    for kind in LedgerKind::BOTH {
        let world = World::with_customers(kind, 6);
        world.change("no !reject", "2, 3, 4");
        world.sync().exits(3);
        world.execute("delete from customer_attribute_values where customer_id = 3");
        world.change("fine", "4");
        let list = world.run(&["rejected", "--json"]).exits(0).json();
        let desired: Vec<_> = (0..3).map(|index| list["rejected"][index]["desired"].clone()).collect();
        assert_eq!(desired, [true, false, false]);
        world.run(&["rejected"]).exits(0).tells(&["no longer desired", "changed in the source"]);

        let said = world.run(&["rejected", "--retry", "3:loyalty_tier"]).exits(0);
        let said = said.tells(&[
            "requeued 1 value",
            "1 value no longer in the source",
            "customer 3 · loyalty_tier (1)",
        ]);
        assert!(!said.err.contains("attrsync sync"), "nothing is sent again: {said:#?}");
        assert_eq!(world.run(&["rejected", "--json"]).exits(0).json()["total"], 2);
        // Without the source nothing is claimed.
        world.write_config(&world.config("").replace(&world.source_url, "${NOT_SET_ANYWHERE}"));
        let said = world.run(&["rejected", "--retry", "2"]).exits(0);
        said.tells(&["NOT_SET_ANYWHERE is not set", "those that the source still desires"]);
    }
}

#[test]
fn an_acknowledged_value_stays_rejected_and_makes_no_exit_code() {
    for kind in LedgerKind::BOTH {
        let world = World::with_customers(kind, 6);
        world.change("no !reject", "2, 3");
        world.sync().exits(3);
        world
            .run(&["rejected", "--accept", "2:loyalty_tier"])
            .exits(0)
            .tells(&["run 2 acknowledged 1 value"]);
        let said = world.sync().exits(3);
        assert_eq!((said.count("still_rejected"), said.count("acknowledged")), (2, 1));
        assert_eq!(said.json()["needs_attention"], true);
        world.run(&["rejected", "--accept", "3"]).exits(0).tells(&["no rejected value makes"]);
        let runs = world.number("select count(*) as n from runs");
        world.run(&["rejected", "--accept", "3"]).exits(1).tells(&["nothing was acknowledged"]);
        assert_eq!(world.number("select count(*) as n from runs"), runs, "nothing to acknowledge is no run");

        let said = world.sync().exits(0).json();
        assert_eq!((&said["status"], &said["needs_attention"]), (&"succeeded".into(), &false.into()));
        world.run(&["rejected"]).exits(0).tells(&["acknowledged", "not allowed here"]);
        world.run(&["explain", "2", "1"]).exits(0).tells(&[
            "rejected",
            "acknowledged",
            "acknowledged by hand",
        ]);
        world.run(&["check", "--ledger"]).exits(0);

        // Another value that the store does not take is one that no person knows of, and so is the same value after a requeue.
        world.change("also !reject", "2");
        world.sync().exits(3);
        world.run(&["rejected", "--retry", "3"]).exits(0);
        let said = world.sync().exits(3);
        assert_eq!((said.count("rejected"), said.count("acknowledged")), (1, 0));
    }
}

#[test]
fn a_locked_store_requeues_nothing() {
    for kind in LedgerKind::BOTH {
        let world = World::with_customers(kind, 5);
        world.change("no !reject", "3");
        world.sync().exits(3);
        world.change("second", "4");
        world.script(&[attrsync::sandbox::Fault::Silent]);
        world.use_long_timeout();
        let running = world.start(&["sync"]);
        until("a call is in flight", || {
            world.store().requests().any(|request| request.fault.as_deref() == Some("silent"))
        });
        world.run(&["rejected", "--retry"]).exits(5).tells(&["run 2 (sync)"]);
        assert_eq!(world.number("select count(*) as n from entries where belief = 'rejected'"), 1);
        running.signal("KILL");
        running.end();
    }
}

/// A run that found values of deleted customers: two were deleted with all their values.
fn with_deleted_customers(kind: LedgerKind) -> World {
    let world = World::with_customers(kind, 12);
    world.execute("insert into customer_attribute_values select c, 2, '1' from generate_series(1, 12) c");
    world.sync().exits(0);
    world.store().delete_customer(4);
    world.store().delete_customer(5);
    world.change("second", "3, 4, 5");
    let said = world.sync().exits(3).balances().tells(&["2 customers are not in the store"]);
    assert_eq!((said.count("confirmed"), said.count("rejected")), (2, 4));
    world
}

/// How many entries the run requeued because of store changes.
fn requeued(world: &World, run: i64) -> i64 {
    world.number(&format!(
        "select coalesce(sum(count), 0) as n from belief_edits where edit = 'requeue' and run_id = {run}"
    ))
}

/// How many customers are known to be deleted.
fn deleted_customers(world: &World) -> i64 {
    world.number("select count(*) as n from rejected_customers where state = 'deleted'")
}

/// How often the store was asked about customers.
fn asks(world: &World) -> usize {
    world.store().requests().filter(|request| request.path.ends_with("/customers")).count()
}

#[test]
fn values_of_a_deleted_customer_are_sent_again_when_it_is_restored() {
    for kind in LedgerKind::BOTH {
        let world = with_deleted_customers(kind);
        assert_eq!(deleted_customers(&world), 2);
        world.store().reset_log();
        let said = world.sync().exits(3);
        assert_eq!((said.count("planned"), said.count("still_rejected")), (0, 4));
        assert_eq!(asks(&world), 1, "one call for all of them");

        world.store().add_customer(4);
        let plan = world.run(&["plan", "--json"]).exits(0).json();
        assert_eq!((&plan["counts"]["planned"], &plan["counts"]["still_rejected"]), (&2.into(), &2.into()));
        let said = world.sync().exits(3).balances();
        assert_eq!((requeued(&world, 4), said.count("confirmed"), said.count("still_rejected")), (2, 2, 2));
        assert_eq!((world.value(4, 1).as_deref(), world.value(5, 1)), (Some("second"), None));
        // The rejected values are requeued, and what the store held for the customer is not believed any more.
        let edits = world.ask("select customer_id, edit, count from belief_edits order by edit");
        let expected = |edit: &str| serde_json::json!({ "customer_id": 4, "edit": edit, "count": 2 });
        assert_eq!(edits, [expected("clear"), expected("requeue")]);
        assert_eq!(
            world.number("select customer_id as n from rejected_customers where state <> 'existing'"),
            5
        );
        world.run(&["explain", "4"]).exits(0).tells(&["requeue", "the store has customer 4 again"]);
        world.store().add_customer(5);
        world.run(&["sync"]).exits(0);
    }
}

#[test]
fn promise_5_customers_that_a_killed_or_stopped_run_did_not_check_are_checked_by_the_next() {
    for (kind, signal) in [
        (LedgerKind::File, "KILL"),
        (LedgerKind::File, "TERM"),
        (LedgerKind::Postgres, "KILL"),
        (LedgerKind::Postgres, "TERM"),
    ] {
        let world = World::with_customers(kind, 600);
        world.sync().exits(0);
        world.use_long_timeout();
        world.disable_guard();
        world.store().delete_customer(1);
        world.store().delete_customer(2);
        world.change("second", "select generate_series(1, 600)");
        world.store().options.latency = Duration::from_millis(150);
        let running = world.start(&["sync", "--json"]);
        let refused = "select max(rejected) as n from runs";
        until("both values are refused", || world.number(refused) == 2);
        running.signal(signal);
        running.end();
        world.store().options.latency = Duration::from_millis(2);
        assert_eq!(deleted_customers(&world), 0, "the run checked no customer");

        world.store().reset_log();
        let said = world.sync().exits(3).balances().tells(&["2 customers are not in the store"]);
        assert_eq!((said.count("rejected"), said.count("still_rejected")), (0, 2));
        assert_eq!(asks(&world), 1, "one call for both");
        assert_eq!(deleted_customers(&world), 2);
        world.store().add_customer(1);
        world.store().add_customer(2);
        world.sync().exits(0).balances();
        world.assert_landed(600, "second");
        // Existing customers are checked once.
        world.store().reset_log();
        world.sync().exits(0);
        assert_eq!(asks(&world), 0);
    }
}

#[test]
fn promise_3_values_of_a_deleted_customer_are_not_believed_when_it_is_restored() {
    for kind in LedgerKind::BOTH {
        let world = World::with_customers(kind, 12);
        world.execute("insert into customer_attribute_values select c, 2, '1' from generate_series(1, 12) c");
        world.sync().exits(0);
        world.store().delete_customer(5);
        // Only one of its two values is rejected; the other is unchanged.
        world.change("second", "5");
        world.execute(
            "update customer_attribute_values set value = '1' where customer_id = 5 and attribute_id = 2",
        );
        assert_eq!(world.sync().exits(3).balances().count("rejected"), 1);
        world.store().add_customer(5);
        let plan = world.run(&["plan", "--json"]).exits(0).json();
        assert_eq!(plan["counts"]["planned"], 2, "plan knows it too");
        let said = world.sync().exits(0).balances();
        assert_eq!((said.count("confirmed"), requeued(&world, 3)), (2, 1));
        let made_anew = "select count(*) as n from changes where run_id = 3 and action = 'create'";
        assert_eq!(world.number(made_anew), 2, "the ledger itself forgot them, in case this run dies");
        assert_eq!((world.value(5, 1).as_deref(), world.value(5, 2).as_deref()), (Some("second"), Some("1")));
        world.run(&["check", "--ledger"]).exits(0);
    }
}

#[test]
fn rejected_values_are_sent_again_when_their_attribute_is_redefined() {
    for kind in LedgerKind::BOTH {
        let world = World::with_customers(kind, 12);
        world.change("no !reject", "3, 4");
        world.sync().exits(3);
        world.store().options.rules.reject_marker = String::new();
        world.sync().exits(3);
        let renamed = |name: &str| attrsync::sandbox::AttributeSpec::new(1, name, "string");
        world.store().add_attribute(renamed("level"));
        let plan = world.run(&["plan", "--json"]).exits(0).tells(&["attribute 1 is named level"]).json();
        assert_eq!((&plan["counts"]["planned"], &plan["counts"]["still_rejected"]), (&2.into(), &0.into()));
        assert_eq!(
            world.number("select count(*) as n from entries where belief = 'rejected'"),
            2,
            "plan writes nothing"
        );
        // A run that filters them out requeues them as well, and the next run sends them.
        let said =
            world.run(&["sync", "--json", "--customer", "3"]).exits(0).tells(&["attribute 1 is named level"]);
        assert_eq!((requeued(&world, 3), said.count("confirmed")), (2, 1));
        let said = world.sync().exits(0);
        assert_eq!((requeued(&world, 4), said.count("confirmed")), (0, 1));
        assert_eq!(world.value(4, 1).as_deref(), Some("no !reject"));
        world.store().reset_log();
        world.sync().exits(0);
        assert!(world.writes().is_empty());
    }
}

#[test]
fn an_attribute_that_was_deleted_and_made_again_is_reported_with_a_remedy() {
    for kind in LedgerKind::BOTH {
        let world = World::with_customers(kind, 5);
        world.execute(
            "insert into customer_attribute_values select c, 3, '2026-01-01' from generate_series(1, 5) c",
        );
        world.sync().exits(0);
        let name =
            world.store().attributes().iter().find(|known| known.id == 1).map(|known| known.name.clone());
        let name = name.expect("it has a name");
        world.store().delete_attribute(1);
        let words = [&format!("attribute 1 ({name}) was deleted"), "make it again"];
        world.run(&["plan"]).exits(0).tells(&words);
        let said = world.run(&["sync"]).exits(3).tells(&words);
        assert!(said.out.contains("was deleted"), "the run's message: {said:#?}");
        assert_eq!(
            world.number("select count(*) as n from entries where attribute_id = 1 and value_id is not null"),
            0
        );
        assert_eq!(
            world.number("select count(*) as n from entries where attribute_id = 1 and belief = 'confirmed'"),
            0
        );
        assert_eq!(
            world.number("select count(*) as n from entries where attribute_id = 3 and value_id is null"),
            0
        );

        // Later runs do not repeat the notice, and every row says why it is not sent.
        let made_anew = attrsync::sandbox::AttributeSpec::new(17, &name, "string");
        world.store().add_attribute(made_anew);
        let said = world.run(&["sync"]).exits(3);
        assert!(!format!("{said:?}").contains("was deleted"), "{said:#?}");
        world.run(&["runs", "3"]).exits(0).tells(&["let the source use attribute_id 17"]);
        world.execute("update customer_attribute_values set attribute_id = 17 where attribute_id = 1");
        let said = world.sync().exits(0).balances();
        assert_eq!((said.count("confirmed"), said.count("orphans")), (5, 0));
        assert_eq!(world.value(2, 17).as_deref(), Some("first"));
    }
}

#[test]
fn an_attribute_that_was_deleted_for_a_while_is_sent_again() {
    let world = World::with_customers(LedgerKind::File, 5);
    world.execute("insert into customer_attribute_values values (1, 2, '1')");
    world.sync().exits(0);
    let known = world.store().attributes().iter().find(|known| known.id == 1).cloned().expect("is there");
    world.store().delete_attribute(1);
    world.sync().exits(3);
    world.store().add_attribute(known);
    let said = world.sync().exits(0).tells(&["attribute 1 is there again"]).balances();
    assert_eq!((said.count("confirmed"), said.count("unchanged")), (5, 1));
    world.assert_landed(5, "first");
}
