//! A plan is saved, read by a person, and applied: what has changed since is a conflict.

use attrsync::config::LedgerConfig;
use attrsync::ledger::postgres::PostgresLedger;
use attrsync::ledger::sqlite::SqliteLedger;
use attrsync::ledger::{Ledger, NewRun};
use attrsync::record::{Action, Change, Counts, Key, RunKind, RunStatus, StoreName, Trigger};

use super::world::{LedgerKind, Said, World};

/// `attrsync plan --save`. Returns the run.
fn save(world: &World, arguments: &[&str]) -> i64 {
    let said = world.run(&[&["plan", "--save", "--json"], arguments].concat()).exits(0);
    said.json()["run_id"].as_i64().expect("a run")
}

/// `attrsync apply RUN --json`
fn apply(world: &World, run: i64, arguments: &[&str]) -> Said {
    world.run(&[&["apply", &run.to_string(), "--json"], arguments].concat())
}

/// A store with 30 customers that has the value `first` of each.
fn synced(kind: LedgerKind) -> World {
    let world = World::with_customers(kind, 30);
    world.use_long_timeout();
    world.sync().exits(0);
    world
}

fn a_saved_plan_is_applied(kind: LedgerKind) {
    let world = synced(kind);
    world.change("second", "1, 2, 3");
    let writes = world.writes().len();
    let saved = save(&world, &[]);
    assert_eq!(world.writes().len(), writes, "nothing is sent");
    assert_eq!(world.number("select count(*) as n from entries where belief <> 'confirmed'"), 0);
    world.run(&["status"]).exits(0);
    world.run(&["check", "--ledger"]).exits(0);

    // Another change is not in the plan.
    world.change("later", "9");
    let said = apply(&world, saved, &[]).exits(0).balances();
    assert_eq!((said.count("confirmed"), said.count("planned")), (3, 3));
    assert_eq!(said.json()["applied"]["left_to_next_sync"], 1);
    assert_eq!((world.value(1, 1).as_deref(), world.value(9, 1).as_deref()), (Some("second"), Some("first")));
    let applied = said.json()["run_id"].as_i64().expect("a run");
    let run = world.run(&["runs", &applied.to_string(), "--json"]).exits(0).json();
    assert_eq!((&run["run"]["kind"], &run["run"]["of_run_id"]), (&"apply".into(), &saved.into()));
    let run = world.run(&["runs", &saved.to_string(), "--json"]).exits(0).json();
    assert_eq!((&run["run"]["status"], &run["applied_by"]), (&"saved".into(), &serde_json::json!([applied])));
    world.run(&["runs", &saved.to_string()]).exits(0).tells(&["applied by run"]);

    // Once more: the store has everything.
    let again = apply(&world, saved, &[]).exits(0).balances();
    assert_eq!((again.count("planned"), &again.json()["applied"]["done"]), (0, &3.into()));
    world.sync().exits(0).balances();
    world.assert_landed(1, "later");
    assert_eq!(world.sync().exits(0).count("planned"), 0);
    world.run(&["check", "--ledger"]).exits(0);
}

#[test]
fn a_saved_plan_is_applied_with_a_ledger_file() {
    a_saved_plan_is_applied(LedgerKind::File);
}

#[test]
fn a_saved_plan_is_applied_with_a_ledger_in_postgres() {
    a_saved_plan_is_applied(LedgerKind::Postgres);
}

fn what_has_changed_since_is_a_conflict(kind: LedgerKind) {
    let world = synced(kind);
    world.change("second", "1, 2, 3, 4, 5, 6");
    let saved = save(&world, &[]);
    // The source moves, a value is pushed by a sync, another is taken away.
    world.change("third", "1");
    world.change("fourth", "2");
    world.run(&["sync", "--customer", "2"]).exits(0);
    world.run(&["sync", "--customer", "3"]).exits(0);
    world.execute("delete from customer_attribute_values where customer_id = 4");
    let writes = world.writes().len();
    let said = apply(&world, saved, &[]).exits(1);
    assert_eq!(world.writes().len(), writes, "refused before the first write");
    let applied = said.json()["applied"].clone();
    assert_eq!((&applied["conflicts_total"], &applied["done"]), (&3.into(), &1.into()), "{applied}");
    let keys: Vec<_> =
        applied["conflicts"].as_array().expect("a list").iter().map(|it| &it["customer_id"]).collect();
    assert_eq!(keys, [1, 2, 4]);
    assert_eq!(applied["conflicts"][0]["now_value"], "third");
    world.run(&["apply", &saved.to_string()]).exits(1).tells(&[
        "customer 1 · attribute 1: planned \"second\", now \"third\"",
        "nothing was sent",
        "--skip-conflicts",
    ]);
    // Nothing was sent, so the state of the store's sync is as before.
    world.run(&["status"]).exits(0);
    world.run(&["check", "--ledger"]).exits(0);

    let said = apply(&world, saved, &["--skip-conflicts"]).exits(0).balances();
    assert_eq!(said.count("confirmed"), 2);
    assert_eq!((world.value(5, 1).as_deref(), world.value(1, 1).as_deref()), (Some("second"), Some("first")));
    world.sync().exits(0);
    assert_eq!(world.value(1, 1).as_deref(), Some("third"));
    world.run(&["check", "--ledger"]).exits(0);
}

#[test]
fn what_has_changed_since_is_a_conflict_with_a_ledger_file() {
    what_has_changed_since_is_a_conflict(LedgerKind::File);
}

