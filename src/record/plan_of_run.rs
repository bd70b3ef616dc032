//! The plan that an earlier run left, which another run may apply.

use chrono::{DateTime, TimeDelta, Utc};

use super::change::Change;
use super::entry::Belief;
use super::run::{RunKind, RunStatus};

/// How long a plan can be applied after it was made. A saved plan is kept for this time.
pub const PLAN_VALID_FOR: TimeDelta = TimeDelta::days(7);

/// What the ledger knows of a run whose plan is to be applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanOfRun {
    /// The run.
    pub run_id: i64,
    /// Whether it is a run of the store that was asked.
    pub is_of_store: bool,
    /// Its kind.
    pub kind: RunKind,
    /// Its status.
    pub status: RunStatus,
    /// Whether it was for some customers or attributes only.
    pub filtered: bool,
    /// When its plan was complete.
    pub planned_at: Option<DateTime<Utc>>,
    /// How many changes it planned.
    pub planned: i64,
    /// Whether a later run has removed its plan.
    pub is_removed: bool,
    /// The first later sync of all rows with a complete plan, if a guard blocked this run.
    pub superseded_by: Option<i64>,
}

/// A change of such a plan, with what its entry says now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedChange {
    /// The change.
    pub change: Change,
    /// The belief and the value of its entry, if there is one.
    pub entry: Option<(Belief, Option<String>)>,
}
