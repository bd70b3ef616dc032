//! What the store must hold at the end of a story.

use std::collections::BTreeMap;

use attrsync::record::{Belief, Key};

use super::World;
use crate::simulation::oracle::stored_form;
use crate::simulation::watched::Scene;

impl World {
    /// Checks that the store equals the source, except for values that others changed.
    pub(super) fn check_store(&self) -> Result<(), String> {
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
            oracle.check_confirmed(*key, value, entry.as_ref());
            let form = stored_form(&options, value, *is_number);
            if oracle.is_last_written(*key, value) && *stored.get(key).map_or("", String::as_str) != form {
                return Err(format!("promise 5: {key} is {:?}, not {form:?}", stored.get(key)));
            }
        }
        for entry in ledger.entries(name) {
            let key = entry.key;
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
