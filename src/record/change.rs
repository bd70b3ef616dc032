//! Changes of a plan, and their outcomes.

use chrono::{DateTime, Utc};

use super::entry::Belief;
use super::key::Key;
use super::words::words;

/// The longest value that the store takes, in Unicode code points.
pub const VALUE_MAX_CHARS: usize = 255;

words! {
    /// What a change does to the store.
    Action {
        /// The ledger knows of no value in the store.
        Create = "create",
        /// The store holds, or may hold, another value.
        Update = "update",
        /// The value is removed.
        Delete = "delete",
    }
}

words! {
    /// How far a change has come.
    Outcome {
        /// Saved in the plan, not yet sent.
        Planned = "planned",
        /// On its way: the store may have it or not.
        Sending = "sending",
        /// The store echoed it; of a delete: a read showed no value.
        Confirmed = "confirmed",
        /// The store refused it for good.
        Rejected = "rejected",
        /// Sent, and it could not be found out whether the store applied it.
        Unknown = "unknown",
        /// Not sent, or surely not applied. The next run sends it.
        Deferred = "deferred",
    }
}

/// One change of the plan, as it is saved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The customer and the attribute.
    pub key: Key,
    /// What is done to the store.
    pub action: Action,
    /// The value to send; `None` for a delete.
    pub value: Option<String>,
    /// The value that the store held, as far as the ledger knew.
    pub previous_value: Option<String>,
    /// Whether that is not certain, because an earlier request for the key had no clear outcome.
    pub previous_in_doubt: bool,
    /// Of a change of an undo: what the source desires, and what a pin ignores from now on; `None` if that is no value.
    pub source_value: Option<String>,
    /// The store's id of the value, if the ledger knows it.
    pub value_id: Option<i64>,
    /// Until this time an older request for the key may still be applied. If this change has another value than that
    /// request, it is not sent before.
    pub in_doubt_until: Option<DateTime<Utc>>,
}

/// A change as it is read back for sending, with what its entry says at that time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedChange {
    /// The change.
    pub change: Change,
    /// Whether the entry is neither confirmed nor absent: what was sent last may have been applied or not.
    pub is_in_doubt: bool,
    /// The value that was sent last, if the entry is in doubt; `None` if that was a delete.
    pub in_doubt_value: Option<String>,
    /// The entry's observed value, if the entry's value equals the change's. If the store shows it once more, the store
    /// keeps the value in that form.
    pub observed_value: Option<String>,
}

impl PlannedChange {
    /// The key of the change.
    #[must_use]
    pub const fn key(&self) -> Key {
        self.change.key
    }

    /// The value to send; empty for a delete.
    #[must_use]
    pub fn value(&self) -> &str {
        self.change.value.as_deref().unwrap_or_default()
    }

    /// Whether an earlier run sent the same value, or the same delete, and never recorded a clear outcome.
    #[must_use]
    pub fn repeats(&self) -> bool {
        self.is_in_doubt && self.in_doubt_value == self.change.value
    }
}

/// What became of one change, without the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The store showed the value.
    Confirmed {
        /// The store's id of the value, if the store named it.
        value_id: Option<i64>,
        /// The form in which the store keeps the value, if it differs from what was sent.
        stored_value: Option<String>,
    },
    /// A read showed that the store holds no value, as a delete asks for.
    Absent {
        /// The store's id of the value that was deleted, if it is known.
        value_id: Option<i64>,
        /// What a person may want to know, such as that others had deleted the value before.
        reason: Option<String>,
    },
    /// The store refused the value for good.
    Rejected {
        /// The store's words.
        reason: String,
    },
    /// The value was sent; the store may or may not hold it.
    Unknown {
        /// The last response, or why there was none.
        reason: String,
        /// The other value that the store showed, if it was read back.
        observed_value: Option<String>,
    },
    /// The value was not sent, or surely not applied. The next run sends it.
    Deferred {
        /// Why it was left.
        reason: String,
    },
}

impl Verdict {
    /// The outcome of the change.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        match self {
            Self::Confirmed { .. } | Self::Absent { .. } => Outcome::Confirmed,
            Self::Rejected { .. } => Outcome::Rejected,
            Self::Unknown { .. } => Outcome::Unknown,
            Self::Deferred { .. } => Outcome::Deferred,
        }
    }

    /// The other value that the store showed, if it showed one: the stored form of a confirmed value, or what was read
    /// back.
    #[must_use]
    pub fn observed_value(&self) -> Option<&str> {
        match self {
            Self::Confirmed { stored_value: value, .. } | Self::Unknown { observed_value: value, .. } => {
                value.as_deref()
            }
            Self::Absent { .. } | Self::Rejected { .. } | Self::Deferred { .. } => None,
        }
    }

    /// The belief that follows for the entry. `None`: the belief stays.
    #[must_use]
    pub const fn belief(&self) -> Option<Belief> {
        match self {
            Self::Confirmed { .. } => Some(Belief::Confirmed),
            Self::Absent { .. } => Some(Belief::Absent),
            Self::Rejected { .. } => Some(Belief::Rejected),
            Self::Unknown { .. } | Self::Deferred { .. } => None,
        }
    }

    /// The store's id of the value, if it was shown.
    #[must_use]
    pub const fn value_id(&self) -> Option<i64> {
        match self {
            Self::Confirmed { value_id, .. } | Self::Absent { value_id, .. } => *value_id,
            Self::Rejected { .. } | Self::Unknown { .. } | Self::Deferred { .. } => None,
        }
    }

    /// The reason that is recorded, if there is one.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Confirmed { .. } => None,
            Self::Absent { reason, .. } => reason.as_deref(),
            Self::Rejected { reason } | Self::Unknown { reason, .. } | Self::Deferred { reason } => {
                Some(reason)
            }
        }
    }
}

/// The outcome of one change, as it is recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeOutcome {
    /// The customer and the attribute.
    pub key: Key,
    /// What became of the change.
    pub verdict: Verdict,
    /// Until this time a request for the key may still be applied. `None`: no request for the key is in doubt any more.
    pub in_doubt_until: Option<DateTime<Utc>>,
}
