//! Writes the API's request bodies and reads its response bodies.
//!
//! Responses are read leniently, because the API may add fields without notice and its gateways send HTML. The request
//! field is `value`, the response field `attribute_value`.

use serde::Serialize;

use super::tree::Tree;
use crate::destination::{Attribute, Body, Echo, Item};
use crate::record::Key;

/// The longest text that is kept of an error, in bytes.
const EXCERPT_MAX: usize = 2048;

/// The largest number of an error's fields that are kept.
const ERRORS_MAX: usize = 500;

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
    /// How many items could not be read.
    pub(crate) unread: usize,
    /// The number of pages, if the body has it.
    pub(crate) total_pages: Option<u64>,
}

/// Reads one page of a list; `None` unless the text is JSON with a `data` array.
pub(crate) fn page<T>(text: &str, read: impl Fn(&Tree<'_>) -> Option<T>) -> Option<Page<T>> {
    let body: Tree<'_> = serde_json::from_str(text).ok()?;
    let Tree::List(data) = body.get("data")? else { return None };
    let items: Vec<T> = data.iter().filter_map(read).collect();
    let pagination = body.get("meta").and_then(|meta| meta.get("pagination"));
    let total_pages = match pagination.and_then(|pagination| pagination.get("total_pages")) {
        Some(Tree::Number(pages)) => pages.as_u64(),
        _ => None,
    };
    Some(Page { unread: data.len() - items.len(), items, total_pages })
}

/// Reads a value. NUL becomes U+FFFD, because Postgres cannot save it.
pub(crate) fn echo(item: &Tree<'_>) -> Option<Echo> {
    let value = match item.get("attribute_value")? {
        Tree::Text(text) => text.replace('\0', "\u{FFFD}"),
        Tree::Number(number) => number.to_string(),
        _ => return None,
    };
    let key = Key::new(id(item, "customer_id")?, id(item, "attribute_id")?);
    Some(Echo { key, value, value_id: id(item, "id") })
}

/// Reads an attribute.
pub(crate) fn attribute(item: &Tree<'_>) -> Option<Attribute> {
    let name = item.get("name")?.text()?.to_owned();
    let kind = item.get("type").and_then(Tree::text).unwrap_or_default().to_owned();
    Some(Attribute { id: id(item, "id")?, name, kind })
}

/// Reads a customer's id.
pub(crate) fn customer(item: &Tree<'_>) -> Option<i64> {
    id(item, "id")
}

/// Reads an id: a number, or a number in a string.
fn id(item: &Tree<'_>, field: &str) -> Option<i64> {
    item.get(field)?.integer()
}

/// Reads the body of the response to a write.
pub(crate) fn upsert_response(status: u16, text: &str) -> Body {
    if (200..300).contains(&status) {
        return page(text, echo).map_or_else(|| unreadable(text), |page| Body::Echoes(page.items));
    }
    error_body(text)
}

/// Reads the body of a response that is no success.
pub(crate) fn error_body(text: &str) -> Body {
    problem(text).unwrap_or_else(|| unreadable(text))
}

/// The beginning of a body that cannot be read.
pub(super) fn unreadable(text: &str) -> Body {
    Body::Unreadable(excerpt(text))
}

/// Reads an error in the API's shape: an object with a title, a detail or errors.
fn problem(text: &str) -> Option<Body> {
    let Tree::Map(fields) = serde_json::from_str(text).ok()? else { return None };
    let (mut title, mut detail, mut errors) = (None, None, None);
    for (name, value) in fields {
        match (&*name, value) {
            ("title", Tree::Text(text)) => title = Some(text),
            ("detail", Tree::Text(text)) => detail = Some(text),
            ("errors", tree) => errors = Some(tree.scalars(ERRORS_MAX)),
            _ => {}
        }
    }
    if title.is_none() && detail.is_none() && errors.is_none() {
        return None;
    }
    let title: Vec<_> = [title, detail].into_iter().flatten().filter(|text| !text.is_empty()).collect();
    let errors = errors.unwrap_or_default();
    Some(Body::Problem {
        title: excerpt(&title.join(": ")),
        errors: errors.into_iter().map(|(field, text)| (excerpt(&field), excerpt(&text))).collect(),
    })
}

/// Cuts a text to at most 2 KiB, between characters, and replaces control characters, which a terminal could obey and
/// Postgres could not save.
pub(super) fn excerpt(text: &str) -> String {
    let end = text.floor_char_boundary(EXCERPT_MAX);
    text[..end].chars().map(|c| if c.is_control() && c != '\n' { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests;
