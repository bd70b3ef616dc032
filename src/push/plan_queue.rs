//! The plan as a queue of batches, loaded in short pages, so that no read of the ledger stays open across a request.

use std::collections::VecDeque;

use super::Action;
use crate::plan::batch::{self, Limit};
use crate::record::{Key, PlanPart, PlanParts, PlannedChange};

/// How many changes are loaded at once: those of a few requests, so that no outcome waits long behind a page.
const PAGE: usize = 256;

/// With fewer changes than this in the queue the next page is loaded.
const LOW: usize = 256;

/// What is left of a run's plan, part by part: first what may be sent at once, then what has to wait for older requests.
#[derive(Debug)]
pub(super) struct PlanQueue {
    changes: VecDeque<PlannedChange>,
    parts: PlanParts,
    /// The part that is being loaded; `None` after the last one.
    part: Option<PlanPart>,
    after: Option<Key>,
    is_loading: bool,
    is_loaded: bool,
    /// Whether the queue holds less than a batch. A batch may have more values than a page.
    is_short: bool,
}

impl PlanQueue {
    pub(super) fn new(parts: PlanParts) -> Self {
        let changes = VecDeque::new();
        Self {
            changes,
            parts,
            part: parts.next(None),
            after: None,
            is_loading: false,
            is_loaded: false,
            is_short: true,
        }
    }

    /// Takes the next batch in key order, up to the limit of its part. `None` at the end of the plan, or until a page is loaded.
    pub(super) fn next(&mut self, upserts: Limit, deletes: Limit) -> Option<Vec<PlannedChange>> {
        let limit = if self.part.is_some_and(PlanPart::deletes) { deletes } else { upserts };
        let batch = batch::next(&mut self.changes, self.is_loaded, limit);
        self.is_short = batch.is_none();
        if batch.is_none() && self.is_loaded {
            (self.part, self.after, self.is_loaded) = (self.parts.next(self.part), None, false);
        }
        batch
    }

    /// The customer of the next change, if it is loaded.
    pub(super) fn next_customer(&self) -> Option<i64> {
        self.changes.front().map(|planned| planned.key().customer_id)
    }

    /// The page to be loaded now, if there is one. The next is loaded ahead, so that no slot waits for it.
    pub(super) fn page_to_load(&mut self) -> Option<Action> {
        let part = self.part?;
        if self.is_loaded || self.is_loading || (self.changes.len() >= LOW && !self.is_short) {
            return None;
        }
        self.is_loading = true;
        Some(Action::LoadPage { part, after: self.after, limit: PAGE })
    }

    /// Adds a loaded page.
    pub(super) fn add(&mut self, page: Vec<PlannedChange>) {
        self.is_loading = false;
        self.is_loaded = page.len() < PAGE;
        self.after = page.last().map(|planned| planned.change.key).or(self.after);
        self.changes.extend(page);
    }

    /// Whether nothing is left.
    pub(super) fn is_empty(&self) -> bool {
        let is_last = self.part.is_none_or(|part| self.parts.next(Some(part)).is_none() && self.is_loaded);
        is_last && self.changes.is_empty()
    }
}
