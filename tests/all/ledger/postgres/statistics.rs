//! How Postgres reads the entries of a table whose statistics are missing.

use std::time::{Duration, Instant};

use attrsync::ledger::postgres::PostgresLedger;
use attrsync::record::Filter;
use sqlx::{AssertSqlSafe, Executor, PgConnection, Row};

use super::{connect, entries, store};
use crate::support::postgres::Postgres;

const FILL: &str = "
    alter table attrsync.entries set (autovacuum_enabled = off);
    insert into attrsync.entries (store_id, customer_id, attribute_id, value, belief, run_id, updated_at)
    select (select id from attrsync.stores), c, 1, repeat('x', 50), 'confirmed', 1, now() from generate_series(1, 20000) c";

#[tokio::test]
async fn entries_of_a_table_that_was_never_analyzed_are_not_sorted() {
    let url = Postgres::start().database();
    let ledger = PostgresLedger::open(&url, &store()).await.unwrap();
    let mut connection = connect(&url).await;
    // A sort of 20,000 entries takes more than this, and writes a temporary file.
    let database = url.rsplit('/').next().unwrap();
    let little = format!("alter database {database} set work_mem = '1MB'");
    connection.execute(AssertSqlSafe(little)).await.unwrap();
    connection.execute(FILL).await.unwrap();
    let before = temporary_files(&mut connection, "n_tup_ins").await;
    let pages = entries(&ledger, &Filter::default()).await;
    assert_eq!(pages.iter().map(|page| page.len()).sum::<usize>(), 20_000);
    let after = temporary_files(&mut connection, "idx_tup_fetch").await;
    assert_eq!(after, before, "the entries were sorted");
}

/// Waits until this counter of the table says that 20,000 entries were written or read, and returns how many temporary
/// files the database has had. The server counts what a session did some time afterwards.
async fn temporary_files(connection: &mut PgConnection, counter: &str) -> i64 {
    let counted = format!(
        "select s.{counter}, d.temp_files from pg_stat_user_tables s, pg_stat_database d
         where s.relname = 'entries' and d.datname = current_database()"
    );
    let waiting = Instant::now();
    loop {
        let row = connection.fetch_one(AssertSqlSafe(counted.clone())).await.unwrap();
        if row.get::<i64, _>(0) >= 20_000 {
            return row.get(1);
        }
        assert!(waiting.elapsed() < Duration::from_secs(20), "{counter} was not counted");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
