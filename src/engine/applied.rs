//! How the plan of an earlier run is applied.

use super::selection::Selected;
use crate::plan::saved::Conflict;
use crate::push::End;
use crate::record::{PlanOfRun, RunStatus};

/// How a plan was applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// The run that had made it.
    pub of_run_id: i64,
    /// How many changes it has.
    pub planned: i64,
    /// How many of them the store held already.
    pub done: u64,
    /// How many of them the source or the ledger contradicts now.
    pub conflicts_total: u64,
    /// The first of these, in key order.
    pub conflicts: Vec<Conflict>,
    /// Whether the rest is sent in spite of conflicts.
    pub skip_conflicts: bool,
    /// How many other changes are left to the next sync.
    pub left: u64,
}

/// The plan that a run applies.
#[derive(Debug)]
pub(super) struct Applying {
    plan: PlanOfRun,
    skip_conflicts: bool,
}

impl Applying {
    pub(super) const fn new(plan: PlanOfRun, skip_conflicts: bool) -> Self {
        Self { plan, skip_conflicts }
    }

    pub(super) const fn plan(&self) -> &PlanOfRun {
        &self.plan
    }

    /// Returns how the plan is applied, by what was selected of it.
    pub(super) fn applied(&self, selected: Option<&Selected>) -> Applied {
        let selected = selected.cloned().unwrap_or_default();
        Applied {
            of_run_id: self.plan.run_id,
            planned: self.plan.planned,
            done: selected.done,
            conflicts_total: selected.conflicts_total,
            conflicts: selected.conflicts,
            skip_conflicts: self.skip_conflicts,
            left: selected.left,
        }
    }
}

impl Applied {
    /// Returns how the run ends if the plan has conflicts and may not be applied without them.
    pub(super) fn refusal(&self) -> Option<End> {
        let Self { of_run_id, planned, conflicts_total, skip_conflicts, .. } = self;
        if *conflicts_total == 0 || *skip_conflicts {
            return None;
        }
        let message = format!(
            "{conflicts_total} of the {planned} changes that run {of_run_id} planned do not hold any more: the source or the \
             ledger has changed since; nothing was sent"
        );
        let hint = format!(
            "`attrsync apply {of_run_id} --skip-conflicts` sends the others; `attrsync plan --save` makes a new plan"
        );
        Some(End { status: RunStatus::Failed, message: Some(message), hint: Some(hint) })
    }
}
