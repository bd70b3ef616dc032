//! How long a plan takes over a table with other columns, as a ratio to an ordered COPY of the same query through the same
//! driver: ids, names of attributes, and a wide table whose rows Postgres makes one of for each value.
//!
//! `cargo bench --bench sources -- [CUSTOMERS] [CASE]` (100,000 unless given, and all cases), with ten attributes each. Starts a
//! Postgres of its own. Each case is measured in turn, several rounds; the medians are printed with the peak memory.

#![allow(clippy::print_stdout, reason = "its figures are its output")]

#[path = "../tests/all/support/postgres.rs"]
mod postgres;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use attrsync::clock::SystemClock;
use attrsync::config::{AttributeRef, PushConfig, Relation, Secret, SourceColumns, SourceConfig};
use attrsync::config::{ValueColumns, WideColumn};
use attrsync::engine::{self, ForecastPorts, Options};
use attrsync::record::AttributeNames;
use attrsync::sandbox::{AttributeSpec, Model, SandboxOptions};
use attrsync::source::Source as _;
use attrsync::source::postgres::PostgresSource;
use attrsync::testing::sandbox_destination::SandboxDestination;
use attrsync::waits::Waits;
use futures_util::StreamExt;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

const ATTRIBUTES: i64 = 10;
const ROUNDS: usize = 3;

/// A table, how it is read, and the same query by hand.
struct Case {
    name: &'static str,
    table: &'static str,
    values: ValueColumns,
    query: String,
    /// Makes the table.
    make: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let customers: u64 = std::env::args().skip(1).find_map(|arg| arg.parse().ok()).unwrap_or(100_000);
    let cases = || cases().into_iter().filter(|case| is_asked(case.name));
    let url = fill(customers, cases().map(|case| case.make)).await;
    println!("{customers} customers × {ATTRIBUTES} attributes, {ROUNDS} rounds (median)\n");
    println!(
        "{:<28} {:>9} {:>9} {:>7} {:>9} {:>10}",
        "case", "COPY, s", "plan, s", "ratio", "peak MiB", "digest, s"
    );
    for case in cases() {
        let source = source(&url, &case);
        let (mut copies, mut plans, mut digests, mut peak) = (Vec::new(), Vec::new(), Vec::new(), 0);
        for _ in 0..ROUNDS {
            copies.push(copy(&url, &case.query).await);
            forget_peak();
            plans.push(plan(&source, customers).await);
            peak = peak.max(peak_mib());
            digests.push(digest(&source).await);
        }
        let (copied, planned) = (middle(copies), middle(plans));
        println!(
            "{:<28} {copied:>9.3} {planned:>9.3} {:>7.2} {peak:>9} {:>10.3}",
            case.name,
            planned / copied,
            middle(digests)
        );
    }
}

fn cases() -> Vec<Case> {
    let tall =
        |attribute: &str| ValueColumns::Tall { attribute: attribute.to_owned(), value: "value".to_owned() };
    let column = |id: i64| WideColumn { column: format!("c{id}"), attribute: AttributeRef::Name(name(id)) };
    let each = |write: &dyn Fn(i64) -> String| (1..=ATTRIBUTES).map(write).collect::<String>();
    let id_of_name = format!("case attribute{} end", each(&|id| format!(" when '{}' then {id}", name(id))));
    let ordered =
        |columns: &str, table: &str| format!("select customer_id, {columns} from {table} order by 1, 2");
    let values = each(&|id| format!(" when {id} then c{id}::text"));
    let ids = (1..=ATTRIBUTES).map(|id| format!("({id}::int8)")).collect::<Vec<_>>().join(", ");
    let unpivoted = format!("wide cross join (values {ids}) as a(id)");
    let names = (1..=ATTRIBUTES).map(|id| format!("'{}'", name(id))).collect::<Vec<_>>().join(", ");
    let tall_as = |table: &str, attribute: &str| {
        format!(
            "create table {table} as select customer_id, {attribute} as attribute, \
                'value ' || ((customer_id * 7919 + a) % 100003) as value \
             from heap, generate_series(1::bigint, {ATTRIBUTES}) as a; \
             alter table {table} add primary key (customer_id, attribute)"
        )
    };
    let wide = || ValueColumns::Wide((1..=ATTRIBUTES).map(column).collect());
    vec![
        Case {
            name: "ids",
            table: "ids",
            values: tall("attribute"),
            query: ordered("attribute, value", "ids"),
            make: tall_as("ids", "a"),
        },
        Case {
            name: "names",
            table: "names",
            values: tall("attribute"),
            query: ordered(&format!("{id_of_name}, value"), "names"),
            make: tall_as("names", &format!("(array[{names}])[a]")),
        },
        Case {
            name: "wide",
            table: "wide",
            values: wide(),
            query: ordered(&format!("a.id, case a.id{values} end"), &unpivoted),
            make: "create table wide as select * from heap; alter table wide add primary key (customer_id)"
                .to_owned(),
        },
        Case {
            name: "wide, without an index",
            table: "heap",
            values: wide(),
            query: ordered(&format!("a.id, case a.id{values} end"), &unpivoted.replace("wide", "heap")),
            make: String::new(),
        },
    ]
}

