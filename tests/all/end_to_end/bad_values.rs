//! Promise 6: one bad value harms no other, and is not sent again until it changes or is requeued.

use super::world::{LedgerKind, World};

#[test]
fn promise_6_one_bad_value_harms_no_other() {
    for kind in LedgerKind::BOTH {
        let world = World::with_customers(kind, 50);
        world.change("no !reject", "7, 33");
        let said = world.sync().exits(3).balances();
        assert_eq!(said.json()["status"], "partial");
        assert_eq!(
            (said.count("confirmed"), said.count("rejected"), said.count("still_rejected")),
            (48, 2, 0)
        );
        world.assert_landed(48, "first");
        assert_eq!(world.value(7, 1), None);
        let listed = world.run(&["rejected", "--json"]).exits(0).json();
        assert_eq!(listed["total"], 2);
        assert_eq!(listed["rejected"][0]["customer_id"], 7);
        assert!(
            listed["rejected"][0]["reason"].as_str().is_some_and(|words| words.contains("not allowed here"))
        );
        world.run(&["rejected"]).exits(0).tells(&["no !reject", "not allowed here", "--retry"]);

        // Still rejected, not sent again.
        world.store().reset_log();
        let said = world.sync().exits(3);
        assert_eq!((said.count("planned"), said.count("still_rejected"), said.count("rejected")), (0, 2, 0));
        assert!(world.writes().is_empty());
        assert_eq!(
            world.run(&["sync"]).exits(3).tells(&["still rejected"]).out.matches("new in this run").count(),
            0
        );

        // Requeued by hand, and rejected again.
        let said = world.run(&["sync", "--json", "--retry-rejected"]).exits(3).balances();
        assert_eq!((said.count("planned"), said.count("rejected")), (2, 2));

        // Changed, and therefore sent.
        world.change("first", "7");
        let said = world.sync().exits(3).balances();
        assert_eq!((said.count("confirmed"), said.count("still_rejected")), (1, 1));

        // Requeued by hand after the store changed its rules.
        world.store().options.rules.reject_marker = String::new();
        world.run(&["sync", "--retry-rejected"]).exits(0);
        assert_eq!(world.value(33, 1).as_deref(), Some("no !reject"));
        world.run(&["rejected"]).exits(0).tells(&["no value is rejected"]);
        world.sync().exits(0);
    }
}

#[test]
fn promise_6_a_value_that_makes_its_batch_fail_harms_no_other() {
    for kind in LedgerKind::BOTH {
        let world = World::with_customers(kind, 50);
        world.change("!poison", "25");
        let said = world.sync().exits(3).balances();
        assert_eq!((said.count("confirmed"), said.count("unknown"), said.count("rejected")), (49, 1, 0));
        world.assert_landed(49, "first");
        let unknown = world.ask("select customer_id as id, reason from outcomes where outcome = 'unknown'");
        assert_eq!(unknown[0]["id"], 25);
        assert!(unknown[0]["reason"].as_str().is_some_and(|words| words.contains("500")), "{unknown:?}");

        // Every run sends an unknown value again.
        let said = world.sync().exits(3).balances();
        assert_eq!((said.count("planned"), said.count("unknown")), (1, 1));
        world.change("first", "25");
        world.sync().exits(0).balances();
        world.assert_landed(50, "first");
    }
}
