//! What is known of the store itself, in memory.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use super::rows::{RequestRow, RunRow};
use super::state::{State, row_index};
use crate::ledger::{Refused, Result, TimeOut};
use crate::record::{KnownAttribute, Outcome};

impl State {
    pub(super) fn known_attributes(&self, store: usize) -> Vec<KnownAttribute> {
        self.attributes.iter().filter(|((of, _), _)| *of == store).map(|(_, known)| known.clone()).collect()
    }

    pub(super) fn note_attributes(
        &mut self,
        store: usize,
        run_id: i64,
        listed: &[KnownAttribute],
    ) -> Result<()> {
        self.owned(store, run_id, "note the attributes")?;
        for ((of, _), known) in &mut self.attributes {
            known.gone |= *of == store;
        }
        let listed =
            listed.iter().map(|known| ((store, known.id), KnownAttribute { gone: false, ..known.clone() }));
        self.attributes.extend(listed);
        Ok(())
    }

    pub(super) fn missing_customers(&self, store: usize, limit: usize) -> Vec<i64> {
        let missing = self.missing.iter().filter(|((of, _), _)| *of == store);
        let mut missing: Vec<_> = missing.map(|((_, customer), asked)| (*asked, *customer)).collect();
        missing.sort_unstable();
        missing.into_iter().take(limit).map(|(_, customer)| customer).collect()
    }

    pub(super) fn note_customers(
        &mut self,
        store: usize,
        run_id: i64,
        missing: &[i64],
        back: &[i64],
    ) -> Result<()> {
        self.owned(store, run_id, "note the customers")?;
        self.missing.extend(missing.iter().map(|customer| ((store, *customer), run_id)));
        self.missing.retain(|(of, customer), _| *of != store || !back.contains(customer));
        Ok(())
    }

    pub(super) fn has_unclear(&self, store: usize, since: DateTime<Utc>) -> bool {
        let recent = |run: &RunRow| run.finished_at.is_none_or(|ended| ended > since);
        let mut runs = self.runs.iter().filter(|(of, run)| *of == store && recent(run));
        runs.any(|(_, run)| {
            let mut requests = self.requests.iter().filter(|request| request.run_id == run.id);
            run.distrusted || requests.any(|request| request.sent_at > since && !has_clear_answer(request))
        })
    }

    pub(super) fn timeouts(&self, store: usize) -> Vec<TimeOut> {
        let runs = self.runs.iter().filter(|(of, _)| *of == store).map(|(_, run)| run);
        let mut timeouts = BTreeMap::new();
        for run in runs {
            let Some(request_timeout) = run.request_timeout else { continue };
            let ended_at = timeouts.entry(request_timeout).or_insert(run.finished_at);
            *ended_at = run.finished_at.zip(*ended_at).map(|(this, last)| this.max(last));
        }
        let told = timeouts.into_iter();
        told.map(|(request_timeout, ended_at)| TimeOut { request_timeout, ended_at }).collect()
    }

    pub(super) fn unasked_customers(&self, store: usize, limit: usize) -> Vec<Refused> {
        let asked = self.stores[store].asked.unwrap_or_default();
        let is_new = |refused: &Refused| match asked {
            (run, Some(customer)) => (refused.run_id, refused.customer_id) > (run, customer),
            (run, None) => refused.run_id > run,
        };
        let rejected = self.changes.values().filter(|change| change.outcome == Outcome::Rejected);
        let of_store = rejected.filter(|change| {
            row_index(change.run_id).and_then(|row| self.runs.get(row)).is_some_and(|(of, _)| *of == store)
        });
        let refused =
            of_store.map(|change| Refused { run_id: change.run_id, customer_id: change.key.customer_id });
        refused.filter(is_new).collect::<BTreeSet<_>>().into_iter().take(limit).collect()
    }

    pub(super) fn note_asked(
        &mut self,
        store: usize,
        run_id: i64,
        of: i64,
        through: Option<i64>,
    ) -> Result<()> {
        self.owned(store, run_id, "note who was asked about")?;
        self.stores[store].asked = Some((of, through));
        Ok(())
    }
}

/// Whether nothing of a request can still arrive: it was accepted or refused, or never sent.
fn has_clear_answer(request: &RequestRow) -> bool {
    match request.http_status {
        Some(200) => request.error.is_none(),
        Some(408 | 423) => false,
        Some(501 | 505 | 507) => true,
        Some(status) => (300..500).contains(&status),
        None => request.answered_at.is_none() && request.error.is_some(),
    }
}
