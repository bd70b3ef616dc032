//! Readings of the store in a story: what they may edit, and that they find all that others changed.

use std::collections::BTreeSet;
use std::time::Duration;

use attrsync::clock::Clock as _;
use attrsync::config::DriftConfig;
use attrsync::engine::{self, Ports, ReadConfig, ReconcileOptions};
use attrsync::record::{Belief, DriftPolicy, EditKind, Entry, Key};
use attrsync::waits::Waits;
use tokio::sync::watch;
use tokio::time::timeout;

use super::{LONGEST_RUN, World, script};
use crate::simulation::story::Reconcile;

/// Whether the store holds what the entry says. No value is as good as an empty one.
fn agrees(entry: &Entry, shown: Option<&str>) -> bool {
    let forms = [entry.value.as_deref(), entry.stored_value.as_deref()];
    forms.contains(&Some(shown.unwrap_or_default()))
}

impl World {
    /// Reads the store once, and checks what was edited. Without a fault it must end well.
    pub(super) async fn reconcile(&self, reading: &Reconcile) -> Result<(), String> {
        let scene = &self.scene;
        let ledger = scene.ledger.lock(&scene.name).map_err(|error| format!("promise 5: {error}"))?;
        self.publish();
        let mut is_faultless = reading.reads.is_empty() && reading.killed_ms.is_none();
        {
            let mut model = scene.model();
            is_faultless &= model.options.quota.others == 0;
            model.read_script = script(&reading.reads);
            model.options.rules.shifts_pages = reading.shifts;
        }
        let before = scene.ledger.entries(&scene.name);
        let runs = scene.ledger.runs(&scene.name).len();
        let (clock, destination) = (self.clock(), self.destination(false, false));
        let ports = Ports {
            source: &self.source,
            ledger: &ledger,
            destination: &destination,
            clock: &clock,
            progress: &|_| {},
            waits: &Waits::default(),
        };
        let policy = match (reading.reports, reading.accepts) {
            (true, _) => DriftPolicy::Report,
            (_, true) => DriftPolicy::Accept,
            _ => DriftPolicy::Overwrite,
        };
        let drift = DriftConfig { policy, ..DriftConfig::default() };
        let config = ReadConfig { push: &self.push, drift: &drift };
        let options = ReconcileOptions { adopt: reading.adopt, ..ReconcileOptions::default() };
        let (_ask, stop) = watch::channel(false);
        let lifetime = reading.killed_ms.map_or(LONGEST_RUN, Duration::from_millis);
        let ended = timeout(lifetime, engine::reconcile(ports, config, &options, &|_| {}, stop)).await;
        assert!(ended.is_ok() || reading.killed_ms.is_some(), "the reading never ended");
        scene.model().read_script.clear();
        scene.model().options.rules.shifts_pages = false;
        let now = clock.now();
        if is_faultless && !matches!(ended, Ok(Ok(_))) {
            return Err(format!("promise 5: without any fault a reading ended {ended:?}"));
        }
        self.ends.borrow_mut().push(format!("{ended:?}"));
        let opened = scene.ledger.runs(&scene.name).get(runs).map(|run| run.id);
        for entry in &before {
            let in_doubt = entry.in_doubt_until.is_some_and(|until| until > now);
            let is_comparable = entry.belief == Belief::Confirmed && !in_doubt;
            self.check_edit(opened, entry, is_comparable)?;
        }
        self.check_adopted(&before);
        scene.oracle().result()
    }

    /// Checks what the run of a reading did to an entry that was there before.
    fn check_edit(&self, run: Option<i64>, before: &Entry, is_comparable: bool) -> Result<(), String> {
        let Some(run_id) = run else { return Ok(()) };
        let key = before.key;
        let after = self.scene.ledger.entry(&self.scene.name, key);
        let sent = |entry: &Entry| (entry.value.clone(), entry.run_id, entry.updated_at);
        if after.as_ref().map(sent) != Some(sent(before)) {
            return Err(format!("promise 14: a reading changed what was sent: {before:?}, {after:?}"));
        }
        let is_of_key = |scope: attrsync::record::KeyScope| {
            (scope.customer_id, scope.attribute_id) == (Some(key.customer_id), Some(key.attribute_id))
        };
        let edits = self.scene.ledger.belief_edits(run_id);
        let drifted = edits.iter().any(|row| {
            let is_drift = matches!(row.edit.edit, EditKind::Drift | EditKind::Report | EditKind::Accept);
            is_of_key(row.edit.scope) && is_drift
        });
        let accepted =
            edits.iter().find(|row| is_of_key(row.edit.scope) && row.edit.edit == EditKind::Accept);
        if let Some(value) = accepted.and_then(|row| row.value.as_ref()) {
            self.scene.oracle().drift_accepted(key, value);
        }
        let model = self.scene.model();
        if drifted && (!is_comparable || agrees(before, model.value(key))) {
            let shown = model.value(key).map(str::to_owned);
            return Err(format!("drift: our own write was reported: {before:?}, the store holds {shown:?}"));
        }
        Ok(())
    }

    /// Tells the oracle of the values that were adopted.
    fn check_adopted(&self, before: &[Entry]) {
        let scene = &self.scene;
        let known: BTreeSet<Key> = before.iter().map(|entry| entry.key).collect();
        for entry in scene.ledger.entries(&scene.name).iter().filter(|entry| !known.contains(&entry.key)) {
            let stored = scene.model().value(entry.key).map(str::to_owned);
            let mut oracle = scene.oracle();
            let is_desired = oracle.desired.contains_key(&entry.key);
            let value = entry.value.clone().unwrap_or_default();
            oracle.adopted(entry.key, &value);
            oracle.claim(is_desired && stored.as_ref() == Some(&value), || {
                format!("promise 14: {entry:?} was adopted, and the store holds {stored:?}")
            });
        }
    }

    /// Reads the whole store anew, without a fault. Returns the keys whose entries could be compared.
    pub(super) async fn read_all(&self) -> Result<BTreeSet<Key>, String> {
        self.scene.oracle().desired.clear();
        self.scene.oracle().undesired.clear();
        let now = self.clock().now();
        let entries = self.scene.ledger.entries(&self.scene.name);
        let comparable = entries
            .iter()
            .filter(|entry| entry.in_doubt_until.is_none_or(|until| until <= now))
            .map(|entry| entry.key)
            .collect();
        // The first one may go on with what pages showed before some change.
        for _ in 0..2 {
            self.reconcile(&Reconcile::default()).await?;
        }
        Ok(comparable)
    }

    /// Checks that the store holds what the ledger has confirmed, also of values that others changed.
    pub(super) fn check_agreement(&self, compared: &BTreeSet<Key>) -> Result<(), String> {
        let model = self.scene.model();
        for entry in self.scene.ledger.entries(&self.scene.name) {
            let (key, shown) = (entry.key, model.value(entry.key));
            let is_known = model.attributes().iter().any(|attribute| attribute.id == key.attribute_id);
            if entry.belief == Belief::Confirmed
                && is_known
                && compared.contains(&key)
                && !agrees(&entry, shown)
            {
                return Err(format!("drift: it was not put right: {entry:?}, the store holds {shown:?}"));
            }
        }
        Ok(())
    }
}
