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
    /// Whether it lets every key through.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.customers.is_empty() && self.attributes.is_empty()
    }

    /// Whether it lets this key through.
    #[must_use]
    pub fn lets_in(&self, key: Key) -> bool {
        (self.customers.is_empty() || self.customers.contains(&key.customer_id))
            && (self.attributes.is_empty() || self.attributes.contains(&key.attribute_id))
    }

    /// Returns scopes that together hold the same keys.
    #[must_use]
    pub fn scopes(&self) -> Vec<KeyScope> {
        let or_any = |ids: &BTreeSet<i64>| match ids.len() {
            0 => vec![None],
            _ => ids.iter().copied().map(Some).collect(),
        };
        let attributes = or_any(&self.attributes);
        let of_customer =
            |customer_id| attributes.iter().map(move |&attribute_id| KeyScope { customer_id, attribute_id });
        or_any(&self.customers).into_iter().flat_map(of_customer).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scopes_of_a_filter_hold_its_keys() {
        let filter = |customers: &[i64], attributes: &[i64]| Filter {
            customers: customers.iter().copied().collect(),
            attributes: attributes.iter().copied().collect(),
        };
        let scopes = |filter: Filter| {
            let pairs = filter.scopes().into_iter().map(|scope| (scope.customer_id, scope.attribute_id));
            pairs.collect::<Vec<_>>()
        };
        assert_eq!(scopes(Filter::default()), [(None, None)]);
        assert_eq!(scopes(filter(&[4, 5], &[])), [(Some(4), None), (Some(5), None)]);
        assert_eq!(scopes(filter(&[], &[2])), [(None, Some(2))]);
        assert_eq!(
            scopes(filter(&[4, 5], &[1, 2])),
            [(Some(4), Some(1)), (Some(4), Some(2)), (Some(5), Some(1)), (Some(5), Some(2))]
        );
    }
}
