//! A store whose reads go wrong in the way that a test chooses.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use attrsync::clock::SystemClock;
use attrsync::config::PushConfig;
use attrsync::destination::{
    Attribute, Body, CustomerAddress, Destination, Echo, HttpResponse, Item, ReadError, Response, ValueList,
    ValuePage,
};
use attrsync::engine::{self, EngineError, Options, Ports, Report};
use attrsync::ledger::Ledger;
use attrsync::record::Key;
use attrsync::sandbox::{Model, QuotaRule, SandboxOptions};
use attrsync::testing::memory_source::MemorySource;
use attrsync::testing::sandbox_destination::SandboxDestination;
use attrsync::waits::Waits;
use tokio::sync::watch;

/// A store of a hundred customers and three attributes.
pub(super) struct OddStore {
    pub(super) model: Arc<Mutex<Model>>,
    store: SandboxDestination,
    /// The attribute that each of the next lists of attributes lacks.
    pub(super) lacking: Mutex<VecDeque<i64>>,
    /// How many of the next lists of attributes fail with a 503.
    pub(super) failing: AtomicUsize,
    /// How many more requests find a certificate that is trusted.
    pub(super) trusted: AtomicUsize,
    /// Whether reads of values and customers get no response.
    pub(super) silent_reads: AtomicBool,
    /// How many reads of values and customers were made.
    pub(super) reads: AtomicUsize,
    /// The customers of each existence check.
    pub(super) checks: Mutex<Vec<Vec<i64>>>,
}

impl OddStore {
    pub(super) fn new() -> Self {
        let quota = QuotaRule { requests: 10_000, ..QuotaRule::default() };
        let options =
            SandboxOptions { customers: 100, latency: Duration::ZERO, quota, ..SandboxOptions::default() };
        let model = Arc::new(Mutex::new(Model::new(options)));
        Self {
            model: Arc::clone(&model),
            store: SandboxDestination::new(model, Duration::from_secs(60), 0.2),
            lacking: Mutex::default(),
            failing: AtomicUsize::new(0),
            trusted: AtomicUsize::new(usize::MAX),
            silent_reads: AtomicBool::new(false),
            reads: AtomicUsize::new(0),
            checks: Mutex::default(),
        }
    }

    /// Fails once the certificate is no longer trusted.
    fn connect(&self) -> Result<(), ReadError> {
        let left = self.trusted.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
        left.map(drop).map_err(|_| {
            let reason = "could not connect to the store: the certificate there has expired".to_owned();
            ReadError(Response::NotSent { reason, hint: "check the clock", may_pass: false })
        })
    }

    async fn read(&self) -> Result<(), ReadError> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        if self.silent_reads.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        self.connect()
    }
}

#[async_trait]
impl Destination for OddStore {
    async fn acquire_permit(&self) {
        self.store.acquire_permit().await;
    }

    async fn upsert(&self, items: &[Item<'_>]) -> Response {
        match self.connect() {
            Ok(()) => self.store.upsert(items).await,
            Err(ReadError(response)) => response,
        }
    }

    async fn delete(&self, ids: &[i64]) -> Response {
        match self.connect() {
            Ok(()) => self.store.delete(ids).await,
            Err(ReadError(response)) => response,
        }
    }

    async fn fetch(&self, keys: &[Key]) -> Result<Vec<Echo>, ReadError> {
        self.read().await?;
        self.store.fetch(keys).await
    }

    async fn values(&self, list: &ValueList, page: u64) -> Result<ValuePage, ReadError> {
        self.read().await?;
        self.store.values(list, page).await
    }

    async fn attributes(&self) -> Result<Vec<Attribute>, ReadError> {
        self.connect()?;
        if self.failing.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok() {
            let body = Body::Unreadable("<html>maintenance</html>".to_owned());
            let request_id = Some("4f1".to_owned());
            return Err(ReadError(Response::Received(HttpResponse {
                status: 503,
                request_id,
                wait: None,
                body,
            })));
        }
        let lacking = self.lacking.lock().expect("no panic").pop_front();
        let listed = self.store.attributes().await?;
        Ok(listed.into_iter().filter(|attribute| Some(attribute.id) != lacking).collect())
    }

    async fn customers(&self, ids: &[i64]) -> Result<Vec<i64>, ReadError> {
        self.checks.lock().expect("no panic").push(ids.to_vec());
        self.read().await?;
        self.store.customers(ids).await
    }

    async fn customers_by_email(&self, addresses: &[&str]) -> Result<Vec<CustomerAddress>, ReadError> {
        self.read().await?;
        self.store.customers_by_email(addresses).await
    }
}

/// Syncs these values of attribute 1, of customers 1, 2, and so on.
pub(super) async fn sync(
    ledger: &dyn Ledger,
    store: &dyn Destination,
    values: &[&str],
    push: &PushConfig,
    stop: watch::Receiver<bool>,
) -> Result<Report, EngineError> {
    let rows = values.iter().zip(1..).map(|(value, id)| (Some(id), Some(1), Some((*value).to_owned())));
    let source = MemorySource::new(rows.collect());
    let ports = Ports {
        source: &source,
        ledger,
        destination: store,
        clock: &SystemClock,
        waits: &Waits::default(),
        progress: &|_| {},
    };
    engine::sync(ports, push, &Options::default(), stop).await
}
