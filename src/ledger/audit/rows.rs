//! The results of the queries, as plain data. Commands show them, also as `--json`.

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::record::{Counts, Entry, InvalidRow, Outcome, Pin, ReportedDrift, RunStatus};

/// A store that the ledger knows.
#[derive(Debug, Clone, Serialize)]
pub struct StoreRow {
    /// Its id in the ledger.
    pub id: i64,
    /// The API's address.
    pub api_url: String,
    /// The store's hash.
    pub hash: String,
    /// The run that owns it, or was interrupted while it did.
    pub owner_run_id: Option<i64>,
}

/// A run.
#[derive(Debug, Clone, Serialize)]
pub struct RunRow {
    /// Its id.
    pub id: i64,
    /// The store's id in the ledger.
    pub store_id: i64,
    /// The store's address.
    pub api_url: String,
    /// The store's hash.
    pub hash: String,
    /// `sync`, `plan`, `apply`, `undo`, `requeue` or `acknowledge`.
    pub kind: String,
    /// What started it.
    pub trigger: String,
    /// Its status.
    pub status: String,
    /// When it started.
    pub started_at: DateTime<Utc>,
    /// When its plan was complete.
    pub planned_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// The scheduled time that it is for.
    pub scheduled_for: Option<DateTime<Utc>>,
    /// The run whose plan it applies, or that it undoes.
    pub of_run_id: Option<i64>,
    /// How long it took, in milliseconds, if it ended; nothing for an interrupted run, whose end is not known.
    pub duration_ms: Option<i64>,
    /// Whether it ended in another way than with success.
    pub needs_attention: bool,
    /// Whether it was for some customers or attributes only.
    pub filtered: bool,
    /// Whether the source had the digest of the run before, so that no row was compared.
    pub by_digest: bool,
    /// Its counts. While it is active, nothing is unknown or deferred yet.
    #[serde(flatten)]
    pub counts: Counts,
    /// While it is active: changes that were sent and have no outcome yet.
    pub in_flight: i64,
    /// While it is active: changes that are still to be sent.
    pub to_come: i64,
    /// Why it ended early.
    pub message: Option<String>,
    /// The version of attrsync.
    pub version: String,
}

impl RunRow {
    /// Whether its process ended without closing it, and no later run has closed it yet.
    #[must_use]
    pub fn is_cut_off(&self) -> bool {
        self.finished_at.is_none() && self.status == RunStatus::Interrupted.as_str()
    }
}

/// The outcome of a change of a run that was cut off, as the view `outcomes` has it once a later run has closed the run.
pub(super) fn outcome_of_cut_off(outcome: String) -> String {
    match outcome.as_str() {
        "planned" => Outcome::Deferred.as_str().to_owned(),
        "sending" => Outcome::Unknown.as_str().to_owned(),
        _ => outcome,
    }
}

/// One HTTP call that writes.
#[derive(Debug, Clone, Serialize)]
pub struct RequestRow {
    /// Its id.
    pub id: i64,
    /// The run that made it.
    pub run_id: i64,
    /// The request that it repeats or is a part of.
    pub parent_id: Option<i64>,
    /// The HTTP method.
    pub method: String,
    /// Which attempt at its values it is, from 1.
    pub attempt: i64,
    /// Customers in it.
    pub customers: i64,
    /// Values in it.
    pub items: i64,
    /// When its intent was recorded.
    pub sent_at: DateTime<Utc>,
    /// When its response was read, or the call ended without one. `None` if it was not sent.
    pub answered_at: Option<DateTime<Utc>>,
    /// The HTTP status, if there was a response.
    pub http_status: Option<i64>,
    /// The store's id of it.
    pub store_request_id: Option<String>,
    /// `sending`, `accepted`, `refused`, `limited`, `in_doubt`, `not_sent` or `fatal`.
    pub outcome: String,
    /// What went wrong.
    pub error: Option<String>,
}

/// A change that is not confirmed: rejected, unknown or deferred.
#[derive(Debug, Clone, Serialize)]
pub struct FailedChange {
    /// The customer.
    pub customer_id: i64,
    /// The attribute.
    pub attribute_id: i64,
    /// The value; `None` for a delete.
    pub value: Option<String>,
    /// `rejected`, `unknown` or `deferred`.
    pub outcome: String,
    /// Why.
    pub reason: Option<String>,
    /// The last request that carried it.
    pub request_id: Option<i64>,
}

/// How many rows of each kind a run has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RunTotals {
    /// Requests.
    pub requests: i64,
    /// Changes that are rejected, unknown or deferred.
    pub failures: i64,
    /// Changes that were not sent, and that a later run has removed when it planned anew.
    pub removed: i64,
    /// Belief edits.
    pub belief_edits: i64,
    /// Source rows that cannot be sent.
    pub invalid_rows: i64,
}

