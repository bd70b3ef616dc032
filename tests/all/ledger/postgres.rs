//! Rules that apply to the ledger in Postgres only. The rules for every ledger are in the contract suite.

pub(crate) mod liveness;
mod lock;
mod rights;
mod statistics;

use attrsync::config::{LedgerConfig, Secret};
use attrsync::ledger::audit::AuditLog;
use attrsync::ledger::postgres::PostgresLedger;
use attrsync::ledger::{Ledger, LedgerError, LedgerReader, NewRun};
use attrsync::record::{
    Action, Belief, Change, ChangeOutcome, Counts, EntryPage, Filter, InvalidRow, Key, PlanPart, RunKind,
    RunStatus, StoreName, Trigger, Verdict,
};
use attrsync::record::{NewRequest, RecordedIntent, RequestEnd, RequestMethod};
use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{ConnectOptions, Connection, Executor, PgConnection, Row};

use crate::ledger::audit::NEWER;
use crate::ledger::contract::fixture::{confirmed, outcome, planned, request_end};
use crate::support::migrations;
use crate::support::postgres::Postgres;

pub(crate) fn store() -> StoreName {
    StoreName::new("https://api.example.com", "abc123")
}

pub(crate) fn at(second: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::seconds(1_700_000_000 + second)
}

pub(crate) fn change(customer_id: i64, attribute_id: i64, value: &str) -> Change {
    Change {
        key: Key::new(customer_id, attribute_id),
        action: Action::Create,
        value: Some(value.to_owned()),
        previous_value: None,
        previous_in_doubt: false,
        source_value: None,
        value_id: None,
        in_doubt_until: None,
    }
}

pub(crate) async fn planned_run(ledger: &dyn Ledger, changes: &[Change]) -> i64 {
    let run = NewRun {
        kind: RunKind::Sync,
        trigger: Trigger::Manual,
        started_at: at(0),
        filtered: false,
        scheduled: None,
        of_run_id: None,
    };
    let run = ledger.open_run(&run).await.unwrap();
    let invalid = InvalidRow {
        customer_id: None,
        attribute_id: Some(1),
        value: Some("x".to_owned()),
        reason: "the row has no customer id".to_owned(),
    };
    ledger.save_plan(run, changes.to_vec(), vec![invalid]).await.unwrap();
    let planned = i64::try_from(changes.len()).unwrap();
    ledger.seal_plan(run, &Counts { planned, invalid: 1, ..Counts::default() }, None, at(1)).await.unwrap();
    run
}

pub(crate) const FIRST: NewRequest = NewRequest {
    method: RequestMethod::Put,
    parent_id: None,
    attempt: 1,
    at: DateTime::UNIX_EPOCH,
    in_doubt_until: DateTime::UNIX_EPOCH,
};

/// Returns the end of an accepted request.
pub(crate) fn ended() -> RequestEnd {
    RequestEnd { at: at(3), ..request_end(0) }
}

async fn entries(ledger: &dyn LedgerReader, filter: &Filter) -> Vec<EntryPage> {
    let mut pages = ledger.entries(filter).await.unwrap();
    let mut all = Vec::new();
    while let Some(page) = pages.next().await.unwrap() {
        all.push(page);
    }
    assert!(pages.next().await.unwrap().is_none(), "there is no page after the end");
    all
}

async fn connect(url: &str) -> PgConnection {
    url.parse::<sqlx::postgres::PgConnectOptions>().unwrap().connect().await.unwrap()
}

#[tokio::test]
async fn a_thousand_customers_are_read_without_a_scan() {
    let url = Postgres::start().database();
    let ledger = PostgresLedger::open(&url, &store()).await.unwrap();
    let mut admin = connect(&url).await;
    let fill = "insert into attrsync.entries (store_id, customer_id, attribute_id, value, belief, run_id, updated_at)
         select 1, 1 + i / 3, i % 3, 'value', 'confirmed', 1, now() from generate_series(0, 299999) i";
    admin.execute(fill).await.unwrap();
    admin.execute("analyze attrsync.entries").await.unwrap();
    let before = scans(&mut admin).await;
    for count in [1, 1_000] {
        let customers = (0..count).map(|n| 1 + n * 97).collect();
        let filter = Filter { customers, ..Filter::default() };
        let rows: usize = entries(&ledger, &filter).await.iter().map(EntryPage::len).sum();
        assert_eq!(rows, 3 * usize::try_from(count).unwrap());
    }
    // The session that has read reports what it did when it ends, some time after it was closed.
    let counted = async {
        while scans(&mut admin).await.1 < before.1 + 3_003 {
            admin.execute("select pg_stat_clear_snapshot(), pg_sleep(0.01)").await.unwrap();
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), counted).await.expect("the reads are counted");
    assert_eq!(scans(&mut admin).await.0, before.0);
}

/// How many entries were read by scans of the table, and how many along an index.
async fn scans(admin: &mut PgConnection) -> (i64, i64) {
    let sql =
        "select seq_tup_read, coalesce(idx_tup_fetch, 0) from pg_stat_user_tables where relname = 'entries'";
    sqlx::query_as(sql).fetch_one(admin).await.unwrap()
}

