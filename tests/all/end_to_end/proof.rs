//! `check --ledger`: every edit by hand is found, and an untouched ledger passes at any moment.

mod columns;
mod tables;

use attrsync::config::LedgerConfig;
use attrsync::ledger::audit::{AuditLog, Progress};
use attrsync::ledger::postgres::PostgresLedger;
use attrsync::ledger::sqlite::SqliteLedger;
use attrsync::ledger::{Ledger, NewRun};
use attrsync::record::{
    EditKind, EmailCustomer, EmailHash, EmailState, Key, MissedTimes, ObservedValue, Reading, ReadingKind,
    RunKind, RunStatus, ScheduledRun, Trigger, ValueEdit,
};
use serde_json::Value;

use super::world::{LedgerKind, World, until};

/// The names of the checks that failed.
fn flaws(world: &World) -> Vec<String> {
    let said = world.run(&["check", "--ledger", "--json"]);
    let told = said.json();
    let checks = told["checks"].as_array().expect("checks");
    assert_eq!(said.code, Some(if told["ok"] == true { 0 } else { 1 }), "{said:#?}");
    let failed: Vec<&Value> = checks.iter().filter(|check| check["ok"] != true).collect();
    assert!(failed.iter().all(|check| check["hint"].is_string()), "each has a hint: {failed:?}");
    failed.iter().map(|check| check["name"].as_str().unwrap_or_default().to_owned()).collect()
}

/// Edits the ledger by hand.
fn edit(world: &World, kind: LedgerKind, sql: &str) {
    match kind {
        LedgerKind::File => {
            let ledger = rusqlite::Connection::open(world.path().join("ledger.db")).expect("opens");
            ledger.execute_batch(&format!("pragma foreign_keys = off; {sql}")).expect("edits");
        }
        LedgerKind::Postgres => {
            world.execute_at(&world.ledger_url, &format!("set search_path to attrsync; {sql}"))
        }
    }
}

/// Makes a ledger with every kind of outcome: confirmed, altered, rejected, unknown, requeued, sent by a full sync, and
/// confirmed after a lost response, undone.
fn eventful(kind: LedgerKind) -> World {
    let world = World::with_customers(kind, 20);
    world.run(&["check", "--ledger"]).exits(0).tells(&["none yet"]);
    world.change("no !reject", "7");
    world.change("!poison", "9");
    world.store().options.rules.keeping.trim = true;
    world.change("  padded  ", "11");
    world.execute("insert into customer_attribute_values values (1, 99, 'x'), (2, 99, 'y')");
    world.script(&[attrsync::sandbox::Fault::Lost]);
    world.sync().exits(3);
    world.run(&["rejected", "--retry"]).exits(0);
    world.change("second", "3, 4, 7");
    world.sync().exits(3);
    world.write_config(&world.config("").replace("\"10ms\"", "\"200ms\"").replace("\"50ms\"", "\"400ms\""));
    world.script(&[attrsync::sandbox::Fault::LimitedBare]);
    world.run(&["sync", "--full", "--customer", "5"]).exits(0);
    world.write_config(&format!("{}[missing]\naction = \"delete\"\n", world.config("")));
    world.execute("delete from customer_attribute_values where customer_id in (13, 14)");
    world.run(&["sync", "--customer", "13", "--customer", "14"]).exits(0);
    world.run(&["undo", "5", "--apply", "--customer", "14"]).exits(0);
    world
}

