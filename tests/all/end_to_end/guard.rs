//! `[guard]`: a run that would change too much sends nothing, and a canary finds a store that keeps nothing.

use super::world::{LedgerKind, World};
use crate::support::http::{Act, HttpServer, response};

fn emptied(kind: LedgerKind) -> World {
    let world = World::with_customers(kind, 300);
    world.sync().exits(0);
    world.execute("update customer_attribute_values set value = '' where customer_id <= 200");
    world.store().reset_log();
    world
}

fn a_blocked_run_sends_nothing(kind: LedgerKind) {
    let world = emptied(kind);
    world.run(&["plan"]).exits(0).tells(&["guard: 200 of 300 values of loyalty_tier (1) would become empty"]);
    world.run(&["plan", "--detailed-exitcode"]).exits(4);
    let said = world.sync().exits(4).balances();
    let json = said.json();
    assert_eq!((json["status"].as_str(), json["exit_code"].as_i64()), (Some("blocked"), Some(4)));
    let limits: Vec<_> =
        json["exceeded"].as_array().expect("a list").iter().map(|it| it["limit"].as_str()).collect();
    assert_eq!(limits, [Some("max_emptied"), Some("max_updates")]);
    assert_eq!(json["exceeded"][0]["sample"][0]["previous_value"], "first");
    assert_eq!(world.store().tally().writes, 0);
    let shown = world.run(&["sync"]).exits(4).tells(&[
        "guard: 200 of 300 values of loyalty_tier (1) would become empty (66.7%; max_emptied allows 5%)",
        "customer 1 · loyalty_tier (1): \"first\" → \"\"",
        "`attrsync apply 3`",
        "max_emptied = \"70%\", max_updates = \"70%\"",
    ]);
    assert!(!shown.err.contains("first"), "promise 11: {shown:#?}");
    assert_eq!(
        world.number("select count(*) as n from changes where run_id = 3 and outcome = 'planned'"),
        200
    );
    world.run(&["runs", "3"]).exits(0).tells(&["blocked", "max_emptied allows 5%"]);
    world.run(&["status"]).exits(1).tells(&["a guard blocked run 3", "attrsync apply 3"]);
    world.run(&["check", "--ledger"]).exits(0);

    let guard = "[guard]\nmax_emptied = \"70%\"\nmax_updates = \"70%\"\n";
    world.write_config(&(world.config("") + guard));
    assert_eq!(world.sync().exits(0).count("confirmed"), 200);
    world.assert_landed(200, "");
    assert_eq!(
        world.number("select count(*) as n from changes where run_id in (2, 3)"),
        200,
        "the later one is kept"
    );
    world.sync().exits(0);
    assert_eq!(world.number("select count(*) as n from changes where run_id in (2, 3)"), 0);
    world.run(&["status"]).exits(0);
    world.run(&["check", "--ledger"]).exits(0);
}

#[test]
fn promise_10_a_blocked_run_sends_nothing_with_a_ledger_file() {
    a_blocked_run_sends_nothing(LedgerKind::File);
}

#[test]
fn promise_10_a_blocked_run_sends_nothing_with_a_ledger_in_postgres() {
    a_blocked_run_sends_nothing(LedgerKind::Postgres);
}

#[test]
fn promise_10_an_emptied_table_is_blocked_and_told_once() {
    let world = World::with_customers(LedgerKind::File, 300);
    let server = HttpServer::start(vec![Act::Respond(response(200, &[], "ok")); 9]);
    world.write_config(&(world.config("") + &format!("[notify]\nwebhook = \"{}/hook\"\n", server.url())));
    world.sync().exits(0);
    world.execute("create table kept as select * from customer_attribute_values");
    world.execute("delete from customer_attribute_values");
    world.sync().exits(4).tells(&["300 of 300 rows with a value have left the source"]);
    world.sync().exits(4);
    let told = server.seen();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].body.contains("\"blocked\""), "{told:?}");
    world.execute("insert into customer_attribute_values select * from kept");
    assert_eq!(world.sync().exits(0).count("planned"), 0);
    assert_eq!(server.seen().len(), 2, "recovered");
}

fn a_store_that_keeps_nothing_is_found(kind: LedgerKind) {
    let world = World::with_customers(kind, 300);
    world.store().options.rules.forgets = true;
    let said = world.sync().exits(1).balances();
    assert_eq!((said.count("confirmed"), said.count("deferred")), (100, 200));
    said.tells(&["customer 1 · attribute 1", "does not hold them when it is read"]);
    assert_eq!(world.writes().len(), 10);
    assert_eq!(world.number("select count(*) as n from entries where belief = 'confirmed'"), 0);
    assert_eq!(world.number("select count(*) as n from belief_edits where edit = 'canary'"), 100);
    world.run(&["check", "--ledger"]).exits(0);

    world.store().heal();
    assert_eq!(world.sync().exits(0).count("confirmed"), 300);
    world.assert_landed(300, "first");
    world.run(&["check", "--ledger"]).exits(0);
}

#[test]
fn promise_10_a_store_that_keeps_nothing_is_found_with_a_ledger_file() {
    a_store_that_keeps_nothing_is_found(LedgerKind::File);
}

#[test]
fn promise_10_a_store_that_keeps_nothing_is_found_with_a_ledger_in_postgres() {
    a_store_that_keeps_nothing_is_found(LedgerKind::Postgres);
}
