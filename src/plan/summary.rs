//! What a plan would do, counted while it is made: the forecast of `attrsync plan`.

use std::collections::BTreeMap;

use super::batch::{Fill, Limit};
use super::diff::PlanPage;
use crate::record::{Action, Change, InvalidRow};

/// How often each action is planned for one attribute.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Actions {
    /// Values to be created.
    pub creates: u64,
    /// Values to be updated.
    pub updates: u64,
}

/// The running count of a plan.
#[derive(Debug)]
pub struct Summary {
    limit: Limit,
    keep: usize,
    fill: Fill,
    /// Write calls needed if nothing goes wrong.
    pub requests: u64,
    /// By attribute id.
    pub attributes: BTreeMap<i64, Actions>,
    /// The first changes.
    pub sample: Vec<Change>,
    /// The first invalid rows.
    pub invalid_sample: Vec<InvalidRow>,
}

impl Summary {
    /// A count at its beginning that keeps the first `keep` changes and invalid rows.
    #[must_use]
    pub fn new(limit: Limit, keep: usize) -> Self {
        Self {
            limit,
            keep,
            fill: Fill::default(),
            requests: 0,
            attributes: BTreeMap::new(),
            sample: Vec::new(),
            invalid_sample: Vec::new(),
        }
    }

    /// How much a call may carry.
    #[must_use]
    pub const fn limit(&self) -> Limit {
        self.limit
    }

    /// How many changes and invalid rows it keeps.
    #[must_use]
    pub const fn keep(&self) -> usize {
        self.keep
    }

    /// Counts a page of the plan.
    pub fn add(&mut self, page: &PlanPage) {
        for change in &page.changes {
            let actions = self.attributes.entry(change.key.attribute_id).or_default();
            match change.action {
                Action::Create => actions.creates += 1,
                Action::Update | Action::Delete => actions.updates += 1,
            }
            if self.requests == 0 || !self.fill.take(change.key.customer_id, self.limit) {
                self.fill = Fill::default();
                self.fill.take(change.key.customer_id, self.limit);
                self.requests += 1;
            }
            if self.sample.len() < self.keep {
                self.sample.push(change.clone());
            }
        }
        let room = self.keep - self.invalid_sample.len();
        self.invalid_sample.extend(page.invalid.iter().take(room).cloned());
    }
}
