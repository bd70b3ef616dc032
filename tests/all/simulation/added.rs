//! Draws parts that are added to a finished story, each from a random source of its own, so that all else stays as it is
//! without them.

use std::collections::BTreeMap;

use super::draw::Drawing;
use super::story::{Step, Sync};

impl Drawing {
    /// Adds a request that is applied long after it was sent, and the end of its row in the meantime, in a quarter of the
    /// stories. A delete that does not wait for it leaves a value in the store for ever.
    pub(super) fn add_delayed_request(&mut self, steps: &mut Vec<Step>, seed: u64) {
        self.rng = fastrand::Rng::with_seed(seed ^ 0x1a7e);
        if self.rng.u8(0..4) != 0 {
            return;
        }
        let (customer, attribute) = (self.rng.i64(1..=30), self.rng.i64(1..=2));
        let value = self.rng.u8(0..5).to_string();
        let writes: BTreeMap<usize, String> = (0..40).map(|nth| (nth, "late".to_owned())).collect();
        let killed_ms = Some(self.rng.u64(1_000..70_000));
        let delayed = [
            Step::Row(customer, attribute, Some(value)),
            Step::Sync(Box::new(Sync { killed_ms, writes, ..Sync::default() })),
            self.end_of_row(customer, attribute),
            Step::Sync(Box::default()),
        ];
        let at = self.rng.usize(..=steps.len());
        steps.splice(at..at, delayed);
    }

    /// Adds a value that others write, remove or replace before its row leaves, in the stories in which others change the
    /// store. A run that takes their value for ours deletes it.
    pub(super) fn add_leaving_row(&mut self, steps: &mut Vec<Step>, seed: u64) {
        self.rng = fastrand::Rng::with_seed(seed ^ 0x1eafe);
        if !self.is_disturbed {
            return;
        }
        let (customer, attribute) = (self.rng.i64(1..=30), self.rng.i64(1..=3));
        let value = self.rng.u8(0..5).to_string();
        let mut leaving = self.changes_by_others(customer, attribute);
        leaving.push(Step::Row(customer, attribute, Some(value)));
        leaving.push(self.sync_with_one_fault());
        leaving.extend(self.changes_by_others(customer, attribute));
        if self.rng.bool() {
            leaving.push(Step::Reconcile(self.reading()));
            leaving.extend(self.changes_by_others(customer, attribute));
        }
        leaving.push(self.end_of_row(customer, attribute));
        leaving.push(self.sync_with_one_fault());
        let at = self.rng.usize(..=steps.len());
        steps.splice(at..at, leaving);
    }

    /// Adds undos, in half of the stories, and syncs after them.
    pub(super) fn add_undos(&mut self, steps: &mut Vec<Step>, seed: u64) {
        self.rng = fastrand::Rng::with_seed(seed.rotate_left(32));
        if self.rng.bool() {
            return;
        }
        for _ in 0..self.rng.usize(1..4) {
            let at = self.rng.usize(..=steps.len());
            let undo = Sync { undoes: Some(self.rng.usize(0..3)), full: false, ..self.sync() };
            steps.insert(at, Step::Sync(Box::new(undo)));
            if self.rng.bool() {
                let ignores_pins = self.rng.u8(0..6) == 0;
                let next = Sync { ignores_pins, ..self.sync() };
                steps.insert(at + 1, Step::Sync(Box::new(next)));
            }
        }
    }

    /// Draws up to two changes of one value by others. If they remove a value and write another, that one has another id.
    fn changes_by_others(&mut self, customer: i64, attribute: i64) -> Vec<Step> {
        let written = Some(self.rng.u8(0..9).to_string());
        let values = match self.rng.u8(0..6) {
            0 => vec![],
            1 => vec![None],
            2 => vec![written],
            _ => vec![None, written],
        };
        values.into_iter().map(|value| Step::StoreValue(customer, attribute, value)).collect()
    }

    /// Draws a sync. In half of the cases all its writes have the same fault.
    fn sync_with_one_fault(&mut self) -> Step {
        let fault = ["skipped", "missing", "lost", "dropped"][self.rng.usize(..4)];
        let faulty = if self.rng.bool() { 20 } else { 0 };
        let writes = (0..faulty).map(|nth| (nth, fault.to_owned())).collect();
        Step::Sync(Box::new(Sync { writes, ..Sync::default() }))
    }

    /// Draws how a row ends.
    fn end_of_row(&mut self, customer: i64, attribute: i64) -> Step {
        match self.rng.bool() {
            true => Step::Row(customer, attribute, None),
            false => Step::Null(customer, attribute),
        }
    }

    /// Adds a saved plan that is applied after some edits of the table and the store, in a quarter of the stories.
    pub(super) fn add_saved_plan(&mut self, steps: &mut Vec<Step>, seed: u64) {
        self.rng = fastrand::Rng::with_seed(seed ^ 0x5a7ed);
        if self.rng.u8(0..4) != 0 {
            return;
        }
        let mut saved: Vec<Step> = (0..self.rng.usize(0..10)).map(|_| self.edit()).collect();
        saved.push(Step::Save);
        for _ in 0..self.rng.usize(0..4) {
            let is_edit = !self.is_disturbed || self.rng.bool();
            saved.push(if is_edit { self.edit() } else { self.disturbance() });
        }
        let (applies, skips_conflicts) = (true, self.rng.bool());
        saved.push(Step::Sync(Box::new(Sync { applies, skips_conflicts, ..self.sync() })));
        let at = self.rng.usize(..=steps.len());
        steps.splice(at..at, saved);
    }
}
