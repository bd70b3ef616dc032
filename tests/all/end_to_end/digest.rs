//! A sync whose source and ledger are as the run before left them ends by the digest of the source.

use super::world::{LedgerKind, World};

fn by_digest(world: &World) -> Vec<i64> {
    let runs = world.ask("select by_digest as n from runs order by id");
    runs.iter().map(|run| run["n"].as_i64().expect("a number")).collect()
}

fn an_unchanged_source_is_not_read(kind: LedgerKind) {
    let world = World::with_customers(kind, 20);
    world.change("!reject", "7");
    world.execute("insert into customer_attribute_values values (1, 99, 'x'), (2, 1, null), (2, 1, null)");
    world.execute("delete from customer_attribute_values where customer_id = 2 and value is not null");
    world.sync().exits(3);
    let compared = world.sync().exits(3);
    world.store().reset_log();
    let said = world.sync().exits(3).balances();
    assert_eq!(by_digest(&world), [0, 0, 1], "the first run rejected a value, so that the second compared");
    assert_eq!(said.json()["counts"], compared.json()["counts"]);
    assert_eq!(said.json()["by_digest"], true);
    assert_eq!(world.store().tally().writes, 0);
    world.run(&["runs"]).exits(0).tells(&["partial (digest)"]);
    let rows = |id: &str| world.run(&["runs", id, "--json"]).exits(0).json()["invalid_rows"].clone();
    assert_eq!(rows("3"), rows("2"));
    world.run(&["check", "--ledger"]).exits(0);

    world.change("second", "3");
    assert_eq!(world.sync().exits(3).count("confirmed"), 1);
    assert_eq!(world.value(3, 1).as_deref(), Some("second"));
    world.sync().exits(3);
    world.run(&["sync", "--customer", "3"]).exits(0);
    world.sync().exits(3);
    assert_eq!(by_digest(&world)[3..], [0, 1, 0, 0], "a run for one customer has no digest");
    world.run(&["sync", "--full", "--customer", "5"]).exits(0);
    world.run(&["rejected", "--accept", "7"]).exits(0);
    assert_eq!(world.sync().exits(3).count("acknowledged"), 1);
    assert_eq!(world.sync().exits(3).count("acknowledged"), 1);
    assert_eq!(by_digest(&world)[7..], [0, 0, 0, 1], "an acknowledgement is a run");
    world.run(&["check", "--ledger"]).exits(0);
}

#[test]
fn promise_1_an_unchanged_source_is_not_read_with_a_ledger_file() {
    an_unchanged_source_is_not_read(LedgerKind::File);
}

#[test]
fn promise_1_an_unchanged_source_is_not_read_with_a_ledger_in_postgres() {
    an_unchanged_source_is_not_read(LedgerKind::Postgres);
}

/// A value that was changed and changed back between two runs, and an attribute that the store has now.
#[test]
fn promise_1_a_store_change_is_found_although_the_source_is_unchanged() {
    let world = World::with_customers(LedgerKind::File, 3);
    world.execute("insert into customer_attribute_values values (1, 99, 'x')");
    world.sync().exits(3);
    world.sync().exits(3);
    world.store().add_attribute(attrsync::sandbox::AttributeSpec::new(99, "new", "string"));
    assert_eq!(world.sync().exits(0).count("confirmed"), 1);
    assert_eq!(by_digest(&world), [0, 1, 0]);
    world.sync().exits(0);
    world.run(&["runs"]).exits(0).tells(&["unchanged (digest)"]);
}