/// Edits of tables, and of rows that are not columns of one.
const OTHER_EDITS: &[&str] = &[
    "delete from requests where id = 2",
    "delete from changes where customer_id = 3 and run_id = 1",
    "delete from entries where customer_id = 3",
    "delete from belief_edits where edit = 'requeue'",
    "delete from belief_edits where edit = 'adopt'",
    "update belief_edits set edit = 'accept' where edit = 'drift'",
    "update entries set belief = 'confirmed' where customer_id = 4",
    "delete from entries where customer_id = 50",
    "delete from readings where kind = 'modified'",
    "delete from observed_values where customer_id = 2",
    "delete from drift",
    "delete from email_customers where state = 'unknown'",
    "update email_customers set customer_id = 4 where customer_id = 3",
    "delete from invalid_rows where run_id = 1 and customer_id = 1",
    "delete from attributes where attribute_id = 1",
    "delete from pins where customer_id = 14",
    "insert into pins select 1, 3, 1, 'first', 'second', run_id from pins",
    "update changes set request_id = 999 where customer_id = 3",
    "update changes set request_id = null where customer_id = 3 and run_id = 3",
    "update entries set in_doubt_until = '2026-01-01T00:00:00.000000Z' where customer_id = 3",
    "update entries set in_doubt_until = null where customer_id = 9",
    "update entries set updated_at = 'yesterday' where customer_id = 3",
    "update entries set stored_value = null where customer_id = 11",
    "update entries set belief = 'unconfirmed' where customer_id = 3",
    "update requests set http_status = 500 where outcome = 'accepted'",
    "update requests set sent_at = replace(sent_at, '20', '19') where id = 1",
    "update runs set started_at = replace(started_at, '20', '19') where id = 1",
    "update runs set finished_at = null where id = 1",
    "update stores set values_per_request = 0",
    "insert into belief_edits select 2, null, null, 'invalidate', 20, 'by hand', max(started_at), null, null, null, '' from runs",
    "insert into entries (store_id, customer_id, attribute_id, value, belief, run_id, updated_at)
        select 1, 99, 1, value, belief, run_id, updated_at from entries where customer_id = 3",
    SCHEDULED_TWICE,
    "insert into missed_times select store_id, scheduled_for, scheduled_for, 1, null, 'by hand', started_at, '' from runs
        where scheduled_for is not null and status = 'failed'",
    "update missed_times set last_time = replace(last_time, '1970', '1971')",
    "update missed_times set first_time = last_time",
    "update stores set scheduled_until = null",
    "delete from missed_times where run_id is null",
    "drop view outcomes",
    "drop view outcomes; create view outcomes as select * from changes",
    "drop index requests_by_run",
    "alter table entries drop column observed_value",
    "create trigger t after update on entries begin delete from entries; end",
];

/// Gives the time of one run to another that ended.
const SCHEDULED_TWICE: &str = "update runs set trigger = 'schedule', scheduled_for = (
        select scheduled_for from runs where scheduled_for is not null and status = 'failed'
    ) where id = 1";

/// Opens the ledger to write to it.
async fn open(world: &World) -> Box<dyn Ledger> {
    let config = world.ledger_config();
    let audit = AuditLog::open(&config).await.expect("opens").expect("a ledger");
    let name = audit.claims().await.expect("reads").remove(0).name;
    match &config {
        LedgerConfig::Sqlite(path) => Box::new(SqliteLedger::open(path, &name).await.expect("opens")),
        LedgerConfig::Postgres(url) => {
            Box::new(PostgresLedger::open(url.expose(), &name).await.expect("opens"))
        }
    }
}

/// Adds a run that read the store, adopted a value, found drift and was killed.
fn run_reconciled(world: &World) {
    let at = chrono::DateTime::UNIX_EPOCH + chrono::TimeDelta::days(20_000);
    let new = NewRun {
        kind: RunKind::Reconcile,
        trigger: Trigger::Manual,
        started_at: at,
        filtered: false,
        scheduled: None,
        of_run_id: None,
    };
    let reading = |kind, position| Reading { kind, started_at: at, position, at };
    let key = |customer_id| Key::new(customer_id, 1);
    let observed = |customer_id, value: &str| ObservedValue {
        key: key(customer_id),
        value: value.to_owned(),
        value_id: Some(700 + customer_id),
    };
    let edit = |customer_id, edit, value: Option<&str>| ValueEdit {
        key: key(customer_id),
        edit,
        value: value.map(str::to_owned),
        value_id: Some(700 + customer_id),
    };
    runtime().block_on(async {
        let ledger = open(world).await;
        let run = ledger.open_run(&new).await.expect("opens a run");
        let values = [observed(2, "theirs"), observed(50, "adopted")];
        ledger.keep_observed(run, &values, &reading(ReadingKind::Whole, 1)).await.expect("keeps");
        ledger.keep_reading(run, &reading(ReadingKind::Sweep, 4)).await.expect("keeps");
        ledger.keep_reading(run, &reading(ReadingKind::Modified, 1)).await.expect("keeps");
        let edits = [
            edit(50, EditKind::Adopt, Some("adopted")),
            edit(2, EditKind::Report, Some("theirs")),
            edit(4, EditKind::Drift, None),
            edit(6, EditKind::Accept, Some("theirs")),
        ];
        ledger.edit_values(run, &edits, at).await.expect("edits");
        let email = |address, customer_id, state| EmailCustomer {
            hash: EmailHash::of(address),
            customer_id,
            state,
            resolved_at: at,
        };
        let emails = [
            email("a@example.com", Some(3), EmailState::Found),
            email("b@example.com", None, EmailState::Unknown),
        ];
        ledger.keep_emails(run, &emails).await.expect("keeps");
    });
}

