//! What is known of the store itself: its attributes, and customers with rejected values.

use super::rows::RunRow;
use super::state::State;
use crate::ledger::{CustomerToCheck, Result};
use crate::record::{Counts, KnownAttribute, RunKind, RunStatus, WaitTotal};

impl State {
    pub(super) fn last_finished(&self, store: usize) -> Option<Counts> {
        let is_finished = |run: &RunRow| {
            let ended = matches!(run.status, RunStatus::Succeeded | RunStatus::Partial);
            run.kind == RunKind::Sync && !run.filtered && ended
        };
        let mut runs = self.runs.iter().rev().filter(|(of, run)| *of == store && is_finished(run));
        runs.next().map(|(_, run)| run.counts)
    }

    pub(super) fn attributes(&self, store: usize) -> Vec<KnownAttribute> {
        self.attributes.iter().filter(|((of, _), _)| *of == store).map(|(_, known)| known.clone()).collect()
    }

    pub(super) fn record_attributes(
        &mut self,
        store: usize,
        run_id: i64,
        listed: &[KnownAttribute],
    ) -> Result<()> {
        self.owned(store, run_id, "record the attributes")?;
        for ((of, _), known) in &mut self.attributes {
            known.deleted |= *of == store;
        }
        let listed = listed
            .iter()
            .map(|known| ((store, known.id), KnownAttribute { deleted: false, ..known.clone() }));
        self.attributes.extend(listed);
        Ok(())
    }

    pub(super) fn customers_to_check(
        &self,
        store: usize,
        before_run: i64,
        limit: usize,
    ) -> Vec<CustomerToCheck> {
        let of_store = self.rejected_customers.iter().filter(|((of, _), _)| *of == store);
        let due = of_store.filter(|(_, (_, checked))| *checked < before_run);
        let mut due: Vec<_> = due.map(|((_, id), (deleted, checked))| (*checked, *id, *deleted)).collect();
        due.sort_unstable();
        due.into_iter()
            .take(limit)
            .map(|(_, customer_id, deleted)| CustomerToCheck { customer_id, deleted })
            .collect()
    }

    pub(super) fn record_customers(
        &mut self,
        store: usize,
        run_id: i64,
        deleted: &[i64],
        existing: &[i64],
    ) -> Result<()> {
        self.owned(store, run_id, "record the customers")?;
        self.rejected_customers.extend(deleted.iter().map(|customer| ((store, *customer), (true, run_id))));
        self.rejected_customers.retain(|(of, customer), _| *of != store || !existing.contains(customer));
        Ok(())
    }

    pub(super) fn record_waits(&mut self, store: usize, run_id: i64, totals: &[WaitTotal]) -> Result<()> {
        self.owned(store, run_id, "record how long the run waited")?;
        self.waits.extend(totals.iter().map(|total| (run_id, *total)));
        Ok(())
    }
}
