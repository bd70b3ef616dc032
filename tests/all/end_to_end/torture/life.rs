//! One store with its table, its ledger and its faults, all drawn from one seed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use attrsync::record::Key;
use attrsync::sandbox::{AttributeSpec, Logged, Model, QuotaRule, SandboxOptions};
use chrono::{DateTime, Utc};
use tokio::runtime::Runtime;

use super::disk::Disk;
use super::faults::Fault;
use super::ledger::{self, Ledger};
use super::proxy::Proxy;
use crate::end_to_end::world::{LedgerKind, World, until};
use crate::support::machine::needed;
use crate::support::postgres::Postgres;

/// Few values, so that a store can agree with a wrong ledger by chance.
const VALUES: [&str; 4] = ["red", "green", "blue", "gold"];

/// The share of the rows that leave the source in each round.
const REMOVED: f64 = 0.04;

/// The start of a value that the store rejects.
const BAD: &str = "!reject";

/// The database servers of a life, which its faults may stop.
pub(super) struct Servers {
    pub(super) source: Postgres,
    pub(super) ledger: Option<Postgres>,
}

impl Servers {
    pub(super) fn start(kind: LedgerKind) -> Self {
        Self { source: Postgres::own(), ledger: (kind == LedgerKind::Postgres).then(Postgres::own) }
    }

    /// Starts the servers that a fault left stopped.
    pub(super) fn mend(&self) {
        let stopped = |server: &&Postgres| !server.is_running();
        [Some(&self.source), self.ledger.as_ref()]
            .into_iter()
            .flatten()
            .filter(stopped)
            .for_each(Postgres::recover);
    }
}

pub(super) struct Life<'a> {
    pub(super) rng: fastrand::Rng,
    // Dropped before the folder that it is mounted in.
    pub(super) disk: Option<Disk>,
    pub(super) world: World,
    pub(super) servers: &'a Servers,
    pub(super) proxy: Proxy,
    /// The rows of the source.
    pub(super) desired: BTreeMap<Key, String>,
    /// How long a run without a fault takes.
    pub(super) usual: Duration,
    request_timeout: Duration,
    in_doubt_until: Instant,
    customers: i64,
    /// The ledger's file, unless it is in Postgres.
    ledger_file: Option<PathBuf>,
    ledgers: u32,
    runs: u32,
    // Dropped last, after everything that runs on it.
    _runtime: Runtime,
}

