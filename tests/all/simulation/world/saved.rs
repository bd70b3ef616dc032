//! Saved plans in a story: a run that applies one sends nothing else.

use std::collections::BTreeMap;

use attrsync::engine::{self, Ports};
use attrsync::record::{Key, RunKind};
use attrsync::waits::Waits;

use super::World;
use crate::simulation::story::Sync;

/// A plan that was saved.
#[derive(Debug)]
pub(super) struct SavedPlan {
    run_id: i64,
    /// The value that was planned for each key; none for a delete.
    changes: BTreeMap<Key, Option<String>>,
}

impl World {
    /// Saves the plan of a sync, unless another process has the lock.
    pub(super) async fn save(&self) {
        let scene = &self.scene;
        let Ok(ledger) = scene.ledger.lock(&scene.name) else { return };
        self.publish();
        let (clock, destination) = (self.clock(), self.destination(false, false));
        let ports = Ports {
            source: &self.source,
            ledger: &ledger,
            destination: &destination,
            clock: &clock,
            progress: &|_| {},
            waits: &Waits::default(),
        };
        let saved = engine::save(ports, &self.push, &self.options(), 0, None).await;
        self.ends.borrow_mut().push(format!("{saved:?}"));
        if let Ok(saved) = saved {
            let changes = self.changes_of(saved.run_id);
            self.saved.replace(Some(SavedPlan { run_id: saved.run_id, changes }));
        }
    }

    fn changes_of(&self, run_id: i64) -> BTreeMap<Key, Option<String>> {
        let changes = self.scene.ledger.changes(run_id);
        changes.into_iter().map(|change| (change.key, change.value)).collect()
    }

    /// The run whose plan the sync applies.
    pub(super) fn applied(&self, sync: &Sync) -> Option<i64> {
        let saved = self.saved.borrow();
        saved.as_ref().filter(|_| sync.applies).map(|saved| saved.run_id)
    }

    /// Checks that a run which applied the plan of this run has planned nothing else.
    pub(super) fn check_applied(&self, of_run_id: Option<i64>) -> Result<(), String> {
        let (saved, runs) = (self.saved.borrow(), self.scene.ledger.runs(&self.scene.name));
        let newest = runs.last().filter(|run| run.kind == RunKind::Apply && run.of_run_id == of_run_id);
        let (Some(saved), Some(run)) = (saved.as_ref(), newest) else { return Ok(()) };
        let is_other = |(key, value): &(Key, Option<String>)| saved.changes.get(key) != Some(value);
        match self.changes_of(run.id).into_iter().find(is_other) {
            None => Ok(()),
            Some(other) => Err(format!("apply: it sends {other:?}, which the saved plan does not have")),
        }
    }
}
