//! A JSON body as a tree, with borrowed strings and the fields of an object in the order of the text.
//!
//! The order matters: the API stops at the first bad item, so the first error names it. `serde_json`'s own tree sorts
//! the fields, allocates each name, and takes as much memory as a hostile body asks for.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Number;

/// The largest number of values and names that are kept of a body. 500 values with all their fields have 10,000.
const NODES_MAX: usize = 50_000;

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
}

/// How far a body could be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// To its end.
    Whole,
    /// To its end, but it has more values than are kept.
    TooMany,
    /// To where it was cut.
    Cut,
    /// To a syntax error, or it is not an object.
    Invalid,
}

/// Reads a body that is an object, as far as it can be read. The fields before an error are kept. The value of a field
/// that was not read to its end is null.
pub(super) fn object(text: &str) -> (Tree<'_>, Extent) {
    let (mut fields, mut left) = (Vec::new(), NODES_MAX);
    let seed = TreeSeed { left: &mut left };
    let mut json = serde_json::Deserializer::from_str(text);
    let read = json.deserialize_map(Object { seed, fields: &mut fields }).and_then(|()| json.end());
    let extent = match read {
        Ok(()) if left == 0 => Extent::TooMany,
        Ok(()) => Extent::Whole,
        Err(error) if error.is_eof() => Extent::Cut,
        Err(_) => Extent::Invalid,
    };
    (Tree::Map(fields), extent)
}

struct Object<'s, 'f, 'a> {
    seed: TreeSeed<'s>,
    fields: &'f mut Vec<(Cow<'a, str>, Tree<'a>)>,
}

impl<'de> Visitor<'de> for Object<'_, '_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        self.seed.fields(&mut map, self.fields)
    }
}

/// Reads a tree of at most `left` values. What exceeds them is skipped, so a tree takes a bounded amount of memory.
struct TreeSeed<'s> {
    left: &'s mut usize,
}

impl TreeSeed<'_> {
    /// The seed of a value within this one; `None` if the tree has no room for it.
    fn inner(&mut self) -> Option<TreeSeed<'_>> {
        *self.left = self.left.checked_sub(1)?;
        Some(TreeSeed { left: self.left })
    }

    /// Reads the fields of an object, as long as there is room.
    fn fields<'de, A: MapAccess<'de>>(
        &mut self,
        map: &mut A,
        fields: &mut Vec<(Cow<'de, str>, Tree<'de>)>,
    ) -> Result<(), A::Error> {
        // Serde reads a `Cow` as owned; a tree borrows the name if it can.
        while let Some(seed) = self.inner() {
            let Some(name) = map.next_key_seed(seed)? else { return Ok(()) };
            let (Tree::Text(name), Some(seed)) = (name, self.inner()) else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            fields.push((name, Tree::Null));
            let value = map.next_value_seed(seed)?;
            if let Some((_, field)) = fields.last_mut() {
                *field = value;
            }
        }
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for TreeSeed<'_> {
    type Value = Tree<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Tree<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for TreeSeed<'_> {
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

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<Tree<'de>, A::Error> {
        let mut items = Vec::new();
        while let Some(seed) = self.inner() {
            match seq.next_element_seed(seed)? {
                Some(item) => items.push(item),
                None => return Ok(Tree::List(items)),
            }
        }
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Tree::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Tree<'de>, A::Error> {
        let mut fields = Vec::new();
        self.fields(&mut map, &mut fields)?;
        Ok(Tree::Map(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_before_an_error_are_kept() {
        for (text, fields, extent) in [
            (r#"{"a":true,"b":[null]}"#, r#"[("a", Bool(true)), ("b", List([Null]))]"#, Extent::Whole),
            (r#"{"a":true,"b":[null"#, r#"[("a", Bool(true)), ("b", Null)]"#, Extent::Cut),
            (r#"{"a":true,"b":[null}"#, r#"[("a", Bool(true)), ("b", Null)]"#, Extent::Invalid),
            (r#"{"a":true}x"#, r#"[("a", Bool(true))]"#, Extent::Invalid),
            ("", "[]", Extent::Cut),
            ("[1]", "[]", Extent::Invalid),
        ] {
            let (tree, found) = object(text);
            assert_eq!((format!("{tree:?}"), found), (format!("Map({fields})"), extent), "{text}");
        }
    }

    #[test]
    fn a_body_has_no_more_values_than_are_kept() {
        fn nodes(tree: &Tree<'_>) -> usize {
            match tree {
                Tree::List(items) => 1 + items.iter().map(nodes).sum::<usize>(),
                Tree::Map(fields) => 1 + fields.iter().map(|(_, value)| 1 + nodes(value)).sum::<usize>(),
                _ => 1,
            }
        }
        for part in ["0,", "{},", r#"{"":0},"#, "[[[]]],", r#""x","#] {
            let text = format!(r#"{{"data":[{}0]}}"#, part.repeat(NODES_MAX));
            let (tree, extent) = object(&text);
            assert_eq!(extent, Extent::TooMany, "{part}");
            assert!(nodes(&tree) <= NODES_MAX + 1, "{part}");
        }
        let text = format!("{{{}\"a\":0}}", r#""a":0,"#.repeat(NODES_MAX));
        assert_eq!(object(&text).1, Extent::TooMany);
    }
}
