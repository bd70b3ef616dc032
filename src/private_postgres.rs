//! A private Postgres server from the programs of this machine. `attrsync demo`, the tests and the benchmarks use it.
//!
//! The server listens on a loopback port and ends with its value. A shell watches over it: when this process ends, in
//! whatever way, the shell's standard input closes, and the shell stops the server. Postgres refuses to run as root.
//! For root it runs as the user `nobody`, in a folder of that user below the temporary directory.

mod error;
mod programs;

use std::fs;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, chown, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};

pub use self::error::ServerError;
pub use self::programs::find;

/// The superuser of every private server.
const USER: &str = "postgres";

/// The user that runs the server for root, and its id on most systems.
const UNPRIVILEGED: (&str, u32) = ("nobody", 65_534);

/// How often another port is tried when a new server does not start.
const PORTS_TRIED: usize = 5;

/// Starts the server, prints a line, and stops the server when standard input closes.
/// `$1` programs, `$2` folder, `$3` settings, `$4` shutdown mode; the folder of an `immediate` shutdown is removed.
const WATCHDOG: &str = r#"
"$1/pg_ctl" -w -s -D "$2/data" -l "$2/server.log" -o "$3" start </dev/null >/dev/null 2>&1 || exit 1
echo ready
cat >/dev/null
"$1/pg_ctl" -w -s -D "$2/data" -m "$4" stop </dev/null >/dev/null 2>&1
[ "$4" = fast ] || rm -rf "$2"
"#;

/// A running Postgres server. It stops when the value is dropped.
#[derive(Debug)]
pub struct PrivatePostgres {
    programs: PathBuf,
    home: Home,
    port: u16,
    password: Option<String>,
    settings: String,
    watchdog: Child,
}

/// How a private server runs.
#[derive(Debug, Clone, Copy, Default)]
pub struct ServerOptions<'a> {
    /// Whether a commit waits for the disk (`fsync`).
    pub durable: bool,
    /// Further settings of `postgres`, each `name=value` without spaces.
    pub settings: &'a [&'a str],
}

/// The folder of a server.
#[derive(Debug)]
struct Home {
    folder: PathBuf,
    /// Whether the folder is removed with the server.
    is_temporary: bool,
    /// User and group that run the server, if they are not those of this process.
    user: Option<(u32, u32)>,
}

impl PrivatePostgres {
    /// Starts a new server in a temporary folder, without a password. The folder is removed with the server.
    /// Blocks for some seconds.
    ///
    /// # Errors
    ///
    /// Every [`ServerError`] but [`ServerError::Statement`].
    pub fn temporary(options: ServerOptions<'_>) -> Result<Self, ServerError> {
        let (programs, home) = (find()?, Home::temporary()?);
        initialise(&programs, &home, None)?;
        Self::start(programs, home, None, None, options)
    }

    /// Starts a new server with a random password. `place` must not exist yet: it becomes the server's folder, or for
    /// root a link to it, and stays when the server stops. Blocks for some seconds.
    ///
    /// # Errors
    ///
    /// Every [`ServerError`] but [`ServerError::Statement`].
    pub fn create(place: &Path, options: ServerOptions<'_>) -> Result<Self, ServerError> {
        let (programs, home) = (find()?, Home::create(place)?);
        let password = random_word()?;
        initialise(&programs, &home, Some(&password))?;
        Self::start(programs, home, None, Some(password), options)
    }

    /// Starts the server again that [`create`](Self::create) made at `place`. Blocks for some seconds.
    ///
    /// # Errors
    ///
    /// Every [`ServerError`] but [`ServerError::Statement`].
    pub fn again(
        place: &Path,
        port: u16,
        password: &str,
        options: ServerOptions<'_>,
    ) -> Result<Self, ServerError> {
        Self::start(find()?, Home::at(place)?, Some(port), Some(password.to_owned()), options)
    }

