//! The port to the scheduler: which syncs there are, and the trigger of one.

use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;

use crate::attention::Timing;
use crate::config::LedgerConfig;
use crate::record::StoreName;

/// The syncs of a process. The scheduler implements it.
pub trait Syncs: Send + Sync {
    /// All syncs, in the order of their names.
    fn list(&self) -> Vec<SyncInfo>;

    /// The files that cannot be used as they are now.
    fn unusable(&self) -> Vec<UnusableFile>;

    /// Triggers a run of a sync, and waits until its id is known; `None` if there is no such sync.
    fn trigger(&self, name: &str) -> BoxFuture<'_, Option<Triggered>>;
}

/// A configuration file that cannot be used as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnusableFile {
    /// The name of its sync.
    pub name: String,
    /// The file.
    pub file: String,
    /// Why, for a person. Several lines.
    pub problem: String,
    /// Whether what it said before stays in force. Otherwise its sync does not run.
    pub stays_in_force: bool,
}

/// A sync, as the scheduler knows it.
#[derive(Debug, Clone)]
pub struct SyncInfo {
    /// Its name, unique in the process.
    pub name: String,
    /// The store that it keeps in step.
    pub store: StoreName,
    /// Where its ledger is.
    pub ledger: LedgerConfig,
    /// What its schedule says; `None` without one.
    pub timing: Option<Timing>,
    /// Its run in this process.
    pub running: Option<LiveRun>,
    /// Whether a run is due and waits for others to end.
    pub waiting: bool,
    /// Why no run can start, for a person.
    pub problem: Option<String>,
}

/// What is known of a run in this process and not in the ledger yet.
#[derive(Debug, Clone)]
pub struct LiveRun {
    /// Its id, once the ledger has given one.
    pub run_id: Option<i64>,
    /// When it started.
    pub started_at: DateTime<Utc>,
    /// Rows read from the source so far.
    pub rows_read: i64,
    /// What it waits for at the moment, for a person: `the store's rate quota, 12 s`.
    pub wait: Option<String>,
}

/// What a trigger did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Triggered {
    /// A run started.
    Started(i64),
    /// A run is active; one more follows it.
    Remembered {
        /// The active run.
        after: i64,
    },
    /// No run can start now, for this reason.
    Refused(String),
}
