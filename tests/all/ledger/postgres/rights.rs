//! A schema of another program is left alone, and `check` asks for every right that a sync needs.

use attrsync::config::{LedgerConfig, Secret};
use attrsync::ledger::Ledger as _;
use attrsync::ledger::audit::{AuditLog, Value};
use attrsync::ledger::postgres::PostgresLedger;
use attrsync::record::PlanPart;
use sqlx::{AssertSqlSafe, Executor};

use super::{connect, store};
use crate::ledger::audit::table;
use crate::support::postgres::Postgres;

/// Asserts that `check` and a sync refuse the ledger with the same words.
async fn assert_refused(url: &str, expect: &[&str]) {
    let config = LedgerConfig::Postgres(Secret::new(url));
    let checked = AuditLog::check_writable(&config).await.expect_err("passes").to_string();
    let opened = PostgresLedger::open(url, &store()).await.expect_err("opens").to_string();
    assert_eq!(checked, opened);
    for text in expect {
        assert!(checked.contains(text), "{text:?} is not in {checked:?}");
    }
}

#[tokio::test]
async fn a_schema_that_attrsync_did_not_make_is_left_as_it_is() {
    for (sql, has) in [
        ("create table attrsync.bookmarks (x int)", "it has bookmarks"),
        ("create table attrsync.runs (x int)", "it has runs"),
        ("create function attrsync.f() returns int language sql as 'select 1'", "it has f"),
        ("create type attrsync.mood as enum ('a')", "it has mood"),
        (
            "create table attrsync.refinery_schema_history (version int, name text, applied_on text, checksum text);
             insert into attrsync.refinery_schema_history values (1, 'init', '', '1')",
            "it has other migrations",
        ),
    ] {
        let url = Postgres::start().database();
        let mut admin = connect(&url).await;
        admin.execute(AssertSqlSafe(format!("create schema attrsync; {sql}"))).await.unwrap();
        let count = "select (select count(*) from pg_class) + (select count(*) from pg_proc)";
        let before: i64 = sqlx::query_scalar(count).fetch_one(&mut admin).await.unwrap();
        assert_refused(&url, &["was not made by attrsync", has]).await;
        let error = AuditLog::open(&LedgerConfig::Postgres(Secret::new(&*url))).await.unwrap_err();
        assert!(error.to_string().contains("was not made by attrsync"), "{error}");
        let after: i64 = sqlx::query_scalar(count).fetch_one(&mut admin).await.unwrap();
        assert_eq!(before, after, "{sql}");
    }
}

#[tokio::test]
async fn a_ledger_that_lost_its_record_or_a_table_is_refused() {
    for (table, expect) in [
        ("refinery_schema_history", "no record of attrsync's migrations"),
        ("requests", "lacks the table attrsync.requests"),
    ] {
        let url = Postgres::start().database();
        PostgresLedger::open(&url, &store()).await.unwrap();
        let drop = format!("drop table attrsync.{table}");
        connect(&url).await.execute(AssertSqlSafe(drop)).await.unwrap();
        assert_refused(&url, &[expect, "restore a backup"]).await;
    }
}

#[tokio::test]
async fn the_sql_of_a_superuser_can_only_read() {
    let url = Postgres::start().database();
    let ledger = PostgresLedger::open(&url, &store()).await.unwrap();
    let run = super::planned_run(&ledger, &[super::change(1, 1, "a")]).await;
    let audit = AuditLog::open(&LedgerConfig::Postgres(Secret::new(&*url))).await.unwrap().unwrap();
    assert_eq!(table(&audit, "select * from outcomes").await.unwrap().1.len(), 1);
    for (query, why) in [
        ("select pg_read_file('PG_VERSION')", "permission denied"),
        (
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database()",
            "must be",
        ),
        ("select pg_switch_wal()", "permission denied"),
    ] {
        let error = table(&audit, query).await.unwrap_err().to_string();
        assert!(error.contains(why), "{query}: {error}");
    }
    table(&audit, "select lo_create(0)").await.unwrap();
    let (_, left) = table(&audit, "select count(*) from pg_largeobject_metadata").await.unwrap();
    assert_eq!(left, [[Value::Int(0)]]);
    assert_eq!(
        ledger.planned(run, PlanPart::Upserts, None, 9).await.unwrap().len(),
        1,
        "the run's session is alive"
    );
}

#[tokio::test]
async fn every_right_that_a_sync_needs_is_asked_for() {
    let url = Postgres::start().database();
    PostgresLedger::open(&url, &store()).await.unwrap();
    let mut admin = connect(&url).await;
    let role = format!("limited_{}", url.rsplit('_').next().unwrap());
    let limited = url.replace("postgres@", &format!("{role}@"));
    let mut run = async |sql: &str| {
        let sql = sql.replace("ROLE", &role);
        admin.execute(AssertSqlSafe(sql)).await.unwrap();
    };
    run("create role ROLE login").await;
    assert_refused(&limited, &["belongs to postgres, and limited_", "grant usage on schema attrsync"]).await;
    run("grant usage on schema attrsync to ROLE; grant select on all tables in schema attrsync to ROLE")
        .await;
    let expect = ["insert, update, delete on attrsync.stores", "grant select, insert, update, delete"];
    assert_refused(&limited, &expect).await;
    // To read is enough for the commands that read.
    let config = LedgerConfig::Postgres(Secret::new(&*limited));
    assert!(AuditLog::open(&config).await.unwrap().is_some());

    let all = "grant select, insert, update, delete on all tables in schema attrsync to ROLE";
    for (right, table) in [("insert", "requests"), ("update", "stores"), ("delete", "invalid_rows")] {
        run(all).await;
        run(&format!("revoke {right} on attrsync.{table} from ROLE")).await;
        assert_refused(&limited, &[&format!("a sync needs: {right} on attrsync.{table}. ")]).await;
    }
    run(all).await;
    AuditLog::check_writable(&config).await.unwrap();
    let ledger = PostgresLedger::open(&limited, &store()).await.unwrap();
    super::planned_run(&ledger, &[super::change(1, 1, "a")]).await;
    drop(ledger);

    let database = url.rsplit('/').next().unwrap();
    run(&format!("alter database {database} set default_transaction_read_only = on")).await;
    assert_refused(&limited, &["is set to read-only (default_transaction_read_only)"]).await;
}
