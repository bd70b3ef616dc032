//! The ledger's rows as plain structs, a field a column.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::record::{Action, Counts, Key, KeyScope, News, Outcome, RunStatus, Trigger};

/// A row of `runs`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRow {
    /// The run.
    pub id: i64,
    /// What kind of run: `sync`.
    pub kind: String,
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
    /// How long it waits for an answer.
    pub request_timeout: Option<Duration>,
    /// Whether it began by believing nothing.
    pub distrusted: bool,
    /// Its counts.
    pub counts: Counts,
    /// Why it ended early.
    pub message: Option<String>,
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
    /// Which attempt it is, from 1.
    pub attempt: u32,
    /// How many customers it carries values of.
    pub customers: usize,
    /// How many values it carries.
    pub items: usize,
    /// When it was begun.
    pub sent_at: DateTime<Utc>,
    /// When it was finished.
    pub answered_at: Option<DateTime<Utc>>,
    /// The HTTP status of the answer.
    pub http_status: Option<u16>,
    /// The store's id of the request.
    pub store_request_id: Option<String>,
    /// What went wrong.
    pub error: Option<String>,
}

/// A row of `changes`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeRow {
    /// The run whose plan it is in.
    pub run_id: i64,
    /// KeyScope value.
    pub key: Key,
    /// What is done to the store.
    pub action: Action,
    /// The value to send.
    pub value: String,
    /// What the ledger last knew the store to hold.
    pub previous_value: Option<String>,
    /// The store's id of the value.
    pub value_id: Option<i64>,
    /// How far it has come.
    pub outcome: Outcome,
    /// Why it was not confirmed.
    pub reason: Option<String>,
    /// The last request that carried it.
    pub request_id: Option<i64>,
    /// When it was decided.
    pub decided_at: Option<DateTime<Utc>>,
    /// Not to be sent before this time.
    pub in_doubt_until: Option<DateTime<Utc>>,
}

/// A row of `releases`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseRow {
    /// The run that took the beliefs back.
    pub run_id: i64,
    /// KeyScope values.
    pub whose: KeyScope,
    /// What the store had done.
    pub news: News,
    /// How many entries were edited.
    pub entries: i64,
    /// Why, as the entries have it.
    pub reason: String,
    /// When.
    pub released_at: DateTime<Utc>,
}
