//! Writes the API's request bodies and reads its response bodies.
//!
//! Responses are read leniently, because the API may add fields without notice and its gateways send HTML. The request
//! field is `value`, the response field `attribute_value`.

use serde::Serialize;

use super::mask::Mask;
use super::mend;
use super::tree::{self, Extent, Tree};
use crate::destination::{Attribute, CustomerAddress, Echo, Item};
use crate::record::{Key, VALUE_MAX_CHARS, normalised};

/// The longest text that is kept of an item. A store that keeps to the API sends no value that is longer than a quarter
/// of it.
const TEXT_MAX_CHARS: usize = 4 * VALUE_MAX_CHARS;

#[derive(Serialize)]
struct WireItem<'a> {
    customer_id: i64,
    attribute_id: i64,
    value: &'a str,
}

/// Writes the body of a write request, without value ids: their effect is not documented.
pub(crate) fn upsert_body(items: &[Item<'_>]) -> serde_json::Result<Vec<u8>> {
    let items: Vec<_> = items
        .iter()
        .map(|item| WireItem {
            customer_id: item.key.customer_id,
            attribute_id: item.key.attribute_id,
            value: item.value,
        })
        .collect();
    serde_json::to_vec(&items)
}

/// One page of a list.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Page<T> {
    /// The items that could be read, in the order of the body.
    pub(crate) items: Vec<T>,
    /// How many items could not be read, at least.
    pub(crate) unread: usize,
    /// The number of pages, if the body has it.
    pub(crate) total_pages: Option<u64>,
}

/// Reads one page of a list; `None` unless the text is JSON with a `data` array. A value that is no JSON is mended, so
/// that it does not hide the others.
pub(crate) fn page<T>(text: &str, read: impl Fn(&Tree<'_>) -> Option<T>) -> Option<Page<T>> {
    let mended;
    let (mut body, mut extent) = tree::object(text);
    if extent == Extent::Invalid && text.starts_with('{') {
        mended = mend::mended(text);
        (body, extent) = tree::object(&mended);
    }
    let skipped = match extent {
        Extent::Whole => 0,
        Extent::TooMany => 1,
        Extent::Cut | Extent::Invalid => return None,
    };
    let Tree::List(data) = body.get("data")? else { return None };
    let items: Vec<T> = data.iter().filter_map(read).collect();
    let pagination = body.get("meta").and_then(|meta| meta.get("pagination"));
    let total_pages = match pagination.and_then(|pagination| pagination.get("total_pages")) {
        Some(Tree::Number(pages)) => pages.as_u64(),
        _ => None,
    };
    Some(Page { unread: data.len() - items.len() + skipped, items, total_pages })
}

/// Reads a value. NUL becomes U+FFFD, because Postgres cannot save it. A value longer than any that the API allows is
/// cut, and ends with `…`. An item with an error of its own proves nothing and is not read.
pub(crate) fn echo(item: &Tree<'_>) -> Option<Echo> {
    if fails(item) {
        return None;
    }
    let value = match item.get("attribute_value")? {
        Tree::Text(text) => bounded(text).replace('\0', "\u{FFFD}"),
        Tree::Number(number) => number.to_string(),
        _ => return None,
    };
    let key = Key::new(id(item, "customer_id")?, id(item, "attribute_id")?);
    Some(Echo { key, value, value_id: id(item, "id") })
}

/// Whether an item has an error of its own, or the status of one.
pub(super) fn fails(item: &Tree<'_>) -> bool {
    let has_error = |field| item.get(field).is_some_and(says_something);
    let status = |field| item.get(field).and_then(Tree::integer);
    ["errors", "error"].into_iter().any(has_error)
        || ["status", "status_code", "statusCode", "code"]
            .into_iter()
            .filter_map(status)
            .any(|status| (400..600).contains(&status))
}

/// Whether a field has content.
fn says_something(field: &Tree<'_>) -> bool {
    match field {
        Tree::Null | Tree::Bool(false) => false,
        Tree::Bool(true) | Tree::Number(_) => true,
        Tree::Text(text) => !text.is_empty(),
        Tree::List(items) => !items.is_empty(),
        Tree::Map(fields) => !fields.is_empty(),
    }
}

/// Reads an attribute. Its name is shown in messages, so the token is masked in it.
pub(crate) fn attribute(item: &Tree<'_>, mask: &Mask) -> Option<Attribute> {
    let name = bounded(&mask.clean(item.get("name")?.text()?));
    let kind = bounded(&mask.clean(item.get("type").and_then(Tree::text).unwrap_or_default()));
    Some(Attribute { id: id(item, "id")?, name, kind })
}

/// The beginning of a text that is longer than the API allows.
fn bounded(text: &str) -> String {
    match text.char_indices().nth(TEXT_MAX_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Reads a customer's id.
pub(crate) fn customer(item: &Tree<'_>) -> Option<i64> {
    id(item, "id")
}

/// Reads a customer's id and e-mail address.
pub(crate) fn customer_address(item: &Tree<'_>) -> Option<CustomerAddress> {
    let address = normalised(item.get("email")?.text()?);
    Some(CustomerAddress { customer_id: id(item, "id")?, address })
}

/// Reads an id: a number, or a number in a string.
fn id(item: &Tree<'_>, field: &str) -> Option<i64> {
    item.get(field)?.integer()
}

#[cfg(test)]
mod tests;
