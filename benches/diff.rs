//! How long the diff takes, as a ratio to an ordered COPY of the same rows through the same driver, in one run.
//!
//! `cargo bench --bench diff -- [ROWS]` (1,000,000 unless given). Starts a Postgres of its own, fills a table and both
//! ledgers, and measures each case in turn, several rounds; the medians are printed with the peak memory of each case.
//! The syncs that end by the digest are whole runs, from opening the run to closing it.
//! Then whole syncs of every value, planned, saved and stopped a second later, whose memory includes the sandbox's.

#![allow(clippy::print_stdout, reason = "its figures are its output")]

#[path = "../tests/all/support/postgres.rs"]
mod postgres;

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use attrsync::clock::SystemClock;
use attrsync::config::{GuardConfig, PushConfig, Relation, Secret, SourceConfig};
use attrsync::engine::{self, ForecastPorts, Options, Ports, Progress};
use attrsync::ledger::postgres::PostgresLedger;
use attrsync::ledger::sqlite::SqliteLedger;
use attrsync::ledger::{Ledger, LedgerReader};
use attrsync::record::{RunStatus, StoreName};
use attrsync::sandbox::{Model, SandboxOptions};
use attrsync::source::postgres::PostgresSource;
use attrsync::testing::sandbox_destination::SandboxDestination;
use attrsync::waits::Waits;
use futures_util::StreamExt;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tokio::sync::watch;

const TABLE: &str = "customer_attribute_values";
const FORGET_DIGESTS: &str = "update runs set digest = null";
const ORDERED: &str = "copy (select customer_id, attribute_id, value from customer_attribute_values \
                       order by customer_id, attribute_id) to";

struct Bench {
    url: String,
    source: PostgresSource,
    destination: SandboxDestination,
    postgres: PostgresLedger,
    fresh_sqlite: SqliteLedger,
    fresh_postgres: PostgresLedger,
    push: PushConfig,
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let rows: u64 = std::env::args().skip(1).find_map(|arg| arg.parse().ok()).unwrap_or(1_000_000);
    let rounds = if rows > 2_000_000 { 3 } else { 5 };
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ledger.db");
    let bench = fill(rows, &path).await;
    println!(
        "{rows} rows, {rounds} rounds; time against the ordered COPY through the same driver (median)\n"
    );
    println!("{:<44} {:>9} {:>7} {:>9}", "case", "seconds", "ratio", "peak MiB");
    let copy = median(rounds, async || bench.copy_ordered().await).await;
    line("ordered COPY, through the driver", copy, copy);
    let nowhere = median(rounds, async || bench.copy_nowhere().await).await;
    line("ordered COPY, by the server to nowhere", nowhere, copy);
    let two = median(rounds, async || bench.copy_twice().await).await;
    line("two ordered COPYs, beside each other", two, copy);
    bench.by_digest(&path, rows, rounds).await;
    for percent in [0, 1, 100] {
        bench.change(&path, percent).await;
        let sqlite = open_sqlite(&path).await;
        let ledgers: [(&str, &dyn LedgerReader); 2] = [("SQLite", &sqlite), ("Postgres", &bench.postgres)];
        for (name, ledger) in ledgers {
            // The bare COPY is measured again beside each case, since a machine's speed drifts.
            let (mut times, mut bare) = (Vec::new(), Vec::new());
            let mut peak = 0;
            for _ in 0..rounds {
                bare.push(bench.copy_ordered().await);
                forget_peak();
                times.push(bench.diff(ledger, rows, percent).await);
                peak = peak.max(peak_mib());
            }
            print_line(
                &format!("diff, {percent} % changed, {name} ledger"),
                middle(times),
                middle(bare),
                peak,
            );
        }
    }
    println!();
    println!(
        "{:<44} {:>9} {:>7} {:>9} {:>9}",
        "planned and saved, then stopped", "seconds", "ratio", "peak MiB", "stop, s"
    );
    // The last change left every value different; a fresh ledger knows none of them.
    let sqlite = open_sqlite(&path).await;
    for case in ["first sync", "100 % changed"] {
        for name in ["SQLite", "Postgres"] {
            let ledger: &dyn Ledger = match (case, name) {
                ("first sync", "SQLite") => &bench.fresh_sqlite,
                ("first sync", _) => &bench.fresh_postgres,
                (_, "SQLite") => &sqlite,
                _ => &bench.postgres,
            };
            let bare = middle(vec![
                bench.copy_ordered().await,
                bench.copy_ordered().await,
                bench.copy_ordered().await,
            ]);
            forget_peak();
            let (took, stop) = bench.plan_and_save(ledger, rows).await;
            let ratio = took.as_secs_f64() / bare.as_secs_f64();
            println!(
                "{:<44} {:>9.3} {ratio:>7.2} {:>9} {:>9.3}",
                format!("{case}, {name} ledger"),
                took.as_secs_f64(),
                peak_mib(),
                stop.as_secs_f64()
            );
        }
    }
}

