//! An error with its causes in one line.

use std::error::Error;

use crate::one_line::one_line;

/// Writes an error and its causes in one line, with control characters escaped: a cause may have text from outside. A
/// cause that the text already contains is not repeated.
pub(crate) fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        cause = error.source();
    }
    one_line(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_forges_no_line() {
        let error = std::io::Error::other("x\n2026-11-26 ERROR forged\u{202e}");
        assert_eq!(with_causes(&error), r"x\n2026-11-26 ERROR forged\u{202e}");
    }
}
