//! The `errors` of an answer, in the order in which they were written.
//!
//! The order matters: reporting stops at the first bad item, so the first error is the one that names it.
//! `serde_json`'s own map sorts its keys.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// JSON with its objects in their own order and its scalars as text.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ordered {
    /// A string, a number, a truth value, or nothing.
    Text(String),
    /// An array.
    List(Vec<Ordered>),
    /// An object; a name may be there twice.
    Map(Vec<(String, Ordered)>),
}

impl Ordered {
    /// The texts with their paths: `{"0": {"value": "too long"}}` has the leaf `("0.value", "too long")`.
    /// A place in an array is no part of a path, lest it look like an item's index. At most `max` are taken.
    pub(super) fn leaves(self, max: usize) -> Vec<(String, String)> {
        let mut leaves = Vec::new();
        self.collect(String::new(), max, &mut leaves);
        leaves
    }

    fn collect(self, path: String, max: usize, leaves: &mut Vec<(String, String)>) {
        if leaves.len() >= max {
            return;
        }
        match self {
            Self::Text(text) if path.is_empty() && text.is_empty() => {}
            Self::Text(text) => leaves.push((path, text)),
            Self::List(items) => {
                for item in items {
                    item.collect(path.clone(), max, leaves);
                }
            }
            Self::Map(fields) => {
                for (name, value) in fields {
                    let path = if path.is_empty() { name } else { format!("{path}.{name}") };
                    value.collect(path, max, leaves);
                }
            }
        }
    }
}

impl<'de> Deserialize<'de> for Ordered {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OrderedVisitor)
    }
}

struct OrderedVisitor;

impl<'de> Visitor<'de> for OrderedVisitor {
    type Value = Ordered;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Ordered, E> {
        Ok(Ordered::Text(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Ordered, E> {
        Ok(Ordered::Text(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Ordered, E> {
        Ok(Ordered::Text(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Ordered, E> {
        Ok(Ordered::Text(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Ordered, E> {
        Ok(Ordered::Text(value.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Ordered, E> {
        Ok(Ordered::Text(String::new()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Ordered, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Ordered::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Ordered, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = map.next_entry()? {
            fields.push(field);
        }
        Ok(Ordered::Map(fields))
    }
}
