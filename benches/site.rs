//! How long each page of the status site takes, over a ledger of a million changes and ten thousand runs.
//!
//! `cargo bench --bench site -- [CHANGES] [RUNS]` fills a ledger of each kind, serves it, and reads each page ten times.
//! `cargo bench --bench site -- --serve PORT` serves an example with syncs in every state until it is ended, and on the next
//! two ports the site of a process without a run, with a token and without one; `scripts/screenshots` looks at all.

#![allow(clippy::print_stdout, reason = "its figures are its output")]

#[path = "site/example.rs"]
mod example;
#[path = "site/fill.rs"]
mod fill;
#[path = "../tests/all/support/postgres.rs"]
mod postgres;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use attrsync::attention::Timing;
use attrsync::config::{LedgerConfig, Secret};
use attrsync::ledger::audit::AuditLog;
use attrsync::record::StoreName;
use attrsync::web::{Access, AuditOpener, SyncInfo, Syncs, Triggered, UnusableFile, WebServer, router};
use chrono::{TimeDelta, Utc};
use fill::{Amount, Dialect};
use futures_util::future::{BoxFuture, FutureExt as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A scheduler that starts nothing.
struct SimulatedSyncs(Vec<SyncInfo>);

impl Syncs for SimulatedSyncs {
    fn list(&self) -> Vec<SyncInfo> {
        self.0.clone()
    }

    fn unusable(&self) -> Vec<UnusableFile> {
        Vec::new()
    }

    fn trigger(&self, _: &str) -> BoxFuture<'_, Option<Triggered>> {
        async { Some(Triggered::Refused("this is an example".to_owned())) }.boxed()
    }
}

/// The store of the filled ledgers.
fn store() -> StoreName {
    StoreName::new("https://api.bigcommerce.com", "abc123xyz")
}

fn sync(name: &str, ledger: LedgerConfig) -> SyncInfo {
    let next = vec![Utc::now() + TimeDelta::minutes(437)];
    SyncInfo {
        name: name.to_owned(),
        store: store(),
        ledger,
        timing: Some(Timing { next, ..Timing::default() }),
        running: None,
        waiting: false,
        problem: None,
    }
}

async fn serve(syncs: Vec<SyncInfo>, port: u16, token: Option<&str>) -> WebServer {
    let open: AuditOpener = Arc::new(|config| async move { AuditLog::open(&config).await }.boxed());
    let metrics = Arc::new(|| async { String::new() }.boxed());
    let site = router(Arc::new(SimulatedSyncs(syncs)), open, metrics, Access::new(token.map(Secret::new)));
    WebServer::start(([127, 0, 0, 1], port).into(), site).await.expect("listens")
}

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let [option, port] = arguments.as_slice()
        && option == "--serve"
    {
        let example = example::Example::new().await;
        let port: u16 = port.parse().expect("a port");
        let server = serve(example.syncs.clone(), port, None).await;
        let new: Vec<_> = example.syncs.iter().filter(|sync| sync.name == "new-shop").cloned().collect();
        let _closed = serve(new.clone(), port + 1, Some("an-example-token")).await;
        let _new = serve(new, port + 2, None).await;
        println!("http://{}", server.address());
        std::future::pending::<()>().await;
    }
    let number = |at: usize| arguments.get(at).and_then(|text| text.parse().ok());
    let amount = Amount { changes: number(0).unwrap_or(1_000_000), runs: number(1).unwrap_or(10_000) };
    println!(
        "{} changes in {} runs, half of them in the first; milliseconds a page\n",
        amount.changes, amount.runs
    );
    println!("{:<34} {:<9} {:>7} {:>7} {:>7} {:>7}", "page", "ledger", "first", "median", "most", "KiB");
    let folder = tempfile::tempdir().expect("a folder");
    let sqlite = LedgerConfig::Sqlite(folder.path().join("ledger.db"));
    let postgres = LedgerConfig::Postgres(Secret::new(postgres::Postgres::start().database()));
    for (dialect, config) in [(Dialect::Sqlite, sqlite), (Dialect::Postgres, postgres)] {
        fill::fill(dialect, &config, &store(), amount).await;
        let server = serve(vec![sync("main", config)], 0, None).await;
        for page in pages(amount) {
            measure(server.address(), dialect, &page).await;
        }
        server.stop().await;
    }
}

fn pages(amount: Amount) -> Vec<String> {
    let mut pages: Vec<String> =
        ["/", "/syncs/main", "/syncs/main/rejected", "/syncs/main/rejected?like=7.1"]
            .map(str::to_owned)
            .into();
    pages.extend([
        format!("/syncs/main?before={}", amount.runs / 2),
        "/syncs/main/runs/1".to_owned(),
        format!("/syncs/main/runs/{}", amount.runs / 97 * 97),
        "/syncs/main/invalid".to_owned(),
        "/syncs/main/invalid?skip=1900".to_owned(),
        "/syncs/main/customer?id=7".to_owned(),
        "/syncs/main/customer?id=100000".to_owned(),
    ]);
    pages
}

async fn measure(address: SocketAddr, dialect: Dialect, page: &str) {
    let mut times = Vec::new();
    let mut size = 0;
    for _ in 0..10 {
        let from = Instant::now();
        size = read(address, page).await;
        times.push(from.elapsed());
    }
    let first = times[0];
    times.sort();
    let ms = |time: Duration| format!("{:.1}", time.as_secs_f64() * 1e3);
    let (median, most) = (ms(times[times.len() / 2]), ms(times[times.len() - 1]));
    println!("{page:<34} {dialect:<9} {:>7} {median:>7} {most:>7} {:>7}", ms(first), size / 1024);
}

/// Reads a page and returns its size.
async fn read(address: SocketAddr, page: &str) -> usize {
    let mut stream = TcpStream::connect(address).await.expect("connects");
    let request =
        format!("GET {page} HTTP/1.1\r\nHost: {address}\r\nAccept: text/html\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("sends");
    let mut response = Vec::new();
    stream.read_to_end(&mut response).await.expect("reads");
    assert!(response.starts_with(b"HTTP/1.1 200 "), "{page}: {}", String::from_utf8_lossy(&response));
    response.len()
}
