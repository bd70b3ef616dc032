//! The errors of single items in a response with success: which items they name, and what they say.

use std::collections::BTreeMap;

use super::words::position;
use crate::record::Key;

/// Fields that hold the position of an item.
const POSITIONS: [&str; 4] = ["index", "position", "item", "row"];

/// The words about items, by key, and the words that name no item.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ItemErrors {
    /// The words about each named item.
    pub named: BTreeMap<Key, String>,
    /// The other words.
    pub unnamed: String,
}

/// Sorts errors by the items that they name. `keys` are those of the request, in its order. An item is named by its
/// position in a field's name (`3.value`), or beside the error: `index`, or `customer_id` with or without
/// `attribute_id`. If the request had one item, each error is about it.
#[must_use]
pub fn item_errors(errors: &[(String, String)], keys: &[Key]) -> ItemErrors {
    let mut sorted = ItemErrors::default();
    // The items that the fields before this one name, and words that may be about the items that the next fields name.
    let (mut named, mut words): (Vec<Key>, String) = (Vec::new(), String::new());
    for (field, text) in errors {
        let leaf = field.rsplit('.').next().unwrap_or_default();
        let number = text.parse::<i64>().ok();
        if let Some(key) = position(field).and_then(|position| keys.get(position)) {
            let name = if position(leaf).is_some() { "" } else { leaf };
            append(sorted.named.entry(*key).or_default(), name, text);
            continue;
        }
        let found: Vec<Key> = match (leaf, number) {
            (leaf, Some(index)) if POSITIONS.contains(&leaf) => {
                usize::try_from(index).ok().and_then(|index| keys.get(index)).into_iter().copied().collect()
            }
            ("customer_id", Some(id)) => keys.iter().filter(|key| key.customer_id == id).copied().collect(),
            ("attribute_id", Some(id)) => {
                named.iter().filter(|key| key.attribute_id == id).copied().collect()
            }
            // A status or a code says nothing without words.
            (_, Some(_)) => continue,
            (leaf, None) => {
                if named.is_empty() {
                    append(&mut words, leaf, text);
                }
                named.iter().for_each(|key| append(sorted.named.entry(*key).or_default(), leaf, text));
                continue;
            }
        };
        if words.is_empty() {
            named = found;
        } else {
            let words = std::mem::take(&mut words);
            found.iter().for_each(|key| append(sorted.named.entry(*key).or_default(), "", &words));
            if leaf == "customer_id" {
                named.clear();
            }
        }
    }
    match keys {
        [key] if !words.is_empty() => append(sorted.named.entry(*key).or_default(), "", &words),
        _ => sorted.unnamed = words,
    }
    sorted
}

/// Appends an error to words: a field with its text, as far as they say something.
fn append(words: &mut String, field: &str, text: &str) {
    let is_plain = matches!(field, "" | "message" | "error" | "title" | "detail" | "reason" | "errors");
    let separator = if words.is_empty() { "" } else { "; " };
    let name = if is_plain { String::new() } else { format!("{field}: ") };
    words.extend([separator, &name, text]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(errors: &[(&str, &str)]) -> (Vec<(i64, String)>, String) {
        let keys: Vec<Key> = (10..15).map(|customer| Key::new(customer, 1)).collect();
        let errors: Vec<_> = errors.iter().map(|(f, t)| ((*f).to_owned(), (*t).to_owned())).collect();
        let ItemErrors { named, unnamed } = item_errors(&errors, &keys);
        (named.into_iter().map(|(key, words)| (key.customer_id, words)).collect(), unnamed)
    }

    #[test]
    fn errors_name_their_items_in_many_forms() {
        let expected = (vec![(11, "bad".to_owned()), (13, "worse".to_owned())], String::new());
        for errors in [
            [("1", "bad"), ("3", "worse")].as_slice(),
            &[("index", "1"), ("message", "bad"), ("index", "3"), ("message", "worse")],
            &[("message", "bad"), ("index", "1"), ("message", "worse"), ("index", "3")],
            &[
                ("customer_id", "11"),
                ("attribute_id", "1"),
                ("error", "bad"),
                ("customer_id", "13"),
                ("error", "worse"),
            ],
            &[
                ("status", "422"),
                ("error", "bad"),
                ("customer_id", "11"),
                ("error", "worse"),
                ("customer_id", "13"),
            ],
        ] {
            assert_eq!(sorted(errors), expected, "{errors:?}");
        }
        assert_eq!(sorted(&[("1.value", "bad")]).0, [(11, "value: bad".to_owned())]);
    }

    #[test]
    fn errors_that_name_no_item_of_the_request_are_kept_apart() {
        assert_eq!(
            sorted(&[("", "one failed"), ("9.value", "bad")]),
            (vec![], "one failed; value: bad".to_owned())
        );
        let key = Key::new(1, 1);
        let errors = [("".to_owned(), "failed".to_owned())];
        assert_eq!(item_errors(&errors, &[key]).named, BTreeMap::from([(key, "failed".to_owned())]));
    }
}
