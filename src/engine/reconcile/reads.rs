//! What every step of a reading uses: reads that end when the run is asked to stop, and edits of beliefs.

use std::collections::BTreeMap;

use futures_util::future::BoxFuture;
use tokio::sync::watch;

use super::finding::{Finding, Reconciled};
use crate::config::{DriftConfig, PushConfig};
use crate::destination::ReadError;
use crate::engine::ports::{EngineError, GaveUp, Ports};
use crate::engine::read_retry;
use crate::engine::stop::asked_to_stop;
use crate::ledger::LedgerError;
use crate::ledger::readings::VALUES_AT_ONCE;
use crate::record::{AttributeNames, DriftPolicy, Filter, ValueEdit, WaitReason};
use crate::source::SourceError;
use crate::waits::Waits;

/// What was asked for.
#[derive(Debug, Clone, Default)]
pub struct ReconcileOptions {
    /// Only these keys.
    pub filter: Filter,
    /// Only attributes of these names, besides `filter.attributes`.
    pub attribute_names: Vec<String>,
    /// Give entries to keys that the source desires and that the ledger does not know.
    pub adopt: bool,
}

/// What reads of the store are done with.
#[derive(Debug, Clone, Copy)]
pub struct ReadConfig<'a> {
    /// How reads are repeated.
    pub push: &'a PushConfig,
    /// What is done about drift.
    pub drift: &'a DriftConfig,
}

/// Told each finding, in the order in which they are made; must not block.
pub type Tell<'a> = &'a (dyn Fn(&Finding) + Send + Sync);

/// Why a reading ended early.
#[derive(Debug)]
pub(super) enum End {
    /// It was asked to stop.
    Stopped,
    /// By an error.
    Failed(EngineError),
}

impl From<EngineError> for End {
    fn from(error: EngineError) -> Self {
        Self::Failed(error)
    }
}

impl From<LedgerError> for End {
    fn from(error: LedgerError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<SourceError> for End {
    fn from(error: SourceError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<Box<GaveUp>> for End {
    fn from(error: Box<GaveUp>) -> Self {
        Self::Failed(error.into())
    }
}

/// What the steps of a reading use.
pub(super) struct Reads<'a> {
    pub(super) ports: Ports<'a>,
    pub(super) config: ReadConfig<'a>,
    pub(super) run_id: i64,
    pub(super) filter: Filter,
    /// What the names of attributes in the source mean.
    pub(super) names: AttributeNames,
    /// The policies of single attributes.
    pub(super) policies: BTreeMap<i64, DriftPolicy>,
    /// Told each finding.
    pub(super) tell: Option<Tell<'a>>,
    pub(super) stop: watch::Receiver<bool>,
}

impl Reads<'_> {
    /// Reads from the store, again if that may help.
    pub(super) async fn read<'r, T>(
        &self,
        read: impl Fn() -> BoxFuture<'r, Result<T, ReadError>>,
    ) -> Result<T, End> {
        let mut stop = self.stop.clone();
        let (push, waits): (&PushConfig, &Waits) = (self.config.push, self.ports.waits);
        tokio::select! {
            biased;
            () = asked_to_stop(&mut stop) => Err(End::Stopped),
            read = read_retry::tried(push, waits, WaitReason::Values, read) => Ok(read?),
        }
    }

    /// Fails if the run was asked to stop.
    pub(super) fn go_on(&self) -> Result<(), End> {
        if *self.stop.borrow() { Err(End::Stopped) } else { Ok(()) }
    }

    /// What is done about drift of an attribute.
    pub(super) fn policy(&self, attribute_id: i64) -> DriftPolicy {
        self.policies.get(&attribute_id).copied().unwrap_or(self.config.drift.policy)
    }

    /// Whether the filter lets the attribute through.
    pub(super) fn has_attribute(&self, attribute_id: i64) -> bool {
        self.filter.attributes.is_empty() || self.filter.attributes.contains(&attribute_id)
    }

    /// Counts a finding, and tells it.
    pub(super) fn found(&self, found: &mut Reconciled, finding: Finding) {
        if let Some(tell) = self.tell {
            tell(&finding);
        }
        found.add(finding);
    }

    /// Edits beliefs.
    pub(super) async fn edit(&self, edits: &[ValueEdit]) -> Result<(), End> {
        for edits in edits.chunks(VALUES_AT_ONCE) {
            self.ports.ledger.edit_values(self.run_id, edits, self.ports.clock.now()).await?;
        }
        Ok(())
    }
}
