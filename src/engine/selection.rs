//! Selects of the plan of now what an earlier run has planned, and finds what has changed since.
//!
//! Both come in key order: the pages of the diff, and the saved plan in keyset pages.

use std::collections::VecDeque;

use super::ports::EngineError;
use crate::ledger::Ledger;
use crate::plan::saved::{CONFLICTS_KEPT, Compared, Conflict, compare};
use crate::record::{Action, Change, Key, PlanOfRun, PlanPart, PlanParts, SavedChange};

/// How many saved changes are read at a time.
const PAGE_ROWS: usize = 2_000;

/// Merges the plan of now with a saved one.
pub(super) struct Selection<'a> {
    ledger: &'a dyn Ledger,
    saved: &'a PlanOfRun,
    page: VecDeque<SavedChange>,
    after: Option<Key>,
    is_read: bool,
    /// How many saved changes were compared.
    compared: i64,
    selected: Selected,
}

/// What was selected, and what was not.
#[derive(Debug, Clone, Default)]
pub(super) struct Selected {
    /// How many changes are applied.
    pub(super) planned: i64,
    /// Those of them that delete a value.
    pub(super) deletes: i64,
    /// The parts that they have.
    pub(super) parts: PlanParts,
    /// How many saved changes the store holds already.
    pub(super) done: u64,
    /// How many changes only the plan of now has.
    pub(super) left: u64,
    /// How many saved changes the source or the ledger contradicts.
    pub(super) conflicts_total: u64,
    /// The first of them.
    pub(super) conflicts: Vec<Conflict>,
}

impl Selected {
    /// Leaves the deletes to the next sync, because the source could not be read whole.
    pub(super) fn leave_deletes(&mut self) {
        let deletes = std::mem::replace(&mut self.deletes, 0);
        self.planned -= deletes;
        self.left += deletes.unsigned_abs();
        self.parts.remove_deletes();
    }
}

impl<'a> Selection<'a> {
    pub(super) fn new(ledger: &'a dyn Ledger, saved: &'a PlanOfRun) -> Self {
        let (page, selected) = (VecDeque::new(), Selected::default());
        Self { ledger, saved, page, after: None, is_read: false, compared: 0, selected }
    }

    /// Begins anew, because the source is read again.
    pub(super) fn begin_anew(&mut self) {
        *self = Self::new(self.ledger, self.saved);
    }

    /// Returns those of the next changes of now that the saved plan has too.
    pub(super) async fn select(&mut self, changes: Vec<Change>) -> Result<Vec<Change>, EngineError> {
        let mut kept = Vec::new();
        for change in changes {
            while let Some(saved) = self.next_before(Some(change.key)).await? {
                self.compare(saved, None);
            }
            let is_saved = self.page.front().is_some_and(|saved| saved.change.key == change.key);
            let saved = if is_saved { self.page.pop_front() } else { None };
            match saved.map(|saved| self.compare(saved, Some(&change))) {
                Some(Compared::Same) => kept.push(change),
                Some(Compared::Moved) => {}
                Some(Compared::Done) | None => self.selected.left += 1,
            }
        }
        for change in &kept {
            self.selected.planned += 1;
            self.selected.deletes += i64::from(change.action == Action::Delete);
            self.selected.parts.add(PlanPart::of(change));
        }
        Ok(kept)
    }

    /// Compares the rest of the saved plan, and returns what was selected.
    pub(super) async fn end(&mut self) -> Result<Selected, EngineError> {
        while let Some(saved) = self.next_before(None).await? {
            self.compare(saved, None);
        }
        if self.compared != self.saved.planned {
            let (run_id, compared, planned) = (self.saved.run_id, self.compared, self.saved.planned);
            return Err(EngineError::Refused {
                problem: format!(
                    "the ledger holds {compared} of the {planned} changes that run {run_id} planned"
                ),
                hint: "`attrsync plan --save` makes a new plan".to_owned(),
            });
        }
        Ok(self.selected.clone())
    }

    /// The next saved change if its key is less than `key`, or any. Afterwards the page is not empty unless all were read.
    async fn next_before(&mut self, key: Option<Key>) -> Result<Option<SavedChange>, EngineError> {
        if self.page.is_empty() && !self.is_read {
            let page = self.ledger.saved_changes(self.saved.run_id, self.after, PAGE_ROWS).await?;
            self.is_read = page.len() < PAGE_ROWS;
            self.after = page.last().map(|last| last.change.key);
            self.page = page.into();
        }
        let is_before = |saved: &SavedChange| key.is_none_or(|key| saved.change.key < key);
        Ok(if self.page.front().is_some_and(is_before) { self.page.pop_front() } else { None })
    }

    fn compare(&mut self, saved: SavedChange, now: Option<&Change>) -> Compared {
        self.compared += 1;
        let compared = compare(&saved, now);
        match compared {
            Compared::Same => {}
            Compared::Done => self.selected.done += 1,
            Compared::Moved => {
                self.selected.conflicts_total += 1;
                if self.selected.conflicts.len() < CONFLICTS_KEPT {
                    self.selected.conflicts.push(Conflict::new(saved, now));
                }
            }
        }
        compared
    }
}
