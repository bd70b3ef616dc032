//! Another run takes over the store while this one pushes.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use attrsync::config::PushConfig;
use attrsync::destination::{
    Attribute, CustomerAddress, Destination, Echo, Item, ReadError, Response, ValueList, ValuePage,
};
use attrsync::engine::EngineError;
use attrsync::ledger::{Ledger, LedgerError, NewRun};
use attrsync::record::{Key, RequestOutcome, RunKind, Trigger};
use attrsync::testing::memory_ledger::MemoryStore;
use tokio::sync::watch;

use super::store::{OddStore, sync};
use crate::ledger::postgres::{at, store};

/// A store that another run takes over while the third and fourth write are on the wire.
struct TakenStore {
    ledgers: MemoryStore,
    store: OddStore,
    writes: AtomicUsize,
}

#[async_trait]
impl Destination for TakenStore {
    async fn acquire_permit(&self) {
        self.store.acquire_permit().await;
    }

    async fn upsert(&self, items: &[Item<'_>]) -> Response {
        // The run records the next intents meanwhile.
        tokio::time::sleep(Duration::from_millis(100)).await;
        if self.writes.fetch_add(1, Ordering::SeqCst) == 2 {
            let run = NewRun {
                kind: RunKind::Sync,
                trigger: Trigger::Manual,
                started_at: at(0),
                filtered: false,
                scheduled: None,
                of_run_id: None,
            };
            self.ledgers.seize(&store()).open_run(&run).await.expect("opens");
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

#[tokio::test(start_paused = true)]
async fn promise_4_a_request_that_has_not_left_when_the_lock_is_lost_is_not_sent() {
    let ledgers = MemoryStore::new();
    let ledger = ledgers.lock(&store()).expect("the lock is free");
    let taken = TakenStore { ledgers: ledgers.clone(), store: OddStore::new(), writes: AtomicUsize::new(0) };
    let (_ask, stop) = watch::channel(false);
    let two_workers = PushConfig { workers: 2, ..PushConfig::default() };
    let error = sync(&ledger, &taken, &["gold"; 80], &two_workers, stop).await.expect_err("loses the lock");
    assert!(matches!(error, EngineError::Ledger(LedgerError::LostLock { .. })), "{error}");

    let outcomes: Vec<RequestOutcome> =
        ledgers.requests(ledgers.runs(&store())[0].id).iter().map(|request| request.outcome).collect();
    let (accepted, unrecorded) = outcomes.split_at(2);
    assert_eq!(accepted, [RequestOutcome::Accepted; 2]);
    assert_eq!(unrecorded, [RequestOutcome::Sending; 4], "two were sent, and two have an intent only");
    assert_eq!(taken.writes.load(Ordering::SeqCst), 4);
}
