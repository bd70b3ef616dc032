//! Tables with other columns than those of the DDL, from `check` to the store.

use super::world::{LedgerKind, World};

#[test]
fn a_table_with_other_columns_is_synced_with_all_that_belongs_to_it() {
    for kind in LedgerKind::BOTH {
        let world = World::new(kind);
        world.execute(
            "create table crm (\"Customer No\" int, attr smallint, val numeric); \
             insert into crm values (1, 1, 10.50), (2, 1, 7), (3, 99, 1), (4, 1, null)",
        );
        let config = world.config("").replace("customer_attribute_values", "crm");
        world.write_config(&format!(
            "{config}[source.columns]\ncustomer_id = \"Customer No\"\nattribute = \"attr\"\nvalue = \"val\"\n"
        ));
        world.run(&["check"]).exits(0).tells(&["Customer No integer, attr smallint, val numeric"]);
        let said = world.sync().exits(3).balances();
        assert_eq!((said.count("confirmed"), said.count("invalid"), said.count("no_value")), (2, 1, 1));
        assert_eq!(world.value(1, 1).as_deref(), Some("10.50"));
        world.run(&["explain", "1"]).exits(0).tells(&["10.50"]);
        world.execute("delete from crm where attr = 99");
        world.sync().exits(0);
        world.store().reset_log();
        world.sync().exits(0);
        assert!(world.writes().is_empty());
        world.run(&["sync", "--customer", "2", "--full"]).exits(0);
        assert_eq!(world.writes().len(), 1);

        world.execute(&world.run(&["init", "--trigger"]).exits(0).out);
        world.execute("update crm set val = 8 where \"Customer No\" = 2");
    }
}

#[test]
fn attributes_are_named_and_a_renamed_one_keeps_its_ledger() {
    for kind in LedgerKind::BOTH {
        let world = World::new(kind);
        world.execute(
            "create table crm (customer_id int, attribute_id text, value text); \
             insert into crm values (1, 'loyalty_tier', 'gold'), (2, 'loyalty_tier', 'gold'), \
                (2, 'Loyalty_Tier', 'case'), (3, '1', 'an id'), (4, null, 'none')",
        );
        world.write_config(&world.config("").replace("customer_attribute_values", "crm"));
        world.run(&["check"]).exits(0).tells(&["attribute_id text", "2 can be sent, 3 invalid"]);
        let said = world.sync().exits(3).balances();
        assert_eq!((said.count("confirmed"), said.count("invalid")), (2, 3));
        world
            .run(&["plan"])
            .tells(&["no attribute named \"Loyalty_Tier\"; it has \"loyalty_tier\"", "::bigint"]);
        assert_eq!(world.value(1, 1).as_deref(), Some("gold"));
        world.run(&["explain", "1", "loyalty_tier"]).exits(0).tells(&["gold"]);
        world.execute("delete from crm where value in ('case', 'an id', 'none')");
        world.sync().exits(0);

        rename(&world, "Rank");
        for _ in 0..2 {
            let said = world.sync().exits(3).balances();
            assert_eq!((said.count("invalid"), said.count("planned")), (2, 0));
            let reason = "attribute 1 is named \"Rank\" now; let the source use that name";
            world.run(&["plan"]).tells(&[reason]);
        }
        world.execute("update crm set attribute_id = 'Rank'");
        world.store().reset_log();
        let said = world.sync().exits(0).balances();
        assert_eq!((said.count("unchanged"), said.count("planned")), (2, 0), "the ledger is the same");
        assert!(world.writes().is_empty());
        world.run(&["check", "--ledger"]).exits(0);
    }
}

fn rename(world: &World, name: &str) {
    world.store().add_attribute(attrsync::sandbox::AttributeSpec::new(1, name, "string"));
}

#[test]
fn promise_12_every_command_names_a_column_that_is_not_there() {
    let world = World::new(LedgerKind::File);
    world.write_config(&format!("{}[source.columns]\nvalue = \"Value\"\n", world.config("")));
    for command in ["check", "plan", "sync"] {
        world.run(&[command]).exits(1).tells(&[
            "no column \"Value\"",
            "it has customer_id, attribute_id, value",
            "hint:",
        ]);
    }
}

#[test]
fn a_wide_table_is_synced_as_it_is() {
    for kind in LedgerKind::BOTH {
        let world = World::new(kind);
        world.execute(
            "create table crm (id int primary key, tier text, \"Spent\" numeric, last date); \
             insert into crm values (1, 'gold', 10.50, null), (2, null, 7, '2026-02-01'), (3, repeat('x', 256), null, null)",
        );
        let config = world.config("").replace("customer_attribute_values", "crm");
        let columns = "[source.columns]\ncustomer_id = 'id'\n[source.attributes]\n\
                       tier = 'loyalty_tier'\nSpent = 2\nlast = 'last_order'\n";
        world.write_config(&format!("{config}{columns}"));
        world.run(&["check"]).exits(0).tells(&["id integer, Spent numeric, last date, tier text"]);
        let said = world.sync().exits(3).balances();
        assert_eq!((said.count("confirmed"), said.count("invalid"), said.count("no_value")), (4, 1, 4));
        assert_eq!(world.value(1, 2).as_deref(), Some("10.50"));
        assert_eq!(world.value(2, 3).as_deref(), Some("2026-02-01"));
        world.run(&["explain", "2"]).exits(0).tells(&["2026-02-01"]);
        world.execute("update crm set tier = 'x' where id = 3");
        let said = world.sync().exits(0).balances();
        assert_eq!((said.count("confirmed"), said.count("unchanged")), (1, 4));
        world.store().reset_log();
        world.sync().exits(0);
        assert!(world.writes().is_empty());
        world.execute("update crm set tier = 'silver', \"Spent\" = 11 where id = 1");
        let said = world.run(&["sync", "--json", "--attribute", "loyalty_tier"]).exits(0).balances();
        assert_eq!((said.count("confirmed"), said.count("unchanged")), (1, 1));

        // A name that the store does not have costs its column only.
        world.write_config(&format!("{config}{}", columns.replace("'last_order'", "'Last order'")));
        world
            .run(&["check"])
            .exits(1)
            .tells(&["column \"last\": the store has no attribute named \"Last order\"", "hint:"]);
        let said = world.sync().exits(3).balances();
        assert_eq!((said.count("confirmed"), said.count("invalid")), (1, 1));
        world.run(&["plan"]).tells(&["column \"last\": the store has no attribute"]);

        world.execute(&world.run(&["init", "--trigger"]).exits(0).out);
        world.execute("update crm set tier = 'gold' where id = 1; delete from crm where id = 2");
    }
}
