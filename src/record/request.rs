//! Requests, as the ledger records them.

use chrono::{DateTime, Utc};

use super::run::Counts;
use super::words::words;

words! {
    /// The HTTP method of a request that writes.
    RequestMethod {
        /// Creates or updates values.
        Put = "PUT",
        /// Deletes values.
        Delete = "DELETE",
    }
}

words! {
    /// What became of one request.
    RequestOutcome {
        /// Its intent is recorded; no outcome is recorded yet.
        Sending = "sending",
        /// The store accepted it.
        Accepted = "accepted",
        /// The store refused it, and nothing of it was applied.
        Refused = "refused",
        /// The store asked for fewer requests; nothing of it was applied.
        Limited = "limited",
        /// It may or may not have been applied, or may still be.
        InDoubt = "in_doubt",
        /// It never left this machine.
        NotSent = "not_sent",
        /// The response says that no other request can succeed either.
        Fatal = "fatal",
    }
}

/// A request that is about to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRequest {
    /// Whether it writes values or deletes them: all of its changes do the same.
    pub method: RequestMethod,
    /// The request that it repeats or is a part of; for people.
    pub parent_id: Option<i64>,
    /// Which attempt at these changes it is, from 1.
    pub attempt: u32,
    /// When the intent is recorded.
    pub at: DateTime<Utc>,
    /// The end of its in-doubt window: it is applied before this time or never.
    pub in_doubt_until: DateTime<Utc>,
}

/// How a request ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestEnd {
    /// When the response was read, or the request was abandoned.
    pub at: DateTime<Utc>,
    /// What became of the request. For `not_sent` the request is not counted, and its `answered_at` stays NULL.
    pub outcome: RequestOutcome,
    /// The HTTP status, if a response came.
    pub http_status: Option<u16>,
    /// The store's id of the request.
    pub store_request_id: Option<String>,
    /// What went wrong, at most 2 KiB.
    pub error: Option<String>,
}

/// A recorded intent: the request may be sent now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordedIntent {
    /// The request's id.
    pub request_id: i64,
    /// The run's counts after the commit.
    pub counts: Counts,
}
