//! `attrsync reconcile` over real ledgers: adoption, drift, and a process that is killed on the way.

#![allow(clippy::print_stdout, reason = "the number of reads is printed")]

use attrsync::ledger::readings::VALUES_AT_ONCE;
use attrsync::record::Key;
use chrono::{SecondsFormat, Utc};

use super::world::{LedgerKind, Said, World, until};

/// A number of `counts` in the JSON of a reading.
#[track_caller]
fn count(said: &Said, name: &str) -> u64 {
    said.json()["counts"][name].as_u64().unwrap_or_else(|| panic!("no {name}: {said:#?}"))
}

/// The number of values of the store: 50,000 if the full size is asked for.
fn size() -> usize {
    let full = std::env::var("ATTRSYNC_LIVE_VALUES").ok().and_then(|text| text.parse().ok());
    full.unwrap_or(1_000)
}

/// A live store with so many values, 99 of 100 as the source asks for, and 20 values that the source does not know.
fn live(kind: LedgerKind, values: usize) -> World {
    let world = World::with_customers(kind, values);
    world.time_out_after(5);
    let mut store = world.store();
    store.options.customers = i64::try_from(values).expect("few") + 20;
    for customer in 1..=store.options.customers {
        let value = match customer {
            _ if customer > values as i64 => "unknown",
            _ if customer % 100 == 0 => "other",
            _ => "first",
        };
        store.set_value(Key::new(customer, 1), Some(value));
    }
    drop(store);
    world
}

/// Runs the program until it dies at the fail-point. Returns 1 if it did, and 0 if it did not come so far.
fn killed(world: &World, args: &[&str], point: &str) -> usize {
    let mut program = world.program(args);
    let said = Said::from(program.env("ATTRSYNC_FAILPOINT", point).output().expect("it runs"));
    let was_killed = said.code.is_none();
    if was_killed {
        assert_verified(world);
    }
    usize::from(was_killed)
}

/// Asserts that nothing is wrong with the ledger.
#[track_caller]
fn assert_verified(world: &World) {
    world.run(&["check", "--ledger"]).exits(0);
}

#[test]
fn a_live_store_is_adopted_and_kept_although_it_is_killed_on_the_way() {
    for kind in LedgerKind::BOTH {
        let values = size();
        let world = live(kind, values);
        let pages = (values + 20).div_ceil(250);
        let mut rng = fastrand::Rng::with_seed(values as u64);
        let mut kills = 0;
        for nth in 0..10 {
            let point = match nth {
                0 => "run-opened".to_owned(),
                1..=5 => format!("values-observed:{}", rng.usize(1..=pages.div_ceil(5))),
                _ => format!("values-adopted:{}", rng.usize(1..=values.div_ceil(VALUES_AT_ONCE).div_ceil(4))),
            };
            kills += killed(&world, &["reconcile", "--adopt"], &point);
        }
        assert!(kills >= 6, "{kills}");
        let adopted = world.run(&["reconcile", "--adopt", "--json"]).exits(0);
        assert_eq!(count(&adopted, "drift_overwrite"), 0, "{adopted:#?}");
        assert_eq!(world.number("select count(*) as n from entries"), values as i64);
        assert_eq!(world.number("select count(*) as n from observed_values"), 0);
        assert!(world.writes().is_empty(), "it reads only");
        assert_verified(&world);

        // The first sync sends the rest and nothing else, killed ten times on the way.
        let wrong = values / 100;
        for _ in 0..10 {
            let point = ["intent-committed", "response-read", "outcome-committed"][rng.usize(..3)];
            let arrival = rng.usize(1..=wrong.div_ceil(100));
            kills += killed(&world, &["sync"], &format!("{point}:{arrival}"));
        }
        println!("{kind:?}: killed {kills} times before all values were right");
        world.sync().exits(0);
        let sent = "select count(distinct customer_id) as n from changes where request_id is not null";
        assert_eq!(world.number(sent), wrong as i64, "each value that differed, and no other");
        world.assert_landed(values, "first");
        assert_eq!(world.value(values as i64 + 7, 1).as_deref(), Some("unknown"), "never touched");

        // Changes behind the back: found, and put right. A value is not compared while a request of a killed run may
        // still be applied.
        until("no request is in doubt", || {
            let now = Utc::now().to_rfc3339_opts(SecondsFormat::Micros, true);
            let in_doubt = format!("select count(*) as n from entries where in_doubt_until > '{now}'");
            world.number(&in_doubt) == 0
        });
        let (edited, deleted) = if values >= 5_000 { (200, 50) } else { (40, 10) };
        let mut store = world.store();
        for nth in 1..=edited {
            store.set_value(Key::new(nth * 20, 1), Some("theirs"));
        }
        for nth in 1..=deleted {
            store.set_value(Key::new(nth * 20 + 1, 1), None);
        }
        store.reset_log();
        drop(store);
        let found = world.run(&["reconcile", "--json"]).exits(0);
        let changed = (edited + deleted) as u64;
        assert_eq!(count(&found, "drift_overwrite"), changed, "{found:#?}");
        assert_eq!(count(&found, "agreeing"), values as u64 - changed, "no false alarm");
        let reads = world.store().tally().requests;
        println!("{kind:?}: {reads} reads for {values} values; {pages} pages are the fewest possible");
        assert!(reads <= pages as u64 + 2 + changed.div_ceil(40), "{reads} reads, {pages} pages");
        let said = world.sync().exits(0);
        assert_eq!(said.count("confirmed"), edited + deleted);
        world.assert_landed(values, "first");
        let again = world.run(&["reconcile", "--json"]).exits(0);
        assert_eq!((count(&again, "drift_overwrite"), count(&again, "agreeing")), (0, values as u64));
        assert_verified(&world);
    }
}

