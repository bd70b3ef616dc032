//! How long a run for one customer takes from its start to its write request, in a table and a ledger of a million values.
//!
//! `cargo bench --bench targeted -- [ROWS] [ROUNDS]`: 1,000,000 rows and 50 rounds unless given. Each round changes one
//! value in Postgres, opens the ledger, makes the source and the store's client, and syncs that customer. The medians
//! are printed. The store is the sandbox over HTTP without latency, on a thread of its own.

#![allow(clippy::print_stdout, reason = "its figures are its output")]

#[path = "../tests/all/support/postgres.rs"]
mod postgres;

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use attrsync::clock::SystemClock;
use attrsync::config::{PushConfig, Relation, Secret, SourceConfig};
use attrsync::destination::bigcommerce::{BigCommerce, BigCommerceOptions};
use attrsync::destination::{
    Attribute, CustomerAddress, Destination, Echo, Item, ReadError, Response, ValueList, ValuePage,
};
use attrsync::engine::{self, Options, Ports, Progress};
use attrsync::ledger::Ledger;
use attrsync::ledger::postgres::PostgresLedger;
use attrsync::ledger::sqlite::SqliteLedger;
use attrsync::record::{Filter, Key, StoreName, Trigger};
use attrsync::sandbox::{Model, SandboxOptions, Server};
use attrsync::source::postgres::PostgresSource;
use attrsync::waits::Waits;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tokio::sync::watch;

const TABLE: &str = "customer_attribute_values";

/// The stages of a run, each with when it ended.
const STAGES: [&str; 7] =
    ["ledger opened", "client made", "run opened", "attributes read", "planned", "request sent", "run ended"];

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut numbers = std::env::args().skip(1).filter_map(|argument| argument.parse::<u64>().ok());
    let (rows, rounds) = (numbers.next().unwrap_or(1_000_000), numbers.next().unwrap_or(50));
    let name = store(i64::try_from(rows / 3 + 1).expect("fewer rows"));
    let url = postgres::Postgres::durable().database();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ledger.db");
    fill(rows, &url, &path, &name).await;
    println!(
        "{rows} rows, {rounds} rounds; milliseconds since the start of a run for one customer (medians)\n"
    );
    println!("{:<10} {}", "ledger", STAGES.map(|stage| format!("{stage:>16}")).join(""));
    for ledger in ["SQLite", "Postgres"] {
        let mut all: Vec<[Duration; 7]> = Vec::new();
        for round in 0..rounds {
            let customer = 1 + i64::try_from(round * 997 % (rows / 3)).expect("fewer rows");
            change(&url, customer, &format!("{ledger} {round}")).await;
            all.push(run(ledger, &url, &path, &name, customer).await);
        }
        let medians = (0..STAGES.len()).map(|stage| {
            let mut times: Vec<Duration> = all.iter().map(|times| times[stage]).collect();
            times.sort();
            format!("{:>16.1}", times[times.len() / 2].as_secs_f64() * 1e3)
        });
        println!("{ledger:<10} {}", medians.collect::<String>());
    }
}

/// Syncs one customer as a new process would, and returns when each stage ended.
async fn run(ledger: &str, url: &str, path: &Path, name: &StoreName, customer: i64) -> [Duration; 7] {
    let start = Instant::now();
    let opened: Box<dyn Ledger> = match ledger {
        "SQLite" => Box::new(SqliteLedger::open(path, name).await.expect("a SQLite ledger")),
        _ => Box::new(PostgresLedger::open(url, name).await.expect("a Postgres ledger")),
    };
    let opened_at = start.elapsed();
    let (source, destination) = (source(url), Watched::new(name));
    let made_at = start.elapsed();
    let run_opened = Mutex::new(Duration::ZERO);
    let planned = Mutex::new(Duration::ZERO);
    let progress = |progress| match progress {
        Progress::Opened(_) => *run_opened.lock().expect("one thread") = start.elapsed(),
        Progress::Planned(_) => *planned.lock().expect("one thread") = start.elapsed(),
        _ => {}
    };
    let ports = Ports {
        source: &source,
        ledger: &*opened,
        destination: &destination,
        clock: &SystemClock,
        progress: &progress,
        waits: &Waits::default(),
    };
    let filter = Filter { customers: [customer].into(), ..Filter::default() };
    let options = Options { filter, trigger: Trigger::Change, ..Options::default() };
    let (_ask, stop) = watch::channel(false);
    let report = engine::sync(ports, &PushConfig::default(), &options, stop).await.expect("a run");
    assert_eq!(report.counts.confirmed, 1, "{report:?}");
    let since = |at: &Mutex<Option<Instant>>| at.lock().expect("one thread").expect("it came") - start;
    [
        opened_at,
        made_at,
        *run_opened.lock().expect("one thread"),
        since(&destination.read),
        *planned.lock().expect("one thread"),
        since(&destination.sent),
        start.elapsed(),
    ]
}

