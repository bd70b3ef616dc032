//! The operations that a rule needs besides the port.

use async_trait::async_trait;
use attrsync::config::LedgerConfig;
use attrsync::ledger::{Ledger, LedgerError};
use attrsync::record::{Entry, InvalidRow, Key, Outcome, StoreName, WaitTotal};
use attrsync::testing::memory_ledger::{BeliefEditRow, ChangeRow, MissedRow, RequestRow, RunRow};

/// A database with a ledger. It outlives the handles of the ledger.
#[async_trait]
pub(crate) trait Backend: Sync {
    /// Opens the ledger of a store. Dropping the ledger simulates a crash.
    async fn open(&self, store: &StoreName) -> Result<Box<dyn Ledger>, LedgerError>;

    /// Returns the configuration that opens the audit, or `None` if the ledger exists in this process only.
    fn config(&self) -> Option<LedgerConfig>;

    /// Returns the entries of a store, in key order.
    async fn entries(&self, store: &StoreName) -> Vec<Entry>;

    /// Returns the runs of a store, oldest first.
    async fn runs(&self, store: &StoreName) -> Vec<RunRow>;

    /// Returns the scheduled times of a store without a run, in the order in which they were recorded.
    async fn missed_times(&self, store: &StoreName) -> Vec<MissedRow>;

    /// Returns the changes of a run, in key order.
    async fn changes(&self, run_id: i64) -> Vec<ChangeRow>;

    /// Returns the requests of a run, oldest first.
    async fn requests(&self, run_id: i64) -> Vec<RequestRow>;

    /// Returns the invalid rows of a run, in the order in which they were saved.
    async fn invalid_rows(&self, run_id: i64) -> Vec<InvalidRow>;

    /// Returns how long a run waited, by reason in alphabetical order.
    async fn waits(&self, run_id: i64) -> Vec<WaitTotal>;

    /// Returns the belief edits of a run, in the order in which they were made.
    async fn belief_edits(&self, run_id: i64) -> Vec<BeliefEditRow>;

    /// Returns the rows of the view `outcomes` for a run, in key order.
    async fn outcomes(&self, run_id: i64) -> Vec<(Key, Outcome)>;
}
