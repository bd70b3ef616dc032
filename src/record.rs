//! The nouns: keys, changes, beliefs, outcomes, runs. Plain data that every other module speaks of.
//!
//! Nothing here does I/O or knows a clock; times are values that somebody else read.

mod page;
mod store_name;

use std::collections::BTreeSet;
use std::fmt;

use chrono::{DateTime, Utc};

pub(crate) use page::PAGE_BYTES;
pub use page::{EntryPage, EntryRow, SourcePage, SourceRow};
pub use store_name::StoreName;

/// The longest value that the store takes, in Unicode code points.
pub const VALUE_MAX_CHARS: usize = 255;

/// What one attribute value belongs to: a customer and an attribute, both by the store's ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
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
        write!(f, "customer {}, attribute {}", self.customer_id, self.attribute_id)
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
        /// The value is to go.
        Delete = "delete",
        /// Nothing: a value that was set aside is given back to the next run. Only an edit of the ledger.
        Release = "release",
    }
}

words! {
    /// What the store was found to have done to an attribute or a customer.
    News {
        /// The attribute's definition is another one.
        Changed = "changed",
        /// The attribute was deleted, or the customer was before it came back, and the values with it.
        Gone = "gone",
        /// The customer was missing and is there again.
        Back = "back",
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

/// One difference between source and ledger: a line of the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// KeyScope value.
    pub key: Key,
    /// What is done to the store.
    pub action: Action,
    /// The value to send.
    pub value: String,
    /// What the ledger last knew the store to hold.
    pub previous_value: Option<String>,
    /// The store's id of the value, where the ledger has it.
    pub value_id: Option<i64>,
    /// What was sent before and may or may not be there: the entry's value, where it is not confirmed. It may be
    /// the same as `value`.
    pub in_doubt_value: Option<String>,
    /// Another value that the store showed after this same one was sent before. Meeting it again proves
    /// that the store keeps the value in that form.
    pub observed_value: Option<String>,
    /// Until this time an older request may still arrive. One with another value must not be overtaken: then this
    /// change is not sent before.
    pub in_doubt_until: Option<DateTime<Utc>>,
}

/// What became of one change, to be written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The store showed it.
    Confirmed {
        /// The store's id of the value, where it was told.
        value_id: Option<i64>,
        /// The form in which the store keeps it, where that is not what was sent.
        stored_value: Option<String>,
        /// What is still to be known of it: that an earlier copy of its request may arrive late.
        note: Option<String>,
    },
    /// The store refused it for good.
    Rejected {
        /// The store's words.
        reason: String,
    },
    /// It was sent and may or may not be there.
    Unknown {
        /// The last answer, or why there was none.
        reason: String,
        /// What the store showed instead, where it was asked.
        observed_value: Option<String>,
    },
    /// It was not applied, and is left to the next run.
    Deferred {
        /// Why it was left.
        reason: String,
    },
}

impl Verdict {
    /// The outcome that the change is decided with.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        match self {
            Self::Confirmed { .. } => Outcome::Confirmed,
            Self::Rejected { .. } => Outcome::Rejected,
            Self::Unknown { .. } => Outcome::Unknown,
            Self::Deferred { .. } => Outcome::Deferred,
        }
    }

    /// The reason to write down, where there is one.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Confirmed { note, .. } => note.as_deref(),
            Self::Rejected { reason } | Self::Unknown { reason, .. } | Self::Deferred { reason } => {
                Some(reason)
            }
        }
    }
}

/// What the ledger believes of one value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// KeyScope value.
    pub key: Key,
    /// What was last sent.
    pub value: String,
    /// What the store was last known to hold, where that is not `value`.
    pub stored_value: Option<String>,
    /// What the store showed instead of `value` when it was last asked, not yet believed.
    pub observed_value: Option<String>,
    /// The store's id of the value.
    pub value_id: Option<i64>,
    /// How sure the ledger is.
    pub belief: Belief,
    /// Why it is rejected or unconfirmed, or what is still to be known of a confirmed one.
    pub reason: Option<String>,
    /// The run that last touched it.
    pub run_id: i64,
    /// When it was last sent or decided.
    pub updated_at: DateTime<Utc>,
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

/// The counts of a run. `planned = confirmed + rejected + unknown + deferred` holds at every commit:
/// a change that is on its way counts as unknown, one not yet begun as deferred.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Counts {
    /// Rows read from the source.
    pub source_rows: i64,
    /// Rows whose value is NULL: no desired value.
    pub no_value: i64,
    /// Values that the store is believed to hold already.
    pub unchanged: i64,
    /// Values held back, since the store refused them before and the source still wants them.
    pub still_rejected: i64,
    /// Rows that cannot be sent.
    pub invalid: i64,
    /// Values of the ledger that are gone from the source.
    pub orphans: i64,
    /// Changes in the plan.
    pub planned: i64,
    /// Changes that the store echoed.
    pub confirmed: i64,
    /// Those of the confirmed that the store keeps in another form.
    pub altered: i64,
    /// Changes that the store refused for good.
    pub rejected: i64,
    /// Changes of which it is not known whether the store has them.
    pub unknown: i64,
    /// Changes left to the next run.
    pub deferred: i64,
    /// Write calls made.
    pub requests: i64,
    /// Values set aside by earlier runs that this one gave back before it planned, since their attribute's definition
    /// changed or their customer is back.
    pub released: i64,
}

impl Counts {
    /// Whether every planned change is accounted for.
    #[must_use]
    pub const fn balance(&self) -> bool {
        self.planned == self.confirmed + self.rejected + self.unknown + self.deferred
    }
}

/// Which keys a run is about. Empty sets mean all.
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

/// KeyScope values an edit of the ledger is about. What is not named is any.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct KeyScope {
    /// Only this customer's.
    pub customer_id: Option<i64>,
    /// Only this attribute's.
    pub attribute_id: Option<i64>,
}

impl KeyScope {
    /// Whether the key is one of them.
    #[must_use]
    pub fn has(self, key: Key) -> bool {
        self.customer_id.is_none_or(|id| id == key.customer_id)
            && self.attribute_id.is_none_or(|id| id == key.attribute_id)
    }

    /// The first and the last customer, the first and the last attribute.
    #[must_use]
    pub fn bounds(self) -> [i64; 4] {
        let any = |id: Option<i64>| [id.unwrap_or(i64::MIN), id.unwrap_or(i64::MAX)];
        let ([a, b], [c, d]) = (any(self.customer_id), any(self.attribute_id));
        [a, b, c, d]
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
    /// Whether the store has it no more.
    pub gone: bool,
}
