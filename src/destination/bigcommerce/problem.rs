//! Reads the body of a response that is no success.
//!
//! Whatever the store sends, little of it is kept: 2 KiB of a text, 500 errors, 64 KiB in all.

use std::borrow::Cow;

use super::mask::Mask;
use super::tree::{self, Extent, Tree};
use crate::destination::Body;
use crate::one_line::controls;

/// The longest text that is kept, in bytes.
const EXCERPT_MAX: usize = 2048;

/// The longest name of an error's field that is kept, with the names around it, in bytes.
const FIELD_MAX: usize = 256;

/// The largest number of errors that are kept.
const ERRORS_MAX: usize = 500;

/// The size of all errors that are kept, in bytes, besides the last one.
const ERRORS_SIZE_MAX: usize = 64 * 1024;

/// Reads the body of a response that is no success.
pub(crate) fn error_body(text: &str, mask: &Mask) -> Body {
    problem(text, mask).unwrap_or_else(|| unreadable(text, mask))
}

/// The beginning of a body that cannot be read.
pub(super) fn unreadable(text: &str, mask: &Mask) -> Body {
    Body::Unreadable(excerpt(&mask.clean(text)))
}

/// Reads an error in the API's shape: an object with a title, a detail or errors. One that was cut is read up to its
/// end.
fn problem(text: &str, mask: &Mask) -> Option<Body> {
    let (body, extent) = tree::object(text, mask);
    if extent == Extent::Invalid {
        return None;
    }
    let (title, detail) = (body.get("title").and_then(Tree::text), body.get("detail").and_then(Tree::text));
    let errors = body.get("errors");
    if title.is_none() && detail.is_none() && errors.is_none() {
        return None;
    }
    let title: Vec<_> = [title, detail].into_iter().flatten().filter(|text| !text.is_empty()).collect();
    Some(Body::Problem { title: excerpt(&title.join(": ")), errors: errors.map(scalars).unwrap_or_default() })
}

/// Reads the errors in the body of a success; `None` if it has none. A body that reports another status,
/// such as 503, is no such success.
pub(super) fn of_success(text: &str, mask: &Mask) -> Option<Vec<(String, String)>> {
    if !text.contains("\"errors\"") {
        return None;
    }
    let (body, extent) = tree::object(text, mask);
    let status = body.get("status").and_then(Tree::integer);
    let is_about_items = matches!(status, None | Some(200..=299 | 400 | 422));
    if extent == Extent::Invalid || !is_about_items {
        return None;
    }
    body.get("errors").map(scalars).filter(|errors| !errors.is_empty())
}

/// Returns the scalars of a tree, each with its path and as text: for `{"0": {"value": "too long"}}`, the scalar
/// `("0.value", "too long")`. A path has no index of an array, because it could be taken for an item's index.
fn scalars(tree: &Tree<'_>) -> Vec<(String, String)> {
    let mut scalars = Scalars { found: Vec::new(), size: 0 };
    scalars.collect(tree, &mut String::new());
    scalars.found
}

struct Scalars {
    found: Vec<(String, String)>,
    size: usize,
}

impl Scalars {
    fn collect(&mut self, tree: &Tree<'_>, path: &mut String) {
        if self.found.len() >= ERRORS_MAX || self.size >= ERRORS_SIZE_MAX {
            return;
        }
        let text = match tree {
            Tree::List(items) => return items.iter().for_each(|item| self.collect(item, path)),
            Tree::Map(fields) => {
                for (name, value) in fields {
                    let outer = path.len();
                    if (1..FIELD_MAX).contains(&outer) {
                        path.push('.');
                    }
                    path.push_str(cut(name, FIELD_MAX.saturating_sub(path.len())));
                    self.collect(value, path);
                    path.truncate(outer);
                }
                return;
            }
            Tree::Null => Cow::Borrowed(""),
            Tree::Bool(value) => Cow::Owned(value.to_string()),
            Tree::Number(number) => Cow::Owned(number.to_string()),
            Tree::Text(text) => Cow::Borrowed(&**text),
        };
        if !(path.is_empty() && text.is_empty()) {
            let scalar = (excerpt(path), excerpt(&text));
            self.size += scalar.0.len() + scalar.1.len();
            self.found.push(scalar);
        }
    }
}

/// Cuts a text to at most 2 KiB, between characters, and replaces what a terminal could obey, what could forge a line of
/// a log, and what Postgres could not save.
fn excerpt(text: &str) -> String {
    cut(text, EXCERPT_MAX).chars().map(|c| if controls(c) { ' ' } else { c }).collect()
}

/// The beginning of a text, at most `max` bytes, cut between characters.
fn cut(text: &str, max: usize) -> &str {
    &text[..text.floor_char_boundary(max)]
}

#[cfg(test)]
mod tests;
