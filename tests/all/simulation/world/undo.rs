//! Undos in a story: which run is undone, and what the source said meanwhile.

use attrsync::engine::Report;
use attrsync::record::{Key, RunKind, RunStatus};

use super::World;
use crate::simulation::oracle::Oracle;
use crate::simulation::story::Sync;

/// The longest value that can be sent.
const LONGEST: usize = 255;

impl World {
    /// The run that is undone: the n-th newest of those with a plan.
    pub(super) fn undone_run(&self, sync: &Sync) -> Option<i64> {
        let runs = self.scene.ledger.runs(&self.scene.name);
        let planned: Vec<i64> =
            runs.iter().rev().filter(|run| run.planned_at.is_some()).map(|run| run.id).collect();
        let nth = sync.undoes?;
        planned.get(nth % planned.len().max(1)).copied()
    }

    /// Tells the oracle what the source says of each key now.
    pub(super) fn publish_states(&self, oracle: &mut Oracle) {
        let (table, twice) = (self.table.borrow(), self.twice.borrow());
        for customer in 1..=30 {
            for attribute in 1..=4 {
                let key = Key::new(customer, attribute);
                let value = table.get(&key).and_then(Option::as_deref);
                let is_long = value.is_some_and(|value| value.chars().count() > LONGEST);
                let is_twice = twice.contains(&key) && table.contains_key(&key);
                oracle.published(key, value, !is_long && !is_twice && attribute < 4);
            }
        }
    }

    /// Tells the oracle how a run ended, as far as its pins are concerned.
    pub(super) fn end_pins(&self, sync: &Sync, report: Option<&Report>) {
        let entries = self.scene.ledger.entries(&self.scene.name);
        let ended_well =
            report.is_some_and(|report| matches!(report.status, RunStatus::Succeeded | RunStatus::Partial));
        let is_sync = sync.undoes.is_none();
        let runs = self.scene.ledger.runs(&self.scene.name);
        if let Some(undo) = runs.iter().rev().find(|run| run.kind == RunKind::Undo && !is_sync) {
            self.scene.oracle().may_have_pinned(&entries, undo.id);
        }
        self.scene.oracle().end_pins(&entries, is_sync, ended_well, is_sync && sync.ignores_pins);
    }
}