#[test]
fn what_has_changed_since_is_a_conflict_with_a_ledger_in_postgres() {
    what_has_changed_since_is_a_conflict(LedgerKind::Postgres);
}

#[test]
fn a_plan_that_cannot_be_applied_is_refused_with_the_reason() {
    let world = synced(LedgerKind::File);
    let runs = || world.number("select count(*) as n from runs");
    world.change("second", "1");
    let saved = save(&world, &["--customer", "1"]);
    let before = runs();
    apply(&world, 99, &[]).exits(1).tells(&["there is no run 99"]);
    apply(&world, 1, &[]).exits(1).tells(&["run 1 has no plan to apply"]);
    let file = rusqlite::Connection::open(world.path().join("ledger.db")).expect("opens");
    let set = |at: &str| {
        let sql = format!("update runs set planned_at = {at} where id = {saved}");
        assert_eq!(file.execute(&sql, []).expect("sets it"), 1);
    };
    set("replace(planned_at, '20', '19')");
    apply(&world, saved, &[]).exits(1).tells(&["was made 19", "more than 7 days ago", "plan --save"]);
    assert_eq!(runs(), before, "no run was opened");
    set("(select planned_at from runs where id = 1)");

    // Another store of the same ledger.
    let (server, _model) = world.second_store();
    let other = world.config("").replace(&world.address.to_string(), &server.addr.to_string());
    std::fs::write(world.path().join("other.toml"), other).expect("a configuration");
    world.run(&["--config", "other.toml", "apply", &saved.to_string()]).exits(1).tells(&["of another store"]);
    world.run(&["plan", "--save", "--full"]).exits(64);
}

/// Leaves a run that a guard blocked, with a plan of these customers.
fn block(world: &World, customers: &[i64]) -> i64 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let name = StoreName::new(&format!("http://{}", world.address), "sandbox");
        let ledger: Box<dyn Ledger> = match world.ledger_config() {
            LedgerConfig::Sqlite(path) => Box::new(SqliteLedger::open(&path, &name).await.expect("opens")),
            LedgerConfig::Postgres(url) => {
                Box::new(PostgresLedger::open(url.expose(), &name).await.expect("opens"))
            }
        };
        let at = chrono::Utc::now();
        let new = NewRun {
            kind: RunKind::Sync,
            trigger: Trigger::Manual,
            started_at: at,
            filtered: false,
            scheduled: None,
            of_run_id: None,
        };
        let run = ledger.open_run(&new).await.expect("opens a run");
        let change = |customer: &i64| Change {
            key: Key::new(*customer, 1),
            action: Action::Update,
            value: Some("second".to_owned()),
            previous_value: Some("first".to_owned()),
            previous_in_doubt: false,
            source_value: None,
            value_id: world.store().value_id(Key::new(*customer, 1)),
            in_doubt_until: None,
        };
        let changes: Vec<Change> = customers.iter().map(change).collect();
        let planned = i64::try_from(changes.len()).expect("few");
        ledger.save_plan(run, changes, Vec::new()).await.expect("saves");
        let counts = Counts { source_rows: 30, unchanged: 30 - planned, planned, ..Counts::default() };
        ledger.seal_plan(run, &counts, None, at).await.expect("seals");
        ledger.close_run(run, RunStatus::Blocked, Some("too many changes"), at).await.expect("closes");
        run
    })
}

#[test]
fn the_plan_of_a_blocked_run_is_applied() {
    for kind in LedgerKind::BOTH {
        let world = synced(kind);
        world.change("second", "1, 2, 3, 4");
        let blocked = block(&world, &[1, 2, 3, 4]);
        world.run(&["status"]).exits(1).tells(&["blocked"]);
        // A sync of a part is no plan of all rows.
        world.run(&["sync", "--customer", "20"]).exits(0);
        let said = apply(&world, blocked, &[]).exits(0).balances();
        assert_eq!(said.count("confirmed"), 4);
        world.assert_landed(4, "second");
        world.run(&["status"]).exits(0);
        world.sync().exits(0);
        apply(&world, blocked, &[]).exits(1).tells(&["has planned all rows since"]);
        world.run(&["check", "--ledger"]).exits(0);
    }
}

#[test]
fn promise_5_an_apply_and_a_saved_plan_may_be_killed_at_any_moment() {
    let world = synced(LedgerKind::File);
    let killed = |arguments: &[&str], point: &str| {
        let said = world.program(arguments).env("ATTRSYNC_FAILPOINT", point).output().expect("it starts");
        assert!(!said.status.success(), "it dies at {point}");
    };
    let mut value = 0;
    for point in ["run-opened", "page-saved", "plan-saved"] {
        value += 1;
        world.change(&format!("v{value}"), "1, 2, 3");
        killed(&["plan", "--save"], point);
        world.run(&["status"]).exits(0);
        world.sync().exits(0).balances();
        world.assert_landed(3, &format!("v{value}"));
    }
    for point in [
        "run-opened",
        "page-saved",
        "planned",
        "sealed",
        "intent-committed",
        "before-request",
        "response-read",
        "outcome-committed",
        "sent",
    ] {
        value += 1;
        world.change(&format!("v{value}"), "1, 2, 3");
        let saved = save(&world, &[]);
        killed(&["apply", &saved.to_string()], point);
        world.run(&["check", "--ledger"]).exits(0);
        world.sync().exits(0).balances();
        world.assert_landed(3, &format!("v{value}"));
    }
    world.run(&["check", "--ledger"]).exits(0);
}
