//! Promises 1 and 2: only what changed is sent, within the limits.

use std::time::Duration;

use attrsync::sandbox::{Counting, SizeRefusal};

use super::world::{LedgerKind, World};

/// A thousand customers with three values each.
fn thousand(kind: LedgerKind) -> World {
    let world = World::new(kind);
    world.execute(
        "insert into customer_attribute_values
         select c, a, 'value ' || a || ' of ' || c from generate_series(1, 1000) c, generate_series(1, 3) a",
    );
    world.store().options.latency = Duration::from_millis(50);
    world.use_long_timeout();
    world
}

fn only_what_changed(kind: LedgerKind) {
    let world = thousand(kind);
    let said = world.sync().exits(0).balances();
    assert_eq!(said.count("confirmed"), 3000);
    let tally = world.store().tally();
    let failed = world.ask("select * from requests where http_status is null or http_status <> 200");
    assert_eq!((tally.writes, tally.items, tally.max_customers), (100, 3000, 10), "{failed:?}");
    assert_eq!((tally.max_in_flight, tally.over_in_flight, tally.limited), (3, 0, 0));
    assert_eq!(world.store().values().count(), 3000);
    let entries = "select count(value_id) as n from entries where belief = 'confirmed'";
    assert_eq!(world.number(entries), 3000);
    assert_eq!(world.number("select count(distinct value_id) as n from entries"), 3000);
    assert_eq!(world.number("select count(*) as n from requests where http_status = 200"), 100);
    for row in
        world.ask("select customer_id, attribute_id, value_id from entries where customer_id in (1, 999)")
    {
        let number = |name: &str| row[name].as_i64().expect("a number");
        let key = attrsync::record::Key::new(number("customer_id"), number("attribute_id"));
        assert_eq!(world.store().value_id(key), Some(number("value_id")), "{key}");
    }

    world.store().reset_log();
    let said = world.sync().exits(0);
    assert_eq!((said.count("planned"), said.count("unchanged")), (0, 3000));
    assert_eq!(world.store().tally().writes, 0);

    world.execute("update customer_attribute_values set value = value || '!' where customer_id % 40 = 0");
    let said = world.sync().exits(0).balances();
    assert_eq!((said.count("confirmed"), world.store().tally().writes), (75, 3));
    assert_eq!(world.value(40, 2).as_deref(), Some("value 2 of 40!"));
}

#[test]
fn promise_1_only_what_changed_is_sent_with_a_ledger_file() {
    only_what_changed(LedgerKind::File);
}

#[test]
fn promise_1_only_what_changed_is_sent_with_a_ledger_in_postgres() {
    only_what_changed(LedgerKind::Postgres);
}

fn a_smaller_size_is_learned_once(kind: LedgerKind, refusal: SizeRefusal) {
    let world = thousand(kind);
    {
        let mut store = world.store();
        store.options.limits.counting = Counting::Items;
        store.options.limits.size_refusal = refusal;
        store.options.latency = Duration::from_millis(2);
    }
    let said = world.sync().exits(0).balances();
    assert_eq!(said.count("confirmed"), 3000);
    let tally = world.store().tally();
    assert!((1..=4).contains(&tally.over_size), "{tally:?}");
    // A batch that was split to ten values may leave a smaller part.
    assert!(tally.writes <= 300 + 3 * tally.over_size, "{tally:?}");
    assert!(tally.max_in_flight <= 3 && tally.over_in_flight == 0, "{tally:?}");
    let learned =
        world.ask("select values_per_request as n, values_per_request_learned_at as at from stores");
    assert_eq!(learned[0]["n"], 10);
    assert!(learned[0]["at"].is_string(), "{learned:?}");
    world.run(&["check"]).exits(0).tells(&["10 values a call, learned"]);

    world.store().reset_log();
    world.execute("update customer_attribute_values set value = 'another' where customer_id <= 100");
    assert_eq!(world.run(&["plan", "--json"]).exits(0).json()["requests"], 30, "plan knows it too");
    world.sync().exits(0).balances();
    let tally = world.store().tally();
    assert_eq!((tally.writes, tally.over_size, tally.max_items), (30, 0, 10));
}

#[test]
fn promise_2_the_size_is_learned_once_from_413() {
    a_smaller_size_is_learned_once(LedgerKind::File, SizeRefusal::TooLarge);
}

#[test]
fn promise_2_the_size_is_learned_once_from_422() {
    a_smaller_size_is_learned_once(LedgerKind::Postgres, SizeRefusal::Unprocessable);
}
