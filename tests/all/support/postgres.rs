//! A real Postgres for tests: one server a test process, one fresh database a test.
//!
//! The server lives in a folder of its own under the temporary directory and listens on a loopback port.
//! Statics are never dropped, so a shell watches over it: when the test process is gone, however it ended,
//! the shell's standard input closes, and it stops the server and removes the folder.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor};

/// Postgres refuses to run as root; where the tests do, it runs as this user and group (`nobody`).
const NOBODY: u32 = 65_534;

/// Starts the server that owns the port, says so, and stops it when the tests are gone.
const WATCHDOG: &str = r#"
"$1/pg_ctl" -w -s -D "$2/data" -l "$2/log" -o "$3" start </dev/null >/dev/null 2>&1 || { cat "$2/log"; exit 1; }
echo ready
cat >/dev/null
"$1/pg_ctl" -w -s -D "$2/data" -m immediate stop </dev/null >/dev/null 2>&1
rm -rf "$2"
"#;

/// The running server.
#[derive(Debug)]
pub(crate) struct Postgres {
    port: u16,
    fsync: &'static str,
    place: Place,
    databases: AtomicU32,
    _watchdog: Child,
}

/// Where a server lives, and as whom.
#[derive(Debug)]
struct Place {
    binaries: PathBuf,
    folder: PathBuf,
    as_root: bool,
}

impl Place {
    /// A program, to be run as the server's user.
    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        // Its own process group: an interrupt from the keyboard must not end the watchdog before it has cleaned up.
        command.current_dir(&self.folder).env("LC_ALL", "C").process_group(0);
        if self.as_root {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    }
}

impl Postgres {
    /// The server of this test process; the first to ask starts it.
    #[allow(dead_code, reason = "a benchmark of pushing needs only the durable one")]
    pub(crate) fn start() -> &'static Self {
        static SERVER: OnceLock<Postgres> = OnceLock::new();
        SERVER.get_or_init(|| launch("off"))
    }

    /// A server that waits for the disk at every commit, for benchmarks.
    #[allow(dead_code, reason = "tests need no durable server")]
    pub(crate) fn durable() -> &'static Self {
        static SERVER: OnceLock<Postgres> = OnceLock::new();
        SERVER.get_or_init(|| launch("on"))
    }

    /// A server of the caller's own, which may be stopped and started. It goes with the value.
    #[allow(dead_code, reason = "benchmarks stop no server")]
    pub(crate) fn own() -> Self {
        launch("off")
    }

    /// Stops it as a crash would: sessions are cut off, and nothing is brought to its end.
    #[allow(dead_code, reason = "benchmarks stop no server")]
    pub(crate) fn stop_hard(&self) {
        assert!(self.control(&["-m", "immediate", "stop"]), "the server could not be stopped");
    }

    /// Whether it is there.
    #[allow(dead_code, reason = "benchmarks stop no server")]
    pub(crate) fn is_running(&self) -> bool {
        self.control(&["status"])
    }

    /// Starts it again where it was.
    #[allow(dead_code, reason = "benchmarks stop no server")]
    pub(crate) fn start_again(&self) {
        let (log, options) = (self.place.folder.join("log"), options(self.port, self.fsync));
        let log = log.to_str().expect("a path in UTF-8");
        let started = (0..3).any(|_| self.control(&["-l", log, "-o", &options, "start"]));
        assert!(started, "the server did not start again:\n{}", fs::read_to_string(log).unwrap_or_default());
    }

    /// Whether `pg_ctl` did so.
    fn control(&self, arguments: &[&str]) -> bool {
        let mut command = self.place.command(&self.place.binaries.join("pg_ctl"));
        command.args(["-w", "-s", "-D"]).arg(self.place.folder.join("data")).args(arguments);
        // The server inherits them, and would keep a pipe open.
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().expect("pg_ctl can be run").success()
    }

    /// The address of a database that nobody else uses.
    pub(crate) fn database(&self) -> String {
        self.database_with("")
    }

    /// The same, of another encoding than UTF-8.
    #[allow(dead_code, reason = "benchmarks have no use for it")]
    pub(crate) fn database_in(&self, encoding: &str) -> String {
        self.database_with(&format!("template template0 encoding '{encoding}'"))
    }

    fn database_with(&self, options: &str) -> String {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let admin = self.address("postgres");
        let create = format!("create database {name} {options}");
        // A thread of its own, since the caller may or may not be inside a runtime.
        std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let options: sqlx::postgres::PgConnectOptions = admin.parse().expect("a Postgres address");
                let mut connection = options.connect().await.expect("the test server takes connections");
                connection.execute(AssertSqlSafe(create)).await.expect("a fresh database");
                connection.close().await.expect("the connection closes");
            });
        })
        .join()
        .expect("the database was created");
        self.address(&name)
    }

    /// The port on the loopback address.
    #[allow(dead_code, reason = "not every test that starts a server needs its port")]
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    fn address(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }
}

