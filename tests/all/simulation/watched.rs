//! A destination that passes every request and response to the oracle.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use attrsync::destination::{
    Attribute, Body, CustomerAddress, Destination, Echo, Item, ReadError, Response, ValueList, ValuePage,
};
use attrsync::record::{Key, StoreName};
use attrsync::sandbox::Model;
use attrsync::testing::memory_ledger::MemoryStore;
use attrsync::testing::sandbox_destination::SandboxDestination;
use tokio::time::Instant;

use super::oracle::{Oracle, Run};
use super::story::Sync;

/// The ledger, the store and the oracle of one story.
#[derive(Debug, Clone)]
pub(super) struct Scene {
    pub(super) name: StoreName,
    pub(super) ledger: MemoryStore,
    pub(super) model: Arc<Mutex<Model>>,
    pub(super) oracle: Arc<Mutex<Oracle>>,
}

impl Scene {
    pub(super) fn model(&self) -> MutexGuard<'_, Model> {
        self.model.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the oracle after it has learned all events of the store so far.
    pub(super) fn oracle(&self) -> MutexGuard<'_, Oracle> {
        let events = self.model().events();
        let mut oracle = self.oracle.lock().unwrap_or_else(PoisonError::into_inner);
        oracle.learn(events);
        oracle
    }
}

/// The destination of one run.
pub(super) struct Watched {
    pub(super) scene: Scene,
    pub(super) store: SandboxDestination,
    pub(super) run: Mutex<Run>,
    /// The start of the story.
    pub(super) start: Instant,
    pub(super) workers: usize,
    pub(super) in_flight: AtomicUsize,
}

impl Watched {
    /// Tells the oracle which run is undone.
    pub(super) fn tell_of_undo(&self, undone: Option<i64>, sync: &Sync) {
        let mut run = self.run();
        (run.undoes, run.ignores_pins) = (undone, sync.ignores_pins);
        run.is_alone = sync.during.is_empty();
    }

    fn run(&self) -> MutexGuard<'_, Run> {
        self.run.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts a request as in flight until it is dropped.
struct InFlight<'a>(&'a AtomicUsize);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl Destination for Watched {
    async fn acquire_permit(&self) {
        self.store.acquire_permit().await;
    }

    async fn upsert(&self, items: &[Item<'_>]) -> Response {
        let in_flight = self.in_flight.fetch_add(1, Ordering::SeqCst) + 1;
        let counted = InFlight(&self.in_flight);
        {
            let entry = |key| self.scene.ledger.entry(&self.scene.name, key);
            let mut oracle = self.scene.oracle();
            oracle.in_flight(in_flight, self.workers);
            oracle.sending(
                &mut self.run(),
                items,
                u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX),
                entry,
            );
        }
        let response = self.store.upsert(items).await;
        drop(counted);
        if let Response::Received(received) = &response
            && let (200, Body::Echoes(echoes)) = (received.status, &received.body)
        {
            self.scene.oracle().accepted(&mut self.run(), items, echoes);
        }
        response
    }

    async fn delete(&self, ids: &[i64]) -> Response {
        let in_flight = self.in_flight.fetch_add(1, Ordering::SeqCst) + 1;
        let counted = InFlight(&self.in_flight);
        {
            let entries = self.scene.ledger.entries(&self.scene.name);
            let mut oracle = self.scene.oracle();
            oracle.in_flight(in_flight, self.workers);
            let at_ms = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
            oracle.deleting(&mut self.run(), ids, at_ms, &entries);
        }
        let response = self.store.delete(ids).await;
        drop(counted);
        response
    }

    async fn fetch(&self, keys: &[Key]) -> Result<Vec<Echo>, ReadError> {
        let rows = self.store.fetch(keys).await?;
        self.scene.oracle().read(&self.run(), keys, &rows);
        Ok(rows)
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
