//! The store's lock in Postgres ends when its process ends.

use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use attrsync::ledger::postgres::PostgresLedger;
use attrsync::ledger::{Ledger, LedgerError, NewRun};
use attrsync::record::{RunKind, StoreName, Trigger};
use attrsync::sandbox::{Model, SandboxOptions, Server};
use chrono::Utc;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection};

use crate::support::postgres::Postgres;

/// A child process that is killed when the test ends.
struct Killed(std::process::Child);

impl Killed {
    /// Kills the process as `kill -9` does, and waits until it has ended.
    fn kill(&mut self) {
        self.0.kill().expect("is there to be killed");
        self.0.wait().expect("has ended");
    }
}

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn connect(url: &str) -> PgConnection {
    url.parse::<PgConnectOptions>().expect("an address").connect().await.expect("connects")
}

/// Returns when a session of the database waits for the lock on a table.
async fn until_a_session_waits_for_a_table(watch: &mut PgConnection) {
    let waiting = "select exists (select from pg_stat_activity where datname = current_database()
            and wait_event_type = 'Lock' and wait_event = 'relation')";
    let seen = async {
        while !sqlx::query_scalar::<_, bool>(waiting).fetch_one(&mut *watch).await.expect("reads") {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), seen).await.expect("the sync comes to the table");
}

#[tokio::test]
async fn a_killed_run_loses_the_lock_while_it_reads_the_source() {
    killed_while_it_waits_for("desired").await;
}

/// A session that executes a statement does not notice by itself that its client has ended.
#[tokio::test]
async fn a_killed_run_loses_the_lock_while_it_writes_the_ledger() {
    killed_while_it_waits_for("attrsync.changes").await;
}

/// Kills a run that has the store's lock and waits for the lock on `table`, then opens the ledger again.
async fn killed_while_it_waits_for(table: &str) {
    let url = Postgres::start().database();
    let mut admin = connect(&url).await;
    admin
        .execute("create table desired (customer_id int, attribute_id int, value text); insert into desired values (1, 1, 'a')")
        .await
        .expect("creates the source");
    let model = Arc::new(Mutex::new(Model::new(SandboxOptions::default())));
    let server = Server::start("127.0.0.1:0", model).await.expect("the sandbox listens");
    let store = StoreName::new(&format!("http://{}", server.addr), "sandbox");

    // The tables of the ledger must exist before one of them is locked.
    drop(PostgresLedger::open(&url, &store).await.expect("makes a ledger"));
    let mut keeper = connect(&url).await;
    let mut kept = keeper.begin().await.expect("begins");
    let lock = format!("lock table {table} in access exclusive mode");
    kept.execute(AssertSqlSafe(lock)).await.expect("locks the table");
    let folder = tempfile::tempdir().expect("a folder");
    let config = format!(
        "[source]\nurl = \"{url}\"\ntable = \"desired\"\n\
         [store]\nhash = \"{}\"\naccess_token = \"sandbox-token\"\napi_url = \"{}\"\n[ledger]\nurl = \"{url}\"\n",
        store.hash, store.api_url
    );
    std::fs::write(folder.path().join("sync.toml"), config).expect("a configuration");
    let mut run = Killed(
        Command::new(env!("CARGO_BIN_EXE_attrsync"))
            .arg("sync")
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts"),
    );
    until_a_session_waits_for_a_table(&mut admin).await;
    let second = PostgresLedger::open(&url, &store).await;
    assert!(
        matches!(&second, Err(LedgerError::Locked { holder }) if holder.starts_with("run 1 (sync)")),
        "{second:?}"
    );

    run.kill();
    // Opening waits for the lock for at most a second, so this success shows that the lock is free.
    let ledger = PostgresLedger::open(&url, &store).await.expect("the lock is free");
    let next = NewRun {
        kind: RunKind::Sync,
        trigger: Trigger::Manual,
        started_at: Utc::now(),
        filtered: false,
        scheduled: None,
        of_run_id: None,
    };
    assert_eq!(ledger.open_run(&next).await.expect("opens a run"), 2);
    let status: String = sqlx::query_scalar("select status from attrsync.runs where id = 1")
        .fetch_one(&mut admin)
        .await
        .expect("reads");
    assert_eq!(status, "interrupted");
}
