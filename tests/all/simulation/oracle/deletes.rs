//! What the oracle knows of deletes.

use std::collections::BTreeSet;

use attrsync::record::{Belief, Entry, Key};

use super::{IN_DOUBT_WINDOW_MS, Known, Oracle, Run};

impl Oracle {
    /// Learns that the store deleted a value at our request.
    pub(super) fn deleted(&mut self, at_ms: u64, arrived_ms: u64, key: Key, value: &str) {
        assert!(
            at_ms - arrived_ms <= IN_DOUBT_WINDOW_MS,
            "the sandbox applied a delete after the in-doubt window"
        );
        let known = self.keys.entry(key).or_default();
        let newer = known.sent.as_ref().filter(|(sent, _)| sent.is_some()).map(|(_, at)| *at);
        known.is_disturbed =
            newer.is_some_and(|newer| self.forward.iter().any(|at| (arrived_ms..=newer).contains(at)));
        let is_ours = !known.is_foreign || known.ever_sent.iter().any(|sent| is_form_of(value, sent));
        (known.written, known.stored) = (None, None);
        (known.is_removed, known.is_foreign) = (false, false);
        let was_sent = !known.ever_sent.is_empty();
        self.claim(was_sent && is_ours, || {
            format!("promise 14: {key} = {value:?} was deleted, and attrsync never sent it")
        });
    }

    /// Checks a request that is about to delete these ids. `entries` are those of the ledger now.
    pub(in crate::simulation) fn deleting(
        &mut self,
        run: &mut Run,
        ids: &[i64],
        at_ms: u64,
        entries: &[Entry],
    ) {
        let is_lock_lost = self.is_lock_lost;
        let mut customers = BTreeSet::new();
        for id in ids {
            let intent = entries.iter().find(|entry| {
                entry.value_id == Some(*id)
                    && (is_lock_lost || (entry.value.is_none() && entry.belief == Belief::Unconfirmed))
            });
            self.claim(intent.is_some() || is_lock_lost, || {
                format!("promise 4: {id} is deleted, but the ledger has no intent of it")
            });
            let Some(Entry { key, run_id, .. }) = intent.cloned() else { continue };
            customers.insert(key.customer_id);
            let is_restored = self.sends(run, run_id, key, None);
            let may = is_restored || self.undesired.contains(&key);
            self.claim(may || is_lock_lost, || format!("promise 14: {key} is deleted, and may not be"));
            let has_reason = match run.before.get(&key) {
                Some(entry) if entry.belief == Belief::Absent => false,
                Some(entry) if entry.belief == Belief::Rejected && entry.value.is_none() => {
                    run.full || run.retry_rejected || self.was_deleted(key)
                }
                _ => true,
            };
            self.claim(has_reason || is_lock_lost, || {
                format!("promises 1 and 6: {key} is deleted without a reason")
            });
            let is_upserted = run.sent.contains_key(&key);
            self.claim(!is_upserted, || format!("{key} is sent and deleted in one run"));
            self.sent.insert(key);
            let known = self.keys.entry(key).or_default();
            known.observed.clear();
            known.observed_in_runs.clear();
            (known.is_echoed, known.is_shown_absent) = (false, false);
            known.sent = Some((None, at_ms));
        }
        self.claim(customers.len() <= 10 && ids.len() <= 40, || {
            format!("promise 2: {} values of {} customers are deleted at once", ids.len(), customers.len())
        });
    }

    /// Checks a key that the table has no value for and whose value is deleted. `stored` is what the store holds.
    pub(in crate::simulation) fn check_deleted(
        &mut self,
        key: Key,
        entry: Option<&Entry>,
        stored: Option<&String>,
    ) {
        let Some(entry) = entry else { return };
        let is_rejected = entry.belief == Belief::Rejected;
        self.claim(is_rejected || entry.belief == Belief::Absent, || {
            format!("promise 5: {key} is not desired: the ledger says {entry:?}")
        });
        let is_disturbed = self.keys.get(&key).is_none_or(|known| known.is_disturbed || known.is_foreign);
        self.claim(is_rejected || is_disturbed || stored.is_none(), || {
            format!("promise 5: {key} is not desired, and the store holds {stored:?}")
        });
    }
}

impl Known {
    /// Returns the reason why the ledger may not say that the store holds no value.
    pub(super) fn objection_to_absence(&self) -> Option<String> {
        if !self.is_shown_absent {
            return Some("promise 3: absent, but no later read showed that".to_owned());
        }
        let written = self.written.as_ref().filter(|written| !written.is_empty() && !self.is_disturbed);
        written.map(|written| format!("promise 3: absent, but the store has our {written:?}"))
    }
}

/// Whether two texts may be forms of one value.
pub(super) fn is_form_of(shown: &str, sent: &str) -> bool {
    let number = |text: &str| text.trim().parse::<f64>().ok();
    shown.trim() == sent.trim() || number(shown).is_some_and(|shown| number(sent) == Some(shown))
}
