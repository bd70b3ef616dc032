//! Rows that leave the source: their values are deleted if that is asked for, and only what attrsync pushed.

use attrsync::record::Key;
use attrsync::sandbox::Fault;

use super::world::{LedgerKind, World};

/// A store with the values of 25 customers. From now on, values without a row are deleted.
fn pushed(kind: LedgerKind) -> World {
    let world = World::with_customers(kind, 25);
    world.sync().exits(0);
    world.write_config(&format!("{}[missing]\naction = \"delete\"\n", world.config("")));
    world.store().reset_log();
    world
}

fn beliefs(world: &World, belief: &str) -> i64 {
    world.number(&format!("select count(*) as n from entries where belief = '{belief}'"))
}

#[test]
fn promise_1_values_without_a_row_are_deleted_by_few_requests_and_once() {
    for kind in LedgerKind::BOTH {
        let world = pushed(kind);
        world.execute("delete from customer_attribute_values where customer_id <= 20");
        world.execute("update customer_attribute_values set value = null where customer_id = 21");
        let plan = world.run(&["plan"]).exits(0);
        plan.tells(&["- customer 1 · loyalty_tier (1): \"first\" → no value", "21 to delete · 3 calls"]);
        let said = world.sync().exits(0).balances();
        assert_eq!((said.count("planned"), said.count("deletes"), said.count("confirmed")), (21, 21, 21));
        let writes = world.writes();
        assert!(writes.iter().all(|write| write.method == "DELETE" && write.status == Some(204)));
        let mut sizes: Vec<usize> = writes.iter().map(|write| write.items).collect();
        sizes.sort_unstable();
        assert_eq!(sizes, [1, 10, 10]);
        assert_eq!(world.values().len(), 4);
        assert_eq!((beliefs(&world, "absent"), beliefs(&world, "confirmed")), (21, 4));

        world.sync().exits(0);
        assert_eq!(world.writes().len(), 3, "nothing is deleted twice");
        world
            .run(&["explain", "1", "1"])
            .exits(0)
            .tells(&["no value (deleted in run 2", "delete \"first\" → no value: confirmed"]);
        // A, no value, A.
        world.execute("insert into customer_attribute_values values (1, 1, 'first')");
        world.sync().exits(0);
        assert_eq!(world.value(1, 1).as_deref(), Some("first"));
        world.run(&["check", "--ledger"]).exits(0);
    }
}

#[test]
fn without_the_setting_every_value_stays() {
    let world = World::with_customers(LedgerKind::File, 3);
    world.sync().exits(0);
    world.execute("delete from customer_attribute_values where customer_id = 1");
    let said = world.sync().exits(0);
    assert_eq!((said.count("orphans"), said.count("deletes")), (1, 0));
    assert_eq!(world.values().len(), 3);
    world.write_config(&format!("{}[missing.attributes]\n\"no such\" = \"delete\"\n", world.config("")));
    world.sync().exits(64).tells(&[
        "[missing.attributes]: the store has no attribute named \"no such\"; it has \"loyalty_tier\" (1)",
    ]);
    world.run(&["plan"]).exits(64).tells(&["no such", "\"loyalty_tier\" (1)"]);
    world.run(&["check"]).exits(1).tells(&["[missing.attributes]", "\"loyalty_tier\" (1)"]);
    world.write_config(&format!("{}[missing.attributes]\nloyalty_tier = \"delete\"\n", world.config("")));
    let said = world.sync().exits(0);
    assert_eq!(
        (said.count("orphans"), said.count("deletes")),
        (0, 1),
        "the digest is not that of the run before"
    );
    assert_eq!(world.values().len(), 2);
}

#[test]
fn promise_14_values_that_attrsync_did_not_push_stay() {
    for kind in LedgerKind::BOTH {
        let world = pushed(kind);
        world.execute("delete from customer_attribute_values where customer_id in (1, 2, 3)");
        {
            let mut store = world.store();
            // Values of others: of a key that was never pushed, and in the place of one that was.
            store.set_value(Key::new(1, 2), Some("theirs"));
            store.set_value(Key::new(2, 1), None);
            store.set_value(Key::new(2, 1), Some("theirs"));
            store.set_value(Key::new(3, 1), None);
        }
        let said = world.sync().exits(3).balances();
        assert_eq!((said.count("confirmed"), said.count("rejected")), (2, 1));
        assert_eq!((world.value(1, 1), world.value(1, 2).as_deref()), (None, Some("theirs")));
        assert_eq!(world.value(2, 1).as_deref(), Some("theirs"));
        world.run(&["rejected"]).exits(0).tells(&["(delete)", "another one that attrsync did not send"]);
        let writes = world.writes().len();
        let said = world.sync().exits(3);
        assert_eq!((said.count("still_rejected"), world.writes().len()), (1, writes));
        world.store().set_value(Key::new(2, 1), None);
        world.run(&["rejected", "--retry"]).exits(0);
        world.sync().exits(0);
        world.run(&["check", "--ledger"]).exits(0);
    }
}

#[test]
fn promise_14_a_source_that_could_not_be_read_whole_deletes_nothing() {
    for kind in LedgerKind::BOTH {
        let world = pushed(kind);
        world.execute("delete from customer_attribute_values where customer_id = 1");
        world.execute("insert into customer_attribute_values values (null, 1, 'whose?'), (2, 2, 'new')");
        let warning = "1 value without a row is not deleted: a row without a valid key may be one of theirs";
        world.run(&["plan"]).exits(0).tells(&[warning, "0 to delete"]);
        let said = world.sync().exits(3).balances();
        assert_eq!((said.count("deletes"), said.count("orphans"), said.count("planned")), (0, 1, 1));
        assert_eq!(world.values().len(), 25);
        assert!(said.json()["warnings"].to_string().contains("not_whole"), "{said:#?}");
        world.run(&["check", "--ledger"]).exits(0);
        world.execute("delete from customer_attribute_values where customer_id is null");
        world.sync().exits(0);
        assert_eq!(world.values().len(), 24);
    }
}

