//! What the store holds: customers, attributes and values, and how tests and rehearsals edit them behind the API's back.

use chrono::{DateTime, Utc};

use super::event_log::Event;
use super::model::Model;
use super::options::AttributeSpec;
use super::response::AttributeRow;
use crate::record::Key;

impl Model {
    /// Whether the store has this customer.
    #[must_use]
    pub fn has_customer(&self, id: i64) -> bool {
        ((1..=self.options.customers).contains(&id) && !self.deleted.contains(&id))
            || self.added.contains_key(&id)
    }

    /// All customers, in the order of their ids.
    pub fn customers(&self) -> impl Iterator<Item = i64> {
        let own = (1..=self.options.customers).filter(|id| !self.deleted.contains(id));
        own.chain(self.added.keys().copied())
    }

    /// Since when the store has a customer: since its own beginning, unless the customer was added later.
    pub(super) fn customer_since(&self, id: i64) -> DateTime<Utc> {
        self.added.get(&id).copied().unwrap_or(self.options.started_at)
    }

    /// Adds a customer, or brings a deleted one back without its values.
    pub fn add_customer(&mut self, id: i64) {
        self.deleted.remove(&id);
        if id < 1 || id > self.options.customers {
            let date = self.date();
            self.added.insert(id, date);
        }
    }

    /// Deletes a customer with its values.
    pub fn delete_customer(&mut self, id: i64) {
        self.added.remove(&id);
        if (1..=self.options.customers).contains(&id) {
            self.deleted.insert(id);
        }
        self.remove_values(|key| key.customer_id == id);
    }

    /// The attributes that the store defines.
    #[must_use]
    pub fn attributes(&self) -> &[AttributeSpec] {
        &self.attributes
    }

    /// The same with their dates.
    pub(super) fn attribute_rows(&self) -> impl Iterator<Item = AttributeRow> {
        self.attributes.iter().map(|spec| AttributeRow {
            spec: spec.clone(),
            date_created: self.defined.get(&spec.id).copied().unwrap_or(self.options.started_at),
        })
    }

    /// Defines an attribute, or another of the same id in its place.
    pub fn add_attribute(&mut self, attribute: AttributeSpec) {
        self.attributes.retain(|known| known.id != attribute.id);
        self.defined.insert(attribute.id, self.date());
        self.attributes.push(attribute);
        self.attributes.sort_by_key(|known| known.id);
    }

    /// Deletes an attribute with all its values.
    pub fn delete_attribute(&mut self, id: i64) {
        self.attributes.retain(|known| known.id != id);
        self.remove_values(|key| key.attribute_id == id);
    }

    /// What the store holds for a key.
    #[must_use]
    pub fn value(&self, key: Key) -> Option<&str> {
        self.values.get(&key).map(|stored| stored.value.as_str())
    }

    /// The id of a key's value.
    #[must_use]
    pub fn value_id(&self, key: Key) -> Option<i64> {
        self.values.get(&key).map(|stored| stored.id)
    }

    /// All values, in key order.
    pub fn values(&self) -> impl Iterator<Item = (Key, &str)> {
        self.values.iter().map(|(&key, stored)| (key, stored.value.as_str()))
    }

    /// Somebody else writes a value, or removes it. Nothing is checked and no request is logged.
    pub fn set_value(&mut self, key: Key, value: Option<&str>) {
        self.witness.see(|| Event::Edited { key });
        match value {
            Some(value) => {
                self.store(key, value.to_owned());
            }
            None => {
                self.values.remove(&key);
            }
        }
    }

    fn remove_values(&mut self, of: impl Fn(&Key) -> bool) {
        for (key, _) in self.values.extract_if(.., |key, _| of(key)) {
            self.witness.see(|| Event::Edited { key });
        }
    }
}
