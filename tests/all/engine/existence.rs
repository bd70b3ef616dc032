//! A run asks the store about the customers whose values were refused: forty at a time, each once, until it is
//! through.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use attrsync::config::PushConfig;
use attrsync::destination::{Attribute, Destination, Echo, Item, ReadError, Response};
use attrsync::engine::{self, Options, Ports, Report};
use attrsync::ledger::Ledger;
use attrsync::ledger::memory::MemoryStore;
use attrsync::ledger::sqlite::SqliteLedger;
use attrsync::record::{Key, RunStatus};
use attrsync::sandbox::{Model, QuotaRule, SandboxOptions};
use attrsync::testing::memory_source::MemorySource;
use attrsync::testing::sandbox_destination::SandboxDestination;
use chrono::Utc;
use tokio::sync::watch;

use crate::ledger::postgres::store;

/// A store of a hundred customers that remembers about whom it was asked.
struct Asked {
    store: SandboxDestination,
    questions: Mutex<Vec<Vec<i64>>>,
}

impl Asked {
    fn new() -> Self {
        let quota = QuotaRule { requests: 10_000, ..QuotaRule::default() };
        let options =
            SandboxOptions { customers: 100, latency: Duration::ZERO, quota, ..SandboxOptions::default() };
        let model = Arc::new(Mutex::new(Model::new(options)));
        Self {
            store: SandboxDestination::new(model, Duration::from_secs(60), 0.2),
            questions: Mutex::default(),
        }
    }

    /// The questions since the last look.
    fn questions(&self) -> Vec<Vec<i64>> {
        std::mem::take(&mut self.questions.lock().expect("no panic"))
    }
}

#[async_trait]
impl Destination for Asked {
    async fn acquire_permit(&self) {
        self.store.acquire_permit().await;
    }

    async fn upsert(&self, items: &[Item<'_>]) -> Response {
        self.store.upsert(items).await
    }

    async fn fetch(&self, keys: &[Key]) -> Result<Vec<Echo>, ReadError> {
        self.store.fetch(keys).await
    }

    async fn attributes(&self) -> Result<Vec<Attribute>, ReadError> {
        self.store.attributes().await
    }

    async fn customers(&self, ids: &[i64]) -> Result<Vec<i64>, ReadError> {
        self.questions.lock().expect("no panic").push(ids.to_vec());
        self.store.customers(ids).await
    }
}

/// A value each for 130 customers: the store refuses those of customers from 51 on, and has none from 101 on.
async fn sync(ledger: &dyn Ledger, store: &Asked) -> Report {
    let value = |customer| if (51..=100).contains(&customer) { "no !reject" } else { "gold" };
    let rows = (1..=130).map(|customer| (Some(customer), Some(1), Some(value(customer).to_owned())));
    let source = MemorySource::new(rows.collect());
    let ports = Ports { source: &source, ledger, destination: store, now: &Utc::now, progress: &|_| {} };
    let (_ask, stop) = watch::channel(false);
    engine::sync(ports, &PushConfig::default(), &Options::default(), stop).await.expect("ends")
}

/// Two runs over the same table; the mark is looked at after each.
async fn asks_about_each_once(ledger: &dyn Ledger, is_through: impl Fn(i64) -> bool) {
    let store = Asked::new();
    let first = sync(ledger, &store).await;
    let counts = first.counts;
    assert_eq!((first.status, counts.confirmed, counts.rejected), (RunStatus::Partial, 50, 80));
    let questions = store.questions();
    let (there, missing): (Vec<i64>, Vec<i64>) = ((51..=100).collect(), (101..=130).collect());
    assert_eq!(questions.concat(), [there, missing.clone()].concat(), "each once, in order");
    assert_eq!(questions.len(), 2, "forty at a time");
    assert_eq!(ledger.missing_customers(1_000).await.expect("reads"), missing);
    assert_eq!(ledger.unasked_customers(1_000).await.expect("reads"), []);
    assert!(is_through(first.run_id), "both pages were full, and yet that was all");

    let second = sync(ledger, &store).await;
    assert_eq!((second.counts.planned, second.counts.still_rejected), (0, 80));
    assert_eq!(store.questions(), [missing.as_slice()], "only whether those are back");
    assert_eq!(ledger.missing_customers(1_000).await.expect("reads"), missing);
    assert_eq!(ledger.unasked_customers(1_000).await.expect("reads"), []);
    assert!(is_through(first.run_id), "there is nothing new to note");
}

#[tokio::test]
async fn a_run_asks_about_each_refused_customer_once() {
    let ledger = MemoryStore::new().lock(&store()).expect("nobody has it");
    asks_about_each_once(&ledger, |_| true).await;
}

/// A mark that still names a customer shows in nothing but time: later runs read what follows in that plan.
#[tokio::test]
async fn a_run_that_has_asked_about_all_is_noted_to_be_through() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ledger.db");
    let ledger = SqliteLedger::open(&path, &store()).await.expect("opens");
    let file = rusqlite::Connection::open(&path).expect("opens");
    let mark = || {
        let columns = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
        file.query_row("select asked_run_id, asked_customer_id from stores", [], columns).expect("a store")
    };
    let is_through = |run: i64| mark() == (Some(run), None::<i64>);
    asks_about_each_once(&ledger, is_through).await;
}
