//! A JSON body as a tree, with borrowed strings and the fields of an object in the order of the text.
//!
//! The order matters: the API stops at the first bad item, so the first error names it. `serde_json`'s own tree sorts
//! the fields and allocates each name.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Number;

/// A JSON value.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Tree<'a> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(Number),
    /// A string.
    Text(Cow<'a, str>),
    /// An array.
    List(Vec<Tree<'a>>),
    /// An object. A name may be there twice.
    Map(Vec<(Cow<'a, str>, Tree<'a>)>),
}

impl<'a> Tree<'a> {
    /// Returns the field of this name, if this is an object that has it; the last one if it has several.
    pub(super) fn get(&self, name: &str) -> Option<&Self> {
        let Self::Map(fields) = self else { return None };
        fields.iter().rev().find(|(field, _)| field == name).map(|(_, value)| value)
    }

    /// Returns the string, if this is one.
    pub(super) fn text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// Returns the whole number, if this is one or a string of one.
    pub(super) fn integer(&self) -> Option<i64> {
        match self {
            Self::Number(number) => number.as_i64(),
            Self::Text(text) => text.parse().ok(),
            _ => None,
        }
    }

    /// Returns at most `max` scalars, each with its path and as text: for `{"0": {"value": "too long"}}`, the scalar
    /// `("0.value", "too long")`. A path has no index of an array, because it could be taken for an item's index.
    pub(super) fn scalars(self, max: usize) -> Vec<(String, String)> {
        let mut scalars = Vec::new();
        self.collect(String::new(), max, &mut scalars);
        scalars
    }

    fn collect(self, path: String, max: usize, scalars: &mut Vec<(String, String)>) {
        if scalars.len() >= max {
            return;
        }
        let text = match self {
            Self::List(items) => {
                for item in items {
                    item.collect(path.clone(), max, scalars);
                }
                return;
            }
            Self::Map(fields) => {
                for (name, value) in fields {
                    let path = if path.is_empty() { name.into_owned() } else { format!("{path}.{name}") };
                    value.collect(path, max, scalars);
                }
                return;
            }
            Self::Null => String::new(),
            Self::Bool(value) => value.to_string(),
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text.into_owned(),
        };
        if !(path.is_empty() && text.is_empty()) {
            scalars.push((path, text));
        }
    }
}

impl<'de> Deserialize<'de> for Tree<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor)
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Tree<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Tree<'de>, E> {
        Ok(Tree::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Tree<'de>, E> {
        Ok(Tree::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Tree<'de>, E> {
        Ok(Tree::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Tree<'de>, E> {
        Ok(Number::from_f64(value).map_or(Tree::Null, Tree::Number))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Tree<'de>, E> {
        Ok(Tree::Text(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Tree<'de>, E> {
        Ok(Tree::Text(Cow::Owned(value.to_owned())))
    }

    fn visit_unit<E>(self) -> Result<Tree<'de>, E> {
        Ok(Tree::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Tree<'de>, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Tree::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree<'de>, A::Error> {
        let mut fields = Vec::new();
        // Serde reads a `Cow` as owned; a tree borrows the name if it can.
        while let Some(name) = map.next_key::<Tree<'de>>()? {
            let Tree::Text(name) = name else { continue };
            fields.push((name, map.next_value()?));
        }
        Ok(Tree::Map(fields))
    }
}
