//! What customers by e-mail address cost: requests, time and memory of the first night, which looks up every address, and of the
//! second, which looks up none, beside a plan of the same rows by customer id.
//!
//! `cargo bench --bench emails -- [CUSTOMERS] [ATTRIBUTES] [LATENCY_MS]` (300,000 with one attribute each and 2 ms unless given).
//! Starts a Postgres of its own; the store is in the same process, and has no rate quota. No value is sent: the rows
//! are NULL in the first night, and the others make a plan.

#![allow(clippy::print_stdout, reason = "its figures are its output")]

#[path = "../tests/all/support/postgres.rs"]
mod postgres;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use attrsync::clock::SystemClock;
use attrsync::config::{CustomerColumn, PushConfig, Relation, Secret, SourceColumns, SourceConfig};
use attrsync::engine::{self, ForecastPorts, Options, Ports};
use attrsync::ledger::LedgerReader;
use attrsync::ledger::sqlite::SqliteLedger;
use attrsync::record::StoreName;
use attrsync::sandbox::{AttributeSpec, Model, QuotaRule, SandboxOptions};
use attrsync::source::postgres::PostgresSource;
use attrsync::testing::sandbox_destination::SandboxDestination;
use attrsync::waits::Waits;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tokio::sync::watch;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut numbers = std::env::args().skip(1).filter_map(|arg| arg.parse::<u64>().ok());
    let customers = numbers.next().unwrap_or(300_000);
    let (attributes, latency) = (numbers.next().unwrap_or(1), numbers.next().unwrap_or(2));
    let url = postgres::Postgres::start().database();
    let mut admin = PgConnection::connect(&url).await.expect("a connection");
    let make = format!(
        "create table v as select c as customer_id, 'customer' || c || '@example.com' as email, a as attribute_id, \
            null::text as value from generate_series(1::bigint, {customers}) as c, \
            generate_series(1::bigint, {attributes}) as a; analyze v"
    );
    run(&mut admin, &make).await;
    let folder = tempfile::tempdir().expect("a folder");
    let shop = Shop::new(customers, latency, folder.path());
    println!("{customers} customers by e-mail address × {attributes}, {latency} ms a request\n");
    println!("{:<34} {:>9} {:>9} {:>15}", "", "requests", "time, s", "peak, MiB more");

    let by_email = source(&url, CustomerColumn::Email("email".to_owned()));
    Box::pin(shop.measure("first night: every address", shop.sync(&by_email))).await;
    run(&mut admin, "update v set value = 'value ' || (customer_id * 7919 % 100003)").await;
    Box::pin(shop.measure("second night, all rows changed", shop.plan(&by_email))).await;
    let by_id = source(&url, CustomerColumn::Id("customer_id".to_owned()));
    Box::pin(shop.measure("the same rows by customer id", shop.plan(&by_id))).await;
}

async fn run(admin: &mut PgConnection, sql: &str) {
    admin.execute(sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))).await.expect("the SQL is right");
}

fn source(url: &str, customer: CustomerColumn) -> PostgresSource {
    let columns = SourceColumns { customer, ..SourceColumns::default() };
    let relation = Relation::Table("v".to_owned());
    let config = SourceConfig { columns, ..SourceConfig::new(Secret::new(url), relation) };
    PostgresSource::new(&config).expect("a source")
}

struct Shop {
    model: Arc<Mutex<Model>>,
    ledger: std::path::PathBuf,
    name: StoreName,
}

impl Shop {
    fn new(customers: u64, latency: u64, folder: &std::path::Path) -> Self {
        let attribute =
            |id: i64| AttributeSpec { id, name: format!("Attribute {id}"), kind: "string".to_owned() };
        let options = SandboxOptions {
            customers: i64::try_from(customers).expect("a number of customers"),
            latency: Duration::from_millis(latency),
            attributes: (1..=50).map(attribute).collect(),
            quota: QuotaRule { requests: u32::MAX, ..QuotaRule::default() },
            ..SandboxOptions::default()
        };
        Self {
            model: Arc::new(Mutex::new(Model::new(options))),
            ledger: folder.join("ledger.db"),
            name: StoreName::new("https://sandbox", "sandbox"),
        }
    }

    fn destination(&self) -> SandboxDestination {
        SandboxDestination::new(Arc::clone(&self.model), Duration::from_secs(60), 0.0)
    }

    async fn sync(&self, source: &PostgresSource) {
        let ledger = SqliteLedger::open(&self.ledger, &self.name).await.expect("a ledger");
        let ports = Ports {
            source,
            ledger: &ledger,
            destination: &self.destination(),
            clock: &SystemClock,
            progress: &|_| {},
            waits: &Waits::default(),
        };
        let (_ask, stop) = watch::channel(false);
        let report =
            engine::sync(ports, &PushConfig::default(), &Options::default(), stop).await.expect("a sync");
        assert_eq!((report.counts.invalid, report.counts.no_value), (0, report.counts.source_rows));
    }

    async fn plan(&self, source: &PostgresSource) {
        let ledger = SqliteLedger::open(&self.ledger, &self.name).await.expect("a ledger");
        let ports = ForecastPorts {
            source,
            entries: Some(&ledger as &dyn LedgerReader),
            destination: &self.destination(),
            clock: &SystemClock,
            progress: &|_| {},
            waits: &Waits::default(),
        };
        let forecast =
            engine::plan(ports, &PushConfig::default(), &Options::default(), 0, None).await.expect("a plan");
        assert_eq!((forecast.counts.invalid, forecast.counts.planned), (0, forecast.counts.source_rows));
    }

    async fn measure(&self, name: &str, step: impl Future<Output = ()>) {
        self.model.lock().expect("no panic").reset_log();
        // Writing 5 there makes the kernel forget the peak.
        std::fs::write("/proc/self/clear_refs", "5").expect("a kernel that forgets the peak");
        let (before, start) = (memory_mib("VmRSS:"), Instant::now());
        Box::pin(step).await;
        let (took, peak) = (start.elapsed().as_secs_f64(), memory_mib("VmHWM:"));
        let requests = self.model.lock().expect("no panic").tally().requests;
        println!("{name:<34} {requests:>9} {took:>9.1} {:>15}", peak.saturating_sub(before));
    }
}

fn memory_mib(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("a status");
    let kib = status
        .lines()
        .find_map(|line| line.strip_prefix(field)?.split_whitespace().next()?.parse::<u64>().ok());
    kib.expect("a size") / 1024
}
