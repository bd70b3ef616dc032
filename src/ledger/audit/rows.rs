//! The answers, as plain data: what commands show, and their `--json`.

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::record::Counts;

/// A store that the ledger knows.
#[derive(Debug, Clone, Serialize)]
pub struct StoreLine {
    /// Its id in the ledger.
    pub id: i64,
    /// The API's address.
    pub api_url: String,
    /// The store's hash.
    pub hash: String,
    /// The run that owns it, or was cut off while it did.
    pub owner_run_id: Option<i64>,
}

/// A size that a store was found to accept.
#[derive(Debug, Clone, Serialize)]
pub struct Learned {
    /// How many values a request may carry.
    pub values_per_request: i64,
    /// When that was learnt.
    pub learned_at: DateTime<Utc>,
}

/// A run.
#[derive(Debug, Clone, Serialize)]
pub struct RunLine {
    /// Its id.
    pub id: i64,
    /// The store's id in the ledger.
    pub store_id: i64,
    /// The store's address.
    pub api_url: String,
    /// The store's hash.
    pub hash: String,
    /// `sync`, `reconcile` or another kind.
    pub kind: String,
    /// What started it.
    pub trigger: String,
    /// Where it stands, or how it ended.
    pub status: String,
    /// When it started.
    pub started_at: DateTime<Utc>,
    /// When its plan was complete.
    pub planned_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// Its counts.
    #[serde(flatten)]
    pub counts: Counts,
    /// Why it ended early.
    pub message: Option<String>,
    /// The version of attrsync.
    pub version: String,
}

/// One HTTP call.
#[derive(Debug, Clone, Serialize)]
pub struct RequestLine {
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
    /// When it was begun.
    pub sent_at: DateTime<Utc>,
    /// When its answer was there, or was given up.
    pub answered_at: Option<DateTime<Utc>>,
    /// The HTTP status, if an answer came.
    pub http_status: Option<i64>,
    /// The store's id of it.
    pub store_request_id: Option<String>,
    /// `accepted`, `refused`, `limited`, `in_doubt`, `not_sent` or `fatal`; `sending` until that is known.
    pub outcome: String,
    /// What went wrong.
    pub error: Option<String>,
}

/// A change that the store does not have: rejected, unknown, or deferred.
#[derive(Debug, Clone, Serialize)]
pub struct Failure {
    /// KeyScope value.
    pub customer_id: i64,
    /// Which attribute.
    pub attribute_id: i64,
    /// The value.
    pub value: String,
    /// `rejected`, `unknown` or `deferred`.
    pub outcome: String,
    /// Why.
    pub reason: Option<String>,
    /// The last request that carried it.
    pub request_id: Option<i64>,
}

/// What the ledger believes of one value.
#[derive(Debug, Clone, Serialize)]
pub struct EntryState {
    /// KeyScope value.
    pub customer_id: i64,
    /// Which attribute.
    pub attribute_id: i64,
    /// What was last sent.
    pub value: String,
    /// What the store was last known to hold, where that is another.
    pub stored_value: Option<String>,
    /// What the store showed instead, not yet believed.
    pub observed_value: Option<String>,
    /// The store's id of the value.
    pub value_id: Option<i64>,
    /// How sure the ledger is.
    pub belief: String,
    /// Why it is rejected or unconfirmed.
    pub reason: Option<String>,
    /// The run that last touched it.
    pub run_id: i64,
    /// When it was last sent or decided.
    pub updated_at: DateTime<Utc>,
}

/// One attempt of one run at a value.
#[derive(Debug, Clone, Serialize)]
pub struct HistoryLine {
    /// The run.
    pub run_id: i64,
    /// Where the run stands, or how it ended.
    pub run_status: String,
    /// When the run started.
    pub run_started_at: DateTime<Utc>,
    /// KeyScope value.
    pub customer_id: i64,
    /// Which attribute.
    pub attribute_id: i64,
    /// `create`, `update` or `delete`.
    pub action: String,
    /// The value to send.
    pub value: String,
    /// What the store was last known to hold.
    pub previous_value: Option<String>,
    /// How far it came.
    pub outcome: String,
    /// Why.
    pub reason: Option<String>,
    /// When that was decided.
    pub decided_at: Option<DateTime<Utc>>,
    /// The last request that carried it.
    pub request: Option<RequestLine>,
}

/// A row of the source that the newest planned run did not take.
#[derive(Debug, Clone, Serialize)]
pub struct InvalidLine {
    /// The run.
    pub run_id: i64,
    /// When the run started.
    pub run_started_at: DateTime<Utc>,
    /// Which attribute, if the row has one.
    pub attribute_id: Option<i64>,
    /// The beginning of its value.
    pub value: Option<String>,
    /// Why it cannot be sent.
    pub reason: String,
}

/// Why a customer has the values it has.
#[derive(Debug, Clone, Serialize)]
pub struct EntryHistory {
    /// The rows that the newest planned run could not send.
    pub invalid: Vec<InvalidLine>,
    /// What is believed now.
    pub entries: Vec<EntryState>,
    /// Every change, newest first.
    pub history: Vec<HistoryLine>,
}

/// A value that is set aside.
#[derive(Debug, Clone, Serialize)]
pub struct Rejection {
    /// KeyScope value.
    pub customer_id: i64,
    /// Which attribute.
    pub attribute_id: i64,
    /// The value.
    pub value: String,
    /// The store's words.
    pub reason: Option<String>,
    /// The run that found it.
    pub run_id: i64,
    /// Since when.
    pub since: DateTime<Utc>,
}

/// The values that are set aside.
#[derive(Debug, Clone, Serialize)]
pub struct Rejections {
    /// How many there are.
    pub total: i64,
    /// The first of them, in key order.
    pub values: Vec<Rejection>,
}
