//! What an undo reads of the run that it undoes, and the pins that it leaves.

use chrono::{DateTime, Utc};

use super::change::Change;
use super::entry::Belief;
use super::key::Key;
use super::run::{RunKind, RunStatus};

/// What the ledger knows of a run that is to be undone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunToUndo {
    /// The run.
    pub run_id: i64,
    /// Whether it is a run of the store that was asked.
    pub is_of_store: bool,
    /// Its kind.
    pub kind: RunKind,
    /// Its status.
    pub status: RunStatus,
    /// Whether it was closed, or found interrupted.
    pub has_ended: bool,
    /// How many of its changes the store has confirmed, or may have applied.
    pub sent: i64,
}

/// A change that a run sent, or found done, with what the ledger knows of its key now. The change has no `value_id`, no `in_doubt_until` and
/// no `source_value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentChange {
    /// The change.
    pub change: Change,
    /// Whether a request carried it. A delete needs none if the store holds no value.
    pub was_sent: bool,
    /// The key's entry, if there is one.
    pub entry: Option<EntryNow>,
}

/// An entry as an undo reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryNow {
    /// What the ledger believes.
    pub belief: Belief,
    /// The value that was last sent or rejected; `None` if that was a delete, or if the store holds no value.
    pub value: Option<String>,
    /// The value that the store held, as far as the ledger knows, if it differs from `value`.
    pub stored_value: Option<String>,
    /// The store's id of the value.
    pub value_id: Option<i64>,
    /// Until this time a request for the key may still be applied.
    pub in_doubt_until: Option<DateTime<Utc>>,
    /// The run that last sent or rejected the value.
    pub run_id: i64,
    /// The value that the store held before that run, as far as the ledger knew.
    pub previous_value: Option<String>,
    /// The other form in which the store kept the value, if it confirmed it so.
    pub stored_form: Option<String>,
}

impl EntryNow {
    /// What the store held when it was last known.
    #[must_use]
    pub fn last_known(&self) -> Option<&str> {
        match self.belief {
            Belief::Confirmed => self.stored_value.as_deref().or(self.value.as_deref()),
            Belief::Unconfirmed | Belief::Rejected | Belief::Absent => self.stored_value.as_deref(),
        }
    }
}

/// Keeps a value that an undo has restored, as long as the source desires what it desired at the undo.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Pin {
    /// The customer and the attribute.
    #[serde(flatten)]
    pub key: Key,
    /// The value that is kept; `None` for no value.
    pub value: Option<String>,
    /// What the source desired at the undo, and what is ignored; `None` for no value.
    pub source_value: Option<String>,
    /// The undo.
    pub run_id: i64,
}
