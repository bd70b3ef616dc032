//! What a reading found: each finding, and their counts.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::record::{DriftPolicy, Key, RunStatus};

/// The most findings of one kind that a report shows.
const SHOWN: usize = 5;

/// What was found of one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    /// Adopted: the store holds what the source desires.
    Equal,
    /// Adopted: the store holds something else than the source desires. The next sync sends the source's value.
    Different,
    /// The store holds a value that the source has no row for, or a row that is NULL. It is not adopted.
    UnknownToSource,
    /// The store holds a value, and the source's row of it cannot be sent. It is not adopted.
    Invalid,
    /// Drift: the entry is unconfirmed now, so that the next sync sends the source's value.
    DriftOverwrite,
    /// Drift that was left as it is.
    DriftReport,
    /// Drift: the store's value stands until the source's value changes.
    DriftAccept,
    /// The store holds again what was confirmed, after drift was reported.
    DriftReturn,
}

impl FindingKind {
    /// The kind of drift under a policy.
    pub(super) const fn of_drift(policy: DriftPolicy) -> Self {
        match policy {
            DriftPolicy::Overwrite => Self::DriftOverwrite,
            DriftPolicy::Report => Self::DriftReport,
            DriftPolicy::Accept => Self::DriftAccept,
        }
    }
}

/// What was found of one value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The customer and the attribute.
    #[serde(flatten)]
    pub key: Key,
    /// What was found.
    pub kind: FindingKind,
    /// What the source desires, or for drift what was confirmed.
    pub expected: Option<String>,
    /// What the store holds; `None` if it holds no value.
    pub observed: Option<String>,
    /// The store's id of that value.
    pub value_id: Option<i64>,
}

/// How a reading ended.
#[derive(Debug, Clone)]
pub struct Reconciled {
    /// The run's id in the ledger.
    pub run_id: i64,
    /// Its status.
    pub status: RunStatus,
    /// What it found or why it ended early, for a person and without values.
    pub message: String,
    /// The page after which a killed run was continued.
    pub continued_after: Option<i64>,
    /// Pages of values that were read.
    pub pages: u64,
    /// Values on these pages.
    pub values: u64,
    /// Direct reads of single keys.
    pub direct_reads: u64,
    /// Entries that the store was found to agree with.
    pub agreeing: u64,
    /// Entries that were not compared, because a request may still be applied, or something was sent that nothing has
    /// confirmed. The next sync sends their values anyway.
    pub unconfirmed: u64,
    /// Values of the store that the ledger does not know.
    pub not_in_ledger: u64,
    /// The findings, by kind.
    pub counts: BTreeMap<FindingKind, u64>,
    /// The first findings of each kind.
    pub sample: Vec<Finding>,
}

impl Reconciled {
    pub(super) const fn new(run_id: i64) -> Self {
        Self {
            run_id,
            status: RunStatus::Planning,
            message: String::new(),
            continued_after: None,
            pages: 0,
            values: 0,
            direct_reads: 0,
            agreeing: 0,
            unconfirmed: 0,
            not_in_ledger: 0,
            counts: BTreeMap::new(),
            sample: Vec::new(),
        }
    }

    /// How many findings of a kind there are.
    #[must_use]
    pub fn count(&self, kind: FindingKind) -> u64 {
        self.counts.get(&kind).copied().unwrap_or(0)
    }

    pub(super) fn add(&mut self, finding: Finding) {
        let count = self.counts.entry(finding.kind).or_default();
        *count += 1;
        if *count <= SHOWN as u64 {
            self.sample.push(finding);
        }
    }

    /// What was found, in a sentence without values.
    pub(super) fn summary(&self) -> String {
        let adopted = self.count(FindingKind::Equal) + self.count(FindingKind::Different);
        let parts = [
            (adopted, "adopted"),
            (self.count(FindingKind::UnknownToSource), "unknown to the source"),
            (self.count(FindingKind::DriftOverwrite), "drifted and to be overwritten"),
            (self.count(FindingKind::DriftReport), "drifted and left"),
            (self.count(FindingKind::DriftAccept), "drifted and accepted"),
        ];
        let some = parts.iter().filter(|(count, _)| *count > 0);
        let some: Vec<String> = some.map(|(count, what)| format!("{count} {what}")).collect();
        let found = if some.is_empty() { "no drift".to_owned() } else { some.join(", ") };
        format!("{} values compared: {found}", self.agreeing + self.drifted())
    }

    /// How many values drifted.
    #[must_use]
    pub fn drifted(&self) -> u64 {
        let kinds = [FindingKind::DriftOverwrite, FindingKind::DriftReport, FindingKind::DriftAccept];
        kinds.into_iter().map(|kind| self.count(kind)).sum()
    }
}
