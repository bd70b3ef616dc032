//! A plan in Postgres is saved over two sessions in turn, of which only one holds the store's lock.

use std::time::Duration;

use attrsync::ledger::postgres::PostgresLedger;
use attrsync::ledger::{Ledger, LedgerError, NewRun};
use attrsync::record::{Change, Counts, RunStatus, Trigger};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tokio::time::sleep;

use crate::ledger::postgres::{at, change, store};
use crate::support::postgres::Postgres;

async fn open_run(ledger: &dyn Ledger) -> i64 {
    let run = NewRun { kind: "sync", trigger: Trigger::Manual, started_at: at(0), request_timeout: None };
    ledger.open_run(&run).await.expect("a run")
}

/// A database, its ledger with a run that plans, and somebody else who is connected.
async fn planning() -> (String, PostgresLedger, i64, PgConnection) {
    let url = Postgres::start().database();
    let ledger = PostgresLedger::open(&url, &store()).await.expect("opens");
    let run = open_run(&ledger).await;
    let somebody = PgConnection::connect(&url).await.expect("connects");
    (url, ledger, run, somebody)
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

/// Saves pages of one change until both sessions have saved one; the next is the first one's. Tells how many.
async fn save_until_two(ledger: &dyn Ledger, run: i64, somebody: &mut PgConnection) -> i64 {
    for pages in (2..400).step_by(2) {
        for page in [pages - 1, pages] {
            save(ledger, run, page).await.expect("a page is saved");
        }
        if sessions(somebody, "query = 'COMMIT'").await == 2 {
            return pages;
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("there is no second session");
}

#[tokio::test]
async fn two_pages_are_saved_at_once() {
    let (url, ledger, run, mut somebody) = planning().await;
    save(&ledger, run, 0).await.expect("a page is saved");
    assert_eq!(sessions(&mut somebody, "true").await, 1, "a plan of one page needs no second session");
    save(&ledger, run, -1).await.expect("a page is saved");
    let pages = save_until_two(&ledger, run, &mut somebody).await;

    let mut another = PgConnection::connect(&url).await.expect("connects");
    let lock = "begin; lock table attrsync.changes in access exclusive mode";
    another.execute(lock).await.expect("is locked");
    let unlocking = async {
        wait_for_sessions(&mut somebody, "wait_event_type = 'Lock' and query like 'copy changes%'", 2).await;
        another.execute("commit").await.expect("gives it up");
    };
    let (one, other, ()) =
        tokio::join!(save(&ledger, run, pages + 1), save(&ledger, run, pages + 2), unlocking);
    one.and(other).expect("both are saved");

    let planned = pages + 4;
    ledger.seal_plan(run, &Counts { planned, ..Counts::default() }, at(1)).await.expect("is sealed");
    let read = ledger.planned(run, false, None, 1_000).await.expect("is read");
    let saved: Vec<Change> = (-1..=pages + 2).map(|page| change(page, 1, "a")).collect();
    assert_eq!(read, saved);
    wait_for_sessions(&mut somebody, "true", 1).await;
}

#[tokio::test]
async fn nobody_waits_for_a_page_that_does_not_end() {
    let (url, ledger, run, mut somebody) = planning().await;
    let pages = save_until_two(&ledger, run, &mut somebody).await;
    // A row that is written elsewhere and not committed holds the second session's page up.
    let mut another = PgConnection::connect(&url).await.expect("connects");
    let row = format!(
        "begin; insert into attrsync.changes (run_id, customer_id, attribute_id, action, value, outcome)
        values ({run}, {}, 1, 'create', 'a', 'planned')",
        pages + 2
    );
    another.execute(AssertSqlSafe(row)).await.expect("is written");
    save(&ledger, run, pages + 1).await.expect("a page is saved");
    let rest = async {
        wait_for_sessions(&mut somebody, "wait_event_type = 'Lock' and query like 'copy changes%'", 1).await;
        let take_over = "set lock_timeout = '1s'; update attrsync.stores set owner_run_id = owner_run_id";
        somebody.execute(take_over).await.expect("another run need not wait");
        ledger.close_run(run, RunStatus::Failed, None, at(1)).await.expect("nor need this one");
        another.execute("rollback").await.expect("gives it up");
    };
    let (held_up, ()) = tokio::join!(save(&ledger, run, pages + 2), rest);
    held_up.expect("it was at work");
}

#[tokio::test]
async fn each_page_proves_whose_the_store_is() {
    let (_, ledger, run, mut somebody) = planning().await;
    let pages = save_until_two(&ledger, run, &mut somebody).await;
    let next = run + 1;
    let take_over = format!("update attrsync.stores set owner_run_id = {next}");
    somebody.execute(AssertSqlSafe(take_over)).await.expect("is taken over");
    for page in [pages + 1, pages + 2] {
        match save(&ledger, run, page).await {
            Err(LedgerError::LostLock { owner }) => assert_eq!(owner, next),
            other => panic!("page {page}: {other:?}"),
        }
    }
    let saved: i64 = sqlx::query_scalar("select count(*) from attrsync.changes")
        .fetch_one(&mut somebody)
        .await
        .expect("a count");
    assert_eq!(saved, pages);
}

#[tokio::test]
async fn the_last_session_is_left_to_those_who_ask() {
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
    let pages: Vec<Change> = (1..=40).map(|page| change(page, 1, "a")).collect();
    for page in 1..=40 {
        save(&ledger, run, page).await.expect("a page is saved");
        sleep(Duration::from_millis(5)).await;
    }
    wait_for_sessions(&mut somebody, "true", 1).await;
    ledger.seal_plan(run, &Counts { planned: 40, ..Counts::default() }, at(1)).await.expect("is sealed");
    assert_eq!(ledger.planned(run, false, None, 100).await.expect("is read"), pages);
}
