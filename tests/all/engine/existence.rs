//! A run checks whether customers with rejected values exist: forty customers a request, each customer once.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use attrsync::clock::SystemClock;
use attrsync::config::PushConfig;
use attrsync::engine::{self, Options, Ports, Report};
use attrsync::ledger::Ledger;
use attrsync::ledger::sqlite::SqliteLedger;
use attrsync::record::{Filter, RunStatus};
use attrsync::testing::memory_ledger::MemoryStore;
use attrsync::testing::memory_source::MemorySource;
use attrsync::waits::Waits;
use tokio::sync::watch;

use super::store::OddStore;
use crate::ledger::postgres::store;

/// Creates customers in the store.
fn create(store: &OddStore, ids: RangeInclusive<i64>) {
    let mut model = store.model.lock().expect("no panic");
    ids.for_each(|id| model.add_customer(id));
}

/// Returns the existence checks after the previous call of this function.
fn take_checks(store: &OddStore) -> Vec<Vec<i64>> {
    std::mem::take(&mut store.checks.lock().expect("no panic"))
}

/// Syncs one value for each of 130 customers. The store refuses the values of customers 51 to 100, and customers from
/// 101 on do not exist.
async fn sync(ledger: &dyn Ledger, store: &OddStore) -> Report {
    sync_some(ledger, store, &[]).await
}

/// The same for these customers only; for all if there are none.
async fn sync_some(ledger: &dyn Ledger, store: &OddStore, customers: &[i64]) -> Report {
    let value = |customer| if (51..=100).contains(&customer) { "no !reject" } else { "gold" };
    let rows = (1..=130).map(|customer| (Some(customer), Some(1), Some(value(customer).to_owned())));
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
    let filter = Filter { customers: customers.iter().copied().collect(), ..Filter::default() };
    let options = Options { filter, ..Options::default() };
    engine::sync(ports, &PushConfig::default(), &options, stop).await.expect("ends")
}

/// Returns the customers that a later run would check, and whether each is known to be deleted.
async fn to_check(ledger: &dyn Ledger) -> Vec<(i64, bool)> {
    let customers = ledger.customers_to_check(i64::MAX, 1_000).await.expect("reads").into_iter();
    customers.map(|customer| (customer.customer_id, customer.deleted)).collect()
}

/// Syncs the same table three times. Some of the customers are created between the second and the third sync.
async fn checks_each_customer_once(ledger: &dyn Ledger) {
    let store = OddStore::new();
    let first = sync(ledger, &store).await;
    let counts = first.counts;
    assert_eq!((first.status, counts.confirmed, counts.rejected), (RunStatus::Partial, 50, 80));
    let checks = take_checks(&store);
    let (existing, deleted): (Vec<i64>, Vec<i64>) = ((51..=100).collect(), (101..=130).collect());
    assert_eq!(checks.concat(), [existing, deleted.clone()].concat(), "each once, in order");
    assert_eq!(checks.len(), 2, "forty at a time");
    let known: Vec<_> = deleted.iter().map(|id| (*id, true)).collect();
    assert_eq!(to_check(ledger).await, known);

    let second = sync(ledger, &store).await;
    assert_eq!((second.counts.planned, second.counts.still_rejected), (0, 80));
    assert_eq!(take_checks(&store), [deleted.as_slice()], "only whether those exist again");
    assert_eq!(to_check(ledger).await, known);

    let of_two = sync_some(ledger, &store, &[7, 101]).await;
    assert_eq!((of_two.counts.planned, of_two.counts.still_rejected), (0, 1));
    assert_eq!(take_checks(&store), [[101]], "the others are left to a whole run");

    create(&store, 101..=120);
    let third = sync(ledger, &store).await;
    assert_eq!((third.counts.planned, third.counts.confirmed, third.counts.still_rejected), (20, 20, 60));
    let asked = take_checks(&store);
    assert_eq!(asked.len(), 1, "once, before the plan is made: {asked:?}");
    assert_eq!(BTreeSet::from_iter(asked.concat()), BTreeSet::from_iter(deleted));
    assert_eq!(to_check(ledger).await, known[20..]);
}

#[tokio::test]
async fn a_run_in_memory_checks_each_customer_once() {
    let ledger = MemoryStore::new().lock(&store()).expect("the lock is free");
    checks_each_customer_once(&ledger).await;
}

#[tokio::test]
async fn a_run_over_sqlite_checks_each_customer_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let ledger = SqliteLedger::open(&folder.path().join("ledger.db"), &store()).await.expect("opens");
    checks_each_customer_once(&ledger).await;
}