#[test]
fn promise_14_a_saved_plan_deletes_only_what_still_has_no_row() {
    for kind in LedgerKind::BOTH {
        let world = pushed(kind);
        world.execute("delete from customer_attribute_values where customer_id <= 3");
        let saved = world.run(&["plan", "--save", "--json", "--output", "plan.csv"]).exits(0).json();
        let saved = saved["run_id"].as_i64().expect("a run").to_string();
        let csv = || std::fs::read_to_string(world.path().join("plan.csv")).expect("a file");
        assert_eq!(csv().matches(",1,delete,,\"first\"").count(), 3, "{}", csv());
        world.execute("insert into customer_attribute_values values (2, 1, 'first')");
        let apply = |arguments: &[&str]| {
            world.run(&[&["apply", saved.as_str(), "--json", "--skip-conflicts"], arguments].concat())
        };
        // Any of the rows without a key may be one that seems to have left.
        world.execute("insert into customer_attribute_values values (null, 1, 'x')");
        let said = apply(&[]).exits(3);
        assert_eq!((said.count("planned"), said.count("deletes")), (0, 0), "{said:#?}");
        assert_eq!(said.json()["applied"]["left_to_next_sync"], 2);
        world.run(&["plan", "--output", "plan.csv"]).exits(0);
        assert_eq!(csv().matches("delete").count(), 0, "{}", csv());
        world.execute("delete from customer_attribute_values where customer_id is null");
        let said = apply(&[]).exits(0);
        assert_eq!((said.count("confirmed"), said.count("deletes")), (2, 2), "{said:#?}");
        assert_eq!((world.value(1, 1), world.value(2, 1).as_deref()), (None, Some("first")));
        assert_eq!(apply(&[]).exits(0).json()["applied"]["done"], 2);
        assert_eq!(world.sync().exits(0).count("planned"), 0);
        world.run(&["check", "--ledger"]).exits(0);
    }
}

#[test]
fn a_filter_deletes_only_within_itself() {
    let world = pushed(LedgerKind::File);
    world.execute("truncate customer_attribute_values");
    world.run(&["sync", "--customer", "7"]).exits(0);
    assert_eq!(world.values().len(), 24);
    world.run(&["sync", "--attribute", "2"]).exits(0);
    assert_eq!(world.values().len(), 24);
    world.sync().exits(0);
    assert_eq!(world.values().len(), 0);
}

#[test]
fn promise_3_a_204_that_deleted_nothing_confirms_nothing() {
    for kind in LedgerKind::BOTH {
        let world = pushed(kind);
        world.execute("delete from customer_attribute_values where customer_id <= 3");
        world.store().options.rules.deletes_nothing = true;
        let said = world.sync().exits(3).balances();
        assert_eq!((said.count("confirmed"), said.count("unknown")), (0, 3));
        assert_eq!(beliefs(&world, "absent"), 0);
        world.store().options.rules.deletes_nothing = false;
        world.sync().exits(0);
        assert_eq!((world.values().len(), beliefs(&world, "absent")), (22, 3));
        world.run(&["check", "--ledger"]).exits(0);
    }
}

#[test]
fn a_value_without_an_id_is_read_before_it_is_deleted() {
    for kind in LedgerKind::BOTH {
        let world = World::with_customers(kind, 10);
        world.script(&[Fault::NoIds]);
        world.sync().exits(0);
        assert_eq!(world.number("select count(*) as n from entries where value_id is null"), 10);
        world.write_config(&format!("{}[missing]\naction = \"delete\"\n", world.config("")));
        world.execute("truncate customer_attribute_values");
        world.store().set_value(Key::new(1, 1), None);
        world.store().set_value(Key::new(2, 1), Some("theirs"));
        world.sync().exits(3).balances();
        assert_eq!(world.values().into_values().collect::<Vec<_>>(), ["theirs"]);
        let reason = "select count(*) as n from changes where action = 'delete' and request_id is null and reason like ";
        assert_eq!(world.number(&format!("{reason}'%others had deleted it%'")), 1);
        assert_eq!(world.number(&format!("{reason}'%did not send%'")), 1);
        world.run(&["check", "--ledger"]).exits(0);
    }
}

#[test]
fn promise_6_one_refused_delete_harms_no_other() {
    let world = World::with_customers(LedgerKind::File, 10);
    world.change("!keep", "4");
    world.sync().exits(0);
    world.write_config(&format!("{}[missing]\naction = \"delete\"\n", world.config("")));
    world.execute("truncate customer_attribute_values");
    let said = world.sync().exits(3).balances();
    assert_eq!((said.count("confirmed"), said.count("rejected")), (9, 1));
    assert_eq!(world.values().into_keys().collect::<Vec<_>>(), [4]);
    world.run(&["rejected"]).exits(0).tells(&["cannot be deleted"]);
    world.store().options.rules.undeletable_marker = String::new();
    world.run(&["sync", "--retry-rejected"]).exits(0);
    assert!(world.values().is_empty());
}

#[test]
fn promise_5_a_delete_whose_response_is_lost_is_sent_again() {
    for fault in [Fault::Lost, Fault::Reset, Fault::Cut, Fault::Refused, Fault::Html, Fault::LimitedBare] {
        let world = pushed(LedgerKind::File);
        world.execute("delete from customer_attribute_values where customer_id <= 5");
        world.script(&[fault]);
        world.sync().exits(0).balances();
        assert_eq!((world.values().len(), beliefs(&world, "absent")), (20, 5), "{fault}");
    }
}
