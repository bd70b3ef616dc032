//! What reads of the store showed, and how far they have come.

use chrono::{DateTime, Utc};

use super::entry::EditKind;
use super::key::Key;
use super::words::words;

/// A value that a read showed the store to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedValue {
    /// Its customer and attribute.
    pub key: Key,
    /// The value in the store's form.
    pub value: String,
    /// The store's id of the value.
    pub value_id: Option<i64>,
}

/// An edit of the belief about one value. Its kind [is of a value](EditKind::is_of_value).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValueEdit {
    /// The key.
    pub key: Key,
    /// What is done.
    pub edit: EditKind,
    /// The value that the store held; `None` if it held none.
    pub value: Option<String>,
    /// The store's id of that value.
    pub value_id: Option<i64>,
}

/// Drift that was reported and left as it is.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct ReportedDrift {
    /// The customer and the attribute.
    #[serde(flatten)]
    pub key: Key,
    /// The value that the store held; `None` if it held none.
    pub value: Option<String>,
    /// The store's id of that value.
    pub value_id: Option<i64>,
    /// The run that found it.
    pub run_id: i64,
    /// When it was found.
    pub at: DateTime<Utc>,
}

words! {
    /// What is done about drift.
    DriftPolicy {
        /// The entry becomes unconfirmed, so that the next sync sends the source's value.
        Overwrite = "overwrite",
        /// It is recorded and shown, and nothing else.
        Report = "report",
        /// The store's value stands until the source's value changes.
        Accept = "accept",
    }
}

impl DriftPolicy {
    /// The edit of the belief that it makes.
    #[must_use]
    pub const fn edit(self) -> EditKind {
        match self {
            Self::Overwrite => EditKind::Drift,
            Self::Report => EditKind::Report,
            Self::Accept => EditKind::Accept,
        }
    }
}

words! {
    /// What a reading of the store's values goes through.
    ReadingKind {
        /// The pages of all values; the position is the number of the last page that was read.
        Whole = "whole",
        /// The customers of the ledger, some in each run; the position is the id of the last customer that was read.
        Sweep = "sweep",
        /// The values that were modified lately; the position is 1 if the store was seen to list what was modified.
        Modified = "modified",
    }
}

/// How far a reading of the store's values has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// What it goes through.
    pub kind: ReadingKind,
    /// When it started.
    pub started_at: DateTime<Utc>,
    /// How far it has come.
    pub position: i64,
    /// When it came so far.
    pub at: DateTime<Utc>,
}
