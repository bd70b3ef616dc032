//! A private Postgres from the machine's own programs: on loopback only, with its own password, stopped when dropped.
//!
//! Postgres refuses to run as root. For root it runs as `nobody`, in a temporary folder of that user, and the demo's
//! folder links to it.

use std::ffi::OsStr;
use std::fs;
use std::io::Read as _;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, chown, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::cli::failure::Failure;

/// How long the server may take to start.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// The database user of the demo.
const USER: &str = "demo";

/// The unprivileged user that replaces root, and its number on most systems.
const NOBODY: (&str, u32) = ("nobody", 65534);

/// A database server that ends with this value.
#[derive(Debug)]
pub(crate) struct PrivatePostgres {
    bin: PathBuf,
    home: Home,
    port: u16,
    password: String,
    server: Child,
}

/// The folder of the data, and the user that runs the server there.
#[derive(Debug)]
struct Home {
    folder: PathBuf,
    /// User and group, if they differ from those of this process.
    user: Option<(u32, u32)>,
}

impl PrivatePostgres {
    /// Makes a new database cluster under `demo` and starts it on a free port.
    pub(crate) async fn create(demo: &Path) -> Result<Self, Failure> {
        let bin = binaries()?;
        let home = Home::make(demo)?;
        let password = random_word()?;
        let password_file = home.folder.join("password");
        fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&password_file)
            .and_then(|mut file| std::io::Write::write_all(&mut file, password.as_bytes()))?;
        home.own(&password_file)?;
        let output = home
            .command(&bin.join("initdb"))
            .args(["--no-sync", "--encoding=UTF8", "--locale=C", "--auth=scram-sha-256"])
            .args(["--username", USER, "--pwfile"])
            .arg(&password_file)
            .arg("--pgdata")
            .arg(home.data())
            .output()?;
        // The demo's sync.toml has the password too; one place is enough.
        fs::remove_file(&password_file)?;
        succeeded("initdb", &output)?;
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        Self::serve(bin, home, port, password).await
    }

    /// Starts the cluster that [`create`](Self::create) made under `demo`.
    pub(crate) async fn restart(demo: &Path, port: u16, password: &str) -> Result<Self, Failure> {
        let home = Home::of(demo).map_err(|error| {
            Failure::new(format!("the demo's database is missing: {error}"))
                .hint("remove the demo's folder and run `attrsync demo` again")
        })?;
        Self::serve(binaries()?, home, port, password.to_owned()).await
    }

    async fn serve(bin: PathBuf, home: Home, port: u16, password: String) -> Result<Self, Failure> {
        let log = fs::OpenOptions::new().create(true).append(true).open(home.folder.join("server.log"))?;
        let server = home
            .command(&bin.join("postgres"))
            .arg("-D")
            .arg(home.data())
            .args(["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="])
            .args(["-c", "fsync=off", "-c", &format!("port={port}")])
            // Ctrl-C signals the terminal's whole process group; this server is stopped when it is dropped.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        let mut postgres = Self { bin, home, port, password, server };
        postgres.ready().await?;
        Ok(postgres)
    }

    /// Waits until the server's own status file says that it takes connections.
    async fn ready(&mut self) -> Result<(), Failure> {
        let deadline = Instant::now() + START_TIMEOUT;
        let pid_file = self.home.data().join("postmaster.pid");
        loop {
            let status = fs::read_to_string(&pid_file).unwrap_or_default();
            let pid = self.server.id().to_string();
            if status.lines().next() == Some(&pid)
                && status.lines().nth(7).is_some_and(|line| line.trim() == "ready")
            {
                return Ok(());
            }
            if self.server.try_wait()?.is_some() || Instant::now() > deadline {
                let log = self.home.folder.join("server.log");
                return Err(Failure::new("the private Postgres did not start")
                    .hint(format!("its log is {}", log.display())));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The address as `[source]` takes it.
    pub(crate) fn url(&self) -> String {
        format!("postgres://{USER}:{}@127.0.0.1:{}/postgres", self.password, self.port)
    }

    /// Runs statements on it.
    pub(crate) fn run(&self, sql: &str) -> Result<(), Failure> {
        let output = Command::new(self.bin.join("psql"))
            .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-c", sql])
            .env("PGHOST", "127.0.0.1")
            .env("PGPORT", self.port.to_string())
            .env("PGUSER", USER)
            .env("PGDATABASE", "postgres")
            .env("PGPASSWORD", &self.password)
            .stdin(Stdio::null())
            .output()?;
        succeeded("psql", &output)
    }
}

impl Drop for PrivatePostgres {
    fn drop(&mut self) {
        let stopped = self
            .home
            .command(&self.bin.join("pg_ctl"))
            .args(["stop", "-m", "fast", "-w", "-D"])
            .arg(self.home.data())
            .output();
        if !stopped.is_ok_and(|output| output.status.success()) {
            // It may have ended already.
            let _ = self.server.kill();
        }
        let _ = self.server.wait();
    }
}

impl Home {
    /// A new folder in `demo`; for root a link there to a folder that `nobody` owns.
    fn make(demo: &Path) -> Result<Self, Failure> {
        let place = demo.join("postgres");
        if fs::metadata(demo)?.uid() == 0 {
            let folder = std::env::temp_dir().join(format!("attrsync-demo-{}", random_word()?));
            fs::create_dir(&folder)?;
            let (user, group) = nobody();
            chown(&folder, Some(user), Some(group))?;
            symlink(&folder, &place)?;
        } else {
            fs::create_dir(&place)?;
        }
        let home = Self::of(demo)?;
        fs::set_permissions(&home.folder, fs::Permissions::from_mode(0o700))?;
        Ok(home)
    }

    /// Opens the existing folder. The server runs as the folder's owner, if that is not the owner of the demo.
    fn of(demo: &Path) -> std::io::Result<Self> {
        let folder = fs::canonicalize(demo.join("postgres"))?;
        let owner = fs::metadata(&folder)?;
        let user = (owner.uid() != fs::metadata(demo)?.uid()).then(|| (owner.uid(), owner.gid()));
        Ok(Self { folder, user })
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn own(&self, path: &Path) -> std::io::Result<()> {
        self.user.map_or(Ok(()), |(user, group)| chown(path, Some(user), Some(group)))
    }

    /// A program that runs here as the folder's owner.
    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.folder).env("LC_ALL", "C");
        if let Some((user, group)) = self.user {
            command.uid(user).gid(group);
        }
        command
    }
}

/// User and group of `nobody` on this machine.
fn nobody() -> (u32, u32) {
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    users
        .lines()
        .find_map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            (fields.first() == Some(&NOBODY.0)).then_some(())?;
            Some((fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?))
        })
        .unwrap_or((NOBODY.1, NOBODY.1))
}

