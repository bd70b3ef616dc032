//! A live store with a table and a ledger, read by reconcile runs.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use attrsync::clock::{Clock, SystemClock};
use attrsync::config::{DriftConfig, MissingConfig, PushConfig};
use attrsync::engine::{
    self, EngineError, Finding, Options, Ports, Progress, ReadConfig, ReconcileOptions, Reconciled, Report,
};
use attrsync::record::{Belief, Key, StoreName};
use attrsync::sandbox::{Model, QuotaRule, SandboxOptions};
use attrsync::testing::memory_ledger::MemoryStore;
use attrsync::testing::memory_source::MemorySource;
use attrsync::testing::sandbox_destination::SandboxDestination;
use attrsync::waits::Waits;
use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::watch;

/// The clock of this machine, set forward.
#[derive(Default)]
pub(super) struct LaterClock(pub(super) AtomicI64);

impl Clock for LaterClock {
    fn now(&self) -> DateTime<Utc> {
        SystemClock.now() + TimeDelta::seconds(self.0.load(Ordering::SeqCst))
    }
}

/// A store, a table and a ledger.
pub(super) struct Live {
    pub(super) model: Arc<Mutex<Model>>,
    pub(super) source: MemorySource,
    pub(super) ledger: MemoryStore,
    pub(super) name: StoreName,
    pub(super) push: PushConfig,
    pub(super) drift: DriftConfig,
    pub(super) missing: MissingConfig,
    pub(super) clock: LaterClock,
}

impl Live {
    /// A store of these customers, each with a row for attribute 1.
    pub(super) fn new(customers: i64) -> Self {
        let options = SandboxOptions {
            customers,
            latency: Duration::from_millis(1),
            started_at: SystemClock.now(),
            quota: QuotaRule { requests: 1_000_000, ..QuotaRule::default() },
            ..SandboxOptions::default()
        };
        let rows = (1..=customers).map(|id| (Some(id), Some(1), Some("gold".to_owned())));
        Self {
            model: Arc::new(Mutex::new(Model::new(options))),
            source: MemorySource::new(rows.collect()),
            ledger: MemoryStore::new(),
            name: StoreName::new("https://sandbox", "sandbox"),
            push: PushConfig { backoff: Duration::from_millis(10), ..PushConfig::default() },
            drift: DriftConfig::default(),
            missing: MissingConfig::default(),
            clock: LaterClock::default(),
        }
    }

    pub(super) fn model(&self) -> MutexGuard<'_, Model> {
        self.model.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a value as another app would.
    pub(super) fn others_set(&self, customer: i64, value: Option<&str>) {
        self.model().set_value(Key::new(customer, 1), value);
    }

    pub(super) fn value(&self, customer: i64) -> Option<String> {
        self.model().value(Key::new(customer, 1)).map(str::to_owned)
    }

    pub(super) async fn sync(&self) -> Report {
        let ledger = self.ledger.lock(&self.name).expect("its lock is free");
        let destination = SandboxDestination::new(self.model.clone(), self.push.request_timeout, 0.2);
        let ports = Ports {
            source: &self.source,
            ledger: &ledger,
            destination: &destination,
            clock: &self.clock,
            progress: &|_| {},
            waits: &Waits::default(),
        };
        let (_ask, stop) = watch::channel(false);
        let options = Options { missing: self.missing.clone(), ..Options::default() };
        engine::sync(ports, &self.push, &options, stop).await.expect("a sync")
    }

    /// Reads the store. It is killed once so many values were read, or at its end.
    pub(super) async fn try_reconcile(
        &self,
        options: &ReconcileOptions,
        killed_at: Option<u64>,
    ) -> Option<Result<(Reconciled, Vec<Finding>), EngineError>> {
        let ledger = self.ledger.lock(&self.name).expect("its lock is free");
        let destination = SandboxDestination::new(self.model.clone(), self.push.request_timeout, 0.2);
        let (kill, mut killed) = watch::channel(false);
        let progress = |progress: Progress| {
            if let (Progress::Reading(values), Some(most)) = (progress, killed_at)
                && values >= most
            {
                kill.send_replace(true);
            }
        };
        let ports = Ports {
            source: &self.source,
            ledger: &ledger,
            destination: &destination,
            clock: &self.clock,
            progress: &progress,
            waits: &Waits::default(),
        };
        let (_ask, stop) = watch::channel(false);
        let findings = Mutex::new(Vec::new());
        let tell = |finding: &Finding| findings.lock().expect("no panic").push(finding.clone());
        let config = ReadConfig { push: &self.push, drift: &self.drift };
        let ended = tokio::select! {
            biased;
            Ok(_) = killed.wait_for(|killed| *killed) => None,
            ended = engine::reconcile(ports, config, options, &tell, stop) => Some(ended),
        };
        let findings = findings.into_inner().expect("no panic");
        Some(ended?.map(|reconciled| (reconciled, findings)))
    }

    pub(super) async fn reconcile(&self, options: &ReconcileOptions) -> (Reconciled, Vec<Finding>) {
        self.try_reconcile(options, None).await.expect("not killed").expect("a reading")
    }

    pub(super) async fn look(&self) -> (Reconciled, Vec<Finding>) {
        self.reconcile(&ReconcileOptions::default()).await
    }

    pub(super) async fn adopt(&self) -> (Reconciled, Vec<Finding>) {
        self.reconcile(&ADOPT).await
    }

    pub(super) fn belief(&self, customer: i64) -> Option<Belief> {
        self.ledger.entry(&self.name, Key::new(customer, 1)).map(|entry| entry.belief)
    }

    pub(super) fn reads(&self) -> u64 {
        let model = self.model();
        model.tally().requests - model.tally().writes
    }

    /// Reads back a share after a night, and returns what it found.
    pub(super) async fn sweep_after(&self, passed: Duration) -> Option<Reconciled> {
        self.clock.0.fetch_add(i64::try_from(passed.as_secs()).expect("not that long"), Ordering::SeqCst);
        tokio::time::sleep(passed).await;
        let ledger = self.ledger.lock(&self.name).expect("its lock is free");
        let destination = SandboxDestination::new(self.model.clone(), self.push.request_timeout, 0.2);
        let ports = Ports {
            source: &self.source,
            ledger: &ledger,
            destination: &destination,
            clock: &self.clock,
            progress: &|_| {},
            waits: &Waits::default(),
        };
        let (_ask, stop) = watch::channel(false);
        let config = ReadConfig { push: &self.push, drift: &self.drift };
        engine::sweep(ports, config, stop).await.expect("a sweep")
    }
}

pub(super) const ADOPT: ReconcileOptions = ReconcileOptions {
    filter: attrsync::record::Filter {
        customers: std::collections::BTreeSet::new(),
        attributes: std::collections::BTreeSet::new(),
    },
    attribute_names: Vec::new(),
    adopt: true,
};
