//! Why a run waits, and for how long it waited.

use super::words::words;

words! {
    /// Why a run waits.
    WaitReason {
        /// The store's rate quota is used up until its next window.
        Quota = "quota",
        /// The store asked to wait (429, or a Retry-After).
        Limited = "limited",
        /// A call failed, and a pause comes before it is made again.
        Backoff = "backoff",
        /// All calls in flight have had no response for a while.
        Response = "response",
        /// A call of an earlier run may still be applied, and must come before the new value.
        InDoubt = "in_doubt",
        /// The store is asked which attributes it has.
        Attributes = "attributes",
        /// The store is asked whether customers and attributes still exist, or whether it can be read at all.
        Existence = "existence",
        /// The store is asked for the customers of e-mail addresses.
        Customers = "customers",
        /// Values that a response left open are read from the store.
        ReadBack = "read_back",
        /// The store's values are read.
        Values = "values",
        /// Another run holds the store.
        Lock = "lock",
        /// The source's database cannot be reached, or keeps the run waiting.
        Source = "source",
        /// The ledger's database cannot be reached, or is slow.
        Ledger = "ledger",
    }
}

impl WaitReason {
    /// Whether such a wait is a pause: it lasts as long as it can. Any other wait usually ends much earlier.
    #[must_use]
    pub const fn is_pause(self) -> bool {
        matches!(self, Self::Quota | Self::Limited | Self::Backoff | Self::InDoubt)
    }
}

/// How long a run waited for one reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct WaitTotal {
    /// The reason.
    pub reason: WaitReason,
    /// How many waits.
    pub waits: i64,
    /// How long they were in all.
    pub milliseconds: i64,
}
