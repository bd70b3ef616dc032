//! The nouns: keys, changes, beliefs, outcomes, runs. Plain data that every other module speaks of.
//!
//! Nothing here does I/O or knows a clock; times are values that somebody else read.

mod page;
mod store_name;

use std::collections::BTreeSet;
use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};

pub(crate) use page::PAGE_BYTES;
pub use page::{EntryPage, EntryRow, SourcePage, SourceRow};
pub use store_name::StoreName;

/// The longest value that the store takes, in Unicode code points.
pub const VALUE_MAX_CHARS: usize = 255;

/// How many invalid rows a run keeps; the rest is only counted.
pub const INVALID_ROWS_KEPT: i64 = 10_000;

/// The longest in-doubt window: twice the longest `request_timeout`.
pub const IN_DOUBT_MAX: TimeDelta = TimeDelta::seconds(1_200);

/// What one attribute value belongs to: a customer and an attribute, both by the store's ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
pub struct Key {
    /// The store's customer id, 1 to 2³¹−1.
    pub customer_id: i64,
    /// The store's attribute id, 1 to 2³¹−1.
    pub attribute_id: i64,
}

impl Key {
    /// The key of one customer's attribute.
    #[must_use]
    pub const fn new(customer_id: i64, attribute_id: i64) -> Self {
        Self { customer_id, attribute_id }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "customer {} · attribute {}", self.customer_id, self.attribute_id)
    }
}

/// Makes an enum whose variants are written in the ledger and in `--json` as one lower-case word each.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$vdoc])* $variant),+ }

        impl $name {
            /// The word that stands for it in the ledger.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            /// The variant that a word of the ledger stands for.
            #[must_use]
            pub fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)+ _ => None }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }
    };
}

words! {
    /// What the ledger believes of one value.
    Belief {
        /// The store echoed the value and nothing was sent since.
        Confirmed = "confirmed",
        /// Something was sent; what the store holds is not known.
        Unconfirmed = "unconfirmed",
        /// The store refused the value for good.
        Rejected = "rejected",
    }
}

words! {
    /// What a change does to the store.
    Action {
        /// The ledger knows of no value in the store.
        Create = "create",
        /// The store holds, or may hold, another value.
        Update = "update",
        /// The value is removed. Not built yet.
        Delete = "delete",
    }
}

words! {
    /// What an edit of beliefs does to the entries in its scope.
    EditKind {
        /// Rejected entries become unconfirmed, so that the next sync sends their values again.
        Requeue = "requeue",
        /// All entries become unconfirmed and in doubt: a full sync.
        Invalidate = "invalidate",
        /// All entries become unconfirmed and lose the value's id, its stored form and its observed value: the store lost them.
        Clear = "clear",
    }
}

