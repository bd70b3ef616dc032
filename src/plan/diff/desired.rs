//! The desired value of one key, on its page or kept beyond it.

use crate::record::{Key, SourceRow};

/// The desired value of one key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Desired<'a> {
    pub(super) key: Key,
    /// The number of source rows of the key.
    pub(super) copies: u32,
    /// The value of the first row.
    pub(super) value: Option<&'a str>,
    /// Why the value could not be read.
    pub(super) problem: Option<&'a str>,
}

/// A key that may have more rows on the next page. The value is owned because its page may be replaced.
#[derive(Debug)]
pub(super) struct PendingKey {
    pub(super) key: Key,
    pub(super) copies: u32,
    pub(super) value: Option<String>,
    pub(super) problem: Option<String>,
}

impl Desired<'_> {
    pub(super) fn row(&self) -> SourceRow<'_> {
        let Key { customer_id, attribute_id } = self.key;
        SourceRow {
            customer_id: Some(customer_id),
            attribute_id: Some(attribute_id),
            value: self.value,
            problem: self.problem,
        }
    }
}

impl PendingKey {
    pub(super) fn desired(&self) -> Desired<'_> {
        let (value, problem) = (self.value.as_deref(), self.problem.as_deref());
        Desired { key: self.key, copies: self.copies, value, problem }
    }
}
