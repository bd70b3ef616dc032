//! The end of a story: all faults end, and then the store must equal the source.

use std::collections::BTreeMap;

use attrsync::engine::Report;
use attrsync::record::{Belief, Key, RunStatus};
use tokio::time::sleep;

use super::World;
use crate::simulation::guarded::without_limits;
use crate::simulation::oracle::stored_form;
use crate::simulation::story::Sync;
use crate::simulation::watched::Scene;

impl World {
    /// Ends all faults, and checks that the next runs need no help and end with store = source.
    pub(super) async fn heal_and_check(&self) -> Result<(), String> {
        let scene = &self.scene;
        let guard = without_limits(&self.guard.borrow());
        self.guard.replace(guard);
        scene.model().heal();
        scene.model().options.quota.others = 0;
        sleep(self.push.request_timeout * 3).await;
        self.table.borrow_mut().retain(|_, value| value.as_deref() != Some("!poison"));
        self.twice.borrow_mut().clear();
        let compared = self.read_all().await?;
        // A value that the store keeps in another form may be confirmed only in the second run that observes this form.
        let mut before: Option<Report> = None;
        for last in [false, false, true] {
            scene.model().reset_log();
            scene.oracle().start_step();
            let report = match self.sync(&Sync::default()).await {
                Some(Ok(report)) => report,
                ended => return Err(format!("promise 5: without any fault a run ended {ended:?}")),
            };
            self.end_pins(&Sync::default(), Some(&report));
            self.check(Some(&report), true)?;
            let finished = matches!(report.status, RunStatus::Succeeded | RunStatus::Partial);
            if !finished || report.counts.deferred > 0 {
                return Err(format!("promise 5: without any fault a run ended {report:?}"));
            }
            if last && scene.model().tally().writes > 0 {
                return Err(format!("promise 1: nothing changed, and values were sent: {report:?}"));
            }
            // A pinned value that was sent again leaves no digest.
            let may_compare = |before: &Report| before.counts.planned == 0 || !scene.oracle().has_pins();
            if last
                && before.as_ref().is_none_or(may_compare)
                && before.is_some_and(|before| self.may_end_by_digest(&before, &report)) != report.by_digest
            {
                return Err(format!("a run compared rows without a reason, or none with one: {report:?}"));
            }
            before = Some(report);
        }
        self.check_store()?;
        self.check_agreement(&compared)
    }

    /// Returns whether a run after another one, with the same rows, has nothing to compare.
    fn may_end_by_digest(&self, before: &Report, run: &Report) -> bool {
        let edited = |run: &Report| !self.scene.ledger.belief_edits(run.run_id).is_empty();
        let is_confirmed = before.counts.planned == before.counts.confirmed;
        is_confirmed && run.counts.source_rows > run.counts.no_value && !edited(before) && !edited(run)
    }

    /// Checks that the store equals the source, except for values that others changed.
    fn check_store(&self) -> Result<(), String> {
        let Scene { ledger, name, .. } = &self.scene;
        let model = self.scene.model();
        let attributes: BTreeMap<_, _> =
            model.attributes().iter().map(|a| (a.id, a.kind == "number")).collect();
        let options = model.options.clone();
        let stored: BTreeMap<Key, String> = model.values().map(|(k, v)| (k, v.to_owned())).collect();
        drop(model);
        let mut oracle = self.scene.oracle();
        for (key, value) in self.table.borrow().iter() {
            let (Some(is_number), Some(value)) = (attributes.get(&key.attribute_id), value) else { continue };
            let entry = ledger.entry(name, *key);
            let is_rejected = entry.as_ref().is_some_and(|entry| entry.belief == Belief::Rejected);
            if is_rejected || value.chars().count() > 255 {
                continue;
            }
            if oracle.may_be_pinned(*key) {
                continue;
            }
            oracle.check_confirmed(*key, value, entry.as_ref());
            let form = stored_form(&options, value, *is_number);
            if oracle.is_last_written(*key, value) && *stored.get(key).map_or("", String::as_str) != form {
                return Err(format!("promise 5: {key} is {:?}, not {form:?}", stored.get(key)));
            }
        }
        for entry in ledger.entries(name) {
            let key = entry.key;
            match oracle.pinned_value(key) {
                Some(Some(value)) if attributes.contains_key(&key.attribute_id) => {
                    oracle.check_confirmed(key, &value, Some(&entry));
                }
                Some(None) => oracle.check_deleted(key, Some(&entry), stored.get(&key)),
                _ => {}
            }
            if oracle.may_be_pinned(key) {
                continue;
            }
            let is_desired = self.table.borrow().get(&key).is_some_and(Option::is_some);
            if !is_desired
                && self.settings.deletes(key.attribute_id)
                && attributes.contains_key(&key.attribute_id)
            {
                oracle.check_deleted(key, Some(&entry), stored.get(&key));
            }
        }
        oracle.result()
    }
}