impl<'a> Life<'a> {
    pub(super) fn new(seed: u64, kind: LedgerKind, servers: &'a Servers, request_timeout: Duration) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let ledger_url = match &servers.ledger {
            Some(server) => server.database(),
            None => "sqlite:disk/ledger-0.db".to_owned(),
        };
        let world = World::among(servers.source.database(), ledger_url);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let proxy = Proxy::start(runtime.handle(), world.address);
        let folder = world.path().join("disk");
        fs::create_dir(&folder).expect("a folder");
        fs::create_dir(world.path().join("runs")).expect("a folder");
        {
            let mut store = world.store();
            let client_timeout = request_timeout;
            // A short window, because a run waits to its end if the store asks it to.
            let quota = QuotaRule { window_ms: 1_000, ..store.options.quota };
            *store = Model::new(SandboxOptions { seed, client_timeout, quota, ..store.options.clone() });
            (1..=3)
                .for_each(|id| store.add_attribute(AttributeSpec::new(id, &format!("text_{id}"), "string")));
        }
        let disk = match kind {
            LedgerKind::File => {
                needed("mount", Disk::mount(&folder), "run the tests as a user that may mount a tmpfs")
            }
            LedgerKind::Postgres => None,
        };
        let ledger_file = (kind == LedgerKind::File).then(|| folder.join("ledger-0.db"));
        let life = Self {
            customers: rng.i64(150..=300),
            rng,
            world,
            servers,
            proxy,
            disk,
            desired: BTreeMap::new(),
            usual: Duration::from_millis(300),
            request_timeout,
            in_doubt_until: Instant::now(),
            ledger_file,
            ledgers: 0,
            runs: 0,
            _runtime: runtime,
        };
        life.configure(false);
        life
    }

    /// Writes the configuration. A slow source waits 20 seconds before its first row.
    pub(super) fn configure(&self, slow_source: bool) {
        let world = &self.world;
        let timeout = format!("request_timeout = \"{}s\"\nmax_attempts = 3", self.request_timeout.as_secs());
        let mut text = world.config("").replace(&world.address.to_string(), &self.proxy.address.to_string());
        text = text.replace("request_timeout = \"1s\"", &timeout);
        if slow_source {
            let query =
                "select customer_id, attribute_id, value from customer_attribute_values, pg_sleep(20)";
            text = text.replace("table = \"customer_attribute_values\"", &format!("query = \"{query}\""));
        }
        // A night here changes more than an ordinary one. The canary stays.
        for limit in ["max_updates", "max_deletes", "max_emptied", "max_mangled", "max_shrink"] {
            let section = if text.contains("[guard]") { "" } else { "[guard]\n" };
            text += &format!("{section}{limit} = \"100%\"\n");
        }
        text += "[missing]\naction = \"delete\"\n";
        world.write_config(&text);
    }

    /// Continues with an empty store and a new ledger, when no older request can still be applied.
    pub(super) fn start_over(&mut self) {
        self.wait_for_delayed_requests();
        self.ledgers += 1;
        let name = format!("ledger-{}.db", self.ledgers);
        self.world.ledger_url = match &mut self.ledger_file {
            Some(path) => {
                path.set_file_name(&name);
                format!("sqlite:disk/{name}")
            }
            None => self.servers.ledger.as_ref().expect("a server").database(),
        };
        self.configure(false);
        let mut store = self.world.store();
        let keys: Vec<_> = store.values().map(|(key, _)| key).collect();
        keys.into_iter().for_each(|key| store.set_value(key, None));
        store.reset_log();
    }

    /// The file of the ledger, unless it is in Postgres.
    pub(super) fn ledger_file(&self) -> Option<&PathBuf> {
        self.ledger_file.as_ref()
    }

    /// Reads the ledger; `None` if there is none yet.
    pub(super) fn ledger(&self) -> Option<Ledger> {
        ledger::read(&self.world)
    }

    /// Changes this share of the source's values, removes some rows, and sometimes makes a value bad.
    pub(super) fn edit(&mut self, share: f64) {
        for customer in 1..=self.customers {
            for attribute in 1..=2 {
                let key = Key::new(customer, attribute);
                let is_bad = self.desired.get(&key).is_some_and(|value| value.starts_with(BAD));
                if self.desired.contains_key(&key) && self.rng.f64() < REMOVED {
                    self.desired.remove(&key);
                } else if is_bad || !self.desired.contains_key(&key) || self.rng.f64() < share {
                    self.desired.insert(key, VALUES[self.rng.usize(..VALUES.len())].to_owned());
                }
            }
        }
        if self.rng.u8(..6) == 0 {
            let key = Key::new(self.rng.i64(1..=self.customers), 1);
            self.desired.insert(key, format!("{BAD} {}", self.rng.u8(..3)));
        }
        let rows = self
            .desired
            .iter()
            .map(|(key, value)| format!("({}, {}, '{value}')", key.customer_id, key.attribute_id));
        let rows = rows.collect::<Vec<_>>().join(", ");
        self.world.execute(&format!(
            "truncate customer_attribute_values; insert into customer_attribute_values values {rows}"
        ));
    }

    /// Changes a value in the store, as another app would. The next reading compares it: no request for it is in doubt,
    /// and no killed reading is left that would go on with older pages.
    pub(super) fn change_in_store(&mut self) {
        self.world.run(&["reconcile"]).exits(0);
        let keys = self.world.ask(
            "select customer_id, attribute_id from entries where belief = 'confirmed' and in_doubt_until is null",
        );
        let row = &keys[self.rng.usize(..keys.len())];
        let id = |name: &str| row[name].as_i64().expect("an id");
        self.world.store().set_value(Key::new(id("customer_id"), id("attribute_id")), Some("theirs"));
    }

    /// The keys whose value the store rejects.
    pub(super) fn bad(&self) -> BTreeSet<Key> {
        let bad = self.desired.iter().filter(|(_, value)| value.starts_with(BAD));
        bad.map(|(key, _)| *key).collect()
    }

    /// The write requests that the store saw after the first `number`.
    pub(super) fn writes_from(&self, number: usize) -> Vec<Logged> {
        self.world.writes().split_off(number)
    }

    /// How many write requests the store has seen.
    pub(super) fn written(&self) -> usize {
        self.world.store().requests().filter(|request| matches!(request.method, "PUT" | "DELETE")).count()
    }

    /// Starts `attrsync sync`.
    pub(super) fn sync(&mut self) -> Run {
        self.start(self.world.program(&["sync", "--json"]))
    }

    /// Starts the program. Its output goes to files of its own.
    pub(super) fn start(&mut self, mut command: Command) -> Run {
        self.runs += 1;
        let path = self.world.path().join("runs").join(format!("{:03}", self.runs));
        let file = |extension| File::create(path.with_extension(extension)).expect("a file");
        command.stdin(Stdio::null()).stdout(file("out")).stderr(file("err"));
        let since = Utc::now();
        Run { child: command.spawn().expect("the program starts"), path, since, began: Instant::now() }
    }

    /// Sleeps for a random part of what a run usually takes.
    pub(super) fn doze(&mut self) {
        std::thread::sleep(self.usual.mul_f64(self.rng.f64() * 1.1));
    }

    /// Undoes what a fault may have left.
    pub(super) fn heal(&mut self) {
        self.proxy.open();
        if let Some(disk) = &self.disk {
            disk.make_room();
        }
        let mut store = self.world.store();
        store.heal();
        store.options.latency = Duration::from_millis(3);
    }

    /// Whether this machine can produce the fault.
    pub(super) fn allows(&self, fault: Fault) -> bool {
        fault != Fault::DiskFull || self.disk.is_some()
    }

    /// Notes whether the store delays a request that came after the first `from`.
    pub(super) fn note_delayed_requests(&mut self, from: usize) {
        let is_delayed = |write: &Logged| matches!(write.fault.as_deref(), Some("late" | "slow"));
        if self.writes_from(from).iter().any(is_delayed) {
            self.in_doubt_until = Instant::now() + self.request_timeout * 2;
        }
    }

    /// Waits until no request can still be applied.
    pub(super) fn wait_for_delayed_requests(&self) {
        let rest = self.in_doubt_until.saturating_duration_since(Instant::now());
        std::thread::sleep(rest.max(Duration::from_millis(50)));
    }

    /// Drops the databases of this life.
    pub(super) fn end(self) {
        let drop = |server: &Postgres, url: &str| {
            let (server_url, name) = url.rsplit_once('/').expect("a database");
            debug_assert!(server_url.ends_with(&server.port().to_string()));
            self.world
                .execute_at(&format!("{server_url}/postgres"), &format!("drop database {name} with (force)"));
        };
        drop(&self.servers.source, &self.world.source_url);
        if let Some(server) = &self.servers.ledger {
            drop(server, &self.world.ledger_url);
        }
    }

    /// Keeps the folder for inspection, with what the store and the ledger hold, and returns its path.
    pub(super) fn keep(mut self, why: &str) -> PathBuf {
        let folder = self.world.path().to_owned();
        let write = |name: &str, text: String| fs::write(folder.join(name), text).expect("a file");
        write("failure.txt", format!("{why}\n"));
        {
            let store = self.world.store();
            let values: Vec<_> = store.values().map(|(key, value)| format!("{key}: {value}")).collect();
            write("store-values.txt", values.join("\n"));
            let seen: Vec<_> = store.requests().map(|request| format!("{request:?}")).collect();
            write("store-requests.txt", seen.join("\n"));
        }
        let rows: Vec<_> = self.desired.iter().map(|(key, value)| format!("{key}: {value}")).collect();
        write("source.txt", rows.join("\n"));
        for table in ["runs", "requests", "changes", "entries"] {
            let told = self.world.run(&["sql", &format!("select * from {table}"), "--csv"]);
            write(&format!("ledger-{table}.csv"), told.out);
        }
        if self.disk.is_some() {
            let kept = folder.join("disk-kept");
            let copied = Command::new("cp").arg("-a").args([&folder.join("disk"), &kept]).status();
            assert!(copied.is_ok_and(|status| status.success()), "the ledger's disk could not be kept");
        }
        self.world.folder.disable_cleanup(true);
        folder
    }
}

