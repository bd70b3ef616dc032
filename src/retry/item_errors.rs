//! The errors of single items in a response: which items they name, and what they say.

use std::collections::BTreeMap;
use std::slice;

use super::words::position;
use crate::destination::ErrorFields;
use crate::record::Key;

/// Fields that hold the position of an item.
const POSITIONS: [&str; 4] = ["index", "position", "item", "row"];

/// Fields that hold a status.
const STATUSES: [&str; 4] = ["status", "status_code", "statusCode", "code"];

/// Fields that hold the item itself, or where its error is explained.
const OTHER: [&str; 6] = ["id", "attribute_value", "date_created", "date_modified", "type", "instance"];

/// Fields whose text needs no name before it.
const PLAIN: [&str; 8] = ["", "message", "error", "title", "detail", "details", "reason", "errors"];

/// The words about items, by key, and the words that name no item.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ItemErrors {
    /// The words about each named item.
    pub named: BTreeMap<Key, String>,
    /// The other words.
    pub unnamed: String,
    /// The words of errors that may pass by themselves, such as those with the status 503. They reject nothing.
    pub passing: String,
}

/// Sorts the errors of a success by the items that they name. `keys` are those of the request, in its order. An item is
/// named beside the error, by `index`, or by `customer_id` with or without `attribute_id`; otherwise by its position in
/// the field's name (`3.value`). If the request had one item, each error is about it.
#[must_use]
pub fn item_errors(errors: &[ErrorFields], keys: &[Key]) -> ItemErrors {
    let mut sorted = ItemErrors::default();
    for fields in errors {
        let beside = named_beside(fields, keys);
        let may_pass = fields.iter().any(has_passing_status);
        for (field, text) in fields {
            let by_place = position(field).and_then(|at| keys.get(at)).map(slice::from_ref);
            let named = if beside.is_empty() { by_place.unwrap_or_default() } else { &beside };
            let words = words(field, text);
            if may_pass {
                append(&mut sorted.passing, &words);
            } else if named.is_empty() {
                append(&mut sorted.unnamed, &words);
            }
            for key in named.iter().filter(|_| !may_pass) {
                append(sorted.named.entry(*key).or_default(), &words);
            }
        }
        if may_pass && sorted.passing.is_empty() {
            sorted.passing.push_str("an error that may pass");
        }
    }
    if let [key] = keys
        && !sorted.unnamed.is_empty()
    {
        append(sorted.named.entry(*key).or_default(), &std::mem::take(&mut sorted.unnamed));
    }
    for words in sorted.named.values_mut().filter(|words| words.is_empty()) {
        words.push_str("the store gave no reason");
    }
    sorted
}

/// Returns the positions of the items that the errors of a refusal name, rising. A position that the request of `items`
/// items does not have names nothing.
#[must_use]
pub fn positions(errors: &[(String, String)], items: usize) -> Vec<usize> {
    let named = |(field, text): &(String, String)| {
        position(field).or_else(|| text.parse().ok().filter(|_| POSITIONS.contains(&leaf(field))))
    };
    let mut positions: Vec<usize> = errors.iter().filter_map(named).filter(|at| *at < items).collect();
    positions.sort_unstable();
    positions.dedup();
    positions
}

/// The items that the fields of one error name.
fn named_beside(fields: &[(String, String)], keys: &[Key]) -> Vec<Key> {
    let numbers = |names: &[&str]| -> Vec<i64> {
        let named = fields.iter().filter(|(field, _)| names.contains(&leaf(field)));
        named.filter_map(|(_, text)| text.parse().ok()).collect()
    };
    let (customers, attributes) = (numbers(&["customer_id"]), numbers(&["attribute_id"]));
    let is_named = |key: &&Key| {
        customers.contains(&key.customer_id)
            && (attributes.is_empty() || attributes.contains(&key.attribute_id))
    };
    let by_id: Vec<Key> = keys.iter().filter(is_named).copied().collect();
    if !by_id.is_empty() {
        return by_id;
    }
    let positions = numbers(&POSITIONS).into_iter().filter_map(|at| usize::try_from(at).ok());
    positions.filter_map(|at| keys.get(at)).copied().collect()
}

