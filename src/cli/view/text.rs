//! Values, numbers and times as a person reads them.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use crate::one_line::controls;
use crate::record::InvalidRow;

/// Returns a value in quotes, on one line, without anything that could control a terminal.
pub(crate) fn quoted(value: &str) -> String {
    let mut text = String::with_capacity(value.len() + 2);
    text.push('"');
    for char in value.chars() {
        match char {
            '"' | '\\' => text.extend(['\\', char]),
            _ if controls(char) => text.extend(char.escape_default()),
            _ => text.push(char),
        }
    }
    text.push('"');
    text
}

/// The most characters of a value that a list shows.
const BRIEF: usize = 60;

/// Returns a value in quotes for a list: only the beginning of a long one.
pub(crate) fn brief(value: &str) -> String {
    match value.char_indices().nth(BRIEF) {
        Some((end, _)) => quoted(&value[..end]) + "…",
        None => quoted(value),
    }
}

/// Returns what was sent for a value, for a list: the value, or that it was a delete.
pub(crate) fn brief_or_delete(value: Option<&str>) -> String {
    value.map_or_else(|| "(delete)".to_owned(), brief)
}

pub(crate) use crate::duration_text::{duration, whole_seconds};
pub(crate) use crate::one_line::one_line as tame;

/// Returns the beginning of a text that is at most so many columns wide.
pub(crate) fn cut(text: &str, columns: usize) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    let mut width = 0;
    let fits = |char: &char| {
        width += char.width().unwrap_or(0);
        width < columns
    };
    let mut cut: String = text.chars().take_while(fits).collect();
    if columns > 0 {
        cut.push('…');
    }
    cut
}

/// Returns a text in lines of at most so many columns. A longer word has a line of its own.
pub(crate) fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split(' ') {
        if !line.is_empty() {
            if line.width() + 1 + word.width() > columns {
                lines.push(std::mem::take(&mut line));
            } else {
                line.push(' ');
            }
        }
        line += word;
    }
    lines.push(line);
    lines
}

/// `loyalty_tier (1)`, or the id alone if no name is known.
pub(crate) fn attribute_name(id: i64, names: &BTreeMap<i64, String>) -> String {
    names.get(&id).map_or_else(|| id.to_string(), |name| format!("{} ({id})", tame(name)))
}

/// `customer 12 · attribute NULL`: the key of a row that cannot be sent.
pub(crate) fn invalid_key(row: &InvalidRow) -> String {
    let id = |id: Option<i64>| id.map_or("NULL".to_owned(), |id| id.to_string());
    format!("customer {} · attribute {}", id(row.customer_id), id(row.attribute_id))
}

/// `12,345`.
pub(crate) fn number(number: impl TryInto<i128>) -> String {
    let Ok(number) = number.try_into() else { return "?".to_owned() };
    let digits = number.unsigned_abs().to_string();
    let mut text = if number < 0 { "-".to_owned() } else { String::new() };
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 call`, `2 calls`.
pub(crate) fn counted(count: u64, noun: &str) -> String {
    format!("{} {noun}{}", number(count), if count == 1 { "" } else { "s" })
}

/// Returns a time to the second: `2026-01-02 03:04:05`.
pub(crate) fn moment(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_cannot_control_the_terminal() {
        for (value, shown) in [
            ("gold", r#""gold""#),
            ("", r#""""#),
            ("a\"b\\", r#""a\"b\\""#),
            ("\u{1b}[31mred\n", r#""\u{1b}[31mred\n""#),
            ("\u{202e}evil", r#""\u{202e}evil""#),
            ("Zoë 🐈", r#""Zoë 🐈""#),
        ] {
            assert_eq!(quoted(value), shown);
        }
        assert_eq!(tame("two\nlines \"x\""), "two\\nlines \"x\"");
    }

    #[test]
    fn a_long_value_is_cut_in_lists() {
        assert_eq!(brief(&"é".repeat(BRIEF)), format!("\"{}\"", "é".repeat(BRIEF)));
        assert_eq!(brief(&"é".repeat(300)), format!("\"{}\"…", "é".repeat(BRIEF)));
    }

    #[test]
    fn wide_characters_count_twice() {
        assert_eq!(cut("数据库正在启动", 7), "数据库…");
    }

    #[test]
    fn numbers_are_grouped() {
        for (value, shown) in
            [(0, "0"), (999, "999"), (1000, "1,000"), (-1_234_567, "-1,234,567"), (100_000, "100,000")]
        {
            assert_eq!(number(value), shown);
        }
        assert_eq!((counted(1, "call"), counted(2000, "call")), ("1 call".into(), "2,000 calls".into()));
    }
}
