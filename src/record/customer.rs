//! Customers that had a rejected value.

use super::words::words;

words! {
    /// Whether the store has a customer, as far as runs have checked.
    CustomerState {
        /// No run has checked since the last rejection.
        Unchecked = "unchecked",
        /// The store had the customer when a run checked.
        Existing = "existing",
        /// The store had not, and every run checks again.
        Deleted = "deleted",
    }
}