/// The folder with Postgres' programs.
fn binaries() -> Result<PathBuf, Failure> {
    let named: Vec<PathBuf> = std::env::var_os("ATTRSYNC_PG_BIN").map(PathBuf::from).into_iter().collect();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let candidates = named
        .into_iter()
        .chain(std::env::split_paths(&path))
        .chain(versions("/usr/lib/postgresql", ""))
        .chain(versions("/opt/homebrew/opt", "postgresql"))
        .chain(versions("/usr/local/opt", "postgresql"));
    let complete = |folder: &PathBuf| {
        ["initdb", "postgres", "pg_ctl", "psql"].iter().all(|program| folder.join(program).is_file())
    };
    candidates.into_iter().find(complete).ok_or_else(|| {
        Failure::new("the demo needs Postgres' programs (initdb, postgres, pg_ctl, psql) and found none")
            .hint("install PostgreSQL 14 or later, or name the folder of its programs in ATTRSYNC_PG_BIN")
    })
}

/// The `bin` folders of the installed versions, newest first.
fn versions(root: &str, prefix: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(root).into_iter().flatten().flatten();
    let mut found: Vec<(u32, PathBuf)> = entries
        .filter_map(|entry| {
            let name = entry.file_name();
            let name = name.to_str()?.strip_prefix(prefix)?;
            Some((name.trim_start_matches('@').parse().unwrap_or(0), entry.path().join("bin")))
        })
        .collect();
    found.sort();
    found.into_iter().rev().map(|(_, folder)| folder).collect()
}

/// Returns 128 random bits as a word.
fn random_word() -> Result<String, Failure> {
    let mut bytes = [0; 16];
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn succeeded(program: impl AsRef<OsStr>, output: &Output) -> Result<(), Failure> {
    if output.status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&output.stderr);
    let program = program.as_ref().display();
    Err(Failure::new(format!("{program} failed ({}): {}", output.status, words.trim())))
}
