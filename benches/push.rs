//! Measures the rate of requests against its limit, 3 / latency for three requests in flight. Ledgers are fully
//! durable.
//!
//! `cargo bench --bench push -- [SECONDS]` (5 seconds a case by default). The case with the ledger in memory shows the
//! cost of HTTP and the sandbox alone. The store is the sandbox over HTTP, on its own thread. Its timer is coarse, so
//! the real latency is measured first, and the limit is computed from it. The time of a durable write to the disk is
//! measured too; the last column adds it to the latency.

#![allow(clippy::print_stdout, reason = "its figures are its output")]

#[path = "../tests/all/support/postgres.rs"]
mod postgres;

use std::io::{Seek, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use attrsync::clock::SystemClock;
use attrsync::config::{PushConfig, Secret};
use attrsync::destination::bigcommerce::{BigCommerce, BigCommerceOptions};
use attrsync::engine::{self, Options, Ports, Progress};
use attrsync::ledger::Ledger;
use attrsync::ledger::postgres::PostgresLedger;
use attrsync::ledger::sqlite::SqliteLedger;
use attrsync::record::{RunStatus, StoreName};
use attrsync::sandbox::{Counting, Model, SandboxOptions, Server};
use attrsync::testing::memory_ledger::MemoryStore;
use attrsync::testing::memory_source::MemorySource;
use tokio::sync::watch;

const WORKERS: usize = 3;
const VALUES: i64 = 3;

fn main() {
    let seconds: f64 = std::env::args().skip(1).find_map(|arg| arg.parse().ok()).unwrap_or(5.0);
    // As the program has it: one thread for the run.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    println!("three calls in flight, ten customers with three values a call; {seconds} s a case\n");
    println!(
        "{:<10} {:>10} {:>11} {:>10} {:>7} {:>9} {:>9} {:>11} {:>17}",
        "ledger", "latency", "real", "fsync", "calls", "needed", "calls/s", "of 3/real", "of 3/(real+fsync)"
    );
    for latency in [20, 50, 200].map(Duration::from_millis) {
        for ledger in ["memory", "SQLite", "Postgres"] {
            runtime.block_on(case(ledger, latency, seconds));
        }
    }
}

async fn case(ledger: &str, latency: Duration, seconds: f64) {
    let customers = (seconds * WORKERS as f64 / latency.as_secs_f64()) as i64 * 10;
    let (model, address) = sandbox(customers, latency);
    let folder = tempfile::tempdir().expect("a folder");
    let fsync = disk(folder.path());
    let real = std::thread::spawn(move || real_latency(latency)).join().expect("a measured latency");
    let name = StoreName::new(&format!("http://{address}"), "sandbox");
    let ledger_of_run = open(ledger, &folder.path().join("ledger.db"), &name).await;
    let destination = BigCommerce::new(BigCommerceOptions {
        name,
        token: Secret::new("sandbox-token"),
        request_timeout: Duration::from_secs(60),
        quota_reserve: 0.2,
        workers: WORKERS,
    })
    .expect("a client");
    let rows = (1..=customers)
        .flat_map(|c| (1..=VALUES).map(move |a| (Some(c), Some(a), Some(format!("value {c}")))));
    let source = MemorySource::new(rows.collect());
    let planned = Mutex::new(None);
    let progress = |progress| {
        if let Progress::Planned(_) = progress {
            *planned.lock().expect("one thread") = Some(Instant::now());
        }
    };
    let ports = Ports {
        source: &source,
        ledger: ledger_of_run.as_ref(),
        destination: &destination,
        clock: &SystemClock,
        progress: &progress,
    };
    let (_ask, stop) = watch::channel(false);
    let report = engine::sync(ports, &PushConfig::default(), &Options::default(), stop).await.expect("a run");
    let took = planned.lock().expect("one thread").expect("a plan").elapsed().as_secs_f64();
    assert_eq!(report.status, RunStatus::Succeeded, "{report:?}");
    let requests = model.lock().expect("a model").tally().writes;
    let rate = requests as f64 / took;
    let share = |latency: f64| format!("{:.1} %", 100.0 * rate * latency / WORKERS as f64);
    println!(
        "{ledger:<10} {:>7} ms {:>8.2} ms {:>7.2} ms {requests:>7} {:>9} {rate:>9.1} {:>11} {:>17}",
        latency.as_millis(),
        real.as_secs_f64() * 1e3,
        fsync.as_secs_f64() * 1e3,
        (customers as u64).div_ceil(10),
        share(real.as_secs_f64()),
        share((real + fsync).as_secs_f64()),
    );
}

async fn open(ledger: &str, path: &Path, name: &StoreName) -> Box<dyn Ledger> {
    match ledger {
        "memory" => Box::new(MemoryStore::new().lock(name).expect("a ledger in memory")),
        "SQLite" => Box::new(SqliteLedger::open(path, name).await.expect("a SQLite ledger")),
        _ => {
            let url = postgres::Postgres::durable().database();
            Box::new(PostgresLedger::open(&url, name).await.expect("a Postgres ledger"))
        }
    }
}

/// Starts a store on its own thread. It counts customers, and its quota is never used up.
fn sandbox(customers: i64, latency: Duration) -> (Arc<Mutex<Model>>, std::net::SocketAddr) {
    let mut options = SandboxOptions { customers, latency, ..SandboxOptions::default() };
    options.limits.counting = Counting::Customers;
    options.quota.requests = 16_000_000;
    let model = Arc::new(Mutex::new(Model::new(options)));
    let (tell, told) = std::sync::mpsc::channel();
    let served = Arc::clone(&model);
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let server = Server::start("127.0.0.1:0", served).await.expect("a server");
            tell.send(server.addr).expect("the caller waits");
            std::future::pending::<()>().await;
        });
    });
    (model, told.recv().expect("an address"))
}

/// Returns the mean time of some small durable writes, which is the least time of a commit.
fn disk(folder: &Path) -> Duration {
    const WRITES: u32 = 100;
    let mut file = std::fs::File::create(folder.join("fsync")).expect("a file");
    file.write_all(&[0; 1 << 20]).and_then(|()| file.sync_all()).expect("a file of some size");
    file.rewind().expect("its beginning");
    let mut took = Duration::ZERO;
    for _ in 0..WRITES {
        file.write_all(&[1; 8192]).expect("a write");
        let started = Instant::now();
        file.sync_data().expect("a durable write");
        took += started.elapsed();
        std::thread::sleep(Duration::from_millis(1));
    }
    took / WRITES
}

/// Returns the real latency of the sandbox's timer: the mean of some sleeps, three at a time as in the run.
fn real_latency(latency: Duration) -> Duration {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let rounds = (Duration::from_secs(1).as_millis() / latency.as_millis()).max(5) as u32;
    let started = Instant::now();
    runtime.block_on(async {
        for _ in 0..rounds {
            tokio::join!(
                tokio::time::sleep(latency),
                tokio::time::sleep(latency),
                tokio::time::sleep(latency)
            );
        }
    });
    started.elapsed() / rounds
}
