//! How long a change of one row takes from its commit to the store, while a nightly run of another store is on.
//!
//! `cargo bench --bench on_change -- [CHANGES]` (100 unless given). One `attrsync serve` has two stores that take 50 ms a
//! call: first with a SQLite ledger each, then with one Postgres ledger. The source has the triggers of `attrsync init --trigger`. The
//! changes are committed 0.2 to 2.2 seconds apart.

#![allow(clippy::print_stdout, reason = "its figures are its output")]

#[path = "../tests/all/support/postgres.rs"]
mod postgres;

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use attrsync::config::Secret;
use attrsync::record::Key;
use attrsync::sandbox::{Counting, Limits, Model, SandboxOptions, Server};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tokio::time::sleep;

const TOKEN: &str = "bench-token";
const LATENCY: Duration = Duration::from_millis(50);
const CUSTOMERS: i64 = 30_000;

/// So many that their run does not end while the changes are measured.
const NIGHTLY_CUSTOMERS: i64 = 1_000_000;

#[tokio::main]
async fn main() {
    let changes: u64 = std::env::args().skip(1).find_map(|arg| arg.parse().ok()).unwrap_or(100);
    println!(
        "{changes} changes, {} ms a call; milliseconds from the commit to the store\n",
        LATENCY.as_millis()
    );
    println!("{:<10} {:>8} {:>8} {:>8} {:>8}", "ledger", "least", "median", "90 %", "most");
    for ledger in ["SQLite", "Postgres"] {
        let mut times = measure(ledger, changes).await;
        times.sort();
        let at = |share: usize| times[(times.len() - 1) * share / 100].as_millis();
        println!("{ledger:<10} {:>8} {:>8} {:>8} {:>8}", at(0), at(50), at(90), at(100));
    }
}

/// Commits the changes one after the other, and returns how long each took.
async fn measure(ledger: &str, changes: u64) -> Vec<Duration> {
    let database = postgres::Postgres::durable();
    let url = database.database();
    let folder = tempfile::tempdir().expect("a folder");
    let ledger = |name: &str| match ledger {
        "SQLite" => format!("sqlite:{name}.db"),
        _ => url.clone(),
    };
    let mut connection = PgConnection::connect(&url).await.expect("the source");
    let table = |name: &str, customers: i64| {
        format!(
            "create table {name} (customer_id bigint, attribute_id bigint, value text, primary key (customer_id, attribute_id));
             insert into {name} select c, 1, 'value' from generate_series(1, {customers}) c;"
        )
    };
    let tables = table("customer_attribute_values", CUSTOMERS) + &table("nightly", NIGHTLY_CUSTOMERS);
    connection.execute(AssertSqlSafe(tables)).await.expect("the tables");
    let shop = Store::start(CUSTOMERS).await;
    let nightly = Store::start(NIGHTLY_CUSTOMERS).await;
    let file = |name: &str, table: &str, store: &Store, schedule: &str| {
        let config = format!(
            "[source]\nurl = \"{url}\"\ntable = \"{table}\"\n[store]\nhash = \"sandbox\"\naccess_token = \"{TOKEN}\"\n\
             api_url = \"http://{}\"\n[ledger]\nurl = \"{}\"\n[schedule]\n{schedule}\n",
            store.server.addr,
            ledger(table)
        );
        std::fs::write(folder.path().join(name), config).expect("a file");
    };
    file("shop.toml", "customer_attribute_values", &shop, "listen = \"attrsync\"");
    let triggers = attrsync(folder.path()).args(["init", "--trigger", "--config", "shop.toml"]).output();
    let triggers = String::from_utf8(triggers.expect("the triggers").stdout).expect("SQL");
    connection.execute(AssertSqlSafe(triggers)).await.expect("the triggers");
    let first = attrsync(folder.path()).args(["sync", "-q", "--config", "shop.toml"]).status();
    assert!(first.expect("a sync").success(), "the first sync");
    for store in [&shop, &nightly] {
        store.model.lock().expect("the store").options.latency = LATENCY;
    }
    file("nightly.toml", "nightly", &nightly, "every = \"24h\"");
    let _serve = Serve::start(folder.path());
    nightly.wait_for(Key::new(1, 1), "value").await;
    let mut rng = fastrand::Rng::with_seed(changes);
    let mut times = Vec::new();
    for change in 0..changes {
        let pause = Duration::from_millis(rng.u64(200..2_200));
        sleep(pause).await;
        let (customer, value) = (rng.i64(1..=CUSTOMERS), format!("change {change}"));
        let update =
            format!("update customer_attribute_values set value = '{value}' where customer_id = {customer}");
        connection.execute(AssertSqlSafe(update)).await.expect("a change");
        let committed = Instant::now();
        shop.wait_for(Key::new(customer, 1), &value).await;
        times.push(committed.elapsed());
    }
    let sent = nightly.model.lock().expect("the store").values().count();
    assert!(sent < NIGHTLY_CUSTOMERS as usize, "the nightly run ended before the last change");
    times
}

/// A simulated store.
struct Store {
    server: Server,
    model: Arc<Mutex<Model>>,
}

impl Store {
    /// Starts a store without latency.
    async fn start(customers: i64) -> Self {
        let mut options = SandboxOptions {
            token: Secret::new(TOKEN),
            customers,
            latency: Duration::ZERO,
            limits: Limits { counting: Counting::Customers, ..Limits::default() },
            ..SandboxOptions::default()
        };
        options.quota.requests = 1_000_000;
        let model = Arc::new(Mutex::new(Model::new(options)));
        let server = Server::start("127.0.0.1:0", Arc::clone(&model)).await.expect("a store");
        Self { server, model }
    }

    /// Waits until the store holds the value.
    async fn wait_for(&self, key: Key, value: &str) {
        let started = Instant::now();
        while self.model.lock().expect("the store").value(key) != Some(value) {
            assert!(started.elapsed() < Duration::from_secs(60), "{key} never arrived");
            sleep(Duration::from_millis(2)).await;
        }
    }
}

/// A running `attrsync serve`, which is killed when this is dropped.
struct Serve(Child);

impl Serve {
    fn start(folder: &Path) -> Self {
        let serve = ["serve", "-q", "--address", "127.0.0.1:0", "--config-dir", "."];
        Self(attrsync(folder).args(serve).stdout(Stdio::null()).spawn().expect("serve starts"))
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn attrsync(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_attrsync"));
    command.current_dir(folder);
    command
}
