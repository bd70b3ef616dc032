//! Readings of the store's values in memory.

use std::collections::BTreeMap;
use std::ops::Bound;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::MemoryLedger;
use super::rows::BeliefEditRow;
use super::state::{State, wrong};
use crate::ledger::readings::reason;
use crate::ledger::{Readings, Result};
use crate::record::{
    Belief, BeliefEdit, EditKind, Entry, Key, KeyScope, ObservedValue, Outcome, Reading, ReadingKind,
    ReportedDrift, RunKind, ValueEdit,
};

/// A page of a table in key order.
fn page<T: Clone>(
    table: &BTreeMap<(usize, Key), T>,
    store: usize,
    after: Key,
    last: i64,
    limit: usize,
) -> Vec<T> {
    let end = Bound::Included((store, Key::new(last, i64::MAX)));
    if after >= Key::new(last, i64::MAX) {
        return Vec::new();
    }
    let rows = table.range((Bound::Excluded((store, after)), end));
    rows.take(limit).map(|(_, row)| row.clone()).collect()
}

#[async_trait]
impl Readings for MemoryLedger {
    async fn readings(&self) -> Result<Vec<Reading>> {
        let state = self.database.state();
        Ok(state.readings.iter().filter(|((of, _), _)| *of == self.store).map(|(_, row)| *row).collect())
    }

    async fn entries_after(&self, after: Key, last: i64, limit: usize) -> Result<Vec<Entry>> {
        Ok(page(&self.database.state().entries, self.store, after, last, limit))
    }

    async fn count_entries_after(&self, customer_id: i64) -> Result<i64> {
        let state = self.database.state();
        let keys = state.entries.keys();
        let after = keys.filter(|(of, key)| *of == self.store && key.customer_id > customer_id);
        Ok(i64::try_from(after.count()).unwrap_or(i64::MAX))
    }

    async fn entries_of(&self, customers: &[i64]) -> Result<Vec<Entry>> {
        let state = self.database.state();
        let of_store = state.entries.iter().filter(|((of, _), _)| *of == self.store);
        let entries = of_store.map(|(_, entry)| entry);
        Ok(entries.filter(|entry| customers.contains(&entry.key.customer_id)).cloned().collect())
    }

    async fn observed_after(&self, after: Key, last: i64, limit: usize) -> Result<Vec<ObservedValue>> {
        Ok(page(&self.database.state().observed, self.store, after, last, limit))
    }

    async fn reported_after(&self, after: Key, last: i64, limit: usize) -> Result<Vec<ReportedDrift>> {
        Ok(page(&self.database.state().drift, self.store, after, last, limit))
    }

    async fn lately_confirmed(&self, limit: usize) -> Result<Vec<(Key, DateTime<Utc>)>> {
        let state = self.database.state();
        let runs = state.runs.iter().rev().filter(|(of, _)| *of == self.store);
        let newest =
            runs.map(|(_, run)| run).find(|run| run.kind != RunKind::Reconcile && run.counts.confirmed > 0);
        let Some(run) = newest else { return Ok(Vec::new()) };
        let changed = state.changes.values().filter(|change| {
            let (before, after) = (change.previous_value.as_deref(), change.value.as_deref());
            change.run_id == run.id
                && change.outcome == Outcome::Confirmed
                && before.unwrap_or_default() != after.unwrap_or_default()
        });
        Ok(changed.take(limit).map(|change| (change.key, run.started_at)).collect())
    }

    async fn keep_observed(&self, run_id: i64, values: &[ObservedValue], reading: &Reading) -> Result<()> {
        const DOING: &str = "keep the observed values";
        let mut state = self.database.writable(DOING)?;
        state.owned(self.store, run_id, DOING)?;
        state.observed.extend(values.iter().map(|value| ((self.store, value.key), value.clone())));
        state.readings.insert((self.store, reading.kind.as_str()), *reading);
        Ok(())
    }

    async fn keep_reading(&self, run_id: i64, reading: &Reading) -> Result<()> {
        self.keep_observed(run_id, &[], reading).await
    }

    async fn remove_observed(&self, run_id: i64) -> Result<bool> {
        const DOING: &str = "remove the observed values";
        let mut state = self.database.writable(DOING)?;
        state.owned(self.store, run_id, DOING)?;
        state.observed.retain(|(of, _), _| *of != self.store);
        state.readings.remove(&(self.store, ReadingKind::Whole.as_str()));
        Ok(false)
    }

    async fn edit_values(&self, run_id: i64, edits: &[ValueEdit], at: DateTime<Utc>) -> Result<()> {
        self.database.writable("edit beliefs")?.edit_values(self.store, run_id, edits, at)
    }
}

impl State {
    fn edit_values(
        &mut self,
        store: usize,
        run_id: i64,
        edits: &[ValueEdit],
        at: DateTime<Utc>,
    ) -> Result<()> {
        const DOING: &str = "edit beliefs";
        self.owned(store, run_id, DOING)?;
        for edit in edits.iter().filter(|edit| edit.edit == EditKind::Adopt) {
            if self.entries.contains_key(&(store, edit.key)) {
                return Err(wrong(DOING, format!("{} has an entry already", edit.key)));
            }
        }
        for edit in edits {
            self.edit_value(store, run_id, edit, at);
            let Key { customer_id, attribute_id } = edit.key;
            let edited = BeliefEdit {
                scope: KeyScope { customer_id: Some(customer_id), attribute_id: Some(attribute_id) },
                edit: edit.edit,
                reason: reason(edit.edit, edit.value.is_some()).to_owned(),
                in_doubt_until: None,
            };
            let (value, value_id) = (edit.value.clone(), edit.value_id);
            self.belief_edits.push(BeliefEditRow { run_id, edit: edited, count: 1, at, value, value_id });
        }
        Ok(())
    }

    fn edit_value(&mut self, store: usize, run_id: i64, edit: &ValueEdit, at: DateTime<Utc>) {
        let ValueEdit { key, edit, value, value_id } = edit.clone();
        if edit == EditKind::Report {
            let reported = ReportedDrift { key, value, value_id, run_id, at };
            self.drift.insert((store, key), reported);
            return;
        }
        if edit == EditKind::Adopt {
            let adopted = Entry {
                key,
                value: Some(value.unwrap_or_default()),
                stored_value: None,
                observed_value: None,
                value_id,
                belief: Belief::Confirmed,
                reason: None,
                acknowledged: false,
                run_id,
                updated_at: at,
                in_doubt_until: None,
            };
            self.entries.insert((store, key), adopted);
            return;
        }
        self.drift.remove(&(store, key));
        let Some(entry) = self.entries.get_mut(&(store, key)) else { return };
        if edit == EditKind::Drift {
            (entry.belief, entry.acknowledged) = (Belief::Unconfirmed, false);
            entry.reason = Some(reason(edit, value.is_some()).to_owned());
            entry.stored_value = value.filter(|_| entry.value_id.is_some() && entry.value_id == value_id);
            entry.observed_value = None;
            entry.value_id = entry.value_id.filter(|_| value_id.is_some());
        } else if edit == EditKind::Accept {
            (entry.stored_value, entry.value_id) = (Some(value.unwrap_or_default()), value_id);
        }
    }
}
