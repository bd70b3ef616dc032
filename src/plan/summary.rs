//! Counts the changes of a plan page by page, for the output of `attrsync plan`.

use std::collections::BTreeMap;

use super::batch::{Fill, Limit};
use super::diff::PlanPage;
use super::wrong_type::WrongTypes;
use crate::record::{Action, Change, InvalidRow};

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

/// The counts and the first rows of a plan.
#[derive(Debug)]
pub struct Summary {
    limit: Limit,
    keep: usize,
    fill: Fill,
    last_customer: Option<i64>,
    /// Customers with a change.
    pub customers: u64,
    /// Write requests needed if no request fails.
    pub requests: u64,
    /// The planned actions by attribute id.
    pub attributes: BTreeMap<i64, Actions>,
    /// The first changes, at most `keep`.
    pub sample: Vec<Change>,
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
            fill: Fill::default(),
            last_customer: None,
            customers: 0,
            requests: 0,
            attributes: BTreeMap::new(),
            sample: Vec::new(),
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
            if self.requests == 0 || !self.fill.take(change.key.customer_id, self.limit) {
                self.fill = Fill::default();
                self.fill.take(change.key.customer_id, self.limit);
                self.requests += 1;
            }
            self.wrong_types.add(change);
            if self.sample.len() < self.keep {
                self.sample.push(change.clone());
            }
        }
        let room = self.keep - self.invalid_sample.len();
        self.invalid_sample.extend(page.invalid.iter().take(room).cloned());
    }
}