    fn start(
        programs: PathBuf,
        home: Home,
        port: Option<u16>,
        password: Option<String>,
        options: ServerOptions<'_>,
    ) -> Result<Self, ServerError> {
        // Another process may take a free port before the server does, so a new server tries several.
        for _ in 0..port.map_or(PORTS_TRIED, |_| 1) {
            let port = port.map_or_else(free_port, Ok)?;
            let settings = settings(port, options);
            if let Some(watchdog) = watch(&programs, &home, &settings)? {
                return Ok(Self { programs, home, port, password, settings, watchdog });
            }
        }
        let log = home.log();
        home.remove_if_temporary();
        Err(ServerError::NotStarted(log))
    }

    /// The server's port on the loopback address.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The address of a database, as `[source]` and `[ledger]` take it.
    pub fn url(&self, database: &str) -> String {
        let password = self.password.as_ref().map(|password| format!(":{password}")).unwrap_or_default();
        format!("postgres://{USER}{password}@127.0.0.1:{}/{database}", self.port)
    }

    /// Runs statements in the database `postgres`.
    ///
    /// # Errors
    ///
    /// [`ServerError::Statement`] if one of them fails.
    pub async fn execute(&self, sql: &str) -> Result<(), ServerError> {
        let mut options = PgConnectOptions::new_without_pgpass()
            .host("127.0.0.1")
            .port(self.port)
            .username(USER)
            .database("postgres")
            .ssl_mode(PgSslMode::Disable);
        if let Some(password) = &self.password {
            options = options.password(password);
        }
        let mut connection = options.connect().await?;
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await?;
        Ok(connection.close().await?)
    }

    /// Stops the server as a crash would: sessions are cut off, and there is no checkpoint.
    ///
    /// # Errors
    ///
    /// [`ServerError::Program`] if it could not be stopped.
    pub fn crash(&self) -> Result<(), ServerError> {
        self.control(&["-m", "immediate", "stop"])
    }

    /// Whether the server runs.
    pub fn is_running(&self) -> bool {
        self.control(&["status"]).is_ok()
    }

    /// Starts the server again after a [`crash`](Self::crash), on the same port.
    ///
    /// # Errors
    ///
    /// [`ServerError::Program`] if it did not start.
    pub fn recover(&self) -> Result<(), ServerError> {
        let log = self.home.folder.join("server.log").display().to_string();
        self.control(&["-l", &log, "-o", &self.settings, "start"])
    }

    /// Runs `pg_ctl`.
    fn control(&self, arguments: &[&str]) -> Result<(), ServerError> {
        let mut command = self.home.command(&self.programs.join("pg_ctl"));
        command.args(["-w", "-s", "-D"]).arg(self.home.data()).args(arguments);
        // A server that inherited a pipe would keep it open.
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let status = command.status()?;
        status.success().then_some(()).ok_or_else(|| ServerError::Program("pg_ctl", status.to_string()))
    }
}

impl Drop for PrivatePostgres {
    fn drop(&mut self) {
        // Waiting closes the watchdog's standard input first.
        let _ = self.watchdog.wait();
    }
}