#[tokio::test]
async fn a_value_goes_from_plan_to_confirmed() {
    let ledger = PostgresLedger::open(&Postgres::start().database(), &store()).await.unwrap();
    let changes = [
        change(1, 1, "a\tb\\N\n"),
        change(1, 2, ""),
        change(2, 1, "é😀"),
        change(3, 1, "d"),
        change(4, 1, "e"),
    ];
    let run = planned_run(&ledger, &changes).await;
    assert_eq!(ledger.planned(run, PlanPart::Upserts, None, 10).await.unwrap(), planned(&changes));
    assert_eq!(
        ledger.planned(run, PlanPart::Upserts, Some(Key::new(1, 2)), 1).await.unwrap(),
        planned(&changes[2..3])
    );

    let RecordedIntent { request_id, counts } =
        ledger.record_intent(run, &FIRST, &changes[..3]).await.unwrap();
    assert_eq!((counts.unknown, counts.deferred, counts.requests), (3, 2, 1));
    let outcomes = [
        outcome(
            Key::new(1, 1),
            Verdict::Confirmed { value_id: Some(7), stored_value: Some("a b\0".to_owned()) },
        ),
        outcome(Key::new(1, 2), Verdict::Rejected { reason: "no\0".to_owned() }),
        ChangeOutcome {
            key: Key::new(2, 1),
            verdict: Verdict::Unknown { reason: "502".to_owned(), observed_value: Some("z".to_owned()) },
            in_doubt_until: Some(at(99)),
        },
    ];
    ledger.record_outcome(run, request_id, &ended(), &outcomes).await.unwrap();
    let unsent = [outcome(Key::new(3, 1), Verdict::Rejected { reason: "deleted".to_owned() })];
    let counts = ledger.record_unsent(run, &unsent, at(4)).await.unwrap();
    assert!(counts.balance());
    assert_eq!((counts.confirmed, counts.altered, counts.rejected), (1, 1, 2));
    assert_eq!((counts.unknown, counts.deferred), (1, 1));

    let pages = entries(&ledger, &Filter::default()).await;
    let rows: Vec<_> = (0..pages[0].len()).map(|index| pages[0].row(index)).collect();
    let beliefs: Vec<_> = rows.iter().map(|row| (row.key.customer_id, row.belief)).collect();
    assert_eq!(
        beliefs,
        [(1, Belief::Confirmed), (1, Belief::Rejected), (2, Belief::Unconfirmed), (3, Belief::Rejected)]
    );
    assert_eq!((rows[0].value, rows[0].stored_value), (Some("a\tb\\N\n"), Some("a b\u{fffd}")));
    assert_eq!((rows[0].value_id, rows[0].in_doubt_until), (Some(7), None));
    let unknown = rows[2];
    assert_eq!((unknown.value, unknown.observed_value), (Some("é😀"), Some("z")));
    assert_eq!(unknown.in_doubt_until, Some(at(99)));
    let filter = Filter { customers: [2, 3].into(), attributes: [1].into() };
    assert_eq!(entries(&ledger, &filter).await[0].len(), 2);
}

#[tokio::test]
async fn a_step_in_the_wrong_state_writes_nothing() {
    let ledger = PostgresLedger::open(&Postgres::start().database(), &store()).await.unwrap();
    let changes = [change(1, 1, "a"), change(2, 1, "b")];
    let run = planned_run(&ledger, &changes).await;
    let intent = ledger.record_intent(run, &FIRST, &changes[..1]).await.unwrap();
    let outcomes = [outcome(Key::new(1, 1), confirmed()), outcome(Key::new(2, 1), confirmed())];
    let error = ledger.record_outcome(run, intent.request_id, &ended(), &outcomes).await.unwrap_err();
    assert!(matches!(&error, LedgerError::Database { .. }), "{error}");
    assert_eq!(ledger.planned(run, PlanPart::Upserts, None, 9).await.unwrap(), planned(&changes[1..]));
    let counts = ledger.record_outcome(run, intent.request_id, &ended(), &[]).await.unwrap();
    assert_eq!(counts, intent.counts);
}

#[tokio::test]
async fn the_error_of_a_locked_store_names_its_run() {
    let url = Postgres::start().database();
    let ledger = PostgresLedger::open(&url, &store()).await.unwrap();
    let run = planned_run(&ledger, &[]).await;
    let other = StoreName { hash: "other".to_owned(), ..store() };
    PostgresLedger::open(&url, &other).await.unwrap();
    match PostgresLedger::open(&url, &store()).await {
        Err(LedgerError::Locked { holder }) => {
            assert_eq!(holder, format!("run {run} (sync), started 2023-11-14 22:13:20 UTC"));
        }
        other => panic!("{other:?}"),
    }
    drop(ledger);
    PostgresLedger::open(&url, &store()).await.unwrap();
}

