//! Fills requests with changes, up to a limit of distinct customers and of values.

use std::collections::VecDeque;

use crate::record::PlannedChange;

/// The most that one request may carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// Distinct customers, at least one.
    pub customers: usize,
    /// Values, at least one; `None` as long as the store is not known to limit the number of values.
    pub values: Option<usize>,
}

/// The most values that one request may delete: they are ids in its address, whose length the API does not document.
const DELETED_VALUES: usize = 40;

impl Limit {
    /// The most that a request may carry that deletes values.
    #[must_use]
    pub fn of_deletes(self) -> Self {
        Self { values: Some(self.values.map_or(DELETED_VALUES, |most| most.min(DELETED_VALUES))), ..self }
    }

    /// Returns the least number of requests for `customers` customers that have `values` values in all.
    #[must_use]
    pub fn requests(&self, customers: u64, values: u64) -> u64 {
        let by_customers = customers.div_ceil(self.customers as u64);
        self.values.map_or(by_customers, |size| by_customers.max(values.div_ceil(size as u64)))
    }
}

/// Counts the content of a request while changes are added in key order.
#[derive(Debug, Clone, Copy, Default)]
pub struct Fill {
    customers: usize,
    values: usize,
    last_customer: Option<i64>,
}

impl Fill {
    /// Adds one value to the request, or returns `false` if the value does not fit.
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

/// Removes the changes of the next request from the queue. Returns `None` if the queue is empty, or if it fits into one
/// request and more changes may follow (`ended` is false), because a request is sent full.
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
            previous_in_doubt: false,
            source_value: None,
            value_id: None,
            in_doubt_until: None,
        };
        PlannedChange { change, is_in_doubt: false, in_doubt_value: None, observed_value: None }
    }

    fn queue(sizes: &[usize]) -> VecDeque<PlannedChange> {
        (1..).zip(sizes).flat_map(|(customer, &n)| (1..=n as i64).map(move |a| change(customer, a))).collect()
    }

    fn all(mut queue: VecDeque<PlannedChange>, limit: Limit) -> Vec<Vec<PlannedChange>> {
        std::iter::from_fn(|| next(&mut queue, true, limit)).collect()
    }

    #[test]
    fn ten_customers_with_all_their_values_fill_a_request() {
        let requests = all(queue(&[3; 25]), Limit { customers: 10, values: None });
        assert_eq!(requests.iter().map(Vec::len).collect::<Vec<_>>(), [30, 30, 15]);
    }

    #[test]
    fn a_limit_of_values_fills_requests_and_divides_a_large_customer() {
        let requests = all(queue(&[3, 25, 1]), Limit { customers: 10, values: Some(10) });
        assert_eq!(requests.iter().map(Vec::len).collect::<Vec<_>>(), [10, 10, 9]);
    }

    #[test]
    fn a_request_is_not_filled_before_the_queue_has_enough() {
        let mut waiting = queue(&[1; 10]);
        assert_eq!(next(&mut waiting, false, Limit { customers: 10, values: None }), None);
        assert_eq!(waiting.len(), 10);
        waiting.push_back(change(11, 1));
        assert_eq!(
            next(&mut waiting, false, Limit { customers: 10, values: None }).map(|c| c.len()),
            Some(10)
        );
    }

    proptest! {
        #[test]
        fn every_change_is_in_one_request_and_no_request_exceeds_the_limit(
            sizes in prop::collection::vec(1_usize..6, 0..60),
            customers in 1_usize..11,
            values in prop::option::of(1_usize..30),
        ) {
            let limit = Limit { customers, values };
            let before = queue(&sizes);
            let requests = all(before.clone(), limit);
            prop_assert_eq!(requests.concat(), Vec::from(before));
            for request in &requests {
                let mut distinct: Vec<_> = request.iter().map(|c| c.key().customer_id).collect();
                distinct.dedup();
                prop_assert!(distinct.len() <= customers);
                prop_assert!(values.is_none_or(|most| request.len() <= most));
            }
            if values.is_none() {
                prop_assert_eq!(requests.len() as u64, limit.requests(sizes.len() as u64, 0));
            }
        }
    }
}
