//! The plan as a queue of batches, read in short keyset pages: no read of the ledger stays open across a call.
//!
//! The next page is asked for while there is still something to send, so that no slot waits for it.

use std::collections::VecDeque;

use futures_util::future::BoxFuture;

use super::waiting::pending_or;
use crate::ledger::{Ledger, Result};
use crate::plan::batch::{self, Limit};
use crate::record::{Counts, Key, PlannedChange};

/// How many changes are read at once: a few calls' worth, so that no answer waits long behind a page.
const PAGE: usize = 256;

/// With fewer changes than this at hand the next page is asked for.
const LOW: usize = 256;

/// A plan that is complete, and what its sending goes by.
pub(super) struct SealedPlan {
    /// The run's counts.
    pub(super) counts: Counts,
    /// How much a call may carry.
    pub(super) limit: Limit,
    /// Whether some of the changes have to wait for such requests.
    pub(super) has_in_doubt: bool,
}

/// What is left of a run's plan: first what may go at once, then what has to wait for older requests.
pub(super) struct Queue<'a> {
    ledger: &'a dyn Ledger,
    run_id: i64,
    /// Whether what has to wait is being read; where nothing has to, that is never done.
    in_doubt: bool,
    has_in_doubt: bool,
    after: Option<Key>,
    read_all: bool,
    changes: VecDeque<PlannedChange>,
    /// The page that is being read.
    page: Option<BoxFuture<'a, Result<Vec<PlannedChange>>>>,
}

impl<'a> Queue<'a> {
    pub(super) fn new(ledger: &'a dyn Ledger, run_id: i64, has_in_doubt: bool) -> Self {
        let changes = VecDeque::new();
        Self {
            ledger,
            run_id,
            in_doubt: false,
            has_in_doubt,
            after: None,
            read_all: false,
            changes,
            page: None,
        }
    }

    /// The next batch in key order. `None` at the end of the plan, or while a page has yet to come.
    pub(super) fn next(&mut self, limit: Limit) -> Option<Vec<PlannedChange>> {
        let mut batch = batch::next(&mut self.changes, self.read_all, limit);
        if batch.is_none() && self.read_all && self.has_in_doubt && !self.in_doubt {
            (self.in_doubt, self.after, self.read_all) = (true, None, false);
            batch = batch::next(&mut self.changes, self.read_all, limit);
        }
        if !self.read_all && self.page.is_none() && (batch.is_none() || self.changes.len() < LOW) {
            self.page = Some(self.ledger.planned(self.run_id, self.in_doubt, self.after, PAGE));
        }
        batch
    }

    /// The page that is being read, when it is there; for ever where none is.
    pub(super) async fn page(&mut self) -> Result<Vec<PlannedChange>> {
        pending_or(&mut self.page).await
    }

    /// Takes a page in.
    pub(super) fn take(&mut self, page: Vec<PlannedChange>) {
        self.page = None;
        self.read_all = page.len() < PAGE;
        self.after = page.last().map(|change| change.key()).or(self.after);
        self.changes.extend(page);
    }

    /// Whether nothing is left.
    pub(super) fn is_empty(&self) -> bool {
        self.in_doubt == self.has_in_doubt && self.read_all && self.changes.is_empty()
    }
}
