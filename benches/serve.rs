//! How long many stores take that are due at once, in one process over one ledger in Postgres.
//!
//! `cargo bench --bench serve -- [STORES]` (200 unless given). Each store has 30 customers with a new value and takes 50 ms
//! a call. The limit is that of the calls alone: a store needs one to list its attributes, and three at once.

#![allow(clippy::print_stdout, reason = "its figures are its output")]

#[path = "../tests/all/support/postgres.rs"]
mod postgres;

use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use attrsync::config::Secret;
use attrsync::sandbox::{Counting, Limits, Model, SandboxOptions, Server};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

const TOKEN: &str = "bench-token";
const CUSTOMERS: usize = 30;
const LATENCY: Duration = Duration::from_millis(50);

#[tokio::main]
async fn main() {
    let stores: usize = std::env::args().skip(1).find_map(|arg| arg.parse().ok()).unwrap_or(200);
    let database = postgres::Postgres::durable();
    let url = database.database();
    let mut connection = PgConnection::connect(&url).await.expect("the source");
    let table = format!(
        "create table customer_attribute_values (customer_id bigint, attribute_id bigint, value text);
         insert into customer_attribute_values select c, 1, 'value' from generate_series(1, {CUSTOMERS}) c"
    );
    connection.execute(AssertSqlSafe(table)).await.expect("a table");
    println!("{stores} stores, {CUSTOMERS} customers each, {} ms a call\n", LATENCY.as_millis());
    println!("{:>9} {:>9} {:>9} {:>9} {:>12}", "at once", "seconds", "of limit", "peak MiB", "connections");
    for at_once in [4, 16, 64] {
        measure(&url, stores, at_once, &mut connection).await;
    }
}

async fn measure(url: &str, count: usize, at_once: usize, connection: &mut PgConnection) {
    connection.execute("drop schema if exists attrsync cascade").await.expect("no ledger");
    let folder = tempfile::tempdir().expect("a folder");
    let mut stores = Vec::new();
    for number in 0..count {
        let options = SandboxOptions {
            token: Secret::new(TOKEN),
            latency: LATENCY,
            limits: Limits { counting: Counting::Customers, ..Limits::default() },
            ..SandboxOptions::default()
        };
        let model = Arc::new(Mutex::new(Model::new(options)));
        let server = Server::start("127.0.0.1:0", Arc::clone(&model)).await.expect("a store");
        let config = format!(
            "[source]\nurl = \"{url}\"\ntable = \"customer_attribute_values\"\n\
             [store]\nhash = \"sandbox\"\naccess_token = \"{TOKEN}\"\napi_url = \"http://{}\"\n\
             [ledger]\nurl = \"{url}\"\n[schedule]\nevery = \"1h\"\n[serve]\nmax_concurrent_runs = {at_once}\n",
            server.addr
        );
        std::fs::write(folder.path().join(format!("store{number}.toml")), config).expect("a file");
        stores.push((server, model));
    }
    let started = Instant::now();
    let mut serve = Command::new(env!("CARGO_BIN_EXE_attrsync"))
        .args(["serve", "-q", "--address", "127.0.0.1:0", "--config-dir"])
        .arg(folder.path())
        .stdout(Stdio::null())
        .spawn()
        .expect("serve starts");
    let mut connections = 0;
    while stores.iter().any(|(_, model)| model.lock().expect("a store").values().count() < CUSTOMERS) {
        assert!(started.elapsed() < Duration::from_secs(300), "a store starves");
        let sessions = "select count(*) from pg_stat_activity where backend_type = 'client backend'";
        let now: i64 = sqlx::query_scalar(sessions).fetch_one(&mut *connection).await.expect("a count");
        connections = connections.max(now - 1);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let took = started.elapsed().as_secs_f64();
    let peak = peak_mib(&serve);
    let _ = serve.kill();
    let _ = serve.wait();
    let limit = LATENCY.as_secs_f64() * 2.0 * (count as f64 / at_once as f64).ceil();
    println!("{at_once:>9} {took:>9.2} {:>8.1} % {peak:>9} {connections:>12}", 100.0 * limit / took);
    for (server, _) in stores {
        server.stop().await;
    }
}

/// The highest memory use of a process, in MiB.
fn peak_mib(process: &Child) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or_default() / 1_024
}
