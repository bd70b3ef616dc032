//! Mends a JSON body that a store wrote wrongly in one of its values, so that the other values of the body can be read:
//! half of a surrogate pair, as of a text that was cut within an emoji, a raw control character, `NaN`, `1e400`.

/// What stands for a character that cannot be read.
const UNREADABLE: &str = "\u{FFFD}";

/// Returns the text with what JSON does not allow within a value replaced. The structure stays as it is.
pub(super) fn mended(text: &str) -> String {
    let mut mended = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' => string(rest, &mut mended),
            c if is_of_word(c) => word(rest, &mut mended),
            c => {
                mended.push(c);
                c.len_utf8()
            }
        };
        rest = &rest[length..];
    }
    mended
}

/// Mends the string at the beginning of the text, and returns its length.
fn string(text: &str, mended: &mut String) -> usize {
    mended.push('"');
    let mut at = 1;
    while let Some(c) = text[at..].chars().next() {
        let rest = &text[at..];
        let (length, kept) = match c {
            '"' => {
                mended.push('"');
                return at + 1;
            }
            '\\' => escape(rest),
            c if c.is_control() && c.is_ascii() => (1, UNREADABLE),
            c => (c.len_utf8(), &rest[..c.len_utf8()]),
        };
        mended.push_str(kept);
        at += length;
    }
    at
}

/// The length of the escape at the beginning of the text, and what it is replaced by.
fn escape(text: &str) -> (usize, &str) {
    let unit = |at: usize| {
        let digits = text.get(at..at + 6)?.strip_prefix("\\u")?;
        u16::from_str_radix(digits, 16).ok()
    };
    match (unit(0), unit(6)) {
        (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => (12, &text[..12]),
        (Some(0xD800..=0xDFFF), _) => (6, UNREADABLE),
        (Some(_), _) => (6, &text[..6]),
        (None, _) => {
            let escaped = text[1..].chars().next().map_or(0, char::len_utf8);
            (1 + escaped, &text[..=escaped])
        }
    }
}

/// Mends the number or name at the beginning of the text, and returns its length. What JSON does not know becomes a
/// string.
fn word(text: &str, mended: &mut String) -> usize {
    let end = text.find(|c| !is_of_word(c)).unwrap_or(text.len());
    let word = &text[..end];
    let is_number = |word: &str| {
        word.parse::<f64>().is_ok_and(f64::is_finite)
            && word.starts_with(|c: char| c == '-' || c.is_ascii_digit())
    };
    if matches!(word, "true" | "false" | "null") || is_number(word) {
        mended.push_str(word);
    } else {
        mended.extend(["\"", word, "\""]);
    }
    end
}

fn is_of_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_json_does_not_allow_in_a_value_is_replaced() {
        for (text, expected) in [
            (r#"["a\ud83d"]"#, "[\"a\u{FFFD}\"]"),
            (r#"["\ude00b", "\ud83d\ude00"]"#, "[\"\u{FFFD}b\", \"\\ud83d\\ude00\"]"),
            ("[\"a\u{1}b\"]", "[\"a\u{FFFD}b\"]"),
            ("{\"v\":NaN,\"w\":-Infinity,\"x\":1e400}", r#"{"v":"NaN","w":"-Infinity","x":"1e400"}"#),
        ] {
            assert_eq!(mended(text), expected);
            assert!(serde_json::from_str::<serde_json::Value>(&mended(text)).is_ok(), "{text}");
        }
    }

    #[test]
    fn good_json_stays_as_it_is() {
        let text = r#"{"a":[1,-2.5e3,true,null,"x\"\\\u00e9é\n"],"b":{}}"#;
        assert_eq!(mended(text), text);
        for cut in 0..text.len() {
            drop(mended(&text[..text.floor_char_boundary(cut)]));
        }
        assert_eq!(mended("<html>"), "<\"html\">");
    }
}
