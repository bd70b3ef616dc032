//! The source and the ledger behind PgBouncer.

use std::fs::{self, Permissions};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use attrsync::config::{Relation, Secret, SourceConfig};
use attrsync::source::SourceError;
use attrsync::source::postgres::PostgresSource;

use super::world::{LedgerKind, World, until};
use crate::support::machine::needed;
use crate::support::postgres::Postgres;

/// The user for whom root starts PgBouncer, which refuses to run as root.
const UNPRIVILEGED: u32 = 65_534;

/// A pooler in front of the tests' server. It ends with the value.
struct PgBouncer {
    child: Child,
    port: u16,
}

impl PgBouncer {
    /// Starts a pooler with this pool mode. Its settings lie in the world's folder.
    fn start(world: &World, mode: &str) -> Option<Self> {
        Self::start_with(world, mode, "")
    }

    /// The same with further settings.
    fn start_with(world: &World, mode: &str, more: &str) -> Option<Self> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let programs: Vec<PathBuf> =
            std::env::split_paths(&path).map(|folder| folder.join("pgbouncer")).collect();
        let program = programs.into_iter().find(|program| program.is_file());
        let program = needed("pgbouncer", program, "install it (apt-get install pgbouncer)")?;
        let port =
            TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port").port();
        let settings = world.path().join(format!("{mode}.ini"));
        let text = format!(
            "[databases]\n* = host=127.0.0.1 port={} user=postgres\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n\
             pool_mode = {mode}\n{more}\n",
            Postgres::start().port(),
        );
        fs::write(&settings, text).expect("the pooler's settings");
        fs::set_permissions(world.path(), Permissions::from_mode(0o755)).expect("others may look inside");
        let mut command = Command::new(program);
        command.arg("-q").arg(&settings).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if fs::metadata(&settings).expect("the settings").uid() == 0 {
            command.uid(UNPRIVILEGED).gid(UNPRIVILEGED);
        }
        let pooler = Self { child: command.spawn().expect("the pooler starts"), port };
        until("the pooler listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        Some(pooler)
    }

    /// The address of a database of the tests' server, through the pooler.
    fn before(&self, url: &str) -> String {
        url.replace(&format!(":{}/", Postgres::start().port()), &format!(":{}/", self.port))
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_ledger_behind_a_pooler_in_transaction_mode_is_refused_with_the_reason() {
    for mode in ["transaction", "statement"] {
        let world = World::with_customers(LedgerKind::Postgres, 20);
        let Some(pooler) = PgBouncer::start(&world, mode) else { return };
        let config = world.config("");
        world.write_config(&config.replace(&world.ledger_url, &pooler.before(&world.ledger_url)));
        let reason =
            ["[ledger] url leads to a pooler in transaction mode", "session mode", "no lock can be held"];
        world.run(&["sync"]).exits(1).tells(&reason);
        world.run(&["check"]).exits(1).tells(&reason);
        assert!(world.writes().is_empty());
        // Nothing is left behind in the pool or the database: the database's own address is good at once.
        world.write_config(&config);
        world.sync().exits(0).balances();
        world.assert_landed(20, "first");
    }
}

#[test]
fn a_ledger_behind_a_pooler_in_session_mode_holds_its_lock() {
    let world = World::with_customers(LedgerKind::Postgres, 400);
    let Some(pooler) = PgBouncer::start(&world, "session") else { return };
    let config = world.config("");
    world.write_config(&config.replace(&world.ledger_url, &pooler.before(&world.ledger_url)));
    world.store().options.latency = Duration::from_millis(500);
    let first = world.start(&["sync", "--json"]);
    until("it sends", || !world.writes().is_empty());
    world.run(&["sync"]).exits(5).tells(&["another run holds this store", "run 1"]);
    first.end().exits(0).balances();
    world.assert_landed(400, "first");
}

#[test]
fn promise_12_a_pool_without_room_for_a_second_session_is_named() {
    let world = World::with_customers(LedgerKind::Postgres, 1);
    let Some(pooler) =
        PgBouncer::start_with(&world, "session", "default_pool_size = 1\nquery_wait_timeout = 1")
    else {
        return;
    };
    world.write_config(&world.config("").replace(&world.ledger_url, &pooler.before(&world.ledger_url)));
    let said = world.run(&["sync"]).exits(1).tells(&["no room for a second session", "pool_size"]);
    assert!(!said.err.contains("transaction mode"), "{said:#?}");
}

#[test]
fn a_source_behind_a_pooler_in_transaction_mode_is_read() {
    let world = World::with_customers(LedgerKind::File, 20);
    let Some(pooler) = PgBouncer::start(&world, "transaction") else { return };
    world.write_config(&world.config("").replace(&world.source_url, &pooler.before(&world.source_url)));
    for _ in 0..3 {
        world.sync().exits(0).balances();
    }
    world.assert_landed(20, "first");
}

#[test]
fn promise_12_a_setting_that_a_pooler_does_not_take_is_named() {
    let world = World::with_customers(LedgerKind::File, 1);
    let Some(pooler) = PgBouncer::start(&world, "transaction") else { return };
    let url = format!("{}?options=-c%20geqo%3Doff", pooler.before(&world.source_url));
    world.write_config(&world.config("").replace(&world.source_url, &url));
    world.sync().exits(1).tells(&["startup parameter", "ignore_startup_parameters", "[source] url"]);
}

#[test]
fn promise_12_a_pooler_through_which_no_notification_arrives_is_told() {
    let world = World::new(LedgerKind::File);
    for (mode, listens) in [("transaction", false), ("session", true)] {
        let Some(pooler) = PgBouncer::start(&world, mode) else { return };
        let config = SourceConfig {
            give_up_after: Duration::ZERO,
            ..SourceConfig::new(
                Secret::new(pooler.before(&world.source_url)),
                Relation::Table("customer_attribute_values".to_owned()),
            )
        };
        let text = world.config("").replace(&world.source_url, &pooler.before(&world.source_url));
        world.write_config(&format!("{text}[schedule]\nlisten = \"attrsync\"\n"));
        let exit = if listens { 0 } else { 1 };
        world.run(&["check"]).exits(exit).tells(&[if listens {
            "notifications arrive"
        } else {
            "session mode"
        }]);
        let source = PostgresSource::new(&config).expect("a source");
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        // Twice, because what the first left behind in the pool must not change the result.
        for _ in 0..2 {
            match runtime.block_on(source.check_listening("attrsync")) {
                Ok(()) => assert!(listens, "in {mode} mode no notification arrives"),
                Err(SourceError::Unusable { problem, hint }) => {
                    assert!(!listens && problem.contains("pooler in transaction mode"), "{mode}: {problem}");
                    assert!(hint.contains("session mode"), "{hint}");
                }
                Err(error) => panic!("{mode}: {error}"),
            }
        }
    }
}
