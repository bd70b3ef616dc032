//! The network route to the ledger in Postgres is dropped while a run sends: no FIN, no RST and no byte arrives any
//! more.

mod operations;
mod planning;

use std::error::Error;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use async_trait::async_trait;
use attrsync::clock::SystemClock;
use attrsync::config::PushConfig;
use attrsync::destination::{
    Attribute, CustomerAddress, Destination, Echo, Item, ReadError, Response, ValueList, ValuePage,
};
use attrsync::engine::{self, EngineError, Options, Ports, Report};
use attrsync::ledger::postgres::PostgresLedger;
use attrsync::ledger::{Ledger, LedgerError, LedgerReader};
use attrsync::record::{Belief, Filter, Key, RunStatus};
use attrsync::sandbox::{Model, SandboxOptions};
use attrsync::testing::memory_source::MemorySource;
use attrsync::testing::sandbox_destination::SandboxDestination;
use attrsync::waits::Waits;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use crate::ledger::postgres::store;
use crate::support::postgres::Postgres;

/// A proxy in front of a server. When it falls silent, it drops all bytes and notifies neither end.
#[derive(Clone)]
pub(crate) struct Wire {
    port: u16,
    /// The number of connections so far.
    made: Arc<AtomicUsize>,
    /// The number of the first connection that is not silent.
    silent: Arc<AtomicUsize>,
    ends: Arc<Mutex<Vec<TcpStream>>>,
}

impl Wire {
    /// Starts a proxy in front of a new database. Returns it with the database's address and the address through the
    /// proxy.
    pub(crate) fn to_a_database() -> (Self, String, String) {
        let url = Postgres::start().database();
        let server = Postgres::start().port();
        let wire = Self::behind(TcpListener::bind("127.0.0.1:0").expect("a free port"), server);
        let through = url.replace(&format!(":{server}/"), &format!(":{}/", wire.port));
        (wire, url, through)
    }

    /// Starts a proxy that takes connections at this listener.
    pub(crate) fn behind(listener: TcpListener, server: u16) -> Self {
        let port = listener.local_addr().expect("an address").port();
        let wire = Self { port, made: Arc::default(), silent: Arc::default(), ends: Arc::default() };
        let (made, silent, ends) = (Arc::clone(&wire.made), Arc::clone(&wire.silent), Arc::clone(&wire.ends));
        thread::spawn(move || {
            for client in listener.incoming() {
                let Ok(client) = client else { return };
                let Ok(server) = TcpStream::connect(("127.0.0.1", server)) else { return };
                let number = made.fetch_add(1, Ordering::SeqCst);
                for (from, to) in [(&client, &server), (&server, &client)] {
                    let end = || from.try_clone().expect("another handle");
                    from.set_nodelay(true).expect("an open socket");
                    ends.lock().expect("no panic").push(end());
                    let (from, to, silent) =
                        (end(), to.try_clone().expect("another handle"), Arc::clone(&silent));
                    let is_silent = move || silent.load(Ordering::SeqCst) > number;
                    thread::spawn(move || carry(from, to, is_silent));
                }
            }
        });
        wire
    }

    /// Drops the route: no byte of any connection passes any more. Returns `false` if it was dropped before.
    fn fall_silent(&self) -> bool {
        self.silent.swap(usize::MAX, Ordering::SeqCst) < usize::MAX
    }

    /// Drops all bytes of the present connections; bytes of new ones pass.
    pub(crate) fn forget_connections(&self) {
        self.silent.store(self.made.load(Ordering::SeqCst), Ordering::SeqCst);
    }

    /// Closes all connections, so that both ends notice it.
    fn cut(&self) {
        for end in self.ends.lock().expect("no panic").drain(..) {
            let _ = end.shutdown(Shutdown::Both);
        }
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream, is_silent: impl Fn() -> bool) {
    let mut bytes = [0; 65_536];
    while let Ok(count @ 1..) = from.read(&mut bytes) {
        if !is_silent() && to.write_all(&bytes[..count]).is_err() {
            return;
        }
    }
    if !is_silent() {
        let _ = to.shutdown(Shutdown::Both);
    }
}

/// A store that drops the route to the ledger at its second request. From then on time is paused, and advances only
/// when no task is ready.
struct Silencer {
    store: SandboxDestination,
    wire: Option<Wire>,
    requests: AtomicUsize,
    fell_silent: Mutex<Option<Instant>>,
}

#[async_trait]
impl Destination for Silencer {
    async fn acquire_permit(&self) {
        self.store.acquire_permit().await;
    }

