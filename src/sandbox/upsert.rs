//! The write call: the body's shape, the checks that come before any write, and the write itself.

use std::collections::BTreeSet;

use serde_json::Value;

use super::event_log::Event;
use super::model::{Model, Stored, Ticket};
use super::options::{Blame, Counting, Keeping, RepeatedPair, SizeRefusal};
use super::response::{Answer, Content, Row};
use crate::record::{Key, VALUE_MAX_CHARS};

/// One item of a write call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutItem {
    /// KeyScope value.
    pub key: Key,
    /// The value.
    pub value: String,
}

/// A body that is not a list of items.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ShapeError {
    /// It is no JSON.
    #[error("the body is not JSON")]
    Syntax,
    /// A field is missing or of the wrong type. The service names the field, but not the item.
    #[error("{field}: {error}")]
    Field {
        /// Which field.
        field: &'static str,
        /// What is wrong with it.
        error: &'static str,
    },
}

impl ShapeError {
    fn field(field: &'static str, error: &'static str) -> Self {
        Self::Field { field, error }
    }

    /// What the service answers.
    pub(super) fn answer(&self) -> Answer {
        match *self {
            Self::Syntax => {
                Answer::new(400, Content::Detailed { title: "Input is invalid", detail: "Syntax error" })
            }
            Self::Field { field, error } => {
                let errors = vec![(field.to_owned(), error.to_owned())];
                Answer::problem(422, "JSON data is missing or invalid", errors)
            }
        }
    }
}

impl PutItem {
    /// Reads the body of a write call.
    ///
    /// # Errors
    /// What the service would refuse it for.
    pub fn read(body: &[u8]) -> Result<Vec<Self>, ShapeError> {
        let json: Value = serde_json::from_slice(body).map_err(|_| ShapeError::Syntax)?;
        let Value::Array(items) = json else {
            return Err(ShapeError::field("obj", "error.expected.jsarray"));
        };
        items.iter().map(Self::read_item).collect()
    }

    fn read_item(json: &Value) -> Result<Self, ShapeError> {
        let Value::Object(fields) = json else {
            return Err(ShapeError::field("obj", "error.expected.jsobject"));
        };
        let present = |field: &'static str| {
            fields.get(field).ok_or_else(|| ShapeError::field(field, "error.path.missing"))
        };
        let id = |field: &'static str| {
            present(field)?.as_i64().ok_or_else(|| ShapeError::field(field, "error.expected.jsnumber"))
        };
        // A value's own id may be given, and nothing is known to follow from it.
        if fields.contains_key("id") && i32::try_from(id("id")?).is_err() {
            return Err(ShapeError::field("id", "error.expected.int"));
        }
        let key = Key::new(id("customer_id")?, id("attribute_id")?);
        let value = present("value")?.as_str();
        let value = value.ok_or_else(|| ShapeError::field("value", "error.expected.jsstring"))?;
        Ok(Self { key, value: value.to_owned() })
    }
}

/// What a write did.
pub(super) struct Written {
    /// The values as they are kept now, in the order of the request.
    pub(super) rows: Vec<Row>,
    /// What was kept before, for the same items.
    pub(super) before: Vec<Option<String>>,
}

impl Model {
    /// Checks the items and writes them.
    pub(super) fn write(&mut self, ticket: &Ticket, items: &[PutItem]) -> Result<Written, Answer> {
        self.check_size(items)?;
        let poison = &self.options.rules.poison_marker;
        if items.iter().any(|item| marked(&item.value, poison)) {
            return Err(Answer::problem(500, "", vec![]));
        }
        let bad = self.bad_items(items);
        let Some(&(first, ..)) = bad.first() else { return Ok(self.apply(ticket, items)) };
        for &(index, ..) in &bad {
            let PutItem { key, value } = &items[index];
            self.witness.see(|| Event::Refused { key: *key, value: value.clone() });
        }
        if self.options.rules.apply_before_bad && first > 0 {
            self.apply(ticket, &items[..first]);
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
        Err(Answer::problem(422, "Update customer attribute values failed.", errors.collect()))
    }

    fn check_size(&mut self, items: &[PutItem]) -> Result<(), Answer> {
        let limits = self.options.limits;
        let size = match limits.counting {
            Counting::Items => items.len(),
            Counting::Customers => {
                items.iter().map(|item| item.key.customer_id).collect::<BTreeSet<_>>().len()
            }
        };
        if size <= limits.max_per_call {
            return Ok(());
        }
        self.log.tally.over_size += 1;
        Err(match limits.size_refusal {
            SizeRefusal::TooLarge => Answer::problem(413, "Request entity too large", vec![]),
            SizeRefusal::Unprocessable => {
                Answer::problem(422, &format!("Max batch size allowed is {}", limits.max_per_call), vec![])
            }
        })
    }

    /// Index, field and complaint of every item that cannot be written.
    fn bad_items(&self, items: &[PutItem]) -> Vec<(usize, &'static str, &'static str)> {
        let rules = &self.options.rules;
        let mut seen = BTreeSet::new();
        let complaint = |item: &PutItem, repeated: bool| {
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
            complaint(item, repeated).map(|(field, error)| (index, field, error))
        });
        bad.collect()
    }

    fn apply(&mut self, ticket: &Ticket, items: &[PutItem]) -> Written {
        let mut written =
            Written { rows: Vec::with_capacity(items.len()), before: Vec::with_capacity(items.len()) };
        for item in items {
            written.before.push(self.value(item.key).map(ToOwned::to_owned));
            let is_number = self
                .attributes()
                .iter()
                .any(|attribute| attribute.id == item.key.attribute_id && attribute.kind == "number");
            let value = kept_form(&item.value, self.options.rules.keeping, is_number);
            let kept = value.clone();
            written.rows.push(self.keep(item.key, value));
            let at_ms = self.now();
            self.witness.see(|| Event::Written {
                at_ms,
                arrived_ms: ticket.arrived_ms,
                key: item.key,
                value: item.value.clone(),
                kept,
            });
        }
        if !items.is_empty() {
            self.log.applied(ticket.number);
        }
        written
    }

    fn keep(&mut self, key: Key, value: String) -> Row {
        if value.is_empty() && self.options.rules.keeping.drop_empty {
            let date = self.date();
            let removed = self.values.remove(&key);
            let (id, date_created) = removed.map_or((None, date), |stored| (Some(stored.id), stored.created));
            return Row { key, value, id, date_created, date_modified: date };
        }
        self.store(key, value).row(key)
    }

    /// Writes a value as it is; one that was not there gets a new id.
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
    /// The value as an answer shows it.
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

fn kept_form(value: &str, keeping: Keeping, is_number: bool) -> String {
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
