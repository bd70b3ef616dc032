//! Promise 3: a value counts as pushed only when the store's response echoes it.

use attrsync::sandbox::{Fault, Keeping};

use super::world::{LedgerKind, World};

/// Whether values were read back after a write. A first sync also reads some before it.
fn values_were_read(world: &World) -> bool {
    world
        .store()
        .requests()
        .skip_while(|request| request.method == "GET")
        .any(|request| request.method == "GET" && request.path.ends_with("attribute-values"))
}

#[test]
fn promise_3_an_echo_is_matched_by_key_and_completed_by_reading_back() {
    for (fault, read_back, without_ids) in [
        (Fault::Shuffled, false, 0),
        (Fault::Doubled, false, 0),
        (Fault::Missing, true, 0),
        (Fault::Conflicting, true, 0),
        (Fault::NoIds, false, 10),
    ] {
        let world = World::with_customers(LedgerKind::File, 10);
        world.execute("update customer_attribute_values set value = 'value ' || customer_id");
        world.script(&[fault]);
        let said = world.sync().exits(0).balances();
        assert_eq!((said.count("confirmed"), said.count("altered")), (10, 0), "{fault}");
        assert_eq!(values_were_read(&world), read_back, "{fault}");
        assert_eq!(world.writes().len(), 1, "{fault}");
        let ids = "select count(*) as n from entries where value_id is null";
        assert_eq!(world.number(ids), without_ids, "{fault}");
        for row in world.ask("select customer_id as id, value_id from entries where value_id is not null") {
            let key = attrsync::record::Key::new(row["id"].as_i64().expect("an id"), 1);
            assert_eq!(world.store().value_id(key), row["value_id"].as_i64(), "{fault}");
        }
        assert_eq!(world.sync().exits(0).count("planned"), 0, "{fault}");
    }
}

#[test]
fn promise_3_a_value_that_the_store_skipped_is_not_confirmed() {
    let world = World::with_customers(LedgerKind::File, 10);
    world.script(&[Fault::Skipped]);
    let said = world.sync().exits(3).balances();
    assert_eq!((said.count("confirmed"), said.count("unknown")), (9, 1));
    assert_eq!(world.values().len(), 9);
    assert_eq!(world.sync().exits(0).count("confirmed"), 1);
    world.assert_landed(10, "first");
}

#[test]
fn promise_3_an_echo_of_the_old_values_proves_nothing() {
    let world = World::with_customers(LedgerKind::Postgres, 10);
    world.sync().exits(0);
    world.store().reset_log();
    world.execute("update customer_attribute_values set value = 'second'");
    world.script(&[Fault::Stale]);
    let said = world.sync().exits(0).balances();
    assert_eq!((said.count("confirmed"), said.count("altered")), (10, 0));
    assert!(values_were_read(&world));
    world.assert_landed(10, "second");
}

#[test]
fn promise_3_a_form_that_the_store_alters_is_confirmed_as_altered_and_not_sent_again() {
    for kind in LedgerKind::BOTH {
        let world = World::with_customers(kind, 10);
        world.store().options.rules.keeping = Keeping { trim: true, drop_empty: true, ..Keeping::default() };
        world.change("  gold ", "1, 2");
        world.change("", "3");
        let said = world.sync().exits(0).balances();
        assert_eq!((said.count("confirmed"), said.count("altered")), (10, 2));
        let entries = world.ask("select value, stored_value, belief from entries where customer_id = 1");
        assert_eq!(
            entries[0],
            serde_json::json!({ "value": "  gold ", "stored_value": "gold", "belief": "confirmed" })
        );
        world.store().reset_log();
        assert_eq!(world.sync().exits(0).count("unchanged"), 10);
        assert!(world.writes().is_empty());

        // The store already holds the new value, because it trimmed the old one.
        world.change("gold", "1");
        let said = world.sync().exits(0).balances();
        assert_eq!((said.count("confirmed"), said.count("altered")), (1, 0));
    }
}

#[test]
fn promise_3_an_echo_equal_to_the_old_value_is_confirmed_by_the_second_run() {
    let world = World::with_customers(LedgerKind::File, 1);
    world.sync().exits(0);
    world.store().options.rules.keeping.trim = true;
    world.change("first ", "1");
    let said = world.sync().exits(3).balances();
    assert_eq!(said.count("unknown"), 1);
    let said = world.sync().exits(0).balances();
    assert_eq!((said.count("confirmed"), said.count("altered")), (1, 1));
    assert_eq!(world.sync().exits(0).count("planned"), 0);
}