impl Bench {
    async fn copy_ordered(&self) -> Duration {
        copy_ordered(&self.url).await
    }

    /// What a diff with a ledger in Postgres cannot be faster than: two COPYs of the table, each read on a thread of
    /// its own, and neither decoded nor compared.
    async fn copy_twice(&self) -> Duration {
        let started = Instant::now();
        let reading = [(), ()].map(|()| {
            let url = self.url.clone();
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                runtime.expect("a runtime").block_on(copy_ordered(&url));
            })
        });
        for thread in reading {
            thread.join().expect("a COPY");
        }
        started.elapsed()
    }

    async fn copy_nowhere(&self) -> Duration {
        let mut connection = PgConnection::connect(&self.url).await.expect("the source");
        let started = Instant::now();
        let copy = format!("{ORDERED} '/dev/null' (format binary)");
        connection.execute(AssertSqlSafe(copy)).await.expect("a COPY");
        started.elapsed()
    }

    /// Measures the syncs of an unchanged table after a first one, which compares all rows and keeps their digest.
    async fn by_digest(&self, path: &Path, rows: u64, rounds: usize) {
        let sqlite = open_sqlite(path).await;
        let ledgers: [(&str, &dyn Ledger); 2] = [("SQLite", &sqlite), ("Postgres", &self.postgres)];
        for (name, ledger) in ledgers {
            forget_peak();
            let compared = self.sync_unchanged(ledger, rows, false).await;
            let bare = self.copy_ordered().await;
            print_line(&format!("sync, unchanged, {name} ledger"), compared, bare, peak_mib());
            let (mut times, mut bare) = (Vec::new(), Vec::new());
            let mut peak = 0;
            for _ in 0..rounds {
                bare.push(self.copy_ordered().await);
                forget_peak();
                times.push(self.sync_unchanged(ledger, rows, true).await);
                peak = peak.max(peak_mib());
            }
            print_line(
                &format!("sync, unchanged by digest, {name} ledger"),
                middle(times),
                middle(bare),
                peak,
            );
        }
    }

    async fn sync_unchanged(&self, ledger: &dyn Ledger, rows: u64, by_digest: bool) -> Duration {
        let (clock, progress) = (&SystemClock, &|_| {});
        let (waits, destination) = (&Waits::default(), &self.destination);
        let ports = Ports { source: &self.source, ledger, destination, clock, progress, waits };
        let (_ask, stop) = watch::channel(false);
        let started = Instant::now();
        let report = engine::sync(ports, &self.push, &Options::default(), stop).await.expect("a run");
        let took = started.elapsed();
        assert_eq!((report.status, report.by_digest), (RunStatus::Succeeded, by_digest), "{report:?}");
        assert_eq!(report.counts.unchanged as u64, rows);
        took
    }

    async fn diff(&self, ledger: &dyn LedgerReader, rows: u64, percent: u64) -> Duration {
        let started = Instant::now();
        let ports = ForecastPorts {
            source: &self.source,
            entries: Some(ledger),
            destination: &self.destination,
            clock: &SystemClock,
            progress: &|_| {},
            waits: &Waits::default(),
        };
        let forecast = engine::plan(ports, &self.push, &Options::default(), 20, None).await;
        let counts = forecast.expect("a forecast").counts;
        let took = started.elapsed();
        assert_eq!(counts.source_rows as u64, rows);
        // A hundredth of the customers is not to the row a hundredth of the values.
        let expected = rows / 100 * percent;
        assert!(
            (counts.planned as u64).abs_diff(expected) <= 300,
            "the table was not changed as it should be"
        );
        took
    }

    /// Plans and saves, sends for a second at 50 ms a call, and is asked to stop: how long the plan took, and the stop.
    async fn plan_and_save(&self, ledger: &dyn Ledger, rows: u64) -> (Duration, Duration) {
        let customers = i64::try_from(rows / 3 + 1).expect("fewer rows");
        let mut options = SandboxOptions { customers, ..SandboxOptions::default() };
        options.quota.requests = 16_000_000;
        let model = Arc::new(Mutex::new(Model::new(options)));
        let destination = SandboxDestination::new(model, Duration::from_secs(60), 0.0);
        let (planned, is_planned) = watch::channel(None);
        let progress = |progress| {
            if let Progress::Planned(_) = progress {
                planned.send_replace(Some(Instant::now()));
            }
        };
        let (ask, stop) = watch::channel(false);
        let asking = async {
            let mut is_planned = is_planned.clone();
            is_planned.wait_for(Option::is_some).await.expect("a plan");
            tokio::time::sleep(Duration::from_secs(1)).await;
            let asked = Instant::now();
            ask.send_replace(true);
            asked
        };
        let (clock, progress) = (&SystemClock, &progress);
        let waits = &Waits::default();
        let ports = Ports { source: &self.source, ledger, destination: &destination, clock, progress, waits };
        let started = Instant::now();
        // A guard would block a plan that changes every value.
        let guard = GuardConfig { enabled: false, ..GuardConfig::default() };
        let options = Options { guard, ..Options::default() };
        let (report, asked) = tokio::join!(engine::sync(ports, &self.push, &options, stop), asking);
        let stopped = asked.elapsed();
        let report = report.expect("a run");
        assert!(report.counts.balance() && report.counts.confirmed > 0, "{report:?}");
        assert_eq!(report.status, RunStatus::Stopped, "{report:?}");
        let planned = is_planned.borrow().expect("a plan");
        (planned.duration_since(started), stopped)
    }

    /// Makes `percent` of the ledgers' values differ from the table's, and their runs forget the digest of the rows, because
    /// a run cannot know of an edit by hand. The SQLite ledger must not be open: it refuses to
    /// go on after another connection has written to its file.
    async fn change(&self, path: &Path, percent: u64) {
        let differ =
            format!("update {{}} set value = 'old' where customer_id % 100 < {percent} and value <> 'old'");
        let sqlite = rusqlite::Connection::open(path).expect("the ledger");
        sqlite.execute(&differ.replace("{}", "entries"), []).expect("an update");
        sqlite.execute(FORGET_DIGESTS, []).expect("an update");
        let mut postgres = PgConnection::connect(&self.url).await.expect("the ledger");
        postgres.execute(AssertSqlSafe(differ.replace("{}", "attrsync.entries"))).await.expect("an update");
        postgres
            .execute(AssertSqlSafe(FORGET_DIGESTS.replace("runs", "attrsync.runs")))
            .await
            .expect("an update");
        postgres.execute("vacuum analyze attrsync.entries").await.expect("a vacuum");
    }
}

