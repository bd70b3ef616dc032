//! What is known of the store itself, in memory.

use std::collections::BTreeSet;

use super::state::State;
use crate::ledger::Result;
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

    pub(super) fn refused_customers(&self, run_id: i64, after: i64, limit: usize) -> Vec<i64> {
        let refused = self
            .changes
            .values()
            .filter(|change| change.run_id == run_id && change.outcome == Outcome::Rejected)
            .map(|change| change.key.customer_id)
            .filter(|customer| *customer > after);
        refused.collect::<BTreeSet<_>>().into_iter().take(limit).collect()
    }
}
