//! Removes the access token, and values where they must not be shown, from what the store sends: a gateway may repeat
//! its request.
//!
//! Texts are masked after JSON is decoded and before they are cut, so that no part of the token stays.

use std::borrow::Cow;

use crate::config::Secret;

/// Shorter tokens occur in tests only. Removing them could change unrelated text.
const TOKEN_MIN: usize = 8;

/// The token that no message may show: as it is, and in the forms that it takes within a text in base64.
#[derive(Debug, Clone)]
pub(crate) struct Mask(Vec<Secret>);

impl Mask {
    /// A mask of this token.
    pub(crate) fn new(token: Secret) -> Self {
        if token.expose().len() < TOKEN_MIN {
            return Self(Vec::new());
        }
        let in_base64: Vec<Secret> =
            (0..3).map(|before| Secret::new(base64_within(token.expose().as_bytes(), before))).collect();
        Self([token].into_iter().chain(in_base64).collect())
    }

    /// Replaces the token by `***`, in either case of its letters, also if line breaks divide it, and if some of its
    /// characters are escaped as JSON, HTML or a URL escapes them. For messages only: a value that equals the token is a
    /// value.
    pub(crate) fn clean<'a>(&self, text: impl Into<Cow<'a, str>>) -> Cow<'a, str> {
        self.0.iter().fold(text.into(), |text, form| {
            match replace(&text, form.expose(), "***", |_, _| true) {
                Some(clean) => Cow::Owned(clean),
                None => text,
            }
        })
    }
}

/// Returns the part of a text in base64 that these bytes alone determine, if `before` more bytes than a multiple of three
/// come before them.
fn base64_within(bytes: &[u8], before: usize) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bit = |at: usize| (bytes[at / 8 - before] >> (7 - at % 8)) & 1;
    let first = (before * 8).div_ceil(6);
    let last = (before + bytes.len()) * 8 / 6;
    let digit = |at: usize| (at * 6..at * 6 + 6).fold(0, |digit, at| (digit << 1) | bit(at));
    (first..last).map(|at| char::from(DIGITS[usize::from(digit(at))])).collect()
}

/// Replaces the values of a request by `…` in a title of the store, because titles are shown where values must not be.
/// Shorter values than three characters say little of a customer and occur in any text; a value within a word is another
/// word.
pub(super) fn without_values<'v>(title: &str, values: impl Iterator<Item = &'v str>) -> String {
    let is_inner = |c: char| c.is_alphanumeric();
    let is_whole = |before: &str, after: &str| !(before.ends_with(is_inner) || after.starts_with(is_inner));
    let values = values.filter(|value| value.chars().nth(2).is_some());
    values.fold(title.to_owned(), |title, value| replace(&title, value, "…", is_whole).unwrap_or(title))
}

/// Replaces what is secret wherever it is, if `accept` says so of the text before and after it. `None` if it is nowhere.
fn replace(text: &str, secret: &str, by: &str, accept: impl Fn(&str, &str) -> bool) -> Option<String> {
    let mut clean = String::new();
    let (mut kept, mut at) = (0, 0);
    while let Some(next) = text[at..].chars().next() {
        match length(&text[at..], secret).filter(|length| accept(&text[..at], &text[at + length..])) {
            Some(length) => {
                clean += &text[kept..at];
                clean += by;
                at += length;
                kept = at;
            }
            None => at += next.len_utf8(),
        }
    }
    clean += &text[kept..];
    (kept > 0).then_some(clean)
}

/// Returns the length of what is secret at the beginning of the text, if it is there. Line breaks may divide it.
fn length(text: &str, secret: &str) -> Option<usize> {
    let mut rest = text;
    for (at, expected) in secret.chars().enumerate() {
        let broken = || if at > 0 { after_line_break(rest) } else { None };
        rest = without_first(rest, expected).or_else(|| without_first(broken()?, expected))?;
    }
    Some(text.len() - rest.len())
}

/// The text behind this character, in either case and maybe escaped, if it begins with it.
fn without_first(text: &str, expected: char) -> Option<&str> {
    let matches = |c: char| c.eq_ignore_ascii_case(&expected);
    let escaped = escaped(text).filter(|(found, _)| matches(*found)).map(|(_, rest)| rest);
    escaped.or_else(|| text.strip_prefix(matches))
}

/// The text behind the white space at its beginning, if that has a line break, which may be escaped. The next line may
/// be indented.
fn after_line_break(text: &str) -> Option<&str> {
    let (mut rest, mut is_broken) = (text, false);
    loop {
        let (found, next) = match escaped(rest) {
            Some((found, next)) => (if found == 'n' || found == 'r' { '\n' } else { found }, next),
            None => (rest.chars().next()?, rest.get(1..).unwrap_or_default()),
        };
        match found {
            '\n' | '\r' => is_broken = true,
            ' ' | '\t' => {}
            _ => return is_broken.then_some(rest),
        }
        rest = next;
    }
}

