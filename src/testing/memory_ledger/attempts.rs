//! Requests in memory: the intent before, the outcome after, and outcomes without a request.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::rows::{BeliefEditRow, RequestRow};
use super::state::{State, next_id, row_index, wrong};
use crate::ledger::{LOST_LOCK, Result};
use crate::record::{
    Belief, BeliefEdit, Change, ChangeOutcome, Counts, EditKind, Entry, Key, KeyScope, Outcome,
    RequestOutcome, Verdict,
};
use crate::record::{NewRequest, RecordedIntent, RequestEnd};

const OPEN: [Outcome; 2] = [Outcome::Planned, Outcome::Sending];

impl State {
    pub(super) fn record_intent(
        &mut self,
        store: usize,
        run_id: i64,
        request: &NewRequest,
        changes: &[Change],
    ) -> Result<RecordedIntent> {
        const DOING: &str = "record an intent";
        self.owned(store, run_id, DOING)?;
        self.all_are(run_id, changes.iter().map(|change| change.key), &OPEN, DOING)?;
        if let Some(parent) = request.parent_id
            && row_index(parent).is_none_or(|index| index >= self.requests.len())
        {
            return Err(wrong(DOING, format!("there is no request {parent} to repeat")));
        }

        let request_id = next_id(self.requests.len());
        let customers: BTreeSet<i64> = changes.iter().map(|change| change.key.customer_id).collect();
        self.requests.push(RequestRow {
            id: request_id,
            run_id,
            parent_id: request.parent_id,
            method: request.method,
            attempt: request.attempt,
            customers: customers.len(),
            items: changes.len(),
            sent_at: request.at,
            answered_at: None,
            http_status: None,
            store_request_id: None,
            outcome: RequestOutcome::Sending,
            error: None,
        });
        let mut planned = 0;
        for change in changes {
            if let Some(row) = self.changes.get_mut(&(run_id, change.key)) {
                planned += i64::from(row.outcome == Outcome::Planned);
                row.outcome = Outcome::Sending;
                row.request_id = Some(request_id);
                row.value_id = change.value_id.or(row.value_id);
            }
            let entry = self.write_entry(store, run_id, change.key, change.value.as_deref(), request.at);
            entry.value_id = change.value_id.or(entry.value_id);
            entry.in_doubt_until = entry.in_doubt_until.max(Some(request.in_doubt_until));
        }
        let counts = &mut self.owned(store, run_id, DOING)?.counts;
        counts.requests += 1;
        counts.deferred -= planned;
        counts.unknown += planned;
        Ok(RecordedIntent { request_id, counts: *counts })
    }

    pub(super) fn record_outcome(
        &mut self,
        store: usize,
        run_id: i64,
        request_id: i64,
        end: &RequestEnd,
        outcomes: &[ChangeOutcome],
    ) -> Result<Counts> {
        const DOING: &str = "record an outcome";
        self.owned(store, run_id, DOING)?;
        self.all_are(run_id, outcomes.iter().map(|outcome| outcome.key), &[Outcome::Sending], DOING)?;
        let request = row_index(request_id)
            .and_then(|index| self.requests.get_mut(index))
            .filter(|request| request.run_id == run_id)
            .ok_or_else(|| wrong(DOING, format!("run {run_id} has no request {request_id}")))?;
        let not_sent = end.outcome == RequestOutcome::NotSent;
        request.answered_at = (!not_sent).then_some(end.at);
        request.http_status = end.http_status;
        request.store_request_id.clone_from(&end.store_request_id);
        request.outcome = end.outcome;
        request.error.clone_from(&end.error);
        for outcome in outcomes {
            self.write_outcome(store, run_id, outcome, end.at)?;
        }
        let counts = &mut self.owned(store, run_id, DOING)?.counts;
        counts.requests -= i64::from(not_sent);
        Ok(*counts)
    }

    pub(super) fn record_unsent(
        &mut self,
        store: usize,
        run_id: i64,
        outcomes: &[ChangeOutcome],
        at: DateTime<Utc>,
    ) -> Result<Counts> {
        const DOING: &str = "record an outcome";
        self.owned(store, run_id, DOING)?;
        self.all_are(run_id, outcomes.iter().map(|outcome| outcome.key), &OPEN, DOING)?;
        for outcome in outcomes {
            self.write_outcome(store, run_id, outcome, at)?;
        }
        Ok(self.owned(store, run_id, DOING)?.counts)
    }

    pub(super) fn mark_unconfirmed(&mut self, store: usize, keys: &[Key], at: DateTime<Utc>) {
        let run_id = self.newest_run(store).map_or(0, |run| run.id);
        for key in keys {
            let entry = self.entries.get_mut(&(store, *key));
            let count = i64::from(entry.is_some());
            if let Some(entry) = entry {
                entry.belief = Belief::Unconfirmed;
                entry.acknowledged = false;
                entry.updated_at = at;
            }
            let edit = BeliefEdit {
                scope: KeyScope { customer_id: Some(key.customer_id), attribute_id: Some(key.attribute_id) },
                edit: EditKind::LostLock,
                reason: LOST_LOCK.to_owned(),
                in_doubt_until: None,
            };
            self.belief_edits.push(BeliefEditRow { run_id, edit, count, at, value: None, value_id: None });
        }
    }

