//! What the comparison of a key found.

use crate::record::Change;

/// What becomes of a desired value.
pub(super) enum Found {
    Unchanged,
    StillRejected { acknowledged: bool },
    Changed(Change),
}

/// What becomes of a value that the source does not desire.
pub(super) enum Missing {
    /// The store holds none.
    NotStored,
    /// The store keeps it.
    Kept,
    /// Its delete was rejected in an earlier run.
    StillRejected,
    /// Its delete is planned.
    Deleted,
}