    async fn upsert(&self, items: &[Item<'_>]) -> Response {
        if self.requests.fetch_add(1, Ordering::SeqCst) == 1
            && let Some(wire) = &self.wire
        {
            wire.fall_silent();
            tokio::time::pause();
            *self.fell_silent.lock().expect("no panic") = Some(Instant::now());
        }
        self.store.upsert(items).await
    }

    async fn delete(&self, ids: &[i64]) -> Response {
        self.store.delete(ids).await
    }

    async fn fetch(&self, keys: &[Key]) -> Result<Vec<Echo>, ReadError> {
        self.store.fetch(keys).await
    }

    async fn values(&self, list: &ValueList, page: u64) -> Result<ValuePage, ReadError> {
        self.store.values(list, page).await
    }

    async fn attributes(&self) -> Result<Vec<Attribute>, ReadError> {
        self.store.attributes().await
    }

    async fn customers(&self, ids: &[i64]) -> Result<Vec<i64>, ReadError> {
        self.store.customers(ids).await
    }

    async fn customers_by_email(&self, addresses: &[&str]) -> Result<Vec<CustomerAddress>, ReadError> {
        self.store.customers_by_email(addresses).await
    }
}

async fn sync(ledger: &dyn Ledger, store: &Silencer) -> Result<Report, EngineError> {
    let rows = (1..=100).map(|customer| (Some(customer), Some(1), Some("first".to_owned())));
    let source = MemorySource::new(rows.collect());
    let ports = Ports {
        source: &source,
        ledger,
        destination: store,
        clock: &SystemClock,
        progress: &|_| {},
        waits: &Waits::default(),
    };
    let (_ask, stop) = watch::channel(false);
    engine::sync(ports, &PushConfig::default(), &Options::default(), stop).await
}

async fn confirmed(ledger: &dyn LedgerReader) -> Vec<i64> {
    let mut pages = ledger.entries(&Filter::default()).await.expect("scans");
    let mut confirmed = Vec::new();
    while let Some(page) = pages.next().await.expect("a page") {
        let rows = (0..page.len()).map(|index| page.row(index));
        confirmed.extend(rows.filter(|row| row.belief == Belief::Confirmed).map(|row| row.key.customer_id));
    }
    confirmed
}

#[tokio::test]
async fn a_run_whose_database_falls_silent_ends_with_the_reason() {
    let (wire, url, through) = Wire::to_a_database();
    let model = Arc::new(Mutex::new(Model::new(SandboxOptions::default())));
    let silencer = |wire| Silencer {
        store: SandboxDestination::new(Arc::clone(&model), Duration::from_secs(60), 0.2),
        wire,
        requests: AtomicUsize::new(0),
        fell_silent: Mutex::new(None),
    };
    let ledger = PostgresLedger::open(&through, &store()).await.expect("opens");
    let falls = silencer(Some(wire.clone()));
    // The kernel closes a silent connection after about 15 minutes; the run must end earlier.
    let ended = timeout(Duration::from_secs(900), sync(&ledger, &falls)).await.expect("it does not hang");
    let error = ended.expect_err("its ledger cannot be written");
    let fell_silent = falls.fell_silent.lock().expect("no panic").expect("it did");
    let took = fell_silent.elapsed();
    tokio::time::resume();
    let EngineError::Ledger(error @ LedgerError::Database { .. }) = error else { panic!("{error:?}") };
    let message = format!("{error}: {}", error.source().expect("a cause"));
    let expected = "the ledger failed to reach its database: no response for 30 seconds";
    assert!(message.starts_with(expected), "{message}");
    // Each of three steps waits half a minute: the write, the read of its result, and the check of the fencing token.
    assert!((30..=95).contains(&took.as_secs()), "{took:?}");
    let requests = falls.requests.load(Ordering::SeqCst);
    assert!(requests <= 5, "only requests with an intent may be sent, but {requests} were");

    drop(ledger);
    wire.cut();
    let next = PostgresLedger::open(&url, &store()).await.expect("the lock is free");
    let known = confirmed(&next).await.len();
    assert!(
        known < 10 * requests,
        "{known} values are confirmed after {requests} requests, although the last outcomes were not recorded"
    );
    let report = sync(&next, &silencer(None)).await.expect("ends");
    assert_eq!((report.status, report.counts.confirmed), (RunStatus::Succeeded, 100 - known as i64));
    assert_eq!(confirmed(&next).await.len(), 100);
}
