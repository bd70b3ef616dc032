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
        world.write_config(&format!("{config}[source.columns]\ncustomer_id = \"Customer No\"\nattribute = \"attr\"\nvalue = \"val\"\n"));
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
fn promise_12_a_column_that_is_not_there_is_told_by_every_command() {
    let world = World::new(LedgerKind::File);
    world.write_config(&format!("{}[source.columns]\nvalue = \"Value\"\n", world.config("")));
    for command in ["check", "plan", "sync"] {
        world.run(&[command]).exits(1).tells(&["no column \"Value\"", "it has customer_id, attribute_id, value", "hint:"]);
    }
}