/// A table of so many rows, three values a customer, and two ledgers that have confirmed all of them.
async fn fill(rows: u64, path: &Path) -> Bench {
    let server = postgres::Postgres::durable();
    let url = server.database();
    let mut connection = PgConnection::connect(&url).await.expect("the source");
    let values = format!(
        "create table {TABLE} (customer_id bigint, attribute_id bigint, value text not null);
         insert into {TABLE} select 1 + i / 3, 1 + i % 3, 'value ' || ((i * 7919) % 100003)
             from generate_series(0::bigint, {rows} - 1) as i;
         alter table {TABLE} add primary key (customer_id, attribute_id)"
    );
    connection.execute(AssertSqlSafe(values)).await.expect("a filled table");
    connection.execute("vacuum analyze customer_attribute_values").await.expect("a vacuum");
    let name = store();
    drop(open_sqlite(path).await);
    let postgres = PostgresLedger::open(&url, &name).await.expect("a Postgres ledger");
    connection
        .execute(AssertSqlSafe(format!(
            "insert into attrsync.entries (store_id, customer_id, attribute_id, value, value_id, belief, run_id, updated_at)
             select (select id from attrsync.stores), customer_id, attribute_id, value, customer_id * 3, 'confirmed', 1, now()
             from {TABLE} order by 2, 3"
        )))
        .await
        .expect("filled entries");
    let direct = rusqlite::Connection::open(path).expect("the ledger");
    let filled = direct.execute(
        "insert into entries (store_id, customer_id, attribute_id, value, value_id, belief, run_id, updated_at)
         with recursive n (i) as (select 0 union all select i + 1 from n where i < ?1 - 1)
         select (select id from stores), 1 + i / 3, 1 + i % 3, 'value ' || ((i * 7919) % 100003), (1 + i / 3) * 3,
                'confirmed', 1, '2026-01-01T00:00:00.000000Z' from n",
        [i64::try_from(rows).expect("fewer rows")],
    );
    assert_eq!(filled.expect("filled entries") as u64, rows);
    // What was written so far becomes room for what is to come, as in a server that has run for a while.
    connection.execute("checkpoint").await.expect("a checkpoint");
    let source = SourceConfig::new(Secret::new(&url), Relation::Table(TABLE.to_owned()));
    let options = SandboxOptions { latency: Duration::ZERO, ..SandboxOptions::default() };
    let model = Arc::new(Mutex::new(Model::new(options)));
    let fresh_path = path.with_file_name("fresh.db");
    Bench {
        fresh_sqlite: open_sqlite(&fresh_path).await,
        fresh_postgres: PostgresLedger::open(&server.database(), &name).await.expect("a Postgres ledger"),
        url,
        source: PostgresSource::new(&source).expect("a source"),
        destination: SandboxDestination::new(model, Duration::from_secs(60), 0.0),
        postgres,
        push: PushConfig::default(),
    }
}