/// Reads an escaped character at the beginning of the text, and returns it with the text behind it.
fn escaped(text: &str) -> Option<(char, &str)> {
    let hex = |digits: &str| char::from_u32(u32::from_str_radix(digits, 16).ok()?);
    match text.as_bytes().first()? {
        b'%' => Some((hex(text.get(1..3)?)?, &text[3..])),
        b'\\' => {
            // JSON within JSON has its backslashes doubled.
            let escape = text.trim_start_matches('\\');
            match escape.strip_prefix('u') {
                Some(digits) => Some((hex(digits.get(..4)?)?, &digits[4..])),
                None => Some((escape.chars().next()?, &escape[escape.chars().next()?.len_utf8()..])),
            }
        }
        b'&' => {
            let (name, rest) = text.get(1..)?.split_once(';')?;
            let char = match name.strip_prefix('#') {
                Some(number) => match number.strip_prefix(['x', 'X']) {
                    Some(digits) => hex(digits)?,
                    None => char::from_u32(number.parse().ok()?)?,
                },
                None => named(name)?,
            };
            Some((char, rest))
        }
        _ => None,
    }
}

/// The character of an HTML entity, among those that a token may need.
fn named(name: &str) -> Option<char> {
    Some(match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        "plus" => '+',
        "sol" => '/',
        "equals" => '=',
        "lowbar" => '_',
        "period" => '.',
        "colon" => ':',
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clean(token: &str, text: &str) -> String {
        Mask::new(Secret::new(token)).clean(text).into_owned()
    }

    #[test]
    fn promise_11_the_token_is_masked_however_it_is_escaped() {
        for (token, text) in [
            ("tok_s3cret", "tok_s3cret"),
            ("tok_s3cret", "TOK_S3CRET"),
            ("tok_s3cret", r"tok_\u00733cret"),
            ("tok_s3cret", r"tok_\\u00733\\u0063ret"),
            ("tok_s3cret", "tok&#95;s3cr&#x65;t"),
            ("tok_s3cret", "tok%5Fs3cret"),
            ("abc/def/ghi", r"abc\/def\/ghi"),
            ("abc/def/ghi", "abc%2fdef%2Fghi"),
            ("abc+def+ghi", r"abc\u002Bdef\u002bghi"),
            ("abc+def&ghi", "abc&plus;def&amp;ghi"),
            ("abc%2Fdefghi", "abc%2Fdefghi"),
            (r"abc\def\ghi", r"abc\def\ghi"),
        ] {
            assert_eq!(clean(token, text), "***", "{token} in {text}");
            assert_eq!(clean(token, &format!("é {text} and {text}.")), "é *** and ***.");
            assert_eq!(clean(token, &format!("{}{text}", &token[..3])), format!("{}***", &token[..3]));
        }
    }

    #[test]
    fn promise_11_the_token_is_masked_if_lines_are_broken_in_it() {
        for text in ["tok_s\n3cret", "tok_\r\n  s3cret", r"tok_\ns3cret", "tok_%0As3cret", "tok&#10;_s3cret"]
        {
            assert_eq!(clean("tok_s3cret", &format!("a {text} b")), "a *** b", "{text:?}");
        }
        assert_eq!(clean("tok_s3cret", "tok_ s3cret"), "tok_ s3cret");
    }

    #[test]
    fn promise_11_the_token_is_masked_in_base64() {
        // "tok_s3cret", and with "u:" and "us:" before and "!" behind it.
        for text in
            ["dG9rX3MzY3JldA==", "dTp0b2tfczNjcmV0IQ==", "dXM6dG9rX3MzY3JldCE=", "dG9rX3Mz\r\nY3JldA=="]
        {
            let shown = clean("tok_s3cret", &format!("got {text}."));
            assert!(shown.contains("***") && shown.len() <= "got dXM6***dCE=.".len(), "{text}: {shown}");
        }
    }

    #[test]
    fn promise_11_a_title_shows_no_value_of_its_request() {
        let values = ["Ann Lee", "<b>x</b>", "12", "", "gold"];
        for (title, shown) in [
            ("bad value: Ann Lee", "bad value: …"),
            ("'ann lee' and \"gold\", gold", "'…' and \"…\", …"),
            ("blocked &lt;b&gt;x&lt;/b&gt;", "blocked …"),
            ("12 marigolds, Ann", "12 marigolds, Ann"),
        ] {
            assert_eq!(without_values(title, values.into_iter()), shown);
        }
    }

    #[test]
    fn other_text_stays() {
        for text in
            ["", "tok_s3cre", "tok_s3cre and t", "100 % &c; &#; %é \\", "&#99999999999;", "%2", r"\u00"]
        {
            assert_eq!(clean("tok_s3cret", text), text);
        }
        assert_eq!(clean("short", "short"), "short");
    }
}
