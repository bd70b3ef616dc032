//! `${NAME}` and `${NAME:-default}` in a string, filled from the environment; `$${` stands for `${` itself.
//!
//! Strings are filled after the TOML was parsed, so that a variable's value can never become configuration.

/// Why a string could not be filled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unfilled {
    /// The variable has no value and there is no default.
    Missing(String),
    /// A `${` without its `}`, or with something else than a name in it.
    Malformed,
}

/// The text with every reference replaced. As in a shell, the default also stands in for an empty variable.
pub(super) fn fill(text: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<String, Unfilled> {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        if rest[..at].ends_with('$') {
            filled.push_str(&rest[..at - 1]);
            filled.push_str("${");
            rest = &rest[at + 2..];
            continue;
        }
        filled.push_str(&rest[..at]);
        let (reference, after) = rest[at + 2..].split_once('}').ok_or(Unfilled::Malformed)?;
        filled.push_str(&value_of(reference, env)?);
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}

fn value_of(reference: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<String, Unfilled> {
    let (name, default) = match reference.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (reference, None),
    };
    if !is_name(name) {
        return Err(Unfilled::Malformed);
    }
    match (env(name), default) {
        (Some(value), _) if !value.is_empty() => Ok(value),
        (_, Some(default)) => Ok(default.to_owned()),
        (Some(empty), None) => Ok(empty),
        (None, None) => Err(Unfilled::Missing(name.to_owned())),
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

    fn filled(text: &str) -> Result<String, Unfilled> {
        fill(text, &|name| match name {
            "A" => Some("one".to_owned()),
            "SLY" => Some("\"\n[push]\nworkers = 9 ${A}".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        })
    }

    #[test]
    fn references_are_replaced_and_nothing_else() {
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
            ("${B}", Err(Unfilled::Missing("B".to_owned()))),
            ("${", Err(Unfilled::Malformed)),
            ("${}", Err(Unfilled::Malformed)),
            ("${1A}", Err(Unfilled::Malformed)),
            ("${A B}", Err(Unfilled::Malformed)),
        ];
        for (text, expect) in cases {
            assert_eq!(filled(text), expect.map(str::to_owned), "{text}");
        }
    }

    proptest! {
        #[test]
        fn escaped_text_comes_back_as_it_was(text in "[$\\{\\}A:\\-é ]{0,24}") {
            prop_assert_eq!(filled(&text.replace("${", "$${")), Ok(text));
        }

        #[test]
        fn a_value_is_never_read_again(value in any::<String>()) {
            prop_assert_eq!(fill("a${X}b", &|_| Some(value.clone())), Ok(format!("a{value}b")));
        }

        #[test]
        fn any_text_is_answered(text in "[$\\{\\}A:\\-é ]{0,24}") {
            let _ = filled(&text);
        }
    }
}
