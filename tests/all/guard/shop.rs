//! A shop: its table, its store and its ledger, without a process or a socket.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use attrsync::clock::SystemClock;
use attrsync::config::{GuardConfig, PushConfig};
use attrsync::engine::{self, Options, Ports, Report};
use attrsync::record::{Key, StoreName};
use attrsync::sandbox::{AttributeSpec, Event, Model, QuotaRule, SandboxOptions};
use attrsync::testing::memory_ledger::{MemoryLedger, MemoryStore};
use attrsync::testing::memory_source::{MemoryRow, MemorySource};
use attrsync::testing::sandbox_destination::SandboxDestination;
use attrsync::waits::Waits;
use tokio::sync::watch;

pub(super) const TIER: i64 = 1;
pub(super) const SPENT: i64 = 2;
pub(super) const LAST_ORDER: i64 = 3;
pub(super) const COMPANY: i64 = 4;
pub(super) const NEWSLETTER: i64 = 5;
pub(super) const SINCE: i64 = 6;
/// An attribute that the store defines and that the table has no values for at first.
pub(super) const REGION: i64 = 7;

/// How many customers the store has, as a multiple of those of the table.
const MORE_CUSTOMERS: i64 = 8;

/// A customer as the shop's database knows one.
#[derive(Debug, Clone)]
pub(super) struct Customer {
    pub(super) id: i64,
    pub(super) tier: &'static str,
    /// What the customer has spent, in cents.
    pub(super) spent: u32,
    /// The day of the last order, counted from 2026-01-01; `None` without an order.
    pub(super) last_order: Option<u32>,
    pub(super) company: String,
    pub(super) newsletter: bool,
    pub(super) since: String,
    pub(super) region: Option<&'static str>,
}

impl Customer {
    pub(super) fn drawn(id: i64, random: &mut fastrand::Rng) -> Self {
        const NAMES: [&str; 10] = [
            "Nordwind Tools",
            "Café Soleil",
            "Harbour & Sons Trading",
            "Müller Werkzeuge",
            "Acme",
            "Blue Lake Outfitters",
            "Riverside Garden Supplies and Furniture",
            "Sunny",
            "Old Town Books & Paper",
            "Pine Hill Bakery",
        ];
        let has_ordered = random.f64() < 0.75;
        Self {
            id,
            tier: match random.u32(..10) {
                0 => "gold",
                1 | 2 => "silver",
                _ => "bronze",
            },
            spent: if has_ordered { random.u32(500..500_000) } else { 0 },
            last_order: has_ordered.then(|| random.u32(..200)),
            company: format!("{} {}", NAMES[random.usize(..NAMES.len())], id % 97),
            newsletter: random.bool(),
            since: format!("2024-{:02}-{:02} {:02}:30:00+00", 1 + id % 12, 1 + id % 28, id % 24),
            region: None,
        }
    }

    fn rows(&self) -> Vec<MemoryRow> {
        let row = |attribute: i64, value: Option<String>| (Some(self.id), Some(attribute), value);
        let mut rows = vec![
            row(TIER, Some(self.tier.to_owned())),
            row(SPENT, Some(format!("{}.{:02}", self.spent / 100, self.spent % 100))),
            row(LAST_ORDER, self.last_order.map(date)),
            row(COMPANY, Some(self.company.clone())),
            row(NEWSLETTER, Some(self.newsletter.to_string())),
            row(SINCE, Some(self.since.clone())),
        ];
        rows.extend(self.region.map(|region| row(REGION, Some(region.to_owned()))));
        rows
    }
}

/// The date of a day that is counted from 2026-01-01.
pub(super) fn date(day: u32) -> String {
    let first = chrono::NaiveDate::from_ymd_opt(2026, 1, 1).expect("a date");
    (first + chrono::Days::new(u64::from(day))).to_string()
}

/// The rows of all customers.
pub(super) fn rows_of(customers: &[Customer]) -> Vec<MemoryRow> {
    customers.iter().flat_map(Customer::rows).collect()
}

/// A shop whose first sync was made.
pub(super) struct Shop {
    pub(super) customers: Vec<Customer>,
    pub(super) store: MemoryStore,
    model: Arc<Mutex<Model>>,
    destination: SandboxDestination,
    ledger: MemoryLedger,
    source: MemorySource,
}

impl Shop {
    /// Makes a shop with so many customers. Some ids are not used, because their customers were deleted.
    pub(super) async fn open(size: usize, seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let ids = (1..).filter(|id| id % 11 != 0).take(size);
        let customers: Vec<_> = ids.map(|id| Customer::drawn(id, &mut random)).collect();
        let last = customers.last().map_or(0, |customer| customer.id);
        let kinds = ["string", "number", "date", "string", "string", "string", "string"];
        let attributes = (1..).zip(kinds).map(|(id, kind)| AttributeSpec::new(id, &format!("a{id}"), kind));
        let options = SandboxOptions {
            customers: last * MORE_CUSTOMERS,
            attributes: attributes.collect(),
            latency: Duration::ZERO,
            quota: QuotaRule { requests: 1_000_000, ..QuotaRule::default() },
            ..SandboxOptions::default()
        };
        let name = StoreName::new("https://sandbox", &*options.hash);
        let mut model = Model::new(options);
        model.watch();
        let model = Arc::new(Mutex::new(model));
        let destination = SandboxDestination::new(Arc::clone(&model), Duration::from_secs(60), 0.0);
        let store = MemoryStore::new();
        let ledger = store.lock(&name).expect("the lock is free");
        let source = MemorySource::new(rows_of(&customers));
        Self { customers, store, model, destination, ledger, source }
    }

    pub(super) fn model(&self) -> MutexGuard<'_, Model> {
        self.model.lock().expect("no panic")
    }

    /// Syncs these rows by the default guard.
    pub(super) async fn night(&self, rows: Vec<MemoryRow>) -> Report {
        self.night_by(rows, GuardConfig::default()).await
    }

    pub(super) async fn night_by(&self, rows: Vec<MemoryRow>, guard: GuardConfig) -> Report {
        self.sync(rows, Options { guard, ..Options::default() }).await
    }

    pub(super) async fn sync(&self, rows: Vec<MemoryRow>, options: Options) -> Report {
        self.source.replace(rows);
        let ports = Ports {
            source: &self.source,
            ledger: &self.ledger,
            destination: &self.destination,
            clock: &SystemClock,
            waits: &Waits::default(),
            progress: &|_| {},
        };
        let (_ask, stop) = watch::channel(false);
        engine::sync(ports, &PushConfig::default(), &options, stop).await.expect("a report")
    }

    /// The customers that were written since this was last called.
    pub(super) fn written(&self) -> BTreeSet<i64> {
        let events = self.model().events();
        let written = events.into_iter().filter_map(|event| match event {
            Event::Written { key, .. } | Event::Refused { key, .. } => Some(key.customer_id),
            Event::Edited { .. } => None,
            Event::Deleted { key, .. } => Some(key.customer_id),
        });
        written.collect()
    }

    /// Checks that the store holds these rows.
    pub(super) fn assert_holds(&self, rows: &[MemoryRow]) {
        let model = self.model();
        for (customer, attribute, value) in rows {
            let (Some(customer), Some(attribute), Some(value)) = (customer, attribute, value) else {
                continue;
            };
            assert_eq!(model.value(Key::new(*customer, *attribute)), Some(value.as_str()));
        }
    }
}