fn store() -> StoreName {
    StoreName::new("https://bench", "bench")
}

async fn open_sqlite(path: &Path) -> SqliteLedger {
    SqliteLedger::open(path, &store()).await.expect("a SQLite ledger")
}

/// How long a COPY takes from its first to its last byte.
async fn copy_ordered(url: &str) -> Duration {
    let mut connection = PgConnection::connect(url).await.expect("the source");
    let started = Instant::now();
    let mut rows =
        connection.copy_out_raw(&format!("{ORDERED} stdout (format binary)")).await.expect("a COPY");
    let mut bytes = 0;
    while let Some(row) = rows.next().await {
        bytes += row.expect("a row").len();
    }
    assert!(bytes > 0, "the COPY was empty");
    started.elapsed()
}

async fn median(rounds: usize, measure: impl AsyncFn() -> Duration) -> Duration {
    let mut times = Vec::new();
    for _ in 0..rounds {
        times.push(measure().await);
    }
    middle(times)
}

fn middle(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn line(case: &str, took: Duration, copy: Duration) {
    println!("{case:<44} {:>9.3} {:>7.2}", took.as_secs_f64(), took.as_secs_f64() / copy.as_secs_f64());
}

fn print_line(case: &str, took: Duration, copy: Duration, peak: u64) {
    println!(
        "{case:<44} {:>9.3} {:>7.2} {peak:>9}",
        took.as_secs_f64(),
        took.as_secs_f64() / copy.as_secs_f64()
    );
}

/// Lets the kernel forget the highest memory use so far, where it can (Linux).
fn forget_peak() {
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

/// The highest memory use since, in MiB; 0 where the system does not tell.
fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or_default() / 1_024
}
