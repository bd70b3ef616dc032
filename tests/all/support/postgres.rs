//! A real Postgres for tests: one server for each test process, one new database for each test.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use attrsync::private_postgres::{PrivatePostgres, ServerOptions};

/// Enough connections for tests that run at the same time, and few checkpoints while benchmarks write.
const SETTINGS: &[&str] = &["max_connections=200", "min_wal_size=1GB", "max_wal_size=8GB"];

/// A running server.
#[derive(Debug)]
pub(crate) struct Postgres {
    server: PrivatePostgres,
    databases: AtomicU32,
}

impl Postgres {
    /// Returns the server of this test process. The first caller starts it.
    #[allow(dead_code, reason = "a benchmark of pushing needs only the durable one")]
    pub(crate) fn start() -> &'static Self {
        static SERVER: OnceLock<Postgres> = OnceLock::new();
        SERVER.get_or_init(|| Self::launch(false))
    }

    /// Returns a server that waits for the disk at every commit, for benchmarks.
    #[allow(dead_code, reason = "tests need no durable server")]
    pub(crate) fn durable() -> &'static Self {
        static SERVER: OnceLock<Postgres> = OnceLock::new();
        SERVER.get_or_init(|| Self::launch(true))
    }

    /// Starts a server for one test, which may stop it and start it again. It ends with the value.
    #[allow(dead_code, reason = "benchmarks stop no server")]
    pub(crate) fn own() -> Self {
        Self::launch(false)
    }

    fn launch(durable: bool) -> Self {
        let server = PrivatePostgres::temporary(ServerOptions { durable, settings: SETTINGS });
        let server = server.unwrap_or_else(|error| {
            panic!("{error}; {}", error.hint().unwrap_or("these tests need a Postgres server"))
        });
        Self { server, databases: AtomicU32::new(0) }
    }

    /// Stops the server as a crash would.
    #[allow(dead_code, reason = "benchmarks stop no server")]
    pub(crate) fn crash(&self) {
        self.server.crash().expect("the server stops");
    }

    /// Whether the server runs.
    #[allow(dead_code, reason = "benchmarks stop no server")]
    pub(crate) fn is_running(&self) -> bool {
        self.server.is_running()
    }

    /// Starts the server again on the same port.
    #[allow(dead_code, reason = "benchmarks stop no server")]
    pub(crate) fn recover(&self) {
        let recovered = (0..3).any(|_| self.server.recover().is_ok());
        assert!(recovered, "the server did not start again");
    }

    /// The server's port on the loopback address.
    #[allow(dead_code, reason = "not every test that starts a server needs its port")]
    pub(crate) fn port(&self) -> u16 {
        self.server.port()
    }

    /// Creates a database and returns its address.
    pub(crate) fn database(&self) -> String {
        self.create("")
    }

    /// Creates a database with an encoding other than UTF-8 and returns its address.
    #[allow(dead_code, reason = "benchmarks have no use for it")]
    pub(crate) fn database_in(&self, encoding: &str) -> String {
        self.create(&format!("template template0 encoding '{encoding}'"))
    }

    fn create(&self, options: &str) -> String {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let create = format!("create database {name} {options}");
        // A thread of its own, because the caller may or may not be inside a runtime.
        std::thread::scope(|scope| {
            let created = scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                runtime.expect("a runtime").block_on(self.server.execute(&create))
            });
            created.join().expect("the thread ends").expect("a new database");
        });
        self.server.url(&name)
    }
}
