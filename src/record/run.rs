//! Runs, their counts, and the rows of the source that a run cannot send.

use super::words::words;

words! {
    /// What kind of run it is.
    RunKind {
        /// Plans from source and ledger, and pushes the plan.
        Sync = "sync",
        /// Plans from source and ledger, and saves the plan for a person to read. Sends nothing.
        Plan = "plan",
        /// Sends the plan of another run that still holds: a saved one, or one that a guard blocked.
        Apply = "apply",
        /// Sends the values that the store held before another run.
        Undo = "undo",
        /// Makes rejected entries unconfirmed by hand; plans and sends nothing.
        Requeue = "requeue",
        /// Acknowledges rejected entries by hand; plans and sends nothing.
        Acknowledge = "acknowledge",
        /// Reads the store's values and edits beliefs; plans and sends nothing.
        Reconcile = "reconcile",
    }
}

words! {
    /// Where a run stands, or how it ended.
    RunStatus {
        /// Reading source and ledger; nothing has been sent.
        Planning = "planning",
        /// The plan is complete and is being sent.
        Running = "running",
        /// The store has what the source desires, apart from acknowledged values.
        Succeeded = "succeeded",
        /// Finished, but some values were rejected, invalid or unknown.
        Partial = "partial",
        /// Ended by an error.
        Failed = "failed",
        /// Ended early on request: a signal, or the time allowed.
        Stopped = "stopped",
        /// Ended by a crash; the next run found it so.
        Interrupted = "interrupted",
        /// Stopped by a guard before the first write. Its plan is complete and was not sent.
        Blocked = "blocked",
        /// Its plan was saved to be applied by another run.
        Saved = "saved",
    }
}

words! {
    /// What happens to a value whose row has left the source, or became NULL.
    #[derive(Default)]
    OnMissing {
        /// The store keeps it.
        #[default]
        Keep = "keep",
        /// It is deleted.
        Delete = "delete",
    }
}

words! {
    /// What started a run.
    Trigger {
        /// A person, or their cron.
        Manual = "manual",
        /// The schedule of `attrsync serve`.
        Schedule = "schedule",
        /// A change seen in the source.
        Change = "change",
        /// A request to the HTTP server of `attrsync serve`.
        Api = "api",
    }
}

/// The counts of a run. `planned = confirmed + rejected + unknown + deferred` holds at every commit: a change that is
/// being sent counts as unknown, a change that was not sent yet as deferred.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Counts {
    /// Rows read from the source.
    pub source_rows: i64,
    /// Rows whose value is NULL: no desired value.
    pub no_value: i64,
    /// Rows that equal their confirmed entry.
    pub unchanged: i64,
    /// Rows whose value was rejected in an earlier run. They are not sent.
    pub still_rejected: i64,
    /// Those of the still rejected ones that a person acknowledged.
    pub acknowledged: i64,
    /// Rows that cannot be sent.
    pub invalid: i64,
    /// Entries whose row has left the source, and whose value stays in the store.
    pub orphans: i64,
    /// Values that the store may hold although no row desires them: the orphans, and those whose row is NULL.
    pub stored_without_row: i64,
    /// Values that a pin keeps as an undo has left them, whatever their row desires.
    pub pinned: i64,
    /// Changes in the plan.
    pub planned: i64,
    /// Those of the planned changes that delete a value.
    pub deletes: i64,
    /// Changes that the store echoed, and deletes after which a read showed no value.
    pub confirmed: i64,
    /// Confirmed changes whose value the store keeps in another form.
    pub altered: i64,
    /// Changes that the store refused for good.
    pub rejected: i64,
    /// Changes that the store may or may not have applied.
    pub unknown: i64,
    /// Changes left to the next run.
    pub deferred: i64,
    /// Write requests, without those that were not sent.
    pub requests: i64,
}

impl Counts {
    /// Whether every planned change is accounted for.
    #[must_use]
    pub const fn balance(&self) -> bool {
        let accounted = self.confirmed.saturating_add(self.rejected).saturating_add(self.unknown);
        self.planned == accounted.saturating_add(self.deferred)
    }

    /// Returns the counts of a plan that is made from the same rows after all changes were confirmed. A deleted value has
    /// no row, or one without a value.
    #[must_use]
    pub const fn without_changes(&self) -> Self {
        Self {
            unchanged: self.unchanged.saturating_add(self.confirmed).saturating_sub(self.deletes),
            planned: 0,
            deletes: 0,
            confirmed: 0,
            altered: 0,
            rejected: 0,
            unknown: 0,
            deferred: 0,
            requests: 0,
            ..*self
        }
    }

    /// Rows that desire a value.
    #[must_use]
    pub const fn rows_with_value(&self) -> i64 {
        self.source_rows.saturating_sub(self.no_value)
    }

    /// The values that the store may hold after a run with these counts, as far as the ledger knows.
    #[must_use]
    pub const fn stored(&self) -> i64 {
        let sent = self.confirmed.saturating_sub(self.deletes);
        self.unchanged.saturating_add(sent).saturating_add(self.stored_without_row)
    }

    /// How many values a person should look at: rejected ones that are not acknowledged, invalid rows, unknown changes.
    #[must_use]
    pub const fn need_attention(&self) -> i64 {
        let rejected = self.rejected.saturating_add(self.still_rejected).saturating_sub(self.acknowledged);
        // A ledger that was edited by hand may have any counts.
        rejected.saturating_add(self.invalid).saturating_add(self.unknown)
    }
}

/// How many invalid rows a run keeps; the rest is only counted.
pub const INVALID_ROWS_KEPT: i64 = 10_000;

/// A row of the source that cannot be sent.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct InvalidRow {
    /// The row's customer id, if it has one.
    pub customer_id: Option<i64>,
    /// The row's attribute id, if it has one.
    pub attribute_id: Option<i64>,
    /// The first 300 characters of its value.
    pub value: Option<String>,
    /// Why it cannot be sent, for a person.
    pub reason: String,
}