#[tokio::test]
async fn a_run_that_lost_its_session_marks_entries_unconfirmed_and_nothing_else() {
    let url = Postgres::start().database();
    let ledger = PostgresLedger::open(&url, &store()).await.unwrap();
    let changes = [change(1, 1, "a"), change(2, 1, "b")];
    let run = planned_run(&ledger, &changes).await;
    let request = ledger.record_intent(run, &FIRST, &changes[..1]).await.unwrap().request_id;
    let confirmed = [outcome(Key::new(1, 1), confirmed())];
    ledger.record_outcome(run, request, &ended(), &confirmed).await.unwrap();

    let mut admin = connect(&url).await;
    admin
        .execute(
            "select pg_terminate_backend(pid, 5000) from pg_stat_activity
            where datname = current_database() and pid <> pg_backend_pid()",
        )
        .await
        .unwrap();
    let successor = PostgresLedger::open(&url, &store()).await.unwrap();
    let next = planned_run(&successor, &[]).await;
    assert!(ledger.record_intent(run, &FIRST, &changes[1..]).await.is_err());
    ledger.mark_unconfirmed(&[Key::new(1, 1)], at(9)).await.unwrap();
    assert_eq!(entries(&successor, &Filter::default()).await[0].row(0).belief, Belief::Unconfirmed);
    match successor.record_intent(run, &FIRST, &changes[1..]).await {
        Err(LedgerError::LostLock { run_id }) => assert_eq!(run_id, next),
        other => panic!("{other:?}"),
    }
    let status: String = sqlx::query_scalar("select status from attrsync.runs where id = $1")
        .bind(run)
        .fetch_one(&mut admin)
        .await
        .unwrap();
    assert_eq!(status, RunStatus::Interrupted.as_str());
}

#[tokio::test]
async fn a_new_ledger_is_announced_once() {
    let url = Postgres::start().database();
    assert!(PostgresLedger::open(&url, &store()).await.unwrap().created());
    let other = StoreName { hash: "other".to_owned(), ..store() };
    assert!(!PostgresLedger::open(&url, &other).await.unwrap().created(), "a new store, but no new ledger");

    // An administrator may have created the empty schema for a user who has no right to create one.
    let url = Postgres::start().database();
    connect(&url).await.execute("create schema attrsync").await.unwrap();
    assert!(PostgresLedger::open(&url, &store()).await.unwrap().created());
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let url = Postgres::start().database();
    PostgresLedger::open(&url, &store()).await.unwrap();
    let mut admin = connect(&url).await;
    admin
        .execute("update attrsync.refinery_schema_history set version = 99 where version = 1")
        .await
        .unwrap();
    let config = LedgerConfig::Postgres(Secret::new(url.as_str()));
    let errors = [
        PostgresLedger::open(&url, &store()).await.expect_err("is refused"),
        AuditLog::open(&config).await.expect_err("is refused"),
        AuditLog::check_writable(&config).await.expect_err("is refused"),
    ];
    for error in errors {
        assert_eq!(error.to_string(), NEWER, "every command says the same");
    }
}

#[tokio::test]
async fn errors_do_not_show_the_password() {
    let url = format!("postgres://nobody:hunter2@127.0.0.1:{}/nowhere", Postgres::start().port());
    for url in [url.as_str(), "postgres://u:hunter2@[bad/x", "postgres://u:hunter2@h/x?sslmode=odd"] {
        let error = PostgresLedger::open(url, &store()).await.unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
    }
}

#[tokio::test]
async fn both_dialects_have_the_same_tables_and_columns() {
    let url = Postgres::start().database();
    PostgresLedger::open(&url, &store()).await.unwrap();
    let mut admin = connect(&url).await;
    let rows = sqlx::query(
        "select table_name::text, column_name::text from information_schema.columns
        where table_schema = 'attrsync' and table_name <> 'refinery_schema_history'
        order by 1, ordinal_position",
    )
    .fetch_all(&mut admin)
    .await
    .unwrap();
    let postgres: Vec<(String, String)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();

    let sqlite = rusqlite::Connection::open_in_memory().unwrap();
    for (_, sql) in migrations::of("sqlite") {
        sqlite.execute_batch(&sql).unwrap();
    }
    let sqlite: Vec<(String, String)> = sqlite
        .prepare(
            "select t.name, c.name from sqlite_schema t, pragma_table_info(t.name) c
            where t.type in ('table', 'view') and t.name not like 'sqlite%' order by 1, c.cid",
        )
        .unwrap()
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    assert_eq!(postgres, sqlite);
    admin.close().await.unwrap();
}

#[tokio::test]
async fn a_database_that_cannot_hold_every_value_is_refused() {
    for encoding in ["SQL_ASCII", "LATIN1"] {
        let url = Postgres::start().database_in(encoding);
        let error = PostgresLedger::open(&url, &store()).await.unwrap_err();
        assert!(
            matches!(&error, LedgerError::Unusable(text) if text.contains(encoding) && text.contains("encoding 'UTF8'")),
            "{error}"
        );
        let schemas = "select count(*) from pg_namespace where nspname = 'attrsync'";
        let made: i64 = sqlx::query_scalar(schemas).fetch_one(&mut connect(&url).await).await.unwrap();
        assert_eq!(made, 0, "nothing is left behind");
    }
}