/// Whether a field is a status after which the same may be accepted later.
fn has_passing_status((field, text): &(String, String)) -> bool {
    let status = STATUSES.contains(&leaf(field)).then(|| text.parse::<u16>().ok()).flatten();
    matches!(status, Some(408 | 409 | 423 | 429 | 500..=599))
}

/// What a field says of an error. A number says nothing without words.
fn words(field: &str, text: &str) -> String {
    let name = leaf(field);
    if text.parse::<i64>().is_ok() || OTHER.contains(&name) {
        return String::new();
    }
    if PLAIN.contains(&name) || position(name).is_some() {
        text.to_owned()
    } else {
        format!("{name}: {text}")
    }
}

fn append(words: &mut String, more: &str) {
    if !words.is_empty() && !more.is_empty() {
        words.push_str("; ");
    }
    words.push_str(more);
}

fn leaf(field: &str) -> &str {
    field.rsplit('.').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(fields: &[(&str, &str)]) -> ErrorFields {
        fields.iter().map(|(f, t)| ((*f).to_owned(), (*t).to_owned())).collect()
    }

    fn sorted(errors: &[&[(&str, &str)]]) -> ItemErrors {
        let keys: Vec<Key> = (10..15).map(|customer| Key::new(customer, 1)).collect();
        let errors: Vec<_> = errors.iter().map(|error| fields(error)).collect();
        item_errors(&errors, &keys)
    }

    fn named(errors: &[&[(&str, &str)]]) -> Vec<(i64, String)> {
        let ItemErrors { named, unnamed, passing } = sorted(errors);
        assert_eq!((unnamed.as_str(), passing.as_str()), ("", ""), "{errors:?}");
        named.into_iter().map(|(key, words)| (key.customer_id, words)).collect()
    }

    #[test]
    fn errors_name_their_items_in_many_forms() {
        let expected = [(11, "bad".to_owned()), (13, "worse".to_owned())];
        for errors in [
            [[("1", "bad"), ("3", "worse")].as_slice()].as_slice(),
            &[&[("index", "1"), ("message", "bad")], &[("index", "3"), ("message", "worse")]],
            &[&[("message", "bad"), ("index", "1")], &[("message", "worse"), ("index", "3")]],
            &[&[("1.status", "422"), ("1.message", "bad")], &[("3.status", "404"), ("3.title", "worse")]],
            &[
                &[("customer_id", "11"), ("attribute_id", "1"), ("attribute_value", "x"), ("error", "bad")],
                &[("customer_id", "13"), ("error", "worse")],
            ],
            &[
                &[("status", "422"), ("error", "bad"), ("customer_id", "11")],
                &[("type", "https://…"), ("error", "worse"), ("customer_id", "13")],
            ],
        ] {
            assert_eq!(named(errors), expected, "{errors:?}");
        }
        assert_eq!(named(&[&[("1.value", "bad")]]), [(11, "value: bad".to_owned())]);
        assert_eq!(named(&[&[("1.status", "422")]]), [(11, "the store gave no reason".to_owned())]);
    }

    #[test]
    fn errors_that_name_no_item_of_the_request_are_kept_apart() {
        let found =
            sorted(&[&[("", "one failed")], &[("9.value", "bad")], &[("customer_id", "99"), ("error", "x")]]);
        assert_eq!((found.named.len(), found.unnamed.as_str()), (0, "one failed; value: bad; x"));
        let key = Key::new(1, 1);
        let errors = [fields(&[("", "failed")])];
        assert_eq!(item_errors(&errors, &[key]).named, BTreeMap::from([(key, "failed".to_owned())]));
    }

    #[test]
    fn promise_6_an_error_that_may_pass_names_nothing() {
        for status in ["429", "503", "409"] {
            let found = sorted(&[&[("1.status", status), ("1.message", "busy")]]);
            assert_eq!((found.named.len(), found.passing.as_str()), (0, "busy"), "{status}");
        }
    }

    #[test]
    fn a_refusal_names_items_by_their_position() {
        let errors =
            fields(&[("3.value", "bad"), ("index", "1"), ("index", "x"), ("10.id", ""), ("code", "2")]);
        assert_eq!(positions(&errors, 10), [1, 3]);
    }
}