/// A change of one run, with its outcome.
#[derive(Debug, Clone, Serialize)]
pub struct PastChange {
    /// The run.
    pub run_id: i64,
    /// The status of the run.
    pub run_status: String,
    /// When the run started.
    pub run_started_at: DateTime<Utc>,
    /// The customer.
    pub customer_id: i64,
    /// The attribute.
    pub attribute_id: i64,
    /// `create`, `update` or `delete`.
    pub action: String,
    /// The value to send; `None` for a delete.
    pub value: Option<String>,
    /// What the store was last known to hold.
    pub previous_value: Option<String>,
    /// `planned`, `sending`, `confirmed`, `rejected`, `unknown` or `deferred`.
    pub outcome: String,
    /// Why.
    pub reason: Option<String>,
    /// When the outcome was recorded.
    pub decided_at: Option<DateTime<Utc>>,
    /// The last request that carried it.
    pub request: Option<RequestRow>,
}

impl PastChange {
    pub(super) fn run_is_open(&self) -> bool {
        [RunStatus::Planning.as_str(), RunStatus::Running.as_str()].contains(&self.run_status.as_str())
    }
}

/// An edit of beliefs without a request. What is `None` is any.
#[derive(Debug, Clone, Serialize)]
pub struct BeliefEditRow {
    /// The run that made it.
    pub run_id: i64,
    /// Only this customer.
    pub customer_id: Option<i64>,
    /// Only this attribute.
    pub attribute_id: Option<i64>,
    /// `requeue`, `acknowledge`, `invalidate`, `clear`, `adopt`, `drift`, `accept`, `report` or `return`.
    pub edit: String,
    /// How many entries changed.
    pub count: i64,
    /// Why.
    pub reason: String,
    /// When it was made.
    pub at: DateTime<Utc>,
    /// The value that a read showed, for `adopt` and the kinds of drift; `None` if the store had none.
    pub value: Option<String>,
    /// The store's id of that value.
    pub value_id: Option<i64>,
}

/// A row of the source that the newest planned run could not send.
#[derive(Debug, Clone, Serialize)]
pub struct PastInvalidRow {
    /// The run.
    pub run_id: i64,
    /// When the run started.
    pub run_started_at: DateTime<Utc>,
    /// The row.
    #[serde(flatten)]
    pub row: InvalidRow,
}

/// Why a customer has its values.
#[derive(Debug, Clone, Serialize)]
pub struct EntryHistory {
    /// The rows that the newest planned run could not send.
    pub invalid: Vec<PastInvalidRow>,
    /// How many such rows there are.
    pub invalid_total: i64,
    /// What is believed now.
    pub entries: Vec<Entry>,
    /// The drift that was reported and left as it is.
    pub drift: Vec<ReportedDrift>,
    /// The values that an undo has pinned.
    pub pins: Vec<Pin>,
    /// Every change, newest first.
    pub history: Vec<PastChange>,
    /// How many changes there are.
    pub history_total: i64,
    /// The belief edits that concern the customer, newest first.
    pub belief_edits: Vec<BeliefEditRow>,
    /// How many belief edits there are.
    pub belief_edits_total: i64,
    /// Whether the store does not have the customer, as far as is known.
    pub customer_deleted: bool,
}

impl EntryHistory {
    /// How many changes, belief edits and invalid rows there are besides those listed.
    #[must_use]
    pub fn unlisted(&self) -> i64 {
        let listed = self.history.len() + self.belief_edits.len() + self.invalid.len();
        let total = self.history_total + self.belief_edits_total + self.invalid_total;
        total - i64::try_from(listed).unwrap_or(i64::MAX)
    }

    /// Whether the ledger has nothing about the customer itself.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.invalid.is_empty() && self.entries.is_empty() && self.history.is_empty()
    }
}

/// A rejected value.
#[derive(Debug, Clone, Serialize)]
pub struct Rejection {
    /// The customer.
    pub customer_id: i64,
    /// The attribute.
    pub attribute_id: i64,
    /// The value; `None` for a delete.
    pub value: Option<String>,
    /// The store's words.
    pub reason: Option<String>,
    /// Whether a person knows of it.
    pub acknowledged: bool,
    /// The run that rejected it.
    pub run_id: i64,
    /// When it was rejected.
    pub since: DateTime<Utc>,
}

/// The rejected values of a store.
#[derive(Debug, Clone, Serialize)]
pub struct Rejections {
    /// How many there are.
    pub total: i64,
    /// How many of them are acknowledged.
    pub acknowledged: i64,
    /// The first of them, in key order.
    pub values: Vec<Rejection>,
}
