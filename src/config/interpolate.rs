//! Replaces `${NAME}` and `${NAME:-default}` in a string by variables of the environment; `$${` is replaced by `${`.
//!
//! This happens after the TOML was parsed, so that a variable's value cannot add keys.

use std::env::VarError;

use super::Environment;

/// Why a reference could not be replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ReferenceError {
    /// The variable has no value and there is no default.
    Missing(String),
    /// The variable is not UTF-8 text.
    NotText(String),
    /// A `${` without its `}`, or without the name of a variable.
    Malformed,
}

/// Replaces every reference of the text. As in a shell, the default also replaces an empty variable.
pub(super) fn interpolate(text: &str, env: Environment<'_>) -> Result<String, ReferenceError> {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        if rest[..at].ends_with('$') {
            result.push_str(&rest[..at - 1]);
            result.push_str("${");
            rest = &rest[at + 2..];
            continue;
        }
        result.push_str(&rest[..at]);
        let (reference, after) = rest[at + 2..].split_once('}').ok_or(ReferenceError::Malformed)?;
        result.push_str(&value_of(reference, env)?);
        rest = after;
    }
    result.push_str(rest);
    Ok(result)
}

fn value_of(reference: &str, env: Environment<'_>) -> Result<String, ReferenceError> {
    let (name, default) = match reference.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (reference, None),
    };
    if !is_name(name) {
        return Err(ReferenceError::Malformed);
    }
    match (env(name), default) {
        (Err(VarError::NotUnicode(_)), _) => Err(ReferenceError::NotText(name.to_owned())),
        (Ok(value), _) if !value.is_empty() => Ok(value),
        (_, Some(default)) => Ok(default.to_owned()),
        (Ok(empty), None) => Ok(empty),
        (Err(VarError::NotPresent), None) => Err(ReferenceError::Missing(name.to_owned())),
    }
}

fn is_name(text: &str) -> bool {
    !text.starts_with(|c: char| c.is_ascii_digit())
        && !text.is_empty()
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn interpolated(text: &str) -> Result<String, ReferenceError> {
        interpolate(text, &|name| match name {
            "A" => Ok("one".to_owned()),
            "SLY" => Ok("\"\n[push]\nworkers = 9 ${A}".to_owned()),
            "EMPTY" => Ok(String::new()),
            "LATIN1" => Err(VarError::NotUnicode("?".into())),
            _ => Err(VarError::NotPresent),
        })
    }

    #[test]
    fn only_references_are_replaced() {
        let cases = [
            ("", Ok("")),
            ("plain $ and $$ and {A} and $A", Ok("plain $ and $$ and {A} and $A")),
            ("${A}", Ok("one")),
            ("<${A}${A}>", Ok("<oneone>")),
            ("${B:-two}", Ok("two")),
            ("${B:-}", Ok("")),
            ("${A:-two}", Ok("one")),
            ("${EMPTY:-two}", Ok("two")),
            ("${EMPTY}", Ok("")),
            ("$${A}", Ok("${A}")),
            ("$$${A}", Ok("$${A}")),
            ("${SLY}", Ok("\"\n[push]\nworkers = 9 ${A}")),
            ("${B}", Err(ReferenceError::Missing("B".to_owned()))),
            ("${LATIN1}", Err(ReferenceError::NotText("LATIN1".to_owned()))),
            ("${LATIN1:-two}", Err(ReferenceError::NotText("LATIN1".to_owned()))),
            ("${", Err(ReferenceError::Malformed)),
            ("${}", Err(ReferenceError::Malformed)),
            ("${1A}", Err(ReferenceError::Malformed)),
            ("${A B}", Err(ReferenceError::Malformed)),
        ];
        for (text, expect) in cases {
            assert_eq!(interpolated(text), expect.map(str::to_owned), "{text}");
        }
    }

    proptest! {
        #[test]
        fn escaped_references_are_not_replaced(text in "[$\\{\\}A:\\-é ]{0,24}") {
            prop_assert_eq!(interpolated(&text.replace("${", "$${")), Ok(text));
        }

        #[test]
        fn references_in_a_value_are_not_replaced(value in any::<String>()) {
            prop_assert_eq!(interpolate("a${X}b", &|_| Ok(value.clone())), Ok(format!("a{value}b")));
        }

        #[test]
        fn any_text_is_accepted_or_an_error(text in "[$\\{\\}A:\\-é ]{0,24}") {
            let _ = interpolated(&text);
        }
    }
}
