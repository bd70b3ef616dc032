//! Counts the changes of a plan page by page, for the output of `attrsync plan`.

use std::collections::BTreeMap;

use super::batch::{Fill, Limit};
use super::diff::PlanPage;
use super::wrong_type::WrongTypes;
use crate::record::{Action, Change, InvalidRow, Key};

/// The most keys of a plan that are kept, so that one read of the store can show whether it holds values for them.
const FIRST_KEYS: usize = 40;

/// The planned actions of one attribute.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Actions {
    /// Number of values to create.
    pub creates: u64,
    /// Number of values to update.
    pub updates: u64,
    /// Number of values to delete.
    pub deletes: u64,
}

/// Counts the requests that changes fill, which are added in key order.
#[derive(Debug)]
struct Requests {
    limit: Limit,
    fill: Fill,
    count: u64,
}

impl Requests {
    fn new(limit: Limit) -> Self {
        Self { limit, fill: Fill::default(), count: 0 }
    }

    fn add(&mut self, customer_id: i64) {
        if self.count == 0 || !self.fill.take(customer_id, self.limit) {
            self.fill = Fill::default();
            self.fill.take(customer_id, self.limit);
            self.count += 1;
        }
    }
}

/// The counts and the first rows of a plan.
#[derive(Debug)]
pub struct Summary {
    limit: Limit,
    keep: usize,
    upserts: Requests,
    deletes: Requests,
    last_customer: Option<i64>,
    /// Customers with a change.
    pub customers: u64,
    /// The planned actions by attribute id.
    pub attributes: BTreeMap<i64, Actions>,
    /// The first changes, at most `keep`.
    pub sample: Vec<Change>,
    /// The first keys, at most [`FIRST_KEYS`].
    pub first_keys: Vec<Key>,
    /// The first invalid rows, at most `keep`.
    pub invalid_sample: Vec<InvalidRow>,
    /// The values that do not have the type of their attribute.
    pub wrong_types: WrongTypes,
}

impl Summary {
    /// Returns an empty summary that will keep the first `keep` changes and invalid rows.
    #[must_use]
    pub fn new(limit: Limit, keep: usize, wrong_types: WrongTypes) -> Self {
        Self {
            limit,
            keep,
            upserts: Requests::new(limit),
            deletes: Requests::new(limit.of_deletes()),
            last_customer: None,
            customers: 0,
            attributes: BTreeMap::new(),
            sample: Vec::new(),
            first_keys: Vec::new(),
            invalid_sample: Vec::new(),
            wrong_types,
        }
    }

    /// Returns an empty summary with the same settings.
    #[must_use]
    pub fn cleared(&self) -> Self {
        Self::new(self.limit, self.keep, self.wrong_types.cleared())
    }

    /// Returns the most that one request may carry.
    #[must_use]
    pub const fn limit(&self) -> Limit {
        self.limit
    }

    /// Returns the write requests needed if no request fails.
    #[must_use]
    pub const fn requests(&self) -> u64 {
        self.upserts.count + self.deletes.count
    }

    /// Takes the deletes back, because the source could not be read whole.
    pub fn remove_deletes(&mut self) {
        self.deletes = Requests::new(self.limit.of_deletes());
        for actions in self.attributes.values_mut() {
            actions.deletes = 0;
        }
        self.attributes.retain(|_, actions| *actions != Actions::default());
        self.sample.retain(|change| change.action != Action::Delete);
    }

    /// Adds a page of the plan.
    pub fn add(&mut self, page: &PlanPage) {
        for change in &page.changes {
            let actions = self.attributes.entry(change.key.attribute_id).or_default();
            match change.action {
                Action::Create => actions.creates += 1,
                Action::Update => actions.updates += 1,
                Action::Delete => actions.deletes += 1,
            }
            if self.last_customer.replace(change.key.customer_id) != Some(change.key.customer_id) {
                self.customers += 1;
            }
            match change.action {
                Action::Create | Action::Update => self.upserts.add(change.key.customer_id),
                Action::Delete => self.deletes.add(change.key.customer_id),
            }
            self.wrong_types.add(change);
            if self.first_keys.len() < FIRST_KEYS {
                self.first_keys.push(change.key);
            }
            if self.sample.len() < self.keep {
                self.sample.push(change.clone());
            }
        }
        let room = self.keep - self.invalid_sample.len();
        self.invalid_sample.extend(page.invalid.iter().take(room).cloned());
    }
}
