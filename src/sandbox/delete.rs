//! The delete: the checks of all ids, then the removal of the values.

use std::collections::BTreeSet;

use super::event_log::Event;
use super::faults::Fault;
use super::model::{ActiveRequest, Model};
use super::options::SizeRefusal;
use super::query::Query;
use super::response::{Content, StoreResponse};

impl Model {
    /// Removes values by their own ids. Unknown ids are ignored.
    pub(super) fn delete_values(
        &mut self,
        active: &ActiveRequest,
        query: &Query,
    ) -> Result<StoreResponse, StoreResponse> {
        query.check(&[&["id:in"]])?;
        let Some(ids) = query.ids("id:in")? else {
            let errors = vec![("id:in".to_owned(), "error.path.missing".to_owned())];
            return Err(StoreResponse::problem(422, "The filter id:in is required.", errors));
        };
        let limits = self.options.limits;
        if ids.len() > limits.max_deleted {
            self.log.tally.over_size += 1;
            return Err(match limits.size_refusal {
                SizeRefusal::TooLarge => StoreResponse::problem(414, "Request-URI Too Long", vec![]),
                SizeRefusal::Unprocessable => {
                    let title = format!("Max batch size allowed is {}", limits.max_deleted);
                    StoreResponse::problem(422, &title, vec![])
                }
            });
        }
        let marker = &self.options.rules.undeletable_marker;
        let is_kept = |id: &i64| {
            let stored = self.values.values().find(|stored| stored.id == *id);
            stored.is_some_and(|stored| !marker.is_empty() && stored.value.contains(marker))
        };
        if let Some(index) = ids.iter().position(is_kept) {
            let errors = vec![(format!("{index}.id"), "cannot be deleted".to_owned())];
            return Err(StoreResponse::problem(422, "Delete customer attribute values failed.", errors));
        }
        if !self.options.rules.deletes_nothing {
            // A fault that skips an item of a write skips the last id.
            let skips = matches!(active.fault, Fault::Skipped | Fault::Ignored);
            let removed = if skips { &ids[..ids.len() - 1] } else { &ids };
            self.delete_by_id(active, removed);
        }
        Ok(StoreResponse::new(204, Content::Empty))
    }

    fn delete_by_id(&mut self, active: &ActiveRequest, ids: &[i64]) {
        let (at_ms, arrived_ms) = (self.now(), active.arrived_ms);
        for (key, stored) in self.values.extract_if(.., |_, stored| ids.contains(&stored.id)) {
            self.event_log.record(|| Event::Deleted { at_ms, arrived_ms, key, value: stored.value });
        }
        self.log.applied(active.number);
    }

    /// The customers of the values that a delete names.
    pub(super) fn customers_of(&self, query: &Query) -> (usize, usize) {
        let ids = query.ids("id:in").ok().flatten().unwrap_or_default();
        let named = self.values.iter().filter(|(_, stored)| ids.contains(&stored.id));
        let customers: BTreeSet<i64> = named.map(|(key, _)| key.customer_id).collect();
        (customers.len(), ids.len())
    }
}
