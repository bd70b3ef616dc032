//! Valid and invalid rows of the source, and sources that cannot be read.

use super::world::{LedgerKind, World, until};

#[test]
fn promise_7_every_invalid_row_is_reported_and_the_others_are_sent() {
    for kind in LedgerKind::BOTH {
        let world = World::new(kind);
        world.execute(
            "insert into customer_attribute_values values
             (null, 1, 'x'), (10, null, 'x'), (0, 1, 'x'), (-3, 1, 'x'), (2147483648, 1, 'x'), (11, 2147483648, 'x'),
             (12, 1, repeat('a', 256)), (13, 1, repeat('😀', 256)), (14, 1, repeat('x', 100000)),
             (15, 1, 'a'), (15, 1, 'b'), (16, 99, 'x'),
             (1, 1, 'good'), (2, 1, repeat('😀', 255)), (3, 1, ''), (4, 1, null), (5, 1, e'a\\tb\\\\N\\n\"ü')",
        );
        let said = world.sync().exits(3).balances();
        assert_eq!((said.count("invalid"), said.count("confirmed")), (12, 4), "{said:#?}");
        assert_eq!((said.count("source_rows"), said.count("no_value")), (17, 1));
        let values = world.values();
        assert_eq!(values[&1], "good");
        assert_eq!(values[&2].chars().count(), 255);
        assert_eq!((values[&3].as_str(), values[&5].as_str()), ("", "a\tb\\N\n\"ü"));
        assert_eq!(values.len(), 4);

        let rows = world.ask("select customer_id as c, attribute_id as a, value, reason from invalid_rows");
        let reason = |c: Option<i64>, a: Option<i64>| {
            let row = rows.iter().find(|row| row["c"].as_i64() == c && row["a"].as_i64() == a);
            row.unwrap_or_else(|| panic!("{c:?} {a:?}"))["reason"].as_str().expect("a reason").to_owned()
        };
        for (customer, attribute, words) in [
            (None, Some(1), "no customer id"),
            (Some(10), None, "no attribute id"),
            (Some(0), Some(1), "out of range"),
            (Some(-3), Some(1), "out of range"),
            (Some(2_147_483_648), Some(1), "out of range"),
            (Some(11), Some(2_147_483_648), "out of range"),
            (Some(12), Some(1), "longer than 255"),
            (Some(13), Some(1), "longer than 255"),
            (Some(14), Some(1), "longer than 255"),
            (Some(16), Some(99), "no attribute 99"),
        ] {
            assert!(reason(customer, attribute).contains(words), "{customer:?} {attribute:?}: {words}");
        }
        assert_eq!(rows.iter().filter(|row| row["c"] == 15).count(), 2);
        assert!(
            rows.iter().all(|row| row["value"].as_str().is_none_or(|value| value.chars().count() <= 300))
        );
        world.run(&["runs", "1"]).exits(0).tells(&["no customer id", "out of range"]);
        world.run(&["plan"]).exits(0).tells(&["12 rows of the source cannot be sent"]);

        // Every run reports them again and sends none of them.
        world.store().reset_log();
        let said = world.sync().exits(3);
        assert_eq!((said.count("invalid"), said.count("planned")), (12, 0));
        assert!(world.writes().is_empty());
    }
}

