//! The API's bodies: what is sent, and what can be made of what comes back.
//!
//! Answers are read leniently, since the API may grow fields without notice and its gateways speak HTML. A
//! request says `value` where an answer says `attribute_value`.

use serde::Serialize;

use super::tree::Tree;
use crate::destination::{Attribute, Body, Echo, Item};
use crate::record::Key;

/// So much is kept of a text that the store wrote for nobody in particular.
const EXCERPT_MAX: usize = 2048;

/// So many of a problem's errors are kept.
const ERRORS_MAX: usize = 500;

#[derive(Serialize)]
struct WireItem<'a> {
    customer_id: i64,
    attribute_id: i64,
    value: &'a str,
}

/// The body of a write. The value's own id is left out: what the store makes of one is not documented.
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
    /// The items that could be read, in the answer's order.
    pub(crate) items: Vec<T>,
    /// How many could not.
    pub(crate) unread: usize,
    /// How many pages there are, where the answer tells.
    pub(crate) total_pages: Option<u64>,
}

/// Reads a list; `None` unless the text is JSON with a `data` array.
pub(crate) fn page<T>(text: &str, read: impl Fn(&Tree<'_>) -> Option<T>) -> Option<Page<T>> {
    let answer: Tree<'_> = serde_json::from_str(text).ok()?;
    let Tree::List(data) = answer.get("data")? else { return None };
    let items: Vec<T> = data.iter().filter_map(read).collect();
    let pagination = answer.get("meta").and_then(|meta| meta.get("pagination"));
    let total_pages = match pagination.and_then(|pagination| pagination.get("total_pages")) {
        Some(Tree::Number(pages)) => pages.as_u64(),
        _ => None,
    };
    Some(Page { unread: data.len() - items.len(), items, total_pages })
}

/// A value of the store. NUL becomes U+FFFD, since no Postgres ledger could hold it.
pub(crate) fn echo(item: &Tree<'_>) -> Option<Echo> {
    let value = match item.get("attribute_value")? {
        Tree::Text(text) => text.replace('\0', "\u{FFFD}"),
        Tree::Number(number) => number.to_string(),
        _ => return None,
    };
    let key = Key::new(id(item, "customer_id")?, id(item, "attribute_id")?);
    Some(Echo { key, value, value_id: id(item, "id") })
}

/// An attribute of the store.
pub(crate) fn attribute(item: &Tree<'_>) -> Option<Attribute> {
    let name = item.get("name")?.text()?.to_owned();
    let kind = item.get("type").and_then(Tree::text).unwrap_or_default().to_owned();
    Some(Attribute { id: id(item, "id")?, name, kind })
}

/// A customer's id.
pub(crate) fn customer(item: &Tree<'_>) -> Option<i64> {
    id(item, "id")
}

/// An id: a number, or a number in a string.
fn id(item: &Tree<'_>, field: &str) -> Option<i64> {
    item.get(field)?.integer()
}

/// What the answer to a write says.
pub(crate) fn upsert_reply(status: u16, text: &str) -> Body {
    if (200..300).contains(&status) {
        return page(text, echo).map_or_else(|| unreadable(text), |page| Body::Echoes(page.items));
    }
    refusal(text)
}

/// What an answer without a list says.
pub(crate) fn refusal(text: &str) -> Body {
    problem(text).unwrap_or_else(|| unreadable(text))
}

/// The beginning of a body that nothing else can be made of.
pub(super) fn unreadable(text: &str) -> Body {
    Body::Unreadable(excerpt(text))
}

/// An error in the API's shape: an object with a title, a detail or errors.
fn problem(text: &str) -> Option<Body> {
    let Tree::Map(fields) = serde_json::from_str(text).ok()? else { return None };
    let (mut title, mut detail, mut errors) = (None, None, None);
    for (name, value) in fields {
        match (&*name, value) {
            ("title", Tree::Text(text)) => title = Some(text),
            ("detail", Tree::Text(text)) => detail = Some(text),
            ("errors", tree) => errors = Some(tree.leaves(ERRORS_MAX)),
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

/// At most 2 KiB of a text, cut between characters, with everything replaced that a terminal or a database
/// could choke on.
pub(super) fn excerpt(text: &str) -> String {
    let end = text.floor_char_boundary(EXCERPT_MAX);
    text[..end].chars().map(|c| if c.is_control() && c != '\n' { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests;
