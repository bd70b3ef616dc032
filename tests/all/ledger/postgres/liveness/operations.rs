//! Single operations wait for a slow database, but not for a silent one.

use std::time::Duration;

use attrsync::ledger::postgres::PostgresLedger;
use attrsync::ledger::{Ledger, LedgerError, LedgerReader, NewRun};
use attrsync::record::{Filter, Key, RunKind, Trigger};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tokio::time::{Instant, sleep};

use super::Wire;
use crate::ledger::contract::fixture::{confirmed, outcome};
use crate::ledger::postgres::{FIRST, at, change, ended, planned_run, store};
use crate::support::postgres::Postgres;

/// Longer than a session may be silent before a second session checks it.
const LOCKED: Duration = Duration::from_secs(33);

// This is one test, because each part waits for most of a minute and all parts can wait at the same time.
#[tokio::test]
async fn a_busy_session_is_waited_for_and_a_silent_one_is_not() {
    tokio::join!(a_locked_table(), a_silent_scan(), a_scan_that_waits(), a_silent_save());
}

/// Another session locks a table in the middle of a run.
async fn a_locked_table() {
    let url = Postgres::start().database();
    let ledger = PostgresLedger::open(&url, &store()).await.expect("opens");
    let changes = [change(1, 1, "a")];
    let run = planned_run(&ledger, &changes).await;
    let mut other = PgConnection::connect(&url).await.expect("connects");
    other.execute("begin; lock table attrsync.requests in access exclusive mode").await.expect("is locked");
    let start = Instant::now();
    let unlocking = async {
        sleep(LOCKED).await;
        other.execute("rollback").await.expect("releases the lock");
    };
    let (recorded, ()) = tokio::join!(ledger.record_intent(run, &FIRST, &changes), unlocking);
    let request = recorded.expect("is recorded when the table is free").request_id;
    assert!(start.elapsed() >= LOCKED);
    let confirmed = [outcome(Key::new(1, 1), confirmed())];
    ledger.record_outcome(run, request, &ended(), &confirmed).await.expect("and the run goes on");
}

/// The reader takes no entries for some time, for example while the source computes its first row.
async fn a_scan_that_waits() {
    let url = Postgres::start().database();
    let ledger = PostgresLedger::open(&url, &store()).await.expect("opens");
    fill(&url).await;
    let mut pages = ledger.entries(&Filter::default()).await.expect("scans");
    let mut read = pages.next().await.expect("reads").expect("a page").len();
    sleep(LOCKED).await;
    while let Some(page) = pages.next().await.expect("goes on") {
        read += page.len();
    }
    assert_eq!(read, ENTRIES);
}

/// The network drops a page of the plan during its COPY, so that the server waits forever.
async fn a_silent_save() {
    let (wire, url, through) = Wire::to_a_database();
    let ledger = PostgresLedger::open(&through, &store()).await.expect("opens");
    let run = NewRun {
        kind: RunKind::Sync,
        trigger: Trigger::Manual,
        started_at: at(0),
        filtered: false,
        scheduled: None,
        of_run_id: None,
    };
    let run = ledger.open_run(&run).await.expect("opens a run");
    let changes: Vec<_> =
        (1..=100_000).map(|customer| change(customer, 1, "a value of some length")).collect();
    let start = Instant::now();
    let cutting = async {
        let mut direct = PgConnection::connect(&url).await.expect("connects");
        let copying = "select count(*) from pg_stat_activity where query like 'copy changes%' and state = 'active' \
                       and datname = current_database()";
        while sqlx::query_scalar::<_, i64>(copying).fetch_one(&mut direct).await.expect("looks") == 0 {
            sleep(Duration::from_millis(1)).await;
        }
        wire.forget_connections();
    };
    let (saved, ()) = tokio::join!(ledger.save_plan(run, changes, Vec::new()), cutting);
    let LedgerError::Database { source, .. } = saved.expect_err("is abandoned") else {
        panic!("another error")
    };
    assert!(source.to_string().starts_with("no response for 30 seconds"), "{source}");
    assert!(start.elapsed() < 2 * LOCKED, "{:?}", start.elapsed());
}

const ENTRIES: usize = 100_000;

/// More entries than fit into the buffers between server and client.
async fn fill(url: &str) {
    let entries = format!(
        "insert into attrsync.entries (store_id, customer_id, attribute_id, value, belief, run_id, updated_at)
         select s.id, n, 1, repeat('x', 200), 'confirmed', 1, now()
         from attrsync.stores s, generate_series(1, {ENTRIES}) n"
    );
    let mut direct = PgConnection::connect(url).await.expect("connects");
    direct.execute(AssertSqlSafe(entries)).await.expect("entries");
}

/// The network drops the connection while entries are read, so that neither bytes nor its end arrive. The server's
/// session ends soon, because the proxy still reads its rows and drops them.
async fn a_silent_scan() {
    let (wire, url, through) = Wire::to_a_database();
    let ledger = PostgresLedger::open(&through, &store()).await.expect("opens");
    fill(&url).await;
    let mut pages = ledger.entries(&Filter::default()).await.expect("scans");
    let start = Instant::now();
    let mut read = 0;
    let ended = loop {
        match pages.next().await {
            Ok(Some(page)) => read += page.len(),
            ended => break ended,
        }
        wire.forget_connections();
    };
    let error = ended.expect_err("it must not look like the end");
    let LedgerError::Database { source, .. } = error else { panic!("{error:?}") };
    let text = source.to_string();
    assert!(text.starts_with("no response for 30 seconds"), "{text}");
    assert!(read < ENTRIES && start.elapsed() < 2 * LOCKED, "{read} rows in {:?}", start.elapsed());
}
