//! One run, from the source's snapshot to the report. Sees ports only.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::watch;

use crate::config::PushConfig;
use crate::destination::{Destination, ReadError};
use crate::ledger::{EntryScan, Ledger, LedgerError};
use crate::record::{Change, Counts, Filter, InvalidRow, RunStatus, Trigger};
use crate::source::{Source, SourceError};

/// What ends a run, or keeps it from starting, by an error.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The source could not be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The ledger could not be read or written.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The store could not be asked for its attributes.
    #[error("could not read the store's attributes: {0}")]
    Store(#[from] ReadError),
    /// The store lists no attributes at all, or not the one that was named.
    #[error("{problem}")]
    Attributes {
        /// What is missing.
        problem: String,
        /// What to do.
        hint: String,
    },
}

/// What a run works with.
#[derive(Clone, Copy)]
pub struct Ports<'a> {
    /// The desired values.
    pub source: &'a dyn Source,
    /// The store's ledger, held.
    pub ledger: &'a dyn Ledger,
    /// The store.
    pub destination: &'a dyn Destination,
    /// The wall clock, for times that are written down.
    pub now: &'a (dyn Fn() -> DateTime<Utc> + Send + Sync),
    /// Told how far the run is; must not block.
    pub progress: &'a (dyn Fn(Progress) + Send + Sync),
}

/// What was asked for.
#[derive(Debug, Clone)]
pub struct Options {
    /// Only these keys.
    pub filter: Filter,
    /// Only attributes of these names (resolved when the store has listed its attributes), besides `filter.attributes`.
    pub attribute_names: Vec<String>,
    /// Send values again that the store rejected before.
    pub retry_rejected: bool,
    /// Believe nothing that the ledger says.
    pub distrust: bool,
    /// What started the run.
    pub trigger: Trigger,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            filter: Filter::default(),
            attribute_names: Vec::new(),
            retry_rejected: false,
            distrust: false,
            trigger: Trigger::Manual,
        }
    }
}

/// How far a run is.
#[derive(Debug, Clone, Copy)]
pub enum Progress {
    /// Reading source and ledger; so many rows so far.
    Planning(Counts),
    /// The plan is complete.
    Planned(Counts),
    /// Values are being sent.
    Pushing(Counts),
    /// Nothing is being sent for a while: the store asked for it, or older requests may still arrive.
    Waiting(Duration),
}

/// How a run ended.
#[derive(Debug, Clone)]
pub struct Report {
    /// The run's id in the ledger.
    pub run_id: i64,
    /// How it ended.
    pub status: RunStatus,
    /// Its counts.
    pub counts: Counts,
    /// Calls that sending every source row would have taken.
    pub calls_without_ledger: u64,
    /// Why it ended early, for a person.
    pub message: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
}

/// What a sync would do.
#[derive(Debug, Clone)]
pub struct Forecast {
    /// The counts of planning; `deferred` equals `planned`.
    pub counts: Counts,
    /// Changes by attribute id: name, creates, updates.
    pub attributes: BTreeMap<i64, AttributeForecast>,
    /// The first changes, in key order.
    pub sample: Vec<Change>,
    /// The first invalid rows.
    pub invalid_sample: Vec<InvalidRow>,
    /// Write calls needed if nothing goes wrong.
    pub calls: u64,
    /// Calls that sending every source row would have taken.
    pub calls_without_ledger: u64,
    /// Changes to be created.
    pub creates: u64,
    /// Changes to be updated.
    pub updates: u64,
}

/// What a sync would do to one attribute.
#[derive(Debug, Clone, Default)]
pub struct AttributeForecast {
    /// The attribute's name in the store.
    pub name: String,
    /// Values to be created.
    pub creates: u64,
    /// Values to be updated.
    pub updates: u64,
}

/// Plans, then pushes. An error after the run was opened has closed it as failed; `Ok` has the end of every other run,
/// failed and stopped ones too. `stop` turns true when the run is asked to end: what was begun is finished, nothing new is begun.
///
/// # Errors
/// Whatever kept the run from being planned or written down.
pub async fn sync(
    _ports: Ports<'_>,
    _push: &PushConfig,
    _options: &Options,
    _stop: watch::Receiver<bool>,
) -> Result<Report, EngineError> {
    Err(EngineError::Ledger(LedgerError::Unusable(String::new())))
}

/// What a sync would do now. `entries` is `None` where there is no ledger yet. Reads only; at most `sample` changes and invalid rows are kept.
///
/// # Errors
/// Whatever could not be read.
pub async fn plan(
    _source: &dyn Source,
    _entries: Option<&dyn EntryScan>,
    _destination: &dyn Destination,
    _push: &PushConfig,
    _options: &Options,
    _sample: usize,
) -> Result<Forecast, EngineError> {
    Err(EngineError::Ledger(LedgerError::Unusable(String::new())))
}