/// Adds scheduled runs: one that ended and stands for two missed times, and one whose time was missed because it was
/// interrupted.
fn run_scheduled(world: &World) {
    let at = |hours| chrono::DateTime::UNIX_EPOCH + chrono::TimeDelta::hours(hours);
    let missed = |first, last, times| MissedTimes {
        first: at(first),
        last: at(last),
        times,
        reason: "the machine or serve was not running".to_owned(),
    };
    let run = |hour, missed| NewRun {
        kind: RunKind::Sync,
        trigger: Trigger::Schedule,
        started_at: at(hour),
        filtered: false,
        scheduled: Some(ScheduledRun { scheduled_for: at(hour), missed, until: at(hour) }),
        of_run_id: None,
    };
    runtime().block_on(async {
        let ledger = open(world).await;
        ledger.open_run(&run(1, None)).await.expect("opens a run");
        ledger.pass_over(Some(&missed(1, 1, 1)), at(1), at(2)).await.expect("passes over");
        let ended = ledger.open_run(&run(5, Some(missed(3, 4, 2)))).await.expect("opens a run");
        ledger.close_run(ended, RunStatus::Failed, Some("why"), at(6)).await.expect("closes");
    });
}

#[test]
fn edits_of_tables_and_rows_are_found() {
    let world = eventful(LedgerKind::File);
    run_reconciled(&world);
    run_scheduled(&world);
    let copy = world.path().join("copy.db");
    let ledger = rusqlite::Connection::open(world.path().join("ledger.db")).expect("opens");
    ledger.execute("vacuum into ?1", [copy.to_str()]).expect("copies");
    let flaws = |sql: &str| {
        let edited = world.path().join("edited.db");
        std::fs::copy(&copy, &edited).expect("copies");
        let file = rusqlite::Connection::open(&edited).expect("opens");
        file.execute_batch(&format!("pragma foreign_keys = off; {sql}")).expect(sql);
        verify(LedgerConfig::Sqlite(edited))
    };
    assert_eq!(flaws("select 1"), [""; 0]);
    for edit in OTHER_EDITS {
        assert_ne!(flaws(edit), [""; 0], "{edit}");
    }
}

#[test]
fn an_edit_by_hand_is_found_in_postgres() {
    let world = eventful(LedgerKind::Postgres);
    assert_eq!(flaws(&world), [""; 0]);
    let view = "
        create or replace view outcomes as select
            c.run_id, r.store_id, c.customer_id, c.attribute_id, c.action, c.value, c.previous_value, c.value_id,
            c.outcome, c.reason, c.request_id, c.decided_at, r.status as run_status, r.started_at as run_started_at
        from changes c join runs r on r.id = c.run_id";
    for (sql, undo, expected) in [
        ("update runs set altered = altered + 1", "update runs set altered = altered - 1", "runs"),
        ("update stores set hash = hash || 'x'", "update stores set hash = left(hash, -1)", "stores"),
        (
            "update entries set value_id = value_id + 1 where customer_id = 3",
            "update entries set value_id = value_id - 1 where customer_id = 3",
            "entries",
        ),
        (
            "update requests set items = items + 1 where id = 1",
            "update requests set items = items - 1 where id = 1",
            "requests",
        ),
        ("drop index runs_by_store", "create index runs_by_store on runs (store_id, id)", "schema"),
        ("create rule r as on delete to entries do instead nothing", "drop rule r on entries", "schema"),
        ("alter table entries alter column reason type varchar(9) using null", "select 1", "schema"),
        (view, "select 1", "schema"),
    ] {
        edit(&world, LedgerKind::Postgres, sql);
        assert!(flaws(&world).contains(&expected.to_owned()), "{sql}");
        edit(&world, LedgerKind::Postgres, undo);
    }
    world.run(&["check", "--ledger"]).exits(1).tells(&["the view outcomes was altered", "hint: "]);
}

