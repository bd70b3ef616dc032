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

/// Reads the body of a response of this status, which is no success.
pub(crate) fn error_body(status: u16, text: &str, mask: &Mask) -> Body {
    let problem =
        if text.trim_start().starts_with('[') { listed(text, mask) } else { problem(status, text, mask) };
    problem.unwrap_or_else(|| unreadable(text, mask))
}

/// The beginning of a body that cannot be read.
pub(super) fn unreadable(text: &str, mask: &Mask) -> Body {
    // Far more than is kept, so that no part of a token at the cut is.
    Body::Unreadable(excerpt(&mask.clean(cut(text, 64 * EXCERPT_MAX))))
}

/// Reads an error in the API's shape: an object with a title, a detail or errors. One that was cut is read up to its
/// end. A 400 or 422 may have an `error` instead, as those of gateways have: it is about the request in any case.
fn problem(status: u16, text: &str, mask: &Mask) -> Option<Body> {
    let (body, extent) = tree::object(text);
    if extent == Extent::Invalid {
        return None;
    }
    let (title, detail) = (body.get("title").and_then(Tree::text), body.get("detail").and_then(Tree::text));
    let error = || body.get("error").filter(|_| matches!(status, 400 | 422));
    let errors = body.get("errors").or_else(error);
    if title.is_none() && detail.is_none() && errors.is_none() {
        return None;
    }
    let title: Vec<_> = [title, detail].into_iter().flatten().filter(|text| !text.is_empty()).collect();
    let errors = errors.map(|errors| Scalars::new(mask).of(errors, "")).unwrap_or_default();
    Some(Body::Problem { title: excerpt(&mask.clean(title.join(": "))), errors })
}

/// Reads the list of errors of the V2 API: `[{"status":400,"message":"…","details":{…}}]`.
fn listed(text: &str, mask: &Mask) -> Option<Body> {
    let object = format!("{{\"errors\":{text}}}");
    let (body, _) = tree::object(&object);
    let Tree::List(entries) = body.get("errors")? else { return None };
    let is_error = |entry: &Tree<'_>| {
        let status = entry.get("status").and_then(Tree::integer);
        status.is_some_and(|status| (400..600).contains(&status)) && entry.get("message").is_some()
    };
    if entries.is_empty() || !entries.iter().all(is_error) {
        return None;
    }
    let messages = entries.iter().filter_map(|entry| entry.get("message")?.text());
    let title = messages.take(ERRORS_MAX).collect::<Vec<_>>().join("; ");
    let mut scalars = Scalars::new(mask);
    let details = entries.iter().filter_map(|entry| entry.get("details"));
    let errors = details.flat_map(|details| scalars.of(details, "")).collect();
    Some(Body::Problem { title: excerpt(&mask.clean(title)), errors })
}

/// Reads the scalars of trees, each with its path and as text: of `{"0": {"value": "too long"}}`, the scalar
/// `("0.value", "too long")`. A path has no index of an array, because it could be taken for an item's index. The token
/// is masked before a text is cut.
pub(super) struct Scalars<'m> {
    mask: &'m Mask,
    count: usize,
    size: usize,
}

impl<'m> Scalars<'m> {
    pub(super) const fn new(mask: &'m Mask) -> Self {
        Self { mask, count: 0, size: 0 }
    }

    /// Returns the scalars of a tree at this path, as far as there is room for them.
    pub(super) fn of(&mut self, tree: &Tree<'_>, path: &str) -> Vec<(String, String)> {
        let mut found = Vec::new();
        self.collect(tree, &mut path.to_owned(), &mut found);
        found
    }

    fn collect(&mut self, tree: &Tree<'_>, path: &mut String, found: &mut Vec<(String, String)>) {
        if self.count >= ERRORS_MAX || self.size >= ERRORS_SIZE_MAX {
            return;
        }
        let text = match tree {
            Tree::List(items) => return items.iter().for_each(|item| self.collect(item, path, found)),
            Tree::Map(fields) => {
                for (name, value) in fields {
                    let outer = path.len();
                    if (1..FIELD_MAX).contains(&outer) {
                        path.push('.');
                    }
                    path.push_str(cut(&self.mask.clean(&**name), FIELD_MAX.saturating_sub(path.len())));
                    self.collect(value, path, found);
                    path.truncate(outer);
                }
                return;
            }
            Tree::Null => Cow::Borrowed(""),
            Tree::Bool(value) => Cow::Owned(value.to_string()),
            Tree::Number(number) => Cow::Owned(number.to_string()),
            Tree::Text(text) => self.mask.clean(&**text),
        };
        if !(path.is_empty() && text.is_empty()) {
            let scalar = (excerpt(path), excerpt(&text));
            self.count += 1;
            self.size += scalar.0.len() + scalar.1.len();
            found.push(scalar);
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
