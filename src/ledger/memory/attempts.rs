//! Attempts in memory: the intent before a request, the verdicts after it, and what is decided without one.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::rows::RequestRow;
use super::state::{State, next_id, row_index, wrong};
use crate::ledger::{NewRequest, RequestEnd, Result};
use crate::record::{Belief, Change, Counts, Entry, Key, Outcome, Verdict};

impl State {
    pub(super) fn begin(
        &mut self,
        store: usize,
        run_id: i64,
        request: &NewRequest,
        changes: &[Change],
    ) -> Result<i64> {
        const DOING: &str = "begin a request";
        self.owned(store, run_id, DOING)?;
        let before = if request.parent_id.is_some() { Outcome::Sending } else { Outcome::Planned };
        let keys = changes.iter().map(|change| change.key);
        self.all_are(run_id, keys, &[before], DOING)?;
        if let Some(parent) = request.parent_id
            && row_index(parent).is_none_or(|index| index >= self.requests.len())
        {
            return Err(wrong(DOING, format!("there is no request {parent} to repeat")));
        }

        let id = next_id(self.requests.len());
        let customers: BTreeSet<i64> = changes.iter().map(|change| change.key.customer_id).collect();
        self.requests.push(RequestRow {
            id,
            run_id,
            parent_id: request.parent_id,
            attempt: request.attempt,
            customers: customers.len(),
            items: changes.len(),
            sent_at: request.at,
            answered_at: None,
            http_status: None,
            store_request_id: None,
            error: None,
        });
        for change in changes {
            if let Some(row) = self.changes.get_mut(&(run_id, change.key)) {
                row.outcome = Outcome::Sending;
                row.request_id = Some(id);
            }
            let entry = self.touch(store, run_id, change.key, &change.value, request.at);
            entry.value_id = entry.value_id.or(change.value_id);
        }
        let counts = &mut self.owned(store, run_id, DOING)?.counts;
        counts.requests += 1;
        if before == Outcome::Planned {
            let begun = i64::try_from(changes.len()).unwrap_or(i64::MAX);
            counts.deferred -= begun;
            counts.unknown += begun;
        }
        Ok(id)
    }

    pub(super) fn finish(
        &mut self,
        store: usize,
        run_id: i64,
        request_id: i64,
        end: &RequestEnd,
        verdicts: &[(Key, Verdict)],
    ) -> Result<()> {
        const DOING: &str = "finish a request";
        self.owned(store, run_id, DOING)?;
        self.all_are(run_id, verdicts.iter().map(|(key, _)| *key), &[Outcome::Sending], DOING)?;
        let request = row_index(request_id)
            .and_then(|index| self.requests.get_mut(index))
            .filter(|request| request.run_id == run_id)
            .ok_or_else(|| wrong(DOING, format!("run {run_id} has no request {request_id}")))?;
        request.answered_at = (!end.unsent).then_some(end.at);
        request.http_status = end.http_status;
        request.store_request_id.clone_from(&end.store_request_id);
        request.error.clone_from(&end.error);
        for (key, verdict) in verdicts {
            self.decide(store, run_id, *key, verdict, end.at)?;
        }
        self.owned(store, run_id, DOING)?.counts.requests -= i64::from(end.unsent);
        Ok(())
    }

    pub(super) fn set_aside(
        &mut self,
        store: usize,
        run_id: i64,
        verdicts: &[(Key, Verdict)],
        at: DateTime<Utc>,
    ) -> Result<()> {
        const DOING: &str = "set changes aside";
        self.owned(store, run_id, DOING)?;
        let undecided = [Outcome::Planned, Outcome::Sending];
        self.all_are(run_id, verdicts.iter().map(|(key, _)| *key), &undecided, DOING)?;
        for (key, verdict) in verdicts {
            self.decide(store, run_id, *key, verdict, at)?;
        }
        Ok(())
    }

    pub(super) fn clear_certainty(&mut self, store: usize, keys: &[Key], at: DateTime<Utc>) {
        for key in keys {
            if let Some(entry) = self.entries.get_mut(&(store, *key)) {
                entry.belief = Belief::Unconfirmed;
                entry.updated_at = at;
            }
        }
    }

