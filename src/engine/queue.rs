//! The plan as a queue of batches, read in short keyset pages: no read of the ledger stays open across a call.

use std::collections::VecDeque;

use crate::ledger::{Ledger, Result};
use crate::plan::batch::{self, Limit};
use crate::record::{Change, Key};

/// How many changes are read at once.
const PAGE: usize = 1_000;

/// What is left of a run's plan: first what may go at once, then what has to wait for older requests.
pub(super) struct Queue<'a> {
    ledger: &'a dyn Ledger,
    run_id: i64,
    late: bool,
    after: Option<Key>,
    read_all: bool,
    changes: VecDeque<Change>,
}

impl<'a> Queue<'a> {
    pub(super) fn new(ledger: &'a dyn Ledger, run_id: i64) -> Self {
        Self { ledger, run_id, late: false, after: None, read_all: false, changes: VecDeque::new() }
    }

    /// The next batch in key order; `None` at the end of the plan.
    pub(super) async fn next(&mut self, limit: Limit) -> Result<Option<Vec<Change>>> {
        loop {
            if let Some(batch) = batch::next(&mut self.changes, self.read_all, limit) {
                return Ok(Some(batch));
            }
            if !self.read_all {
                self.read_page().await?;
            } else if self.late {
                return Ok(None);
            } else {
                (self.late, self.after, self.read_all) = (true, None, false);
            }
        }
    }

    /// Whether nothing is left.
    pub(super) fn is_empty(&self) -> bool {
        self.late && self.read_all && self.changes.is_empty()
    }

    async fn read_page(&mut self) -> Result<()> {
        let page = self.ledger.planned(self.run_id, self.late, self.after, PAGE).await?;
        self.read_all = page.len() < PAGE;
        self.after = page.last().map(|change| change.key).or(self.after);
        self.changes.extend(page);
        Ok(())
    }
}
