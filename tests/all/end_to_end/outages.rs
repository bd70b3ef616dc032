//! A database that cannot be used for a while costs no night.

use std::net::TcpListener;

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::runtime::Runtime;

use super::world::{LedgerKind, Running, World, until};
use crate::ledger::postgres::liveness::Wire;
use crate::support::postgres::Postgres;

/// A port where nothing listens.
fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port()
}

/// Starts a sync whose database of this address is down, and waits until it says so.
fn sync_without(world: &World, url: &str, port: u16) -> Running {
    let down = url.replace(&format!(":{}/", Postgres::start().port()), &format!(":{port}/"));
    let config =
        world.config("").replace(url, &down).replace("give_up_after = \"0s\"", "give_up_after = \"5m\"");
    world.write_config(&config);
    let run = world.start_heard(&["sync", "--json"], "said");
    until("it says that it tries again", || world.heard("said").contains("trying again for at most 5 min"));
    run
}

#[test]
fn promise_5_a_database_that_comes_back_is_waited_for() {
    let world = World::with_customers(LedgerKind::Postgres, 20);
    for url in [&world.source_url, &world.ledger_url] {
        let port = closed_port();
        let run = sync_without(&world, url, port);
        assert!(world.heard("said").contains("connection was refused"), "{}", world.heard("said"));
        let listener = TcpListener::bind(("127.0.0.1", port)).expect("the port");
        Wire::behind(listener, Postgres::start().port());
        run.end().exits(0).balances();
    }
    world.assert_landed(20, "first");
}

#[test]
fn a_wait_for_a_database_ends_when_the_run_is_asked_to_stop() {
    let world = World::with_customers(LedgerKind::Postgres, 1);
    for url in [&world.source_url, &world.ledger_url] {
        let run = sync_without(&world, url, closed_port());
        run.signal("TERM");
        run.end().exits(1);
    }
    assert!(world.writes().is_empty());
}

#[test]
fn promise_12_check_does_not_wait_for_a_database() {
    let world = World::with_customers(LedgerKind::File, 1);
    let down = world.source_url.replace(&format!(":{}/", Postgres::start().port()), ":1/");
    let config = world.config("").replace(&world.source_url, &down);
    world.write_config(&config.replace("give_up_after = \"0s\"\n", ""));
    world.run(&["check"]).exits(1).tells(&["127.0.0.1:1", "refused", "[source] url"]);
}

#[test]
fn promise_12_a_password_file_that_is_passed_over_is_named() {
    use std::os::unix::fs::PermissionsExt as _;
    let world = World::with_customers(LedgerKind::File, 1);
    let guarded = world.guarded(&world.source_url);
    let without = guarded.replace(&format!(":{}@", super::world::PASSWORD), "@");
    world.write_config(&world.config("").replacen(&world.source_url, &without, 1));
    let file = world.path().join("pgpass");
    std::fs::write(&file, format!("*:*:*:*:{}\n", super::world::PASSWORD)).expect("a file");
    let sync = || {
        let output = world.program(&["sync", "--json"]).env("PGPASSFILE", &file).output();
        super::world::Said::from(output.expect("the program runs"))
    };
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).expect("rights");
    sync().exits(1).tells(&["refused the log-in", "chmod 600", "pgpass"]);
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).expect("rights");
    sync().exits(0);
}

/// A session that keeps a table locked until it is dropped.
struct Locker {
    pid: i32,
    _session: PgConnection,
    _runtime: Runtime,
}

impl Locker {
    fn of(url: &str, table: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let (session, pid) = runtime.block_on(async {
            let mut session = PgConnection::connect(url).await.expect("a connection");
            let lock = format!("begin; lock table {table} in access exclusive mode");
            sqlx::raw_sql(AssertSqlSafe(lock)).execute(&mut session).await.expect("the lock");
            let pid = sqlx::query_scalar("select pg_backend_pid()").fetch_one(&mut session).await;
            (session, pid.expect("a number"))
        });
        Self { pid, _session: session, _runtime: runtime }
    }
}

#[test]
fn promise_12_a_ledger_that_stays_locked_is_given_up_in_time_and_the_session_is_named() {
    let world = World::with_customers(LedgerKind::Postgres, 20);
    world.sync().exits(0);
    let sent = world.writes().len();
    for table in ["attrsync.requests", "attrsync.entries", "attrsync.runs"] {
        world.execute(&format!("update customer_attribute_values set value = '{table}'"));
        let locker = Locker::of(&world.ledger_url, table);
        let said = world.sync().exits(1);
        said.tells(&[
            "lock timeout",
            "55P03",
            &format!("session {} of postgres", locker.pid),
            "pg_terminate_backend",
        ]);
        assert_eq!(world.writes().len(), sent, "{table}");
    }
    world.sync().exits(0).balances();
    world.assert_landed(20, "attrsync.runs");
}

#[test]
fn a_locked_table_of_the_source_is_waited_for_as_long_as_its_patience_lasts() {
    let world = World::with_customers(LedgerKind::File, 1);
    world.write_config(&world.config("").replace("give_up_after = \"0s\"", "give_up_after = \"2s\""));
    let locker = Locker::of(&world.source_url, "customer_attribute_values");
    world.sync().exits(1).tells(&["keeps locked", "tried once for "]);
    drop(locker);
    world.sync().exits(0);
}
