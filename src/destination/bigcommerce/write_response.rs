//! Reads the body of the response to a write: that of a success shows values, and maybe errors beside them.
//!
//! The API documents no errors in a success. Other endpoints of BigCommerce have them, and so have gateways, in several
//! places: a field such as `errors` or `failed` of the body or of its `meta`, an item of the list with an error or a status
//! of its own (as in a 207), and the list of errors of the V2 API. All of them are looked for.

use std::borrow::Cow;

use super::mask::Mask;
use super::mend;
use super::problem::{Scalars, error_body, unreadable};
use super::tree::{self, Extent, Tree};
use super::wire;
use crate::destination::{Body, Echo, ErrorFields};

/// Fields of a body, of its `data` and of its `meta` that hold errors. A number in such a field is a count.
const ERRORS: [&str; 5] = ["errors", "error", "failed", "failures", "failed_items"];

/// Fields of a body that hold its list of items. A body that is a list is read as the last of them.
const LISTS: [&str; 4] = ["data", "responses", "items", "results"];

/// Reads the body of the response to a write of `sent` values.
pub(crate) fn read(status: u16, text: &str, sent: usize, mask: &Mask) -> Body {
    if !(200..300).contains(&status) {
        return error_body(status, text, mask);
    }
    let Shown { echoes, errors } = shown(text, sent, mask);
    match (echoes, errors.is_empty()) {
        (Some(echoes), true) => Body::Echoes(echoes),
        (None, true) => unreadable(text, mask),
        (echoes, false) => Body::Partial { echoes: echoes.unwrap_or_default(), errors },
    }
}

/// Returns the errors that a list was sent with: such a list proves nothing.
pub(super) fn errors_beside_list(text: &str, mask: &Mask) -> Vec<(String, String)> {
    let (tree, extent) = tree::object(text);
    let mut errors = Errors::new(mask);
    if extent != Extent::Invalid {
        errors.add_beside_items(&tree);
    }
    errors.found.concat()
}

/// What a body shows.
#[derive(Default)]
struct Shown {
    /// `None` if it has no list.
    echoes: Option<Vec<Echo>>,
    errors: Vec<ErrorFields>,
}

/// Reads a body. A value that is no JSON is mended, so that it does not hide the others.
fn shown(text: &str, sent: usize, mask: &Mask) -> Shown {
    let object = match text.trim_start().starts_with('[') {
        true => Cow::Owned(format!("{{\"results\":{text}}}")),
        false => Cow::Borrowed(text),
    };
    let (tree, extent) = tree::object(&object);
    if extent != Extent::Invalid || !object.starts_with('{') {
        return shown_by(&tree, extent, sent, mask);
    }
    let mended = mend::mended(&object);
    let (tree, extent) = tree::object(&mended);
    shown_by(&tree, extent, sent, mask)
}

fn shown_by(tree: &Tree<'_>, extent: Extent, sent: usize, mask: &Mask) -> Shown {
    if extent == Extent::Invalid {
        return Shown::default();
    }
    let list = LISTS.iter().find_map(|name| match tree.get(name) {
        Some(Tree::List(items)) if extent != Extent::Cut => Some((*name, items.as_slice())),
        _ => None,
    });
    let (name, items) = list.unwrap_or_default();
    let echoes: Vec<Echo> = items.iter().filter_map(echo).collect();
    // Only the API's own list proves by being empty that the store shows nothing.
    let echoes = (name == "data" || !echoes.is_empty()).then_some(echoes);
    let mut errors = Errors::new(mask);
    // A body that reports another status, such as 503, is no success.
    if matches!(status(tree), None | Some(200..=299 | 400 | 422)) {
        errors.add_beside_items(tree);
        errors.add_items(items, sent);
    }
    Shown { echoes, errors: errors.found }
}

/// Reads the value of an item, which a list of results wraps.
fn echo(item: &Tree<'_>) -> Option<Echo> {
    let wrapped = || ["data", "body"].iter().find_map(|name| wire::echo(item.get(name)?));
    wire::echo(item).or_else(|| if wire::fails(item) { None } else { wrapped() })
}

fn status(tree: &Tree<'_>) -> Option<i64> {
    tree.get("status").and_then(Tree::integer)
}

/// The errors that were found in a body.
struct Errors<'m> {
    scalars: Scalars<'m>,
    found: Vec<ErrorFields>,
}

impl<'m> Errors<'m> {
    const fn new(mask: &'m Mask) -> Self {
        Self { scalars: Scalars::new(mask), found: Vec::new() }
    }

    /// Adds the errors of the body itself.
    fn add_beside_items(&mut self, tree: &Tree<'_>) {
        for place in [Some(tree), tree.get("meta"), tree.get("data")].into_iter().flatten() {
            for error in ERRORS.iter().filter_map(|name| place.get(name)) {
                match error {
                    Tree::List(errors) => errors.iter().for_each(|error| self.add(error, "")),
                    Tree::Map(_) | Tree::Text(_) => self.add(error, ""),
                    Tree::Null | Tree::Bool(_) | Tree::Number(_) => {}
                }
            }
        }
        if self.found.is_empty() && matches!(status(tree), Some(400 | 422)) {
            ["title", "detail", "message"]
                .iter()
                .filter_map(|name| tree.get(name))
                .for_each(|words| self.add(words, ""));
        }
    }