/// The client, which notes when the attributes were read and when the write request left.
struct Watched {
    client: BigCommerce,
    read: Mutex<Option<Instant>>,
    sent: Mutex<Option<Instant>>,
}

impl Watched {
    fn new(name: &StoreName) -> Self {
        let options = BigCommerceOptions {
            name: name.clone(),
            token: Secret::new("sandbox-token"),
            request_timeout: Duration::from_secs(60),
            quota_reserve: 0.2,
            workers: 3,
        };
        let client = BigCommerce::new(options).expect("a client");
        Self { client, read: Mutex::default(), sent: Mutex::default() }
    }
}

#[async_trait]
impl Destination for Watched {
    async fn acquire_permit(&self) {
        self.client.acquire_permit().await;
    }

    async fn upsert(&self, items: &[Item<'_>]) -> Response {
        *self.sent.lock().expect("one thread") = Some(Instant::now());
        self.client.upsert(items).await
    }

    async fn delete(&self, ids: &[i64]) -> Response {
        self.client.delete(ids).await
    }

    async fn fetch(&self, keys: &[Key]) -> Result<Vec<Echo>, ReadError> {
        self.client.fetch(keys).await
    }

    async fn values(&self, list: &ValueList, page: u64) -> Result<ValuePage, ReadError> {
        self.client.values(list, page).await
    }

    async fn attributes(&self) -> Result<Vec<Attribute>, ReadError> {
        let attributes = self.client.attributes().await;
        *self.read.lock().expect("one thread") = Some(Instant::now());
        attributes
    }

    async fn customers(&self, ids: &[i64]) -> Result<Vec<i64>, ReadError> {
        self.client.customers(ids).await
    }

    async fn customers_by_email(&self, addresses: &[&str]) -> Result<Vec<CustomerAddress>, ReadError> {
        self.client.customers_by_email(addresses).await
    }
}

fn source(url: &str) -> PostgresSource {
    let config = SourceConfig::new(Secret::new(url), Relation::Table(TABLE.to_owned()));
    PostgresSource::new(&config).expect("a source")
}

async fn change(url: &str, customer: i64, value: &str) {
    let mut connection = PgConnection::connect(url).await.expect("the source");
    let update =
        format!("update {TABLE} set value = '{value}' where customer_id = {customer} and attribute_id = 1");
    connection.execute(AssertSqlSafe(update)).await.expect("an update");
}

/// A table of so many rows, three values a customer, and two ledgers that have confirmed all of them.
async fn fill(rows: u64, url: &str, path: &Path, name: &StoreName) {
    let mut connection = PgConnection::connect(url).await.expect("the source");
    let values = format!(
        "create table {TABLE} (customer_id bigint, attribute_id bigint, value text not null);
         insert into {TABLE} select 1 + i / 3, 1 + i % 3, 'value ' || i from generate_series(0::bigint, {rows} - 1) as i;
         alter table {TABLE} add primary key (customer_id, attribute_id)"
    );
    connection.execute(AssertSqlSafe(values)).await.expect("a filled table");
    drop(SqliteLedger::open(path, name).await.expect("a SQLite ledger"));
    drop(PostgresLedger::open(url, name).await.expect("a Postgres ledger"));
    let entries = "insert into attrsync.entries
             (store_id, customer_id, attribute_id, value, value_id, belief, run_id, updated_at)
         select (select id from attrsync.stores), customer_id, attribute_id, value, customer_id * 3, 'confirmed', 1, now()
         from customer_attribute_values order by 2, 3";
    connection.execute(entries).await.expect("filled entries");
    connection.execute("vacuum analyze").await.expect("a vacuum");
    let direct = rusqlite::Connection::open(path).expect("the ledger");
    direct
        .execute(
            "insert into entries (store_id, customer_id, attribute_id, value, value_id, belief, run_id, updated_at)
             with recursive n (i) as (select 0 union all select i + 1 from n where i < ?1 - 1)
             select (select id from stores), 1 + i / 3, 1 + i % 3, 'value ' || i, (1 + i / 3) * 3, 'confirmed', 1,
                    '2026-01-01T00:00:00.000000Z' from n",
            [i64::try_from(rows).expect("fewer rows")],
        )
        .expect("filled entries");
}

/// A store on a thread of its own, whose quota is never used up.
fn store(customers: i64) -> StoreName {
    let mut options = SandboxOptions { customers, latency: Duration::ZERO, ..SandboxOptions::default() };
    options.quota.requests = 16_000_000;
    let model = Arc::new(Mutex::new(Model::new(options)));
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let server = Server::start("127.0.0.1:0", model).await.expect("a server");
            tell.send(server.addr).expect("the benchmark waits");
            std::future::pending::<()>().await;
        });
    });
    StoreName::new(&format!("http://{}", told.recv().expect("an address")), "sandbox")
}
