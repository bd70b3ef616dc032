//! The ledger's rows as plain structs, a field a column.

use chrono::{DateTime, Utc};

use crate::record::{
    Action, BeliefEdit, Counts, Key, MissedTimes, Outcome, RequestMethod, RequestOutcome, RunKind, RunStatus,
    Trigger,
};

/// A row of `runs`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRow {
    /// The run.
    pub id: i64,
    /// What kind of run it is.
    pub kind: RunKind,
    /// What started it.
    pub trigger: Trigger,
    /// Where it stands.
    pub status: RunStatus,
    /// When it was opened.
    pub started_at: DateTime<Utc>,
    /// When its plan was complete.
    pub planned_at: Option<DateTime<Utc>>,
    /// When it was closed, or found interrupted.
    pub finished_at: Option<DateTime<Utc>>,
    /// The scheduled time that it is for.
    pub scheduled_for: Option<DateTime<Utc>>,
    /// Whether it was for some customers or attributes only.
    pub filtered: bool,
    /// The digest of the rows that its plan was made from.
    pub digest: Option<String>,
    /// Whether the digest was that of the run before.
    pub by_digest: bool,
    /// The run whose plan it applies, or that it undoes.
    pub of_run_id: Option<i64>,
    /// Its counts.
    pub counts: Counts,
    /// Why it ended early.
    pub message: Option<String>,
}

/// A row of `missed_times`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissedRow {
    /// The times, and why they have no run.
    pub times: MissedTimes,
    /// When they were recorded.
    pub at: DateTime<Utc>,
    /// The run that stands for them.
    pub run_id: Option<i64>,
}

/// A row of `requests`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestRow {
    /// The request.
    pub id: i64,
    /// The run that made it.
    pub run_id: i64,
    /// The request that it repeats or is a part of.
    pub parent_id: Option<i64>,
    /// Whether it writes values or deletes them.
    pub method: RequestMethod,
    /// Which attempt it is, from 1.
    pub attempt: u32,
    /// How many customers it carries values of.
    pub customers: usize,
    /// How many values it carries.
    pub items: usize,
    /// When its intent was recorded.
    pub sent_at: DateTime<Utc>,
    /// When its response was read.
    pub answered_at: Option<DateTime<Utc>>,
    /// The HTTP status.
    pub http_status: Option<u16>,
    /// The store's id of the request.
    pub store_request_id: Option<String>,
    /// What became of it.
    pub outcome: RequestOutcome,
    /// What went wrong.
    pub error: Option<String>,
}

/// A row of `changes`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeRow {
    /// The run whose plan it is in.
    pub run_id: i64,
    /// The customer and the attribute.
    pub key: Key,
    /// What is done to the store.
    pub action: Action,
    /// The value to send.
    pub value: Option<String>,
    /// What the ledger last knew the store to hold.
    pub previous_value: Option<String>,
    /// Whether that was not certain.
    pub previous_in_doubt: bool,
    /// What the source desired, if the change is of an undo.
    pub source_value: Option<String>,
    /// The store's id of the value.
    pub value_id: Option<i64>,
    /// How far it has come.
    pub outcome: Outcome,
    /// Why it was not confirmed.
    pub reason: Option<String>,
    /// The last request that carried it.
    pub request_id: Option<i64>,
    /// When its outcome was recorded.
    pub decided_at: Option<DateTime<Utc>>,
    /// Not to be sent before this time; of a change with an outcome: may still be applied until then.
    pub in_doubt_until: Option<DateTime<Utc>>,
    /// Another value that the store showed.
    pub observed_value: Option<String>,
}

/// A row of `belief_edits`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BeliefEditRow {
    /// The run that edited.
    pub run_id: i64,
    /// The edit.
    pub edit: BeliefEdit,
    /// How many entries were edited.
    pub count: i64,
    /// When.
    pub at: DateTime<Utc>,
    /// The value that a read showed, for an edit of one value.
    pub value: Option<String>,
    /// The store's id of that value.
    pub value_id: Option<i64>,
}
