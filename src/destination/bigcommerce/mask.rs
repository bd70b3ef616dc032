//! Removes the access token from what the store sends, because a gateway may repeat its request.
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
        let mut clean = String::new();
        let mut kept = 0;
        while let Some((start, end)) = find(&text, kept, token) {
            clean += &text[kept..start];
            clean += "***";
            kept = end;
        }
        if kept == 0 {
            return text;
        }
        clean += &text[kept..];
        Cow::Owned(clean)
    }
}

/// Finds the token at or after `from`, and returns where it starts and ends.
fn find(text: &str, from: usize, token: &str) -> Option<(usize, usize)> {
    let starts = text[from..].char_indices().map(|(at, _)| from + at);
    starts.filter_map(|start| Some((start, start + token_length(&text[start..], token)?))).next()
}

/// Returns the length of the token at the beginning of the text, if it is there.
fn token_length(text: &str, token: &str) -> Option<usize> {
    let mut rest = text;
    for expected in token.chars() {
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
    fn other_text_stays() {
        for text in
            ["", "tok_s3cre", "tok_s3cre and t", "100 % &c; &#; %é \\", "&#99999999999;", "%2", r"\u00"]
        {
            assert_eq!(clean("tok_s3cret", text), text);
        }
        assert_eq!(clean("short", "short"), "short");
    }
}
