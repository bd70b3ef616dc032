//! How near pushing comes to its limit of 3 / latency with three requests in flight, and what it costs a Postgres server.
//!
//! `cargo bench --bench push -- [SECONDS] [--slow-commit 5ms]`: 5 seconds for each case unless given. Each ledger is
//! durable, and is compared with a ledger in memory of the same run. SQLite should reach at least 98, 99 and 99.5 % of it at
//! 20, 50 and 200 ms, Postgres 96, 98.5 and 99.5 %. `--slow-commit` makes every intent and every outcome of SQLite and
//! Postgres take so much longer, one after the other; with 5 ms, both should reach 97 % of the limit at 50 ms.
//!
//! `cargo bench --bench push -- cpu [VALUES]`: the processor time of the Postgres server for each pushed value
//! (300,000 values unless given; Linux only).
//!
//! The store is the sandbox over HTTP, on a thread of its own. The sandbox's timer is coarse: the real duration of a latency
//! is measured first, and the limit is computed from that. The duration of a durable write to the disk is measured too.

#![allow(clippy::print_stdout, reason = "its figures are its output")]

#[path = "../tests/all/support/postgres.rs"]
mod postgres;
#[path = "push/cpu.rs"]
mod cpu;
#[path = "push/slow_commit.rs"]
mod slow_commit;

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

use slow_commit::SlowCommit;

const WORKERS: usize = 3;
/// Customers in a request, and values of a customer.
const CUSTOMERS: i64 = 10;
const VALUES: i64 = 3;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = arguments.iter().find_map(|argument| argument.parse::<f64>().ok());
    // As in the program, one thread runs the sync.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    if arguments.iter().any(|argument| argument == "cpu") {
        return runtime.block_on(cpu::compare(number.unwrap_or(300_000.0) as i64));
    }
    let seconds = number.unwrap_or(5.0);
    let slow = arguments.iter().position(|argument| argument == "--slow-commit");
    let slow = slow.and_then(|index| arguments.get(index + 1)).map_or(Duration::ZERO, |delay| {
        humantime::parse_duration(delay).expect("--slow-commit takes a duration like 5ms")
    });
    println!("three requests in flight, ten customers with three values a call; {seconds} s a case;");
    println!("commits of SQLite and Postgres {} ms slower\n", slow.as_millis());
    println!(
        "{:<10} {:>10} {:>11} {:>10} {:>7} {:>9} {:>9} {:>11} {:>10}",
        "ledger", "latency", "real", "fsync", "requests", "needed", "requests/s", "of 3/real", "of memory"
    );
    for latency in [20, 50, 200].map(Duration::from_millis) {
        let memory = runtime.block_on(case("memory", latency, seconds, Duration::ZERO, None));
        for ledger in ["SQLite", "Postgres"] {
            runtime.block_on(case(ledger, latency, seconds, slow, Some(memory)));
        }
    }
}

/// Pushes for so many seconds, prints a line, and returns the share of the limit that was reached. `memory` is the
/// share that the ledger in memory reached.
async fn case(ledger: &str, latency: Duration, seconds: f64, slow: Duration, memory: Option<f64>) -> f64 {
    let customers = (seconds * WORKERS as f64 / latency.as_secs_f64()) as i64 * CUSTOMERS;
    let (model, name) = sandbox(customers, latency);
    let folder = tempfile::tempdir().expect("a folder");
    let fsync = disk(folder.path());
    let real = std::thread::spawn(move || real_latency(latency)).join().expect("a measured latency");
    let mut ledger_of_run = open(ledger, &folder.path().join("ledger.db"), &name).await;
    if !slow.is_zero() {
        ledger_of_run = Box::new(SlowCommit::new(ledger_of_run, slow));
    }
    let (planned, pushed) = push(ledger_of_run.as_ref(), &name, customers, "value", Instant::now).await;
    let requests = model.lock().expect("a model").tally().writes;
    let rate = requests as f64 / (pushed - planned).as_secs_f64();
    let share = rate * real.as_secs_f64() / WORKERS as f64;
    let of_memory = memory.map_or_else(String::new, |memory| format!("{:.1} %", 100.0 * share / memory));
    println!(
        "{ledger:<10} {:>7} ms {:>8.2} ms {:>7.2} ms {requests:>7} {:>9} {rate:>9.1} {:>9.1} % {of_memory:>10}",
        latency.as_millis(),
        real.as_secs_f64() * 1e3,
        fsync.as_secs_f64() * 1e3,
        customers / CUSTOMERS,
        100.0 * share,
    );
    share
}

/// Syncs three values of so many customers, and returns what `measure` says when the plan is complete and at the end.
async fn push<T: Copy + Send>(
    ledger: &dyn Ledger,
    name: &StoreName,
    customers: i64,
    value: &str,
    measure: impl Fn() -> T + Send + Sync,
) -> (T, T) {
    let destination = BigCommerce::new(BigCommerceOptions {
        name: name.clone(),
        token: Secret::new("sandbox-token"),
        request_timeout: Duration::from_secs(60),
        quota_reserve: 0.2,
        workers: WORKERS,
    })
    .expect("a client");
    let rows = (1..=customers)
        .flat_map(|c| (1..=VALUES).map(move |a| (Some(c), Some(a), Some(format!("{value} {c}")))));
    let source = MemorySource::new(rows.collect());
    let planned = Mutex::new(None);
    let progress = |progress| {
        if let Progress::Planned(_) = progress {
            *planned.lock().expect("one thread") = Some(measure());
        }
    };
    let ports = Ports {
        source: &source,
        ledger,
        destination: &destination,
        clock: &SystemClock,
        progress: &progress,
        waits: &attrsync::waits::Waits::default(),
    };
    let (_ask, stop) = watch::channel(false);
    let report = engine::sync(ports, &PushConfig::default(), &Options::default(), stop).await.expect("a run");
    let pushed = measure();
    assert_eq!(report.status, RunStatus::Succeeded, "{report:?}");
    assert_eq!(report.counts.confirmed, customers * VALUES, "{report:?}");
    (planned.into_inner().expect("one thread").expect("a plan"), pushed)
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

/// A store on a thread of its own. It counts customers, and its quota is never used up.
fn sandbox(customers: i64, latency: Duration) -> (Arc<Mutex<Model>>, StoreName) {
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
            tell.send(server.addr).expect("the benchmark waits");
            std::future::pending::<()>().await;
        });
    });
    let address = told.recv().expect("an address");
    (model, StoreName::new(&format!("http://{address}"), "sandbox"))
}

/// The least duration of a commit on this disk: the mean of some small writes, each made durable.
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

/// The real duration of a latency under the sandbox's timer: the mean of some sleeps, three at a time as in the run.
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