#[test]
fn drift_that_is_left_is_shown_until_it_ends() {
    for kind in LedgerKind::BOTH {
        let world = World::with_customers(kind, 5);
        world.write_config(&(world.config("") + "[drift]\npolicy = \"report\"\n"));
        world.sync().exits(0);
        world.run(&["reconcile"]).exits(0).tells(&["agree", "5"]);
        world.store().set_value(Key::new(2, 1), Some("theirs"));
        world.store().set_value(Key::new(3, 1), None);
        let said = world.run(&["reconcile"]).exits(3);
        said.tells(&["drift, left", "2", "customer 2", "\"theirs\"", "no value", "\"first\""]);
        world.run(&["status"]).exits(1).tells(&["2 values drifted", "attrsync reconcile"]);
        world.run(&["explain", "2"]).exits(0).tells(&["drift     run 3", "\"theirs\"", "left it as it is"]);
        world.run(&["runs", "3"]).exits(0).tells(&["reconcile", "report"]);
        assert_eq!(world.number("select count(*) as n from drift"), 2);
        assert_verified(&world);
        world.store().set_value(Key::new(3, 1), Some("first"));
        world.run(&["reconcile", "--json"]).exits(3);
        world.run(&["status"]).exits(1).tells(&["1 value drifted"]);
        world.change("second", "2");
        world.sync().exits(0);
        world.run(&["status"]).exits(0);
        world.run(&["reconcile"]).exits(0);
        assert_eq!(world.number("select count(*) as n from drift"), 0);
        assert_verified(&world);
    }
}

#[test]
fn every_value_is_in_the_json_of_an_adoption() {
    let world = World::with_customers(LedgerKind::File, 3);
    for (customer, value) in [(1, "first"), (2, "other"), (7, "theirs")] {
        world.store().set_value(Key::new(customer, 1), Some(value));
    }
    let said = world.run(&["reconcile", "--adopt", "--json"]).exits(0);
    let findings: Vec<String> = said.json()["findings"]
        .as_array()
        .expect("findings")
        .iter()
        .map(|finding| {
            let text = |name: &str| finding[name].as_str().unwrap_or("NULL").to_owned();
            format!("{} {} {} {}", finding["customer_id"], text("kind"), text("expected"), text("observed"))
        })
        .collect();
    assert_eq!(
        findings,
        ["1 equal first first", "2 different first other", "7 unknown_to_source NULL theirs"]
    );
}

#[test]
fn promise_12_a_policy_for_an_attribute_that_does_not_exist_is_told_with_those_that_do() {
    let world = World::with_customers(LedgerKind::File, 1);
    world.write_config(&format!("{}[drift.attributes]\n\"no such\" = \"accept\"\n", world.config("")));
    let words =
        "[drift.attributes]: the store has no attribute named \"no such\"; it has \"loyalty_tier\" (1)";
    world.run(&["reconcile"]).exits(64).tells(&[words]);
    world.run(&["check"]).exits(1).tells(&[words]);
}
