//! A stream that breaks its order.

use crate::record::Key;

/// A stream was not in key order, so that the merge would find wrong differences.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the rows of the {stream} are not in key order at {key}")]
pub struct OutOfOrder {
    /// `source` or `ledger`.
    pub stream: &'static str,
    /// The first key that is out of order.
    pub key: Key,
}
