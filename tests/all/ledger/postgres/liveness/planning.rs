//! The database falls silent while a run plans and saves pages of the plan.

use std::error::Error;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use attrsync::clock::SystemClock;
use attrsync::config::PushConfig;
use attrsync::engine::{self, EngineError, Options, Ports, Progress, Report};
use attrsync::ledger::postgres::PostgresLedger;
use attrsync::ledger::{Ledger, LedgerError};
use attrsync::record::RunStatus;
use attrsync::sandbox::{AttributeSpec, Counting, Limits, Model, SandboxOptions};
use attrsync::testing::memory_source::MemorySource;
use attrsync::testing::sandbox_destination::SandboxDestination;
use attrsync::waits::Waits;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::{Silencer, Wire, confirmed};
use crate::ledger::postgres::store;

const CUSTOMERS: i64 = 360;
const ATTRIBUTES: i64 = 50;
const VALUES: i64 = CUSTOMERS * ATTRIBUTES;

/// The number of changes in a page of the plan.
const PAGE: i64 = 8_000;

/// A store without latency that accepts all values of ten customers in one request.
fn quick() -> Silencer {
    let attributes = (1..=ATTRIBUTES).map(|id| AttributeSpec::new(id, &format!("attribute_{id}"), "string"));
    let options = SandboxOptions {
        customers: CUSTOMERS,
        attributes: attributes.collect(),
        latency: Duration::ZERO,
        limits: Limits { counting: Counting::Customers, ..Limits::default() },
        ..SandboxOptions::default()
    };
    let model = Arc::new(Mutex::new(Model::new(options)));
    Silencer {
        store: SandboxDestination::new(model, Duration::from_secs(60), 0.2),
        wire: None,
        requests: AtomicUsize::new(0),
        fell_silent: Mutex::new(None),
    }
}

/// Runs a sync. Calls `planned` with the number of changes so far.
async fn sync(
    ledger: &dyn Ledger,
    store: &Silencer,
    planned: &(dyn Fn(i64) + Send + Sync),
) -> Result<Report, EngineError> {
    let keys = (1..=CUSTOMERS).flat_map(|customer| (1..=ATTRIBUTES).map(move |id| (customer, id)));
    let rows = keys.map(|(customer, id)| (Some(customer), Some(id), Some("first".to_owned())));
    let source = MemorySource::new(rows.collect());
    let progress = |progress| {
        if let Progress::Planning(counts) = progress {
            planned(counts.planned);
        }
    };
    let ports = Ports {
        source: &source,
        ledger,
        destination: store,
        clock: &SystemClock,
        progress: &progress,
        waits: &Waits::default(),
    };
    let (_ask, stop) = watch::channel(false);
    engine::sync(ports, &PushConfig::default(), &Options::default(), stop).await
}

#[tokio::test]
async fn a_run_whose_database_falls_silent_while_it_plans_sends_nothing() {
    let (wire, url, through) = Wire::to_a_database();
    let ledger = PostgresLedger::open(&through, &store()).await.expect("opens");
    let (sandbox, planned, fell_silent) = (quick(), AtomicI64::new(0), Mutex::new(None));
    let falls = |so_far: i64| {
        planned.store(so_far, Ordering::SeqCst);
        // The first page is being saved.
        if so_far >= PAGE && wire.fall_silent() {
            tokio::time::pause();
            *fell_silent.lock().expect("no panic") = Some(Instant::now());
        }
    };
    let ended = timeout(Duration::from_secs(900), sync(&ledger, &sandbox, &falls)).await;
    let error = ended.expect("it does not hang").expect_err("its ledger cannot be written");
    let took = fell_silent.lock().expect("no panic").expect("it did").elapsed();
    tokio::time::resume();
    let EngineError::Ledger(error @ LedgerError::Database { .. }) = error else { panic!("{error:?}") };
    let told = format!("{error}: {}", error.source().expect("a cause"));
    assert!(told.contains("no response"), "{told}");
    assert!(took <= Duration::from_secs(600), "{took:?}");
    let planned = planned.into_inner();
    assert!(planned > 2 * PAGE, "two pages were under way: {planned} are planned");
    assert_eq!(sandbox.requests.load(Ordering::SeqCst), 0, "a plan that is not sealed is not sent");

    drop(ledger);
    wire.cut();
    let next = PostgresLedger::open(&url, &store()).await.expect("the lock is free");
    assert_eq!(confirmed(&next).await.len(), 0);
    let report = sync(&next, &sandbox, &|_| {}).await.expect("ends");
    assert_eq!((report.status, report.counts.confirmed), (RunStatus::Succeeded, VALUES));
    assert_eq!(confirmed(&next).await.len() as i64, VALUES);
}