#[test]
fn promise_1_a_value_that_a_run_does_not_plan_is_not_changed() {
    for kind in LedgerKind::BOTH {
        let world = World::with_customers(kind, 10);
        world.execute(
            "insert into customer_attribute_values select c, 2, 'other' from generate_series(1, 10) c",
        );
        let said = world.run(&["sync", "--json", "--customer", "3", "--customer", "4"]).exits(0).balances();
        assert_eq!((said.count("confirmed"), said.count("orphans")), (4, 0));
        let said = world.run(&["sync", "--json", "--attribute", "lifetime_value"]).exits(0).balances();
        assert_eq!((said.count("confirmed"), said.count("unchanged"), said.count("orphans")), (8, 2, 0));
        let said = world.run(&["sync", "--json", "--attribute", "1", "--customer", "1"]).exits(0).balances();
        assert_eq!(said.count("confirmed"), 1);
        assert_eq!(world.values().into_keys().collect::<Vec<_>>(), [1, 3, 4]);
        let said = world.sync().exits(0).balances();
        assert_eq!((said.count("confirmed"), said.count("unchanged")), (7, 13));

        // NULL and a missing row both leave the store as it is.
        world.execute(
            "update customer_attribute_values set value = null where customer_id = 1 and attribute_id = 1",
        );
        world.execute("delete from customer_attribute_values where customer_id = 2 and attribute_id = 1");
        let said = world.sync().exits(0);
        assert_eq!((said.count("no_value"), said.count("orphans"), said.count("planned")), (1, 1, 0));
        assert_eq!(world.value(1, 1).as_deref(), Some("first"));
        // The empty string is a value.
        world.change("", "1");
        world.execute("delete from customer_attribute_values where customer_id = 1 and attribute_id = 2");
        assert_eq!(world.sync().exits(0).count("confirmed"), 1);
        assert_eq!(world.value(1, 1).as_deref(), Some(""));
    }
}

#[test]
fn promise_12_an_attribute_that_the_store_does_not_have_is_named() {
    let world = World::with_customers(LedgerKind::File, 1);
    for name in ["nonsense", "77"] {
        let said = world.run(&["sync", "--attribute", name]).exits(64);
        said.tells(&["no attribute", name, "attrsync check"]);
    }
    assert!(world.writes().is_empty());
}

#[test]
fn promise_12_a_source_that_cannot_be_read_is_explained() {
    for (spoil, words) in [
        (
            "alter table customer_attribute_values alter customer_id type text",
            ["column customer_id is of type text", "whole number", "hint:"],
        ),
        ("drop table customer_attribute_values", ["customer_attribute_values", "[source] table", "hint:"]),
    ] {
        let world = World::with_customers(LedgerKind::File, 3);
        world.execute(spoil);
        for command in ["sync", "plan"] {
            let said = world.run(&[command]).exits(1).tells(&words);
            assert!(said.out.is_empty(), "{said:#?}");
        }
        world.run(&["check"]).exits(1).tells(&words[..2]);
        assert!(world.writes().is_empty());
        let message = world.ask("select status, message from runs");
        assert_eq!(message[0]["status"], "failed");
        assert!(message[0]["message"].is_string());
    }
}

#[test]
fn promise_12_a_source_without_access_is_explained() {
    let world = World::with_customers(LedgerKind::File, 3);
    let guarded = world.guarded(&world.source_url);
    let wrong = guarded.replace("password-", "other-secret-");
    let nowhere = world.source_url.replace("/test_", "/nowhere_");
    let down = "postgres://reader:other-secret-1@127.0.0.1:1/shop".to_owned();
    for (url, words) in [
        (wrong, ["password", "[source] url"]),
        (nowhere, ["does not exist", "[source] url"]),
        (down, ["connect", "[source] url"]),
    ] {
        let config = world.config("");
        world.write_config(&config.replacen(&world.source_url, &url, 1));
        let said = world.sync().exits(1).tells(&words).tells(&["hint:"]);
        assert!(!said.err.contains("other-secret"), "{said:#?}");
        let said = world.run(&["check"]).exits(1).tells(&words);
        assert!(!said.out.contains("other-secret"), "{said:#?}");
        world.write_config(&config);
    }
    world.write_config(&world.config("").replacen(&world.source_url, &guarded, 1));
    world.sync().exits(0);
    world.assert_landed(3, "first");
}

