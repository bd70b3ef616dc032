//! The memory ledger as a backend.

use async_trait::async_trait;
use attrsync::config::LedgerConfig;
use attrsync::ledger::{Ledger, LedgerError};
use attrsync::record::{Entry, InvalidRow, Key, Outcome, StoreName, WaitTotal};
use attrsync::testing::memory_ledger::{
    BeliefEditRow, ChangeRow, MemoryStore, MissedRow, RequestRow, RunRow,
};

use super::backend::Backend;
use super::fixture::{Scene, at, change, new_run, store};

pub(crate) struct MemoryBackend(MemoryStore);

impl MemoryBackend {
    pub(crate) fn fresh() -> Self {
        Self(MemoryStore::new())
    }
}

#[async_trait]
impl Backend for MemoryBackend {
    async fn open(&self, store: &StoreName) -> Result<Box<dyn Ledger>, LedgerError> {
        Ok(Box::new(self.0.lock(store)?))
    }

    fn config(&self) -> Option<LedgerConfig> {
        None
    }

    async fn entries(&self, store: &StoreName) -> Vec<Entry> {
        self.0.entries(store)
    }

    async fn runs(&self, store: &StoreName) -> Vec<RunRow> {
        self.0.runs(store)
    }

    async fn missed_times(&self, store: &StoreName) -> Vec<MissedRow> {
        self.0.missed_times(store)
    }

    async fn changes(&self, run_id: i64) -> Vec<ChangeRow> {
        self.0.changes(run_id)
    }

    async fn requests(&self, run_id: i64) -> Vec<RequestRow> {
        self.0.requests(run_id)
    }

    async fn invalid_rows(&self, run_id: i64) -> Vec<InvalidRow> {
        self.0.invalid_rows(run_id)
    }

    async fn waits(&self, run_id: i64) -> Vec<WaitTotal> {
        let mut waits = self.0.waits(run_id);
        waits.sort_by_key(|total| total.reason.as_str());
        waits
    }

    async fn belief_edits(&self, run_id: i64) -> Vec<BeliefEditRow> {
        self.0.belief_edits(run_id)
    }

    async fn outcomes(&self, run_id: i64) -> Vec<(Key, Outcome)> {
        self.0.outcomes(run_id)
    }
}

#[tokio::test]
async fn writes_fail_when_asked_to() {
    let backend = MemoryBackend::fresh();
    let scene = Scene::new(&backend).await;
    let run = scene.planned_run(0, vec![change(1, 1, "a"), change(2, 1, "b")]).await;
    backend.0.fail_writes_from(2);
    scene.intent(run, 1, &[change(1, 1, "a")]).await;
    let changes = backend.changes(run).await;
    assert!(scene.try_intent(run, None, 2, &[change(2, 1, "b")]).await.is_err());
    assert!(scene.ledger.open_run(&new_run(3)).await.is_err());
    assert!(scene.ledger.mark_unconfirmed(&[Key::new(1, 1)], at(4)).await.is_err());
    assert_eq!(backend.changes(run).await, changes);
    assert_eq!(backend.entries(&store()).await.len(), 1);
    backend.0.mend();
    scene.intent(run, 5, &[change(2, 1, "b")]).await;
}
