//! What a rule may ask of an implementation besides the port itself.

use async_trait::async_trait;
use attrsync::config::LedgerConfig;
use attrsync::ledger::{Ledger, LedgerError};
use attrsync::record::{Entry, InvalidRow, Key, Outcome, StoreName};
use attrsync::testing::memory_ledger::{BeliefEditRow, ChangeRow, RequestRow, RunRow};

/// A database that holds a ledger, and outlives the handles on it.
#[async_trait]
pub(crate) trait Backend: Sync {
    /// Opens the ledger for a store. Dropping the ledger is a crash.
    async fn open(&self, store: &StoreName) -> Result<Box<dyn Ledger>, LedgerError>;

    /// The configuration that opens the audit; `None` if the ledger is in this process only.
    fn config(&self) -> Option<LedgerConfig>;

    /// The entries of a store, in key order.
    async fn entries(&self, store: &StoreName) -> Vec<Entry>;

    /// The runs of a store, oldest first.
    async fn runs(&self, store: &StoreName) -> Vec<RunRow>;

    /// The changes of a run, in key order.
    async fn changes(&self, run_id: i64) -> Vec<ChangeRow>;

    /// The requests of a run, oldest first.
    async fn requests(&self, run_id: i64) -> Vec<RequestRow>;

    /// The invalid rows of a run, in the order they were saved.
    async fn invalid_rows(&self, run_id: i64) -> Vec<InvalidRow>;

    /// The edits of beliefs that a run made, in that order.
    async fn belief_edits(&self, run_id: i64) -> Vec<BeliefEditRow>;

    /// The view `outcomes` of a run, in key order.
    async fn outcomes(&self, run_id: i64) -> Vec<(Key, Outcome)>;
}