    /// Fails unless each of the keys is there once, and its change has one of these outcomes.
    fn all_are(
        &self,
        run_id: i64,
        keys: impl Iterator<Item = Key>,
        outcomes: &[Outcome],
        doing: &'static str,
    ) -> Result<()> {
        let mut seen = BTreeSet::new();
        for key in keys {
            let change = self.changes.get(&(run_id, key));
            let fits = change.is_some_and(|change| outcomes.contains(&change.outcome));
            if !fits || !seen.insert(key) {
                let wanted: Vec<&str> = outcomes.iter().map(|outcome| outcome.as_str()).collect();
                let wanted = wanted.join(" or ");
                return Err(wrong(doing, format!("the change of {key} in run {run_id} is not {wanted}")));
            }
        }
        Ok(())
    }

    /// Gives the entry a new value, unconfirmed, and keeps what is still worth knowing of the store.
    fn touch(&mut self, store: usize, run_id: i64, key: Key, value: &str, at: DateTime<Utc>) -> &mut Entry {
        let entry = self.entries.entry((store, key)).or_insert_with(|| Entry {
            key,
            value: value.to_owned(),
            stored_value: None,
            observed_value: None,
            value_id: None,
            belief: Belief::Unconfirmed,
            reason: None,
            run_id,
            updated_at: at,
        });
        if entry.belief == Belief::Confirmed {
            let stored = entry.stored_value.take().unwrap_or_else(|| entry.value.clone());
            entry.stored_value = Some(stored).filter(|stored| stored != value);
        }
        if entry.value != value {
            entry.observed_value = None;
            value.clone_into(&mut entry.value);
        }
        entry.belief = Belief::Unconfirmed;
        entry.reason = None;
        entry.run_id = run_id;
        entry.updated_at = at;
        entry
    }

    /// Writes a verdict into the change, the entry and the counts.
    fn decide(
        &mut self,
        store: usize,
        run_id: i64,
        key: Key,
        verdict: &Verdict,
        at: DateTime<Utc>,
    ) -> Result<()> {
        let Some(change) = self.changes.get_mut(&(run_id, key)) else { return Ok(()) };
        let before = std::mem::replace(&mut change.outcome, verdict.outcome());
        change.reason = verdict.reason().map(str::to_owned);
        change.decided_at = Some(at);
        if let Verdict::Confirmed { value_id: Some(value_id), .. } = verdict {
            change.value_id = Some(*value_id);
        }
        // Of a change that was never sent only a rejection is news: the entry is as true as it was.
        if before == Outcome::Sending {
            self.settle(store, run_id, key, verdict, at);
        } else if let Verdict::Rejected { reason } = verdict {
            let value = change.value.clone();
            let entry = self.touch(store, run_id, key, &value, at);
            entry.belief = Belief::Rejected;
            entry.reason = Some(reason.clone());
        }
        let counts = &mut self.owned(store, run_id, "count")?.counts;
        *column(counts, if before == Outcome::Planned { Outcome::Deferred } else { Outcome::Unknown }) -= 1;
        *column(counts, verdict.outcome()) += 1;
        counts.altered += i64::from(matches!(verdict, Verdict::Confirmed { stored_value: Some(_), .. }));
        Ok(())
    }

    /// Writes a verdict into the entry, if this run was the last to touch it.
    fn settle(&mut self, store: usize, run_id: i64, key: Key, verdict: &Verdict, at: DateTime<Utc>) {
        let Some(entry) = self.entries.get_mut(&(store, key)).filter(|entry| entry.run_id == run_id) else {
            return;
        };
        entry.updated_at = at;
        entry.reason = verdict.reason().map(str::to_owned);
        match verdict {
            Verdict::Confirmed { value_id, stored_value, .. } => {
                entry.belief = Belief::Confirmed;
                entry.value_id = value_id.or(entry.value_id);
                entry.stored_value.clone_from(stored_value);
                entry.observed_value = None;
            }
            Verdict::Rejected { .. } => entry.belief = Belief::Rejected,
            Verdict::Unknown { observed_value, .. } => entry.observed_value.clone_from(observed_value),
            Verdict::Deferred { .. } => {}
        }
    }
}

/// The column that counts an outcome; what is undecided counts as deferred until it is begun, then as unknown.
fn column(counts: &mut Counts, outcome: Outcome) -> &mut i64 {
    match outcome {
        Outcome::Confirmed => &mut counts.confirmed,
        Outcome::Rejected => &mut counts.rejected,
        Outcome::Sending | Outcome::Unknown => &mut counts.unknown,
        Outcome::Planned | Outcome::Deferred => &mut counts.deferred,
    }
}
