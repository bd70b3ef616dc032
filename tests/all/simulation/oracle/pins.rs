//! What the oracle knows of undo: what each run has sent, what others have changed since, and what is pinned.

use std::collections::{BTreeMap, BTreeSet};

use attrsync::record::{Belief, Entry, Key};

use super::deletes::is_form_of;
use super::{Oracle, Run};

/// A value that an undo has restored.
#[derive(Debug)]
pub(super) struct Pinned {
    value: Option<String>,
    /// What the source said of the key during the undo; `None` for no value.
    ignored: BTreeSet<Option<String>>,
    /// Whether the ledger must have the pin.
    is_certain: bool,
    /// Whether the undo goes on.
    is_new: bool,
}

/// What is known of undo.
#[derive(Debug, Default)]
pub(super) struct Undos {
    /// What the source has said of each key since the present step started.
    source: BTreeMap<Key, BTreeSet<Option<String>>>,
    /// The keys with invalid rows at any time since then.
    invalid: BTreeSet<Key>,
    pins: BTreeMap<Key, Pinned>,
    /// What was sent for each key, by the ledger's runs in their order.
    sent: BTreeMap<Key, Vec<(i64, Option<String>)>>,
    /// What others have made of values after our last write.
    edited: BTreeMap<Key, Option<String>>,
}

impl Oracle {
    /// Forgets what the source has said in the step before.
    pub(in crate::simulation) fn start_step(&mut self) {
        self.desired.clear();
        self.undesired.clear();
        self.is_lock_lost = false;
        self.undos.source.clear();
        self.undos.invalid.clear();
    }

    /// Records what the source says of a key now. `is_valid`: it has at most one row, which can be sent.
    pub(in crate::simulation) fn published(&mut self, key: Key, value: Option<&str>, is_valid: bool) {
        if !is_valid {
            self.undos.invalid.insert(key);
        }
        self.undos.source.entry(key).or_default().insert(value.map(str::to_owned));
    }

    /// Records that others have changed the store's value.
    pub(super) fn edited_by_others(&mut self, key: Key, value: Option<&str>) {
        self.undos.edited.insert(key, value.map(str::to_owned));
    }

    /// Records that the store has applied a request of ours.
    pub(super) fn written_by_us(&mut self, key: Key) {
        self.undos.edited.remove(&key);
    }

    /// Whether a key is pinned, or may be.
    pub(in crate::simulation) fn may_be_pinned(&self, key: Key) -> bool {
        self.undos.pins.contains_key(&key)
    }

    /// Whether any key may be pinned.
    pub(in crate::simulation) fn has_pins(&self) -> bool {
        !self.undos.pins.is_empty()
    }

    /// The value that a key must keep, if it is surely pinned.
    pub(in crate::simulation) fn pinned_value(&self, key: Key) -> Option<Option<String>> {
        let pinned = self.undos.pins.get(&key).filter(|pinned| pinned.is_certain)?;
        Some(pinned.value.clone())
    }

    /// Checks that a value, `None` for a delete, may be sent although the source does not desire it. `run_id` is the
    /// ledger's number of the run.
    pub(super) fn sends(&mut self, run: &Run, run_id: i64, key: Key, value: Option<&str>) -> bool {
        let value = value.map(str::to_owned);
        let may = match run.undoes {
            Some(of_run_id) => {
                self.check_undo(run.is_alone, of_run_id, run_id, key, value.as_ref());
                self.pin(key, value.clone());
                true
            }
            None => self.check_pin(run, key, value.as_ref()),
        };
        self.undos.sent.entry(key).or_default().push((run_id, value));
        may
    }

