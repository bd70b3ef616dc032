//! Properties that hold for any bytes from outside: each function panics if its bytes break one.
//!
//! The targets in `fuzz` search for such bytes. The test below repeats the inputs that were kept.

use std::env::VarError;
use std::path::Path;

use crate::config::{Config, Secret};
use crate::destination::bigcommerce::mask::Mask;
use crate::destination::bigcommerce::problem::error_body;
use crate::destination::bigcommerce::{wire, write_response};
use crate::destination::{Body, HttpResponse, Item, Response};
use crate::one_line::controls;
use crate::pgcopy::{CopyDecoder, CopyError};
use crate::record::{Key, SourcePage, VALUE_MAX_CHARS};
use crate::retry::{self, Meaning};
use crate::source::postgres::push;

/// The header of a binary COPY.
const COPY_HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

/// A text that no message may repeat. It is longer than the shown part of an unknown key.
const SECRET: &str = "s3cret/0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJ";

/// The largest number of bytes that are kept of a response's text.
const WORDS_MAX: usize = 2_048;

/// A configuration: any text is accepted or has problems, and no problem repeats a secret, whether it is in the text or
/// comes from the environment (`${T}`). An accepted configuration shows no address and no token.
pub fn config(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let environment = |name: &str| match name {
        "T" => Ok(SECRET.to_owned()),
        _ => Err(VarError::NotPresent),
    };
    for text in [text.replace(SECRET, ""), text.replace("${T}", SECRET)] {
        match Config::parse(&text, Path::new("/folder"), &environment) {
            Ok(config) => {
                assert!((1..=3).contains(&config.push.workers));
                assert!((1..=10).contains(&config.push.customers_per_request));
                assert!(config.push.backoff <= config.push.backoff_max);
                assert!((0.0..=0.95).contains(&config.push.quota_reserve));
                assert_eq!(format!("{:?} {:?}", config.source.url, config.store.access_token), "*** ***");
            }
            Err(errors) => {
                assert!(!errors.problems.is_empty());
                assert!(!errors.to_string().contains(SECRET), "the secret is shown");
            }
        }
    }
}

/// Rows in Postgres' binary COPY: the rows and the end are the same for any size of the chunks. The first byte is the
/// size, and whether the header is put before the rest.
pub fn copy(bytes: &[u8]) {
    let Some((first, rest)) = bytes.split_first() else { return };
    let header = if first & 1 == 0 { COPY_HEADER } else { &[] };
    let bytes = [header, rest].concat();
    let whole = decoded(&bytes, bytes.len().max(1));
    assert_eq!(decoded(&bytes, usize::from(first >> 1) + 1), whole);
    assert_eq!(decoded(&bytes, 1), whole);
}

type Row = (Option<i64>, Option<i64>, Option<String>);

fn decoded(bytes: &[u8], size: usize) -> (Vec<Row>, Result<(), CopyError>) {
    let mut decoder = CopyDecoder::default();
    let mut page = SourcePage::default();
    let end =
        bytes.chunks(size).try_for_each(|chunk| decoder.feed(chunk, |fields| push(&mut page, fields, None)));
    let end = end.and_then(|()| decoder.finish());
    let row = |at| {
        let row = page.row(at);
        (row.customer_id, row.attribute_id, row.value.map(str::to_owned))
    };
    ((0..page.len()).map(row).collect(), end)
}

/// A list of the store: every echo can be saved in a ledger, and items that cannot be read are counted. Any text can be
/// sent as a value, and its echo is the same.
pub fn wire(bytes: &[u8]) {
    let (text, mask) = (String::from_utf8_lossy(bytes), Mask::new(Secret::new(SECRET)));
    let echoes = match write_response::read(200, &text, 3, &mask) {
        Body::Echoes(echoes) | Body::Partial { echoes, .. } => echoes,
        _ => Vec::new(),
    };
    assert!(echoes.iter().all(|echo| !echo.value.contains('\0')));
    if let Some(page) = wire::page(&text, wire::echo) {
        assert!(page.items.iter().all(|echo| echoes.contains(echo)));
        for read in [wire::page(&text, |_| Some(())), wire::page(&text, |_| None)] {
            let read = read.expect("a page does not depend on its items");
            assert_eq!(read.items.len() + read.unread, page.items.len() + page.unread);
        }
    }
    wire::page(&text, |item| wire::attribute(item, &mask));
    wire::page(&text, wire::customer);

    let text: String = text.chars().filter(|c| *c != '\0').take(VALUE_MAX_CHARS).collect();
    let item = Item { key: Key::new(7, 3), value: &text };
    let sent = wire::upsert_body(&[item]).expect("any text can be sent");
    let sent = String::from_utf8(sent).expect("JSON is UTF-8");
    let response = format!("{{\"data\": {}}}", sent.replace("\"value\":", "\"attribute_value\":"));
    let echoed = wire::page(&response, wire::echo).expect("a page");
    if !text.contains("\"value\":") {
        assert_eq!(echoed.items.first().map(|echo| echo.value.as_str()), Some(text.as_str()));
    }
}

/// An error response, with its status in the first two bytes: it has a meaning, the items that it names are in the
/// request, and the text that is kept is short, without control characters.
pub fn problem(bytes: &[u8]) {
    let Some((status, rest)) = bytes.split_first_chunk() else { return };
    let status = 100 + u16::from_be_bytes(*status) % 500;
    let (text, mask) = (String::from_utf8_lossy(rest), Mask::new(Secret::new(SECRET)));
    for body in [write_response::read(status, &text, 3, &mask), error_body(status, &text, &mask)] {
        let response = Response::Received(HttpResponse { status, request_id: None, wait: None, body });
        for items in [1, 10, 500] {
            if let Meaning::Refused(named) = retry::meaning(&response, items) {
                assert!(matches!(status, 400 | 409 | 422));
                assert!(named.is_sorted_by(|a, b| a < b) && named.iter().all(|index| *index < items));
            }
        }
        for words in [response.describe(), response.to_string()] {
            assert!(words.starts_with(&status.to_string()) && words.len() <= WORDS_MAX + 4, "{words}");
            assert!(!words.contains(controls), "{words:?}");
        }
        assert!(response.describe().len() <= WORDS_MAX);
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    /// The kept inputs of a target.
    fn corpus(target: &str) -> Vec<Vec<u8>> {
        let folder: PathBuf = [env!("CARGO_MANIFEST_DIR"), "fuzz", "corpus", target].iter().collect();
        let files =
            std::fs::read_dir(&folder).expect("a corpus").map(|entry| entry.expect("an entry").path());
        let kept: Vec<_> = files.map(|file| std::fs::read(file).expect("a readable file")).collect();
        assert!(kept.len() > 3, "{} was not found", folder.display());
        kept
    }

    #[test]
    fn kept_inputs_break_no_property() {
        corpus("config").iter().for_each(|bytes| super::config(bytes));
        corpus("copy").iter().for_each(|bytes| super::copy(bytes));
        corpus("wire").iter().for_each(|bytes| super::wire(bytes));
        corpus("problem").iter().for_each(|bytes| super::problem(bytes));
    }
}
