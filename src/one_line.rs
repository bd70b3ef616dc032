//! Text from outside on one line, without anything that could control a terminal or forge a line of a log.

/// Whether a terminal does more than show the character: it controls, breaks the line, or changes the direction.
pub(crate) fn controls(char: char) -> bool {
    char.is_control()
        || matches!(
            char,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}

/// Escapes what controls.
pub(crate) fn one_line(text: &str) -> String {
    escaped(text, controls)
}

/// Escapes what controls, except line breaks.
pub(crate) fn lines(text: &str) -> String {
    escaped(text, |char| controls(char) && char != '\n')
}

/// Escapes what controls, except the escape character of colours.
pub(crate) fn coloured(text: &str) -> String {
    escaped(text, |char| controls(char) && char != '\u{1b}')
}

/// Escapes what controls in JSON, except line breaks: JSON escapes those within its strings itself.
pub(crate) fn json(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        if controls(char) && char != '\n' {
            escaped.push_str(&format!("\\u{:04x}", u32::from(char)));
        } else {
            escaped.push(char);
        }
    }
    escaped
}

fn escaped(text: &str, is_escaped: impl Fn(char) -> bool) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        if is_escaped(char) { escaped.extend(char.escape_default()) } else { escaped.push(char) }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_controls_the_terminal() {
        let evil = "a\n\u{1b}[31mb\u{202e}c\u{2067}\u{85}\r\té 🐈";
        assert_eq!(one_line(evil), r"a\n\u{1b}[31mb\u{202e}c\u{2067}\u{85}\r\té 🐈");
        assert_eq!(lines(evil), format!("a\n{}", one_line(&evil[2..])));
        let value = serde_json::json!({ "a": evil });
        let shown = json(&format!("{value:#}"));
        assert!(!shown.contains(|c: char| controls(c) && c != '\n'), "{shown}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).expect("JSON"), value);
    }
}
