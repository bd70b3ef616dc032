//! What was set aside comes back: by hand, when its attribute changes, when its customer is back.

use super::world::{Books, World};

#[test]
fn values_are_released_by_hand() {
    for books in Books::BOTH {
        let world = World::with_customers(books, 30);
        world.run(&["rejected", "--retry"]).exits(1).tells(&["no ledger yet"]);
        assert_eq!(world.ledger_files(), 0, "a ledger is not made for this");
        world.change("no !reject", "7, 8, 9");
        world.sync().exits(3);
        world.store().options.rules.reject_marker = String::new();
        world.store().reset_log();

        let said = world.run(&["rejected", "--json", "--retry", "7:1", "8", "77", "9:2"]).exits(0);
        let told = said
            .tells(&["77: no value of this customer is set aside", "9:2: this value is not set aside"])
            .json();
        assert_eq!((&told["released"], &told["run_id"]), (&2.into(), &2.into()));
        assert_eq!(
            told["keys"][0],
            serde_json::json!({ "customer_id": 7, "attribute_id": 1, "released": 1 })
        );
        let run = world.run(&["runs", "2", "--json"]).exits(0).json();
        assert_eq!((&run["run"]["kind"], &run["run"]["status"]), (&"release".into(), &"succeeded".into()));
        assert_eq!((&run["run"]["planned"], &run["run"]["deferred"]), (&2.into(), &2.into()));
        world.run(&["explain", "7", "1"]).exits(0).tells(&["released by hand", "not allowed here"]);

        // The next sync sends them, and only them.
        let said = world.sync().exits(3).balances();
        assert_eq!((said.count("planned"), said.count("confirmed"), said.count("held")), (2, 2, 1));
        assert_eq!(world.writes().len(), 1);
        assert_eq!(world.value(8, 1).as_deref(), Some("no !reject"));

        // Without keys all that is left; and then there is nothing.
        world.run(&["rejected", "--retry"]).exits(0).tells(&["released 1 value", "attrsync sync"]);
        world.sync().exits(0);
        world.run(&["rejected", "--retry"]).exits(1).tells(&["nothing is set aside"]);
        world.run(&["rejected", "--retry", "7"]).exits(1).tells(&["7: no value"]);
        world.run(&["rejected", "--retry", "seven"]).exits(64).tells(&["CUSTOMER:ATTRIBUTE_ID"]);
    }
}

#[test]
fn a_store_that_is_held_releases_nothing() {
    for books in Books::BOTH {
        let world = World::with_customers(books, 5);
        world.change("no !reject", "3");
        world.sync().exits(3);
        world.change("second", "4");
        world.script(&[attrsync::sandbox::Fault::Silent]);
        world.be_patient();
        let running = world.start(&["sync"]);
        super::world::until("a call is in flight", || {
            world.store().requests().any(|request| request.fault.as_deref() == Some("silent"))
        });
        world.run(&["rejected", "--retry"]).exits(5).tells(&["run 2 (sync)"]);
        assert_eq!(world.number("select count(*) as n from entries where belief = 'rejected'"), 1);
        running.signal("KILL");
        running.end();
    }
}