impl Home {
    /// Makes a folder below the temporary directory. For root it belongs to the unprivileged user.
    fn temporary() -> Result<Self, ServerError> {
        let folder = std::env::temp_dir().join(format!("attrsync-postgres-{}", random_word()?));
        fs::create_dir(&folder)?;
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700))?;
        let is_root = fs::metadata(&folder)?.uid() == 0;
        let user = is_root.then(unprivileged);
        if let Some((user, group)) = user {
            chown(&folder, Some(user), Some(group))?;
        }
        Ok(Self { folder, is_temporary: true, user })
    }

    /// Makes the folder `place`, or for root a link at `place`.
    fn create(place: &Path) -> Result<Self, ServerError> {
        let home = Self::temporary()?;
        if home.user.is_some() {
            symlink(&home.folder, place)?;
        } else {
            fs::remove_dir(&home.folder)?;
            fs::create_dir(place)?;
            fs::set_permissions(place, fs::Permissions::from_mode(0o700))?;
        }
        Self::at(place)
    }

    /// The folder at `place`. The user that owns it runs the server.
    fn at(place: &Path) -> Result<Self, ServerError> {
        let folder = fs::canonicalize(place)?;
        let (link, target) = (fs::symlink_metadata(place)?, fs::metadata(place)?);
        let user = (link.uid() != target.uid()).then(|| (target.uid(), target.gid()));
        Ok(Self { folder, is_temporary: false, user })
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// The last lines of the server's log.
    fn log(&self) -> String {
        let text = fs::read_to_string(self.folder.join("server.log")).unwrap_or_default();
        let lines: Vec<_> = text.lines().rev().take(5).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    fn remove_if_temporary(&self) {
        if self.is_temporary {
            // What cannot be removed stays in the temporary directory.
            let _ = fs::remove_dir_all(&self.folder);
        }
    }

    /// A program that runs in the folder as the server's user.
    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        // A process group of its own: Ctrl-C must not end the watchdog before it has stopped the server.
        command.current_dir(&self.folder).env("LC_ALL", "C").process_group(0);
        if let Some((user, group)) = self.user {
            command.uid(user).gid(group);
        }
        command
    }
}

/// Makes the data folder with `initdb`.
fn initialise(programs: &Path, home: &Home, password: Option<&str>) -> Result<(), ServerError> {
    let file = home.folder.join("password");
    let mut command = home.command(&programs.join("initdb"));
    command
        .args(["--no-sync", "--encoding=UTF8", "--locale=C", "--username", USER, "--pgdata"])
        .arg(home.data());
    if let Some(password) = password {
        fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&file)?
            .write_all(password.as_bytes())?;
        if let Some((user, group)) = home.user {
            chown(&file, Some(user), Some(group))?;
        }
        command.arg("--auth=scram-sha-256").arg("--pwfile").arg(&file);
    } else {
        command.arg("--auth=trust");
    }
    let output = command.output()?;
    if password.is_some() {
        fs::remove_file(&file)?;
    }
    succeeded("initdb", &output)
}

/// The settings of the command line.
fn settings(port: u16, options: ServerOptions<'_>) -> String {
    let fsync = if options.durable { "on" } else { "off" };
    let fixed =
        format!("-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync={fsync}");
    options.settings.iter().fold(fixed, |all, setting| format!("{all} -c {setting}"))
}

/// Starts the watchdog with the server; `None` if the server did not start.
fn watch(programs: &Path, home: &Home, settings: &str) -> Result<Option<Child>, ServerError> {
    let shutdown = if home.is_temporary { "immediate" } else { "fast" };
    let mut watchdog = home
        .command(Path::new("/bin/sh"))
        .args(["-c", WATCHDOG, "watchdog"])
        .args([programs, &home.folder])
        .args([settings, shutdown])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let mut line = String::new();
    if let Some(stdout) = watchdog.stdout.take() {
        BufReader::new(stdout).read_line(&mut line)?;
    }
    if line == "ready\n" {
        return Ok(Some(watchdog));
    }
    watchdog.wait()?;
    Ok(None)
}

/// User and group of the unprivileged user on this machine.
fn unprivileged() -> (u32, u32) {
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let found = users.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        (fields.first() == Some(&UNPRIVILEGED.0)).then_some(())?;
        Some((fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?))
    });
    found.unwrap_or((UNPRIVILEGED.1, UNPRIVILEGED.1))
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// A word of 128 random bits.
fn random_word() -> io::Result<String> {
    let mut bytes = [0; 16];
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn succeeded(program: &'static str, output: &Output) -> Result<(), ServerError> {
    if output.status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&output.stderr);
    Err(ServerError::Program(program, format!("{}: {}", output.status, words.trim())))
}
