//! Cuts a plan into batches: at most so many distinct customers, and no more values than the store takes.

use std::collections::VecDeque;

use crate::record::PlannedChange;

/// How much one request may carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// Distinct customers, at least one.
    pub customers: usize,
    /// Values, at least one; `None` unless the store is known to count them.
    pub values: Option<usize>,
}

impl Limit {
    /// The least number of requests for this many customers with this many values in total.
    #[must_use]
    pub fn requests(&self, customers: u64, values: u64) -> u64 {
        let by_customers = customers.div_ceil(self.customers as u64);
        self.values.map_or(by_customers, |size| by_customers.max(values.div_ceil(size as u64)))
    }
}

/// A batch that is being filled in key order.
#[derive(Debug, Clone, Copy, Default)]
pub struct Fill {
    customers: usize,
    values: usize,
    last_customer: Option<i64>,
}

impl Fill {
    /// Adds one more value to the batch, and returns whether it fits.
    pub fn take(&mut self, customer_id: i64, limit: Limit) -> bool {
        let another = self.last_customer != Some(customer_id);
        if another && self.customers == limit.customers {
            return false;
        }
        if limit.values.is_some_and(|most| self.values >= most) {
            return false;
        }
        self.customers += usize::from(another);
        self.values += 1;
        self.last_customer = Some(customer_id);
        true
    }
}

/// Takes the next batch from the queue. `None` if the queue is empty, or if all of it fits and more is to come (`ended` is
/// false): a batch is not sent half full.
pub fn next(queue: &mut VecDeque<PlannedChange>, ended: bool, limit: Limit) -> Option<Vec<PlannedChange>> {
    let mut fill = Fill::default();
    let count = queue.iter().take_while(|change| fill.take(change.key().customer_id, limit)).count();
    if count == 0 || (count == queue.len() && !ended) {
        return None;
    }
    Some(queue.drain(..count).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::record::{Action, Change, Key};

    fn change(customer_id: i64, attribute_id: i64) -> PlannedChange {
        let change = Change {
            key: Key::new(customer_id, attribute_id),
            action: Action::Create,
            value: Some(String::new()),
            previous_value: None,
            value_id: None,
            in_doubt_until: None,
        };
        PlannedChange { change, in_doubt_value: None, observed_value: None }
    }

    fn queue(sizes: &[usize]) -> VecDeque<PlannedChange> {
        (1..).zip(sizes).flat_map(|(customer, &n)| (1..=n as i64).map(move |a| change(customer, a))).collect()
    }

    fn all(mut queue: VecDeque<PlannedChange>, limit: Limit) -> Vec<Vec<PlannedChange>> {
        std::iter::from_fn(|| next(&mut queue, true, limit)).collect()
    }

    #[test]
    fn ten_customers_with_all_their_values_fill_a_batch() {
        let batches = all(queue(&[3; 25]), Limit { customers: 10, values: None });
        assert_eq!(batches.iter().map(Vec::len).collect::<Vec<_>>(), [30, 30, 15]);
    }

    #[test]
    fn a_store_that_counts_values_gets_full_batches_and_a_large_customer_is_split() {
        let batches = all(queue(&[3, 25, 1]), Limit { customers: 10, values: Some(10) });
        assert_eq!(batches.iter().map(Vec::len).collect::<Vec<_>>(), [10, 10, 9]);
    }

    #[test]
    fn a_batch_is_not_cut_while_more_may_come() {
        let mut changes = queue(&[1; 10]);
        assert_eq!(next(&mut changes, false, Limit { customers: 10, values: None }), None);
        assert_eq!(changes.len(), 10);
        changes.push_back(change(11, 1));
        assert_eq!(
            next(&mut changes, false, Limit { customers: 10, values: None }).map(|c| c.len()),
            Some(10)
        );
    }

    proptest! {
        #[test]
        fn every_change_is_in_one_batch_and_no_batch_is_over_the_limit(
            sizes in prop::collection::vec(1_usize..6, 0..60),
            customers in 1_usize..11,
            values in prop::option::of(1_usize..30),
        ) {
            let limit = Limit { customers, values };
            let before = queue(&sizes);
            let batches = all(before.clone(), limit);
            prop_assert_eq!(batches.concat(), Vec::from(before));
            for batch in &batches {
                let mut distinct: Vec<_> = batch.iter().map(|c| c.key().customer_id).collect();
                distinct.dedup();
                prop_assert!(distinct.len() <= customers);
                prop_assert!(values.is_none_or(|most| batch.len() <= most));
            }
            if values.is_none() {
                prop_assert_eq!(batches.len() as u64, limit.requests(sizes.len() as u64, 0));
            }
        }
    }
}
