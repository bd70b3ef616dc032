//! The store's customers, attributes and values, and how tests edit them without the API.

use std::collections::BTreeSet;

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

    /// All customers: first those of the store's start, then those added later, each in the order of their ids.
    pub fn customers(&self) -> impl Iterator<Item = i64> {
        let own = (1..=self.options.customers).filter(|id| !self.deleted.contains(id));
        own.chain(self.added.keys().copied())
    }

    /// When a customer was created: with the store, unless it was added later.
    pub(super) fn customer_created(&self, id: i64) -> DateTime<Utc> {
        self.added.get(&id).copied().unwrap_or(self.options.started_at)
    }

    /// The customer's e-mail address: `customer12@example.com`, unless another was set.
    #[must_use]
    pub fn email(&self, id: i64) -> String {
        self.emails.get(&id).cloned().unwrap_or_else(|| format!("customer{id}@example.com"))
    }

    /// Sets a customer's e-mail address. The API lets no two customers have the same; this does.
    pub fn set_email(&mut self, id: i64, email: &str) {
        self.emails.insert(id, email.to_owned());
    }

    /// The customers with these addresses, whose case does not matter.
    pub(super) fn customers_by_email<'a>(&self, emails: impl Iterator<Item = &'a str>) -> BTreeSet<i64> {
        let mut found = BTreeSet::new();
        for email in emails {
            let email = email.trim().to_lowercase();
            let number = email.strip_prefix("customer").and_then(|rest| rest.strip_suffix("@example.com"));
            let by_number = number.and_then(|number| number.parse().ok());
            found.extend(by_number.filter(|id| self.email(*id).to_lowercase() == email));
            let set = self.emails.iter().filter(|(_, set)| set.to_lowercase() == email);
            found.extend(set.map(|(id, _)| *id));
        }
        found
    }

    /// Adds a customer, or restores a deleted one without its values.
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

    /// The attributes with their dates.
    pub(super) fn attribute_rows(&self) -> impl Iterator<Item = AttributeRow> {
        self.attributes.iter().map(|spec| AttributeRow {
            spec: spec.clone(),
            date_created: self.defined.get(&spec.id).copied().unwrap_or(self.options.started_at),
        })
    }

    /// Defines an attribute. It replaces an attribute with the same id.
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

    /// The stored value of a key.
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

    /// Writes a value, or removes it, as another app would. Nothing is checked and no request is logged.
    pub fn set_value(&mut self, key: Key, value: Option<&str>) {
        self.event_log.record(|| Event::Edited { key, value: value.map(str::to_owned) });
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
            self.event_log.record(|| Event::Edited { key, value: None });
        }
    }
}