    /// Fails unless each key is given once and its change has one of these outcomes.
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
                let expected: Vec<&str> = outcomes.iter().map(|outcome| outcome.as_str()).collect();
                let expected = expected.join(" or ");
                return Err(wrong(doing, format!("the change of {key} in run {run_id} is not {expected}")));
            }
        }
        Ok(())
    }

    /// Gives the entry a new value (none for a delete), unconfirmed, and keeps what the store held.
    fn write_entry(
        &mut self,
        store: usize,
        run_id: i64,
        key: Key,
        value: Option<&str>,
        at: DateTime<Utc>,
    ) -> &mut Entry {
        let entry = self.entries.entry((store, key)).or_insert_with(|| Entry {
            key,
            value: value.map(str::to_owned),
            stored_value: None,
            observed_value: None,
            value_id: None,
            belief: Belief::Unconfirmed,
            reason: None,
            acknowledged: false,
            run_id,
            updated_at: at,
            in_doubt_until: None,
        });
        if entry.belief == Belief::Confirmed {
            let stored = entry.stored_value.take().or_else(|| entry.value.clone());
            entry.stored_value = stored.filter(|stored| Some(stored.as_str()) != value);
        }
        if entry.value.as_deref() != value {
            entry.observed_value = None;
            entry.value = value.map(str::to_owned);
        }
        entry.belief = Belief::Unconfirmed;
        entry.acknowledged = false;
        entry.reason = None;
        entry.run_id = run_id;
        entry.updated_at = at;
        entry
    }

    /// Writes an outcome into the change, the entry and the counts.
    fn write_outcome(
        &mut self,
        store: usize,
        run_id: i64,
        outcome: &ChangeOutcome,
        at: DateTime<Utc>,
    ) -> Result<()> {
        let ChangeOutcome { key, verdict, in_doubt_until } = outcome;
        let Some(change) = self.changes.get_mut(&(run_id, *key)) else { return Ok(()) };
        let before = std::mem::replace(&mut change.outcome, verdict.outcome());
        change.reason = verdict.reason().map(str::to_owned);
        change.decided_at = Some(at);
        change.observed_value = verdict.observed_value().map(str::to_owned);
        change.in_doubt_until = *in_doubt_until;
        change.value_id = verdict.value_id().or(change.value_id);
        // Nothing was sent of a planned change, so the entry is as true as it was, unless the value is rejected, or a read
        // showed that there is none.
        if before == Outcome::Sending {
            self.write_belief(store, run_id, outcome, at);
        } else if let Verdict::Rejected { .. } | Verdict::Absent { .. } = verdict {
            let value = change.value.clone();
            let entry = self.write_entry(store, run_id, *key, value.as_deref(), at);
            entry.belief = verdict.belief().unwrap_or(entry.belief);
            entry.reason = verdict.reason().map(str::to_owned);
            if entry.belief == Belief::Absent {
                (entry.value_id, entry.stored_value, entry.observed_value) = (None, None, None);
            }
        }
        if verdict.outcome() == Outcome::Rejected {
            self.rejected_customers.entry((store, key.customer_id)).or_default();
        }
        let counts = &mut self.owned(store, run_id, "count")?.counts;
        *column(counts, before) -= 1;
        *column(counts, verdict.outcome()) += 1;
        counts.altered += i64::from(matches!(verdict, Verdict::Confirmed { stored_value: Some(_), .. }));
        Ok(())
    }

    /// Writes an outcome into the entry, if this run was the last to send its value.
    fn write_belief(&mut self, store: usize, run_id: i64, outcome: &ChangeOutcome, at: DateTime<Utc>) {
        let ChangeOutcome { key, verdict, in_doubt_until } = outcome;
        let Some(entry) = self.entries.get_mut(&(store, *key)).filter(|entry| entry.run_id == run_id) else {
            return;
        };
        entry.updated_at = at;
        entry.reason = verdict.reason().map(str::to_owned);
        entry.in_doubt_until = *in_doubt_until;
        match verdict {
            Verdict::Confirmed { value_id, stored_value } => {
                entry.belief = Belief::Confirmed;
                entry.value_id = value_id.or(entry.value_id);
                entry.stored_value.clone_from(stored_value);
                entry.observed_value = None;
            }
            Verdict::Absent { .. } => {
                entry.belief = Belief::Absent;
                (entry.value_id, entry.stored_value, entry.observed_value) = (None, None, None);
            }
            Verdict::Rejected { .. } => entry.belief = Belief::Rejected,
            Verdict::Unknown { observed_value, .. } => entry.observed_value.clone_from(observed_value),
            Verdict::Deferred { .. } => {}
        }
    }
}

/// The column that counts an outcome. A planned change counts as deferred, one that is being sent as unknown.
fn column(counts: &mut Counts, outcome: Outcome) -> &mut i64 {
    match outcome {
        Outcome::Confirmed => &mut counts.confirmed,
        Outcome::Rejected => &mut counts.rejected,
        Outcome::Sending | Outcome::Unknown => &mut counts.unknown,
        Outcome::Planned | Outcome::Deferred => &mut counts.deferred,
    }
}