#[test]
fn a_flaw_names_its_row_and_what_was_expected() {
    let world = eventful(LedgerKind::File);
    edit(&world, LedgerKind::File, "update entries set belief = 'confirmed' where customer_id = 9");
    edit(&world, LedgerKind::File, "update requests set outcome = 'great'");
    let said = world.run(&["check", "--ledger"]).exits(1).tells(&[
        "customer 9 · attribute 1: the entry's belief is confirmed, expected unconfirmed",
        "request 1: its outcome is \"great\", which is no known word",
        " more",
        "sync --full",
    ]);
    assert_eq!(said.out.matches("no known word").count(), 10, "ten are listed: {said:#?}");
}

/// The flaws of a ledger.
fn verify(config: LedgerConfig) -> Vec<String> {
    runtime().block_on(async {
        let audit = match AuditLog::open(&config).await {
            Ok(audit) => audit.expect("a ledger"),
            Err(error) => return vec![error.to_string()],
        };
        let verified = audit.verify(&Progress::default()).await.expect("verifies");
        verified.into_iter().flat_map(|check| check.flaws).collect()
    })
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

#[test]
fn broken_references_and_pages_are_found() {
    let world = World::with_customers(LedgerKind::File, 200);
    world.sync().exits(0);
    edit(
        &world,
        LedgerKind::File,
        "insert into invalid_rows (run_id, reason, row_digest) values (77, 'lost', '')",
    );
    assert_eq!(flaws(&world), ["database", "runs"]);
    edit(&world, LedgerKind::File, "delete from invalid_rows; pragma wal_checkpoint(truncate)");
    assert_eq!(flaws(&world), [""; 0]);

    let path = world.path().join("ledger.db");
    let mut bytes = std::fs::read(&path).expect("a file");
    let at = bytes.windows(5).rposition(|window| window == b"first").expect("a value");
    let page = at / 4096 * 4096;
    bytes[page..page + 100].fill(0xee);
    std::fs::write(&path, bytes).expect("a file");
    assert!(flaws(&world).contains(&"database".to_owned()));
    world.run(&["check", "--ledger"]).exits(1).tells(&["restore the newest backup"]);
}

#[test]
fn a_ledger_passes_while_a_run_is_active_and_after_it_was_killed() {
    for kind in LedgerKind::BOTH {
        let world = World::with_customers(kind, 100);
        world.use_long_timeout();
        world.store().options.latency = std::time::Duration::from_millis(150);
        let mut running = world.start(&["sync"]);
        until("a call is made", || !world.writes().is_empty());
        let mut looks = 0;
        while !running.has_ended() && looks < 5 {
            assert_eq!(flaws(&world), [""; 0]);
            looks += 1;
        }
        running.end();
        assert!(looks > 0, "the run ended at once");

        world.change("second", "select generate_series(1, 100)");
        world.store().options.latency = std::time::Duration::from_secs(2);
        let running = world.start(&["sync"]);
        until("a call is made", || world.writes().len() > 12);
        world.run(&["check", "--ledger"]).exits(0).tells(&["run 2 is going on"]);
        let run = world.run(&["runs", "2", "--json"]).exits(0).json()["run"].clone();
        assert_eq!(
            (&run["status"], &run["unknown"], &run["deferred"]),
            (&"running".into(), &0.into(), &0.into())
        );
        let number = |field: &str| run[field].as_i64().expect(field);
        assert_eq!(number("confirmed") + number("in_flight") + number("to_come"), 100, "{run}");
        world.run(&["runs", "2"]).exits(0).tells(&["in flight", "to come"]);
        running.signal("KILL");
        running.end();
        world.store().options.latency = std::time::Duration::from_millis(2);
        until("its lock is free", || !world.run(&["check", "--ledger"]).out.contains("going on"));
        world.run(&["check", "--ledger"]).exits(0).tells(&["run 2 was interrupted", "attrsync sync"]);
        let run = world.run(&["runs", "2", "--json"]).exits(0).json()["run"].clone();
        assert_eq!((&run["status"], &run["in_flight"]), (&"interrupted".into(), &0.into()), "{run}");
        assert!(run["unknown"].as_i64().is_some_and(|unknown| unknown > 0), "{run}");
        world.sync().exits(0);
        assert_eq!(flaws(&world), [""; 0]);
    }
}
