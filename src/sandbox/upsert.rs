//! The write: the checks of all items, then the write itself.

use std::collections::BTreeSet;

use super::event_log::Event;
use super::model::{ActiveRequest, Model, Stored};
use super::options::{Blame, Counting, Keeping, RepeatedPair, SizeRefusal};
use super::request::PutItem;
use super::response::{Row, StoreResponse, Written};
use crate::record::{Key, VALUE_MAX_CHARS};

impl Model {
    /// Checks the items and writes them all, or none.
    pub(super) fn write(
        &mut self,
        active: &ActiveRequest,
        items: &[PutItem],
    ) -> Result<Written, StoreResponse> {
        self.check_size(items)?;
        let poison = &self.options.rules.poison_marker;
        if items.iter().any(|item| marked(&item.value, poison)) {
            return Err(StoreResponse::problem(500, "", vec![]));
        }
        let bad = self.bad_items(items);
        let Some(&(first, ..)) = bad.first() else { return Ok(self.apply(active, items)) };
        for &(index, ..) in &bad {
            let PutItem { key, value } = &items[index];
            self.event_log.record(|| Event::Refused { key: *key, value: value.clone() });
        }
        if self.options.rules.apply_before_bad && first > 0 {
            self.apply(active, &items[..first]);
        }
        let named = if self.options.rules.report_all { bad.len() } else { 1 };
        let errors = bad[..named].iter().map(|&(index, field, error)| {
            let name = match self.options.rules.blame {
                Blame::Index => format!("{index}.{field}"),
                Blame::FieldOnly => field.to_owned(),
                Blame::WrongIndex => format!("{}.{field}", (index + 1) % items.len()),
            };
            (name, error.to_owned())
        });
        Err(StoreResponse::problem(422, "Update customer attribute values failed.", errors.collect()))
    }

    fn check_size(&mut self, items: &[PutItem]) -> Result<(), StoreResponse> {
        let limits = self.options.limits;
        let size = match limits.counting {
            Counting::Items => items.len(),
            Counting::Customers => {
                items.iter().map(|item| item.key.customer_id).collect::<BTreeSet<_>>().len()
            }
        };
        if size <= limits.max_per_request {
            return Ok(());
        }
        self.log.tally.over_size += 1;
        Err(match limits.size_refusal {
            SizeRefusal::TooLarge => StoreResponse::problem(413, "Request entity too large", vec![]),
            SizeRefusal::Unprocessable => StoreResponse::problem(
                422,
                &format!("Max batch size allowed is {}", limits.max_per_request),
                vec![],
            ),
        })
    }

    /// Returns index, field and error of every item that cannot be written.
    fn bad_items(&self, items: &[PutItem]) -> Vec<(usize, &'static str, &'static str)> {
        let rules = &self.options.rules;
        let mut seen = BTreeSet::new();
        let error = |item: &PutItem, repeated: bool| {
            if !self.has_customer(item.key.customer_id) {
                return Some(("customer_id", "invalid customer ID"));
            }
            if !self.attributes().iter().any(|attribute| attribute.id == item.key.attribute_id) {
                return Some(("attribute_id", "invalid attribute ID"));
            }
            if item.value.chars().count() > VALUE_MAX_CHARS {
                return Some(("value", "longer than 255 characters"));
            }
            if marked(&item.value, &rules.reject_marker) {
                return Some(("value", "not allowed here"));
            }
            (repeated && rules.repeated_pair == RepeatedPair::Refused)
                .then_some(("customer_id", "given more than once"))
        };
        let bad = items.iter().enumerate().filter_map(|(index, item)| {
            let repeated = !seen.insert(item.key);
            error(item, repeated).map(|(field, error)| (index, field, error))
        });
        bad.collect()
    }

    fn apply(&mut self, active: &ActiveRequest, items: &[PutItem]) -> Written {
        let mut written =
            Written { rows: Vec::with_capacity(items.len()), before: Vec::with_capacity(items.len()) };
        let kept = self.options.rules.forgets.then(|| self.values.clone());
        for item in items {
            written.before.push(self.value(item.key).map(ToOwned::to_owned));
            let is_number = self
                .attributes()
                .iter()
                .any(|attribute| attribute.id == item.key.attribute_id && attribute.kind == "number");
            let value = stored_form(&item.value, self.options.rules.keeping, is_number);
            let stored = value.clone();
            written.rows.push(self.write_value(item.key, value));
            let at_ms = self.now();
            self.event_log.record(|| Event::Written {
                at_ms,
                arrived_ms: active.arrived_ms,
                key: item.key,
                value: item.value.clone(),
                stored,
            });
        }
        match kept {
            Some(kept) => self.values = kept,
            None if items.is_empty() => {}
            None => self.log.applied(active.number),
        }
        written
    }

    fn write_value(&mut self, key: Key, value: String) -> Row {
        if value.is_empty() && self.options.rules.keeping.drop_empty {
            let date = self.date();
            let removed = self.values.remove(&key);
            let (id, date_created) = removed.map_or((None, date), |stored| (Some(stored.id), stored.created));
            return Row { key, value, id, date_created, date_modified: date };
        }
        self.store(key, value).row(key)
    }

    /// Stores a value as it is. A value that did not exist gets a new id.
    pub(super) fn store(&mut self, key: Key, value: String) -> Stored {
        let date = self.date();
        let new_id = self.next_value_id;
        let stored = self.values.entry(key).or_insert_with(|| Stored {
            id: new_id,
            value: String::new(),
            created: date,
            modified: date,
        });
        if stored.id == new_id {
            self.next_value_id += 1;
        }
        stored.value = value;
        stored.modified = date;
        stored.clone()
    }
}

impl Stored {
    /// The value in a response.
    pub(super) fn row(&self, key: Key) -> Row {
        Row {
            key,
            value: self.value.clone(),
            id: Some(self.id),
            date_created: self.created,
            date_modified: self.modified,
        }
    }
}

fn marked(value: &str, marker: &str) -> bool {
    !marker.is_empty() && value.contains(marker)
}

fn stored_form(value: &str, keeping: Keeping, is_number: bool) -> String {
    let mut kept = if keeping.trim { value.trim().to_owned() } else { value.to_owned() };
    if keeping.narrow {
        kept = kept.chars().map(|c| if c.len_utf8() == 4 { '?' } else { c }).collect();
    }
    if keeping.numbers && is_number {
        let number: Option<f64> = kept.trim().parse().ok().filter(|number: &f64| number.is_finite());
        kept = number.map_or(kept, |number| number.to_string());
    }
    kept
}