    /// Checks what an undo sends: nothing else was made of the key since the run had sent it.
    fn check_undo(&mut self, is_alone: bool, of_run_id: i64, run_id: i64, key: Key, value: Option<&String>) {
        if self.is_lock_lost {
            return;
        }
        let sent = self.undos.sent.get(&key).cloned().unwrap_or_default();
        let of_run = sent.iter().rposition(|(by, _)| *by == of_run_id);
        // That run may have ended between an intent and its request.
        let Some(of_run) = of_run else { return };
        let (_, undone) = &sent[of_run];
        let is_same = |later: &&(i64, Option<String>)| later.1 == *undone || later.1.as_ref() == value;
        let other = sent[of_run..].iter().filter(|later| later.0 != run_id).find(|later| !is_same(later));
        self.claim(other.is_none(), || {
            format!("promise 14: {key} = {value:?} undoes run {of_run_id}, but {other:?} was sent since")
        });
        let edited = self.undos.edited.get(&key).cloned();
        let is_ours = |edited: &Option<String>| {
            let ours = [undone.as_ref(), value];
            let forms = |shown: &String| ours.iter().flatten().any(|sent| is_form_of(shown, sent));
            edited.as_ref().map_or(ours.iter().any(|sent| sent.is_none_or(String::is_empty)), forms)
        };
        self.claim(!is_alone || edited.as_ref().is_none_or(is_ours), || {
            format!(
                "promise 14: {key} = {value:?} undoes run {of_run_id}, but others have made it {edited:?}"
            )
        });
    }

    /// Records what an undo restores.
    fn pin(&mut self, key: Key, value: Option<String>) {
        let ignored = self.undos.source.get(&key).cloned().unwrap_or_default();
        self.undos.pins.remove(&key);
        if ignored.iter().any(|source| *source != value) {
            let is_certain = ignored.len() == 1 && !self.undos.invalid.contains(&key) && !self.is_lock_lost;
            self.undos.pins.insert(key, Pinned { value, ignored, is_certain, is_new: true });
        }
    }

    /// Checks what a sync sends for a key that may be pinned. Returns whether it is what the pin keeps.
    fn check_pin(&mut self, run: &Run, key: Key, value: Option<&String>) -> bool {
        let Some(pinned) = self.undos.pins.get(&key) else { return false };
        if pinned.value.as_ref() == value {
            return true;
        }
        let has_changed = self.undos.source.get(&key).is_none_or(|source| *source != pinned.ignored);
        let may_end = !pinned.is_certain || has_changed || run.ignores_pins || self.was_deleted(key);
        let message = format!("pins: {key} = {value:?} is sent, and the source has not changed: {pinned:?}");
        self.undos.pins.remove(&key);
        let is_lock_lost = self.is_lock_lost;
        self.claim(may_end || is_lock_lost, || message);
        false
    }

    /// Learns which values an undo may have pinned without a request that was seen: one that found nothing to delete, or that
    /// ended between the intent and the request.
    pub(in crate::simulation) fn may_have_pinned(&mut self, entries: &[Entry], run_id: i64) {
        for entry in entries.iter().filter(|entry| entry.run_id == run_id) {
            let ignored = self.undos.source.get(&entry.key).cloned().unwrap_or_default();
            let value = entry.value.clone();
            let pinned = Pinned { value, ignored, is_certain: false, is_new: false };
            self.undos.pins.entry(entry.key).or_insert(pinned);
        }
    }

    /// Ends pins after a run. `ended_well`: the run planned everything and was let through. `is_sync`: it may end pins.
    pub(in crate::simulation) fn end_pins(
        &mut self,
        entries: &[Entry],
        is_sync: bool,
        ended_well: bool,
        ignores_pins: bool,
    ) {
        let deleted: BTreeSet<Key> =
            self.undos.pins.keys().filter(|key| self.was_deleted(**key)).copied().collect();
        let is_lock_lost = self.is_lock_lost;
        let Undos { source, invalid, pins, .. } = &mut self.undos;
        pins.retain(|key, pinned| {
            let entry = entries.iter().find(|entry| entry.key == *key);
            let keeps = entry.is_some_and(|entry| {
                entry.value == pinned.value && matches!(entry.belief, Belief::Confirmed | Belief::Absent)
            });
            let is_rejected = entry.is_some_and(|entry| entry.belief == Belief::Rejected);
            let was_new = std::mem::replace(&mut pinned.is_new, false);
            if is_lock_lost || is_rejected || deleted.contains(key) || (was_new && !keeps) || ignores_pins {
                pinned.is_certain = false;
            }
            if !is_sync {
                return true;
            }
            let said = source.get(key).cloned().unwrap_or_default();
            let has_changed = said.is_disjoint(&pinned.ignored) && !invalid.contains(key);
            if said != pinned.ignored || invalid.contains(key) {
                pinned.is_certain = false;
            }
            !(ended_well && (has_changed || ignores_pins))
        });
    }
}
