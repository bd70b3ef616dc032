//! Removes the access token, and values where they must not be shown, from what the store sends: a gateway may repeat
//! its request.
//!
//! Texts are masked after JSON is decoded and before they are cut, so that no part of the token stays.

use std::borrow::Cow;

use crate::config::Secret;

/// Shorter tokens occur in tests only. Removing them could change unrelated text.
const TOKEN_MIN: usize = 8;

/// The token that no text may show.
#[derive(Debug, Clone)]
pub(crate) struct Mask(Secret);

impl Mask {
    /// A mask of this token.
    pub(crate) const fn new(token: Secret) -> Self {
        Self(token)
    }

    /// Replaces the token by `***`, in either case of its letters, and also if some of its characters are escaped as
    /// JSON, HTML or a URL escapes them.
    pub(crate) fn clean<'a>(&self, text: impl Into<Cow<'a, str>>) -> Cow<'a, str> {
        let (text, token) = (text.into(), self.0.expose());
        if token.len() < TOKEN_MIN || text.len() < token.len() {
            return text;
        }
        match replace(&text, token, "***", |_, _| true) {
            Some(clean) => Cow::Owned(clean),
            None => text,
        }
    }
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

/// Returns the length of what is secret at the beginning of the text, if it is there.
fn length(text: &str, secret: &str) -> Option<usize> {
    let mut rest = text;
    for expected in secret.chars() {
        let matches = |c: char| c.eq_ignore_ascii_case(&expected);
        let escaped = escaped(rest).filter(|(found, _)| matches(*found)).map(|(_, rest)| rest);
        rest = escaped.or_else(|| rest.strip_prefix(matches))?;
    }
    Some(text.len() - rest.len())
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