/// What the server is started with.
fn options(port: u16, fsync: &str) -> String {
    format!(
        "-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync={fsync} -c max_connections=200 -c min_wal_size=1GB -c max_wal_size=8GB"
    )
}

fn launch(fsync: &'static str) -> Postgres {
    let folder =
        tempfile::Builder::new().prefix("attrsync-pg-").tempdir().expect("a temporary folder").keep();
    let as_root = fs::metadata(&folder).expect("the folder is there").uid() == 0;
    if as_root {
        chown(&folder, Some(NOBODY), Some(NOBODY)).expect("root may give a folder away");
    }
    let place = Place { binaries: binaries(), folder, as_root };
    let initdb = place
        .command(&place.binaries.join("initdb"))
        .args(["--no-sync", "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C", "-D"])
        .arg(place.folder.join("data"))
        .output()
        .expect("initdb can be run");
    assert!(initdb.status.success(), "initdb failed:\n{}", String::from_utf8_lossy(&initdb.stderr));

    // Somebody else may take the free port before the server does; then another one is tried.
    let mut log = String::new();
    for _ in 0..5 {
        let port = free_port();
        let mut watchdog = place
            .command(Path::new("/bin/sh"))
            .args(["-c", WATCHDOG, "watchdog"])
            .args([place.binaries.as_path(), place.folder.as_path()])
            .arg(options(port, fsync))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("sh can be run");
        let mut stdout = BufReader::new(watchdog.stdout.take().expect("stdout is piped"));
        let mut line = String::new();
        stdout.read_line(&mut line).expect("the watchdog can be read");
        if line == "ready\n" {
            return Postgres { port, fsync, place, databases: AtomicU32::new(0), _watchdog: watchdog };
        }
        log = line;
        stdout.read_to_string(&mut log).expect("the server's log is text");
        watchdog.wait().expect("the watchdog has ended");
    }
    panic!("Postgres did not start:\n{log}");
}

fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    listener.local_addr().expect("a bound port").port()
}

/// The folder of `initdb` and `pg_ctl`.
fn binaries() -> PathBuf {
    if let Some(folder) = std::env::var_os("ATTRSYNC_PG_BIN").map(PathBuf::from) {
        assert!(complete(&folder), "ATTRSYNC_PG_BIN is {}, which lacks initdb or pg_ctl", folder.display());
        return folder;
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut candidates: Vec<PathBuf> = std::env::split_paths(&path).collect();
    for parent in ["/usr/lib/postgresql", "/opt/homebrew/opt", "/usr/local/opt"] {
        let mut versions: Vec<PathBuf> = fs::read_dir(parent)
            .into_iter()
            .flatten()
            .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
            .collect();
        versions.sort();
        candidates.extend(versions.into_iter().rev());
    }
    candidates.into_iter().find(|folder| complete(folder)).expect(
        "these tests need a Postgres server and found none: install one (apt-get install postgresql, \
         brew install postgresql), or set ATTRSYNC_PG_BIN to the folder that has initdb and pg_ctl",
    )
}

fn complete(folder: &Path) -> bool {
    ["initdb", "pg_ctl", "postgres"].iter().all(|name| folder.join(name).is_file())
}