/// A run of the program. Dropping it kills the program.
pub(super) struct Run {
    child: Child,
    path: PathBuf,
    /// The wall-clock time of its start.
    pub(super) since: DateTime<Utc>,
    pub(super) began: Instant,
}

/// How a run ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) code: Option<i32>,
    pub(super) signal: Option<i32>,
    #[allow(dead_code, reason = "shown when a promise is broken")]
    err: String,
}

impl Run {
    pub(super) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        // It may have ended just now.
        let _ = Command::new("kill").args([&format!("-{name}"), &id]).stderr(Stdio::null()).status();
    }

    pub(super) fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("it can be asked").is_some()
    }

    /// What it has printed to stderr.
    pub(super) fn heard(&self) -> String {
        fs::read_to_string(self.path.with_extension("err")).expect("the file")
    }

    /// Waits until the condition is true or the run has ended, and returns whether the condition is true.
    pub(super) fn until(&mut self, what: &str, mut condition: impl FnMut() -> bool) -> bool {
        let mut so = false;
        until(what, || {
            so = condition();
            so || self.has_ended()
        });
        so
    }

    pub(super) fn end(mut self) -> Ended {
        until("the run ends", || self.has_ended());
        let status = self.child.wait().expect("it has ended");
        Ended { code: status.code(), signal: status.signal(), err: self.heard() }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
