//! A source that names its customers by e-mail address, with the real program.

use super::world::{LedgerKind, World};

const COLUMNS: &str = "[source.columns]\nemail = \"email\"\n[missing]\naction = \"delete\"\n";

/// A table by e-mail address, with a row for each of so many customers.
fn world(kind: LedgerKind, customers: usize) -> World {
    let world = World::new(kind);
    world.execute(&format!(
        "drop table customer_attribute_values;
         create table customer_attribute_values (email text, attribute_id int, value text);
         insert into customer_attribute_values
             select 'Customer' || c || '@Example.com', 1, 'first' from generate_series(1, {customers}) c"
    ));
    world.write_config(&(world.config("") + COLUMNS));
    world
}

/// How often the store was asked for customers.
fn look_ups(world: &World) -> usize {
    world.store().requests().filter(|request| request.path.ends_with("/customers")).count()
}

#[test]
fn promise_1_the_second_sync_asks_for_no_address() {
    for kind in LedgerKind::BOTH {
        let world = world(kind, 200);
        world.run(&["check"]).exits(0).tells(&["email text", "no e-mail address was looked up yet"]);
        let said = world.sync().exits(0).balances();
        assert_eq!((said.count("confirmed"), look_ups(&world)), (200, 5), "{said:#?}");
        world.assert_landed(200, "first");
        world.store().reset_log();
        let said = world.run(&["sync", "--json"]).exits(0);
        assert_eq!((said.count("planned"), look_ups(&world)), (0, 0));
        world.run(&["check"]).exits(0).tells(&["e-mail addresses that were looked up: 200 (200 found)"]);
        world.run(&["check", "--ledger"]).exits(0);
        // `--full` asks for all of them again.
        world.disable_guard();
        world.sync().exits(0);
        assert_eq!(look_ups(&world), 0);
        world.run(&["sync", "--full"]).exits(0);
        assert_eq!(look_ups(&world), 5);
    }
}

#[test]
fn a_customer_is_named_by_address() {
    for kind in LedgerKind::BOTH {
        let world = world(kind, 20);
        world.run(&["explain", "customer7@example.com"]).exits(1).tells(&["no ledger"]);
        let said = world.run(&["sync", "--json", "--customer", "CUSTOMER7@example.com"]).exits(0).balances();
        assert_eq!((said.count("source_rows"), said.count("confirmed")), (1, 1));
        assert_eq!(world.value(7, 1).as_deref(), Some("first"));
        world.run(&["explain", "Customer7@example.com", "1"]).exits(0).tells(&["customer 7", "first"]);
        // Without an address, no row is taken for one of the customer.
        world
            .run(&["explain", "8"])
            .exits(0)
            .tells(&["neither the source nor the ledger knows a value of customer 8"]);
        world.run(&["explain", "7"]).exits(0).tells(&["customer 7", "first"]);
        world
            .run(&["explain", "customer8@example.com"])
            .exits(1)
            .tells(&["does not know this e-mail address"]);
        world
            .run(&["sync", "--customer", "8"])
            .exits(1)
            .tells(&["no e-mail address of customer 8", "hint: "]);
        world.execute("delete from customer_attribute_values where email ilike 'customer7@%'");
        let said = world.run(&["plan", "--customer", "customer7@example.com"]).exits(0);
        said.tells(&["1 to delete"]);
    }
}

#[test]
fn promise_11_no_address_is_in_the_ledger_or_in_a_log() {
    let world = world(LedgerKind::File, 100);
    world.execute(
        "insert into customer_attribute_values values ('stranger@nowhere.example', 1, 'x'), ('odd,one@x.example', 1, 'x')",
    );
    world.store().options.rules.refused_email = Some("customer33@example.com".to_owned());
    let said = world.run(&["sync", "-v", "--log-format", "json"]).exits(3);
    let rows = world.ask("select reason from invalid_rows order by reason");
    assert_eq!(rows.len(), 3, "{rows:?}");
    let states = world.ask("select state, count(*) as n from email_customers group by state order by state");
    assert_eq!(states.len(), 3, "{states:?}");
    let runs = world.run(&["runs", "1"]).exits(0);
    world.store().options.rules.refused_email = None;
    world.store().options.rules.fixed_status = None;
    for name in ["ledger.db", "ledger.db-wal"] {
        let bytes = std::fs::read(world.path().join(name)).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes).to_lowercase();
        assert!(!text.contains("@example.com") && !text.contains("stranger"), "{name}");
    }
    for text in [&said.out, &said.err, &runs.out, &runs.err] {
        assert!(!text.contains("@example.com") && !text.contains("stranger@"), "{text}");
    }
}

#[test]
fn promise_14_rows_without_a_customer_delete_nothing() {
    let world = world(LedgerKind::Postgres, 50);
    world.sync().exits(0);
    // All addresses are looked up again, and the store has two of them no more.
    world.store().set_email(3, "moved@example.com");
    world.store().set_email(4, "shared@example.com");
    world.store().set_email(5, "shared@example.com");
    world.execute("delete from customer_attribute_values where email ilike 'customer9@%'");
    world.disable_guard();
    let said = world.run(&["sync", "--full", "--json"]).exits(3).balances();
    assert_eq!((said.count("invalid"), said.count("deletes")), (3, 1), "{said:#?}");
    for customer in [3, 4, 5] {
        assert_eq!(world.value(customer, 1).as_deref(), Some("first"));
    }
    assert_eq!(world.value(9, 1), None);
    world.run(&["explain", "customer3@example.com"]).exits(0).tells(&["customer 3"]);
}

#[test]
fn an_adoption_finds_the_customers_first() {
    let world = world(LedgerKind::File, 60);
    for customer in 1..=50 {
        let value = if customer == 50 { "other" } else { "first" };
        world.store().set_value(attrsync::record::Key::new(customer, 1), Some(value));
    }
    world.run(&["reconcile", "--adopt"]).exits(0);
    assert_eq!(look_ups(&world), 2);
    let said = world.sync().exits(0).balances();
    assert_eq!((said.count("unchanged"), said.count("confirmed")), (49, 11), "{said:#?}");
}

#[cfg(feature = "failpoints")]
#[test]
fn promise_5_a_killed_look_up_goes_on_where_it_was() {
    use super::world::Said;

    for kind in LedgerKind::BOTH {
        let world = world(kind, 1_000);
        for nth in ["emails-kept:1", "emails-kept:1"] {
            let mut program = world.program(&["sync"]);
            let said = Said::from(program.env("ATTRSYNC_FAILPOINT", nth).output().expect("it runs"));
            assert_eq!(said.code, None, "it is killed: {said:#?}");
            world.run(&["check", "--ledger"]).exits(0);
        }
        world.store().reset_log();
        world.sync().exits(0);
        assert_eq!(look_ups(&world), 5, "the killed runs kept 400 each");
        world.assert_landed(1_000, "first");
    }
}
