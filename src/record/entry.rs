//! Entries: what the ledger believes of values in the store, and edits of beliefs.

use chrono::{DateTime, TimeDelta, Utc};

use super::key::{Key, KeyScope};
use super::words::words;

/// The longest in-doubt window: twice the longest `request_timeout`.
pub const IN_DOUBT_MAX: TimeDelta = TimeDelta::seconds(1_200);

words! {
    /// What the ledger believes of one value.
    Belief {
        /// The store echoed the value and nothing was sent since.
        Confirmed = "confirmed",
        /// Something was sent; what the store holds is not known.
        Unconfirmed = "unconfirmed",
        /// The store refused the value for good.
        Rejected = "rejected",
        /// A read showed that the store holds no value, and nothing was sent since.
        Absent = "absent",
    }
}

/// What the ledger believes of one value.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Entry {
    /// The customer and the attribute.
    #[serde(flatten)]
    pub key: Key,
    /// The value that was last sent or rejected; `None` if that was a delete, or if the store holds no value.
    pub value: Option<String>,
    /// The value that the store held, as far as the ledger knows, if it differs from `value`.
    pub stored_value: Option<String>,
    /// The other value that the store showed when `value` was last read back.
    pub observed_value: Option<String>,
    /// The store's id of the value.
    pub value_id: Option<i64>,
    /// What the ledger believes.
    pub belief: Belief,
    /// Why the entry is rejected or unconfirmed.
    pub reason: Option<String>,
    /// Whether a person knows of the rejection: it is listed, but is no reason for concern.
    pub acknowledged: bool,
    /// The run that last sent or rejected the value.
    pub run_id: i64,
    /// When the value was last sent, or its outcome recorded.
    pub updated_at: DateTime<Utc>,
    /// Until this time a request for the key may still be applied.
    pub in_doubt_until: Option<DateTime<Utc>>,
}

words! {
    /// What an edit of beliefs does to the entries in its scope.
    EditKind {
        /// Rejected entries become unconfirmed, so that the next sync sends their values again.
        Requeue = "requeue",
        /// Rejected entries become acknowledged: a person knows of them. Their belief and reason stay.
        Acknowledge = "acknowledge",
        /// All entries become unconfirmed and in doubt, absent ones only in doubt: a full sync.
        Invalidate = "invalidate",
        /// All entries become unconfirmed and lose the value's id, its stored form and its observed value: the store
        /// lost them. Absent entries stay so.
        Clear = "clear",
        /// All entries become unconfirmed: a run that had lost its lock may have sent their values.
        LostLock = "lost_lock",
        /// Confirmed entries become unconfirmed after their run has sent them: the store did not hold their values when
        /// the run read them back.
        Canary = "canary",
        /// Pins end, so that the source's values are sent again. The entries stay.
        Unpin = "unpin",
        /// A key without an entry gets one: a read showed its value, and the source desires one.
        Adopt = "adopt",
        /// A confirmed entry becomes unconfirmed, because a read showed that the store holds something else.
        Drift = "drift",
        /// A confirmed entry stays confirmed, although a read showed that the store holds something else: that stands.
        Accept = "accept",
        /// A read showed that the store holds something else than the entry says. The entry stays as it is.
        Report = "report",
        /// A read showed that the store holds again what the entry says, after drift was reported.
        Return = "return",
    }
}

impl EditKind {
    /// Whether it is about one value that a read of the store showed.
    #[must_use]
    pub const fn is_of_value(self) -> bool {
        matches!(self, Self::Adopt | Self::Drift | Self::Accept | Self::Report | Self::Return)
    }
}

/// A change of beliefs without a request: what the store did by itself, a requeue, a full sync.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BeliefEdit {
    /// The entries that are edited.
    pub scope: KeyScope,
    /// What is done to them.
    pub edit: EditKind,
    /// Why; becomes the reason of the entries, unless they are only acknowledged.
    pub reason: String,
    /// If given, the entries are in doubt at least until then.
    pub in_doubt_until: Option<DateTime<Utc>>,
}
