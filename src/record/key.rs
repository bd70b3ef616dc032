//! Keys, and sets of keys.

use std::collections::BTreeSet;
use std::fmt;

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