    /// Adds the errors of single items. If an item does not say which it is, its place in the list says it, unless the
    /// list has no entry for each value that was sent, or is a list of errors only.
    fn add_items(&mut self, items: &[Tree<'_>], sent: usize) {
        let is_in_order = items.len() == sent && !items.iter().all(wire::fails);
        for (at, item) in items.iter().enumerate().filter(|(_, item)| wire::fails(item)) {
            self.add(item, &if is_in_order { at.to_string() } else { String::new() });
        }
    }

    fn add(&mut self, error: &Tree<'_>, path: &str) {
        let fields = self.scalars.of(error, path);
        if !fields.is_empty() {
            self.found.push(fields);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    fn read(text: &str, sent: usize) -> Body {
        super::read(200, text, sent, &Mask::new(Secret::new("tok_s3cret")))
    }

    /// How many values a body shows, and its errors as `path=text`.
    fn partial(text: &str, sent: usize) -> (usize, Vec<String>) {
        let Body::Partial { echoes, errors } = read(text, sent) else {
            panic!("{text}: {:?}", read(text, sent))
        };
        let error = |fields: &ErrorFields| {
            fields.iter().map(|(path, text)| format!("{path}={text}")).collect::<Vec<_>>().join(" ")
        };
        (echoes.len(), errors.iter().map(error).collect())
    }

    const GOOD: &str = r#"{"id":1,"customer_id":7,"attribute_id":3,"attribute_value":"gold"}"#;

    #[test]
    fn the_errors_of_a_success_are_found_wherever_they_are() {
        for (errors, found) in [
            (r#""errors":{"1.value":"bad"}"#, "1.value=bad"),
            (r#""errors":[{"index":1,"message":"bad"}]"#, "index=1 message=bad"),
            (r#""error":{"message":"bad"}"#, "message=bad"),
            (r#""error":"bad""#, "=bad"),
            (r#""failed":[{"customer_id":8,"reason":"bad"}]"#, "customer_id=8 reason=bad"),
            (r#""meta":{"failed":1,"errors":["bad"]}"#, "=bad"),
            (r#""status":422,"title":"bad""#, "=bad"),
        ] {
            let text = format!(r#"{{"data":[{GOOD}],{errors}}}"#);
            assert_eq!(partial(&text, 2), (1, vec![found.to_owned()]), "{text}");
            let text = format!("{{{errors}}}");
            assert_eq!(partial(&text, 2), (0, vec![found.to_owned()]), "{text}");
        }
        for none in [r#""errors":{}"#, r#""error":null"#, r#""failed":[]"#, r#""meta":{"failed":0}"#] {
            let text = format!(r#"{{"data":[{GOOD}],{none}}}"#);
            assert!(matches!(read(&text, 1), Body::Echoes(echoes) if echoes.len() == 1), "{text}");
        }
    }

    #[test]
    fn a_list_of_results_has_a_status_for_each_item() {
        let bad = r#"{"status":422,"message":"bad"}"#;
        let wrapped = format!(r#"{{"status":200,"data":{GOOD}}}"#);
        for text in [
            format!("[{GOOD},{bad}]"),
            format!("[{wrapped},{bad}]"),
            format!(r#"{{"results":[{wrapped},{bad}]}}"#),
            format!(r#"{{"data":[{GOOD},{bad}]}}"#),
        ] {
            assert_eq!(partial(&text, 2), (1, vec!["1.status=422 1.message=bad".to_owned()]), "{text}");
            assert_eq!(partial(&text, 3), (1, vec!["status=422 message=bad".to_owned()]), "{text}");
        }
        let own = r#"{"data":[{"customer_id":8,"attribute_id":3,"attribute_value":"x","errors":["bad"]}]}"#;
        let found = "customer_id=8 attribute_id=3 attribute_value=x errors=bad";
        assert_eq!(partial(own, 1), (0, vec![found.to_owned()]));
    }

    #[test]
    fn a_list_of_errors_only_names_no_item_by_its_place() {
        let bad = r#"{"status":400,"message":"bad"}"#;
        assert_eq!(partial(&format!("[{bad}]"), 1).1, ["status=400 message=bad"]);
        assert_eq!(partial(&format!("[{bad},{bad}]"), 2).1, ["status=400 message=bad"; 2]);
    }

    #[test]
    fn a_body_that_reports_a_failure_is_no_success() {
        let text = r#"{"status":503,"errors":{"1.value":"bad"}}"#;
        assert!(matches!(read(text, 2), Body::Unreadable(_)));
        assert_eq!(read(r#"{"data":[],"errors":{}}"#, 2), Body::Echoes(Vec::new()));
    }
}