words! {
    /// What kind of run it is.
    RunKind {
        /// Plans from source and ledger, and pushes the plan.
        Sync = "sync",
        /// Makes rejected entries unconfirmed by hand; plans and sends nothing.
        Requeue = "requeue",
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

words! {
    /// How far a change has come.
    Outcome {
        /// Saved in the plan, not yet sent.
        Planned = "planned",
        /// On its way: the store may have it or not.
        Sending = "sending",
        /// The store echoed it.
        Confirmed = "confirmed",
        /// The store refused it for good.
        Rejected = "rejected",
        /// Sent, and what became of it could not be learnt.
        Unknown = "unknown",
        /// Not sent in this run, or known not to have been applied.
        Deferred = "deferred",
    }
}

words! {
    /// Where a run stands, or how it ended.
    RunStatus {
        /// Reading source and ledger; nothing has been sent.
        Planning = "planning",
        /// The plan is complete and is being sent.
        Running = "running",
        /// The store is the source.
        Succeeded = "succeeded",
        /// Finished, but some values were rejected, invalid or unknown.
        Partial = "partial",
        /// Ended by an error.
        Failed = "failed",
        /// Ended early on request: a signal, or the time allowed.
        Stopped = "stopped",
        /// Ended by a crash; the next run found it so.
        Interrupted = "interrupted",
        /// Stopped by a guard before the first write.
        Blocked = "blocked",
    }
}

words! {
    /// What started a run.
    Trigger {
        /// A person, or their cron.
        Manual = "manual",
        /// The built-in scheduler.
        Schedule = "schedule",
        /// A change seen in the source.
        Change = "change",
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
    /// The store's id of the value, if the ledger knows it.
    pub value_id: Option<i64>,
    /// Until this time an older request for the key may still be applied. A change with another value than that
    /// request's is not sent before.
    pub in_doubt_until: Option<DateTime<Utc>>,
}

/// A change as it is read back for sending, with what its entry says at that time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedChange {
    /// The change.
    pub change: Change,
    /// The entry's value, if the entry is not confirmed: it was sent before and the store may or may not hold it.
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

    /// Whether an earlier run sent the same value and never recorded a clear outcome.
    #[must_use]
    pub fn repeats(&self) -> bool {
        self.in_doubt_value.is_some() && self.in_doubt_value == self.change.value
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
    /// The value was not applied, and is left to the next run.
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
            Self::Confirmed { .. } => Outcome::Confirmed,
            Self::Rejected { .. } => Outcome::Rejected,
            Self::Unknown { .. } => Outcome::Unknown,
            Self::Deferred { .. } => Outcome::Deferred,
        }
    }

    /// The reason that is recorded, if there is one.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Confirmed { .. } => None,
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

/// What the ledger believes of one value.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Entry {
    /// The customer and the attribute.
    #[serde(flatten)]
    pub key: Key,
    /// The value that was sent last.
    pub value: String,
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
    /// The run that last sent or rejected the value.
    pub run_id: i64,
    /// When the value was last sent, or its outcome recorded.
    pub updated_at: DateTime<Utc>,
    /// Until this time a request for the key may still be applied.
    pub in_doubt_until: Option<DateTime<Utc>>,
}

/// A change of beliefs without a request: what the store did by itself, a requeue, a full sync.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BeliefEdit {
    /// The entries that are edited.
    pub scope: KeyScope,
    /// What is done to them.
    pub edit: EditKind,
    /// Why; becomes the reason of the entries.
    pub reason: String,
    /// If given, the entries are in doubt at least until then.
    pub in_doubt_until: Option<DateTime<Utc>>,
}

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

/// The counts of a run. `planned = confirmed + rejected + unknown + deferred` holds at every commit: a change that is
/// being sent counts as unknown, a change that was not sent yet as deferred.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Counts {
    /// Rows read from the source.
    pub source_rows: i64,
    /// Rows whose value is NULL: no desired value.
    pub no_value: i64,
    /// Values that the store is believed to hold already.
    pub unchanged: i64,
    /// Values that the store rejected before and the source still asks for; they are not sent.
    pub still_rejected: i64,
    /// Rows that cannot be sent.
    pub invalid: i64,
    /// Entries whose row has left the source.
    pub orphans: i64,
    /// Changes in the plan.
    pub planned: i64,
    /// Changes that the store echoed.
    pub confirmed: i64,
    /// Confirmed changes whose value the store keeps in another form.
    pub altered: i64,
    /// Changes that the store refused for good.
    pub rejected: i64,
    /// Changes that the store may or may not have applied.
    pub unknown: i64,
    /// Changes left to the next run.
    pub deferred: i64,
    /// Write requests made.
    pub requests: i64,
}

impl Counts {
    /// Whether every planned change is accounted for.
    #[must_use]
    pub const fn balance(&self) -> bool {
        self.planned == self.confirmed + self.rejected + self.unknown + self.deferred
    }
}

/// The keys that a run is about. Empty sets mean all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// Only these customers.
    pub customers: BTreeSet<i64>,
    /// Only these attributes.
    pub attributes: BTreeSet<i64>,
}

impl Filter {
    /// Whether nothing is left out.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.customers.is_empty() && self.attributes.is_empty()
    }
}

/// A set of keys: one key, all of a customer, all of an attribute, or all. `None` means any.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct KeyScope {
    /// Only this customer.
    pub customer_id: Option<i64>,
    /// Only this attribute.
    pub attribute_id: Option<i64>,
}

impl KeyScope {
    /// Whether the key is in the set.
    #[must_use]
    pub fn contains(self, key: Key) -> bool {
        self.customer_id.is_none_or(|id| id == key.customer_id)
            && self.attribute_id.is_none_or(|id| id == key.attribute_id)
    }
}

/// An attribute as the store defines it, or did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownAttribute {
    /// The store's id.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// Its type: `string`, `number` or `date`.
    pub kind: String,
    /// Whether the store no longer defines it.
    pub deleted: bool,
}
