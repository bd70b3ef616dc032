//! A plan in Postgres is saved over two sessions in turn, of which only one holds the store's lock.

use std::time::Duration;

use attrsync::ledger::postgres::PostgresLedger;
use attrsync::ledger::{Ledger, LedgerError, NewRun};
use attrsync::record::{Change, Counts, Trigger};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tokio::time::sleep;

use crate::postgres_ledger::{at, change, store};
use crate::support::postgres::Postgres;

async fn open_run(ledger: &dyn Ledger) -> i64 {
    let run = NewRun { kind: "sync", trigger: Trigger::Manual, started_at: at(0), request_timeout: None };
    ledger.open_run(&run).await.expect("a run")
}

async fn save(ledger: &dyn Ledger, run: i64, page: i64) -> Result<(), LedgerError> {
    ledger.save_plan(run, vec![change(page, 1, "a")], Vec::new()).await
}

/// How many of the ledger's sessions there are, of those that `which` is true of.
async fn sessions(somebody: &mut PgConnection, which: &str) -> i64 {
    let count = format!(
        "select count(*) from pg_stat_activity
        where datname = current_database() and application_name = 'attrsync' and {which}"
    );
    sqlx::query_scalar(AssertSqlSafe(count)).fetch_one(somebody).await.expect("a count")
}

async fn wait_for_sessions(somebody: &mut PgConnection, which: &str, wanted: i64) {
    for _ in 0..1_000 {
        if sessions(somebody, which).await == wanted {
            return;
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("never {wanted} sessions that {which}");
}

#[tokio::test]
async fn two_pages_are_saved_at_once() {
    let url = Postgres::start().database();
    let ledger = PostgresLedger::open(&url, &store()).await.expect("opens");
    let run = open_run(&ledger).await;
    let mut somebody = PgConnection::connect(&url).await.expect("connects");
    save(&ledger, run, 1).await.expect("a page is saved");
    assert_eq!(sessions(&mut somebody, "true").await, 1, "a plan of one page needs no second session");

    let mut another = PgConnection::connect(&url).await.expect("connects");
    let lock = "begin; lock table attrsync.changes in access exclusive mode";
    another.execute(lock).await.expect("is locked");
    let unlocking = async {
        wait_for_sessions(&mut somebody, "wait_event_type = 'Lock' and query like 'copy changes%'", 2).await;
        another.execute("commit").await.expect("gives it up");
    };
    let (second, third, ()) = tokio::join!(save(&ledger, run, 2), save(&ledger, run, 3), unlocking);
    second.and(third).expect("both are saved");

    ledger.seal_plan(run, &Counts { planned: 3, ..Counts::default() }, at(1)).await.expect("is sealed");
    let planned = ledger.planned(run, false, None, 10).await.expect("is read");
    assert_eq!(planned, [1, 2, 3].map(|page| change(page, 1, "a")));
    wait_for_sessions(&mut somebody, "true", 1).await;
}

#[tokio::test]
async fn each_page_proves_whose_the_store_is() {
    let url = Postgres::start().database();
    let ledger = PostgresLedger::open(&url, &store()).await.expect("opens");
    let run = open_run(&ledger).await;
    for page in [1, 2] {
        save(&ledger, run, page).await.expect("a page is saved");
    }
    let mut somebody = PgConnection::connect(&url).await.expect("connects");
    let next = run + 1;
    let take_over = format!("update attrsync.stores set owner_run_id = {next}");
    somebody.execute(AssertSqlSafe(take_over)).await.expect("is taken over");
    for page in [3, 4] {
        match save(&ledger, run, page).await {
            Err(LedgerError::LostOwnership { owner }) => assert_eq!(owner, next),
            other => panic!("page {page}: {other:?}"),
        }
    }
    let saved: i64 = sqlx::query_scalar("select count(*) from attrsync.changes")
        .fetch_one(&mut somebody)
        .await
        .expect("a count");
    assert_eq!(saved, 2);
}

#[tokio::test]
async fn a_second_session_that_cannot_be_had_costs_no_run() {
    let url = Postgres::start().database();
    let role = format!("writer_{}", std::process::id());
    let mut somebody = PgConnection::connect(&url).await.expect("connects");
    let database = url.rsplit('/').next().expect("a database");
    let make =
        format!("create role {role} login connection limit 2; grant create on database {database} to {role}");
    somebody.execute(AssertSqlSafe(make)).await.expect("a role");
    let url = url.replace("postgres@", &format!("{role}@"));
    let ledger = PostgresLedger::open(&url, &store()).await.expect("opens");
    let run = open_run(&ledger).await;
    wait_for_sessions(&mut somebody, "true", 1).await;
    let _another = PgConnection::connect(&url).await.expect("takes the last one");
    let pages: Vec<Change> = (1..=4).map(|page| change(page, 1, "a")).collect();
    for page in 1..=4 {
        save(&ledger, run, page).await.expect("a page is saved");
    }
    ledger.seal_plan(run, &Counts { planned: 4, ..Counts::default() }, at(1)).await.expect("is sealed");
    assert_eq!(ledger.planned(run, false, None, 10).await.expect("is read"), pages);
}
