//! Pins, and what an undo reads, in memory.

use std::ops::Bound;

use super::MemoryStore;
use super::plans::change_of;
use super::rows::ChangeRow;
use super::state::State;
use crate::ledger::Result;
use crate::record::{
    Change, Entry, EntryNow, Filter, Key, KeyScope, Outcome, Pin, RunKind, RunToUndo, SentChange, StoreName,
};

impl MemoryStore {
    /// The pins of a store, in key order.
    #[must_use]
    pub fn pins(&self, name: &StoreName) -> Vec<Pin> {
        let mut state = self.state();
        let store = state.store(name);
        state.pins(store, &Filter::default(), None, usize::MAX)
    }
}

impl State {
    /// The changes of a run that the store has confirmed or may have applied, after a key.
    fn sent(&self, run_id: i64, after: Option<Key>) -> impl Iterator<Item = &ChangeRow> {
        let after = after.unwrap_or(Key::new(i64::MIN, i64::MIN));
        let last = Key::new(i64::MAX, i64::MAX);
        let rows = self.changes.range((Bound::Excluded((run_id, after)), Bound::Included((run_id, last))));
        let sent = [Outcome::Sending, Outcome::Confirmed, Outcome::Unknown];
        rows.map(|(_, row)| row).filter(move |row| sent.contains(&row.outcome))
    }

    /// Makes the pins of a run that ends, if it is an undo.
    pub(super) fn make_pins(&mut self, store: usize, run_id: i64) {
        if self.run(run_id).is_none_or(|run| run.kind != RunKind::Undo) {
            return;
        }
        let sent: Vec<ChangeRow> = self.sent(run_id, None).cloned().collect();
        for ChangeRow { key, value, source_value, .. } in sent {
            self.pins.remove(&(store, key));
            if value != source_value {
                self.pins.insert((store, key), Pin { key, value, source_value, run_id });
            }
        }
    }

    pub(super) fn end_pins(&mut self, store: usize, run_id: i64, keys: &[Key]) -> Result<()> {
        self.owned(store, run_id, "end pins")?;
        for key in keys {
            self.pins.remove(&(store, *key));
        }
        Ok(())
    }

    /// Removes the pins in a scope, and returns how many there were.
    pub(super) fn unpin(&mut self, store: usize, scope: KeyScope) -> i64 {
        let before = self.pins.len();
        self.pins.retain(|(of, key), _| *of != store || !scope.contains(*key));
        i64::try_from(before - self.pins.len()).unwrap_or(i64::MAX)
    }

    pub(super) fn pins(&self, store: usize, filter: &Filter, after: Option<Key>, limit: usize) -> Vec<Pin> {
        let of_customers = Filter { customers: filter.customers.clone(), ..Filter::default() };
        let pins = self.pins.iter().filter(|((of, key), _)| {
            *of == store && after.is_none_or(|after| *key > after) && of_customers.lets_in(*key)
        });
        pins.map(|(_, pin)| pin.clone()).take(limit).collect()
    }

    pub(super) fn run_to_undo(&self, store: usize, run_id: i64) -> Option<RunToUndo> {
        let (of, run) = self.runs.iter().find(|(_, run)| run.id == run_id)?;
        Some(RunToUndo {
            run_id,
            is_of_store: *of == store,
            kind: run.kind,
            status: run.status,
            has_ended: run.finished_at.is_some(),
            sent: run.counts.confirmed + run.counts.unknown,
        })
    }

    pub(super) fn sent_changes(
        &self,
        store: usize,
        run_id: i64,
        after: Option<Key>,
        limit: usize,
    ) -> Vec<SentChange> {
        let sent = self.sent(run_id, after).take(limit).map(|row| SentChange {
            change: Change { previous_in_doubt: row.previous_in_doubt, ..change_of(row) },
            was_sent: row.request_id.is_some(),
            entry: self.entries.get(&(store, row.key)).map(|entry| self.entry_now(entry)),
        });
        sent.collect()
    }

    fn entry_now(&self, entry: &Entry) -> EntryNow {
        let sent_by = self.changes.get(&(entry.run_id, entry.key));
        EntryNow {
            belief: entry.belief,
            value: entry.value.clone(),
            stored_value: entry.stored_value.clone(),
            value_id: entry.value_id,
            in_doubt_until: entry.in_doubt_until,
            run_id: entry.run_id,
            previous_value: sent_by.and_then(|change| change.previous_value.clone()),
            stored_form: sent_by
                .filter(|change| change.outcome == Outcome::Confirmed)
                .and_then(|change| change.observed_value.clone()),
        }
    }
}