/// The names' order is not that of the ids.
fn name(id: i64) -> String {
    format!("Attribute {}", (id * 7) % 11)
}

fn source(url: &str, case: &Case) -> PostgresSource {
    let columns = SourceColumns { values: case.values.clone(), ..SourceColumns::default() };
    let relation = Relation::Table(case.table.to_owned());
    let config = SourceConfig { columns, ..SourceConfig::new(Secret::new(url), relation) };
    PostgresSource::new(&config).expect("a source")
}

fn attributes() -> Vec<AttributeSpec> {
    (1..=ATTRIBUTES).map(|id| AttributeSpec::new(id, &name(id), "string")).collect()
}

async fn plan(source: &PostgresSource, customers: u64) -> Duration {
    let options =
        SandboxOptions { latency: Duration::ZERO, attributes: attributes(), ..SandboxOptions::default() };
    let model = Arc::new(Mutex::new(Model::new(options)));
    let destination = SandboxDestination::new(model, Duration::from_secs(60), 0.0);
    let (clock, waits) = (&SystemClock, &Waits::default());
    let ports =
        ForecastPorts { source, entries: None, destination: &destination, clock, progress: &|_| {}, waits };
    let started = Instant::now();
    let forecast =
        engine::plan(ports, &PushConfig::default(), &Options::default(), 20, None).await.expect("a plan");
    let took = started.elapsed();
    let rows = i64::try_from(customers).expect("fewer customers") * ATTRIBUTES;
    assert_eq!((forecast.counts.source_rows, forecast.counts.planned), (rows, rows));
    took
}

async fn digest(source: &PostgresSource) -> Duration {
    let known: Vec<_> = attributes()
        .into_iter()
        .map(|spec| {
            attrsync::destination::Attribute { id: spec.id, name: spec.name, kind: spec.kind }.known()
        })
        .collect();
    let started = Instant::now();
    assert!(source.digest(&AttributeNames::of(&known)).await.expect("computes").is_some());
    started.elapsed()
}

/// How long a COPY takes from its first to its last byte.
async fn copy(url: &str, query: &str) -> Duration {
    let mut connection = PgConnection::connect(url).await.expect("the source");
    let started = Instant::now();
    let mut rows =
        connection.copy_out_raw(&format!("copy ({query}) to stdout (format binary)")).await.expect("a COPY");
    let mut bytes = 0;
    while let Some(row) = rows.next().await {
        bytes += row.expect("a row").len();
    }
    assert!(bytes > 0, "the COPY was empty");
    started.elapsed()
}

/// Makes a wide table in the order of no column, and the tables of the cases.
async fn fill(customers: u64, makes: impl Iterator<Item = String>) -> String {
    let url = postgres::Postgres::durable().database();
    let mut connection = PgConnection::connect(&url).await.expect("the source");
    let columns: Vec<String> =
        (1..=ATTRIBUTES).map(|id| format!("'value ' || ((i * 7919 + {id}) % 100003) as c{id}")).collect();
    let heap = format!(
        "create table heap as select i as customer_id, {} from generate_series(1::bigint, {customers}) as i \
         order by md5(i::text)",
        columns.join(", ")
    );
    for statements in
        [heap].into_iter().chain(makes).chain(["vacuum analyze", "checkpoint"].map(str::to_owned))
    {
        connection.execute(AssertSqlSafe(statements)).await.expect("filled tables");
    }
    url
}

/// Whether a case is to be measured: all are, unless some are named.
fn is_asked(case: &str) -> bool {
    // Cargo passes --bench.
    let is_name = |arg: &String| !arg.starts_with('-') && arg.parse::<u64>().is_err();
    let mut named = std::env::args().skip(1).filter(is_name).peekable();
    named.peek().is_none() || named.any(|name| name == case)
}

fn middle(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64()
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