#[test]
fn promise_9_the_source_may_be_a_query_or_a_view() {
    let world = World::new(LedgerKind::File);
    world.execute(
        "create schema \"My Shop\"; create table \"My Shop\".people (id smallint, points numeric, seen date);
         insert into \"My Shop\".people values (1, 10.50, '2026-01-02'), (2, null, null)",
    );
    let query = "query = \"\"\"select id as customer_id, 2 as attribute_id, points as value from \\\"My Shop\\\".people
                 union all select id, 3, seen::text::varchar::text::numrange::text from \\\"My Shop\\\".people where false
                 -- the last line is a comment;\"\"\"";
    let config = world.config("").replacen("table = \"customer_attribute_values\"", query, 1);
    world.write_config(&config.replace("points as value", "points::text as value"));
    assert_eq!(world.sync().exits(0).balances().count("confirmed"), 1);
    assert_eq!(world.value(1, 2).as_deref(), Some("10.50"));

    world.execute(
        "create view \"My Shop\".\"desired values\" as select id::int as customer_id, 3 as attribute_id, seen as value
         from \"My Shop\".people",
    );
    let table = "table = '\"My Shop\".\"desired values\"'";
    world.write_config(&world.config("").replacen("table = \"customer_attribute_values\"", table, 1));
    world.sync().exits(0);
    assert_eq!(world.value(1, 3).as_deref(), Some("2026-01-02"));
}

#[test]
fn promise_12_a_source_that_was_emptied_does_not_pass_in_silence() {
    let world = World::with_customers(LedgerKind::File, 3);
    world.run(&["check"]).exits(0).tells(&["3; 3 can be sent"]);
    world.sync().exits(0);
    world.execute("truncate customer_attribute_values");
    let words = "the source has no rows, but the ledger has 3 of its values";
    world.run(&["check"]).exits(0).tells(&["none: the source is empty", words]);
    for command in ["plan", "sync"] {
        world.run(&[command]).exits(0).tells(&[words]);
    }
    let said = world.run(&["sync", "--json"]).exits(0);
    assert_eq!(
        (said.json()["warnings"][0]["kind"].as_str(), said.count("orphans")),
        (Some("nothing_desired"), 3)
    );
    let runs = world.ask("select message from runs order by id desc limit 1");
    assert!(runs[0]["message"].as_str().is_some_and(|message| message.contains(words)), "{runs:?}");
    world.assert_landed(3, "first");
}

#[test]
fn promise_6_a_row_that_the_source_cannot_deliver_is_invalid_and_its_neighbours_land() {
    let world = World::with_customers(LedgerKind::File, 30);
    world.execute("update customer_attribute_values set value = 'Ann' where customer_id = 17");
    let query = "query = '''select customer_id, attribute_id, replace(value, 'first', '7')::int as value
                 from customer_attribute_values; -- all of them'''";
    world.write_config(&world.config("").replacen("table = \"customer_attribute_values\"", query, 1));
    let words = ["cannot be read", "invalid input syntax"];
    world.run(&["check"]).exits(0).tells(&words);
    let plan = world.run(&["plan"]).exits(0).tells(&words).tells(&["customer 17"]);
    assert!(!plan.err.contains("Ann"), "{plan:#?}");
    let said = world.sync().exits(3).balances();
    assert_eq!((said.count("confirmed"), said.count("invalid"), said.count("source_rows")), (29, 1, 30));
    world.run(&["runs", "1"]).exits(0).tells(&words);
    world.run(&["explain", "17"]).exits(0).tells(&words);
    assert_eq!((world.value(16, 1).as_deref(), world.value(17, 1)), (Some("7"), None));
}

/// It needs no `-v`.
#[test]
fn promise_12_a_source_that_sends_no_row_is_a_warning_with_what_its_session_does() {
    let world = World::with_customers(LedgerKind::File, 3);
    let query = "query = \"select v.* from customer_attribute_values v, (select pg_sleep(600)) as slow\"";
    world.write_config(&world.config("").replace("table = \"customer_attribute_values\"", query));
    let sync = world.start_heard(&["sync"], "stderr");
    until("the wait is a warning", || {
        let heard = world.heard("stderr");
        heard.contains("the source's database (no response yet: its session ")
            && heard.contains(" waits for Timeout PgSleep")
    });
    sync.signal("TERM");
    sync.end().exits(1);
    let waited = world.number("select milliseconds as n from waits where reason = 'source'");
    assert!(waited >= 8_000, "{waited} ms");
}
