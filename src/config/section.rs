//! One table of the file, read key by key. Whatever is wrong is noted and reading goes on, so that a person
//! sees all problems at once.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use toml::{Table, Value};

use super::interpolate::{Unfilled, fill};
use super::problem::Problem;

/// A section of the file, maybe absent, with the place where its problems go.
pub(super) struct Section<'a> {
    pub(super) name: &'static str,
    pub(super) file: &'a Table,
    pub(super) env: &'a dyn Fn(&str) -> Option<String>,
    pub(super) problems: &'a mut Vec<Problem>,
}

impl<'a> Section<'a> {
    /// The same reader, turned to another section.
    pub(super) fn called(&mut self, name: &'static str) -> &mut Self {
        self.name = name;
        self
    }

    /// Notes a problem of one key.
    pub(super) fn problem(&mut self, key: &str, problem: impl Into<String>, hint: impl Into<String>) {
        self.problems.push(Problem::new(format!("{}.{key}", self.name), problem).hint(hint));
    }

    /// Whether the key is there, right or wrong.
    pub(super) fn has(&self, key: &str) -> bool {
        self.value(key).is_some()
    }

    /// A string with its references filled and the white space around it taken off, never empty.
    /// `None` if it is absent, or wrong and noted.
    pub(super) fn text(&mut self, key: &str) -> Option<String> {
        let text = match self.value(key)? {
            Value::String(text) => fill(text, self.env),
            other => {
                let found = kind(other);
                self.problem(key, format!("is {found}"), "it must be a string in quotes");
                return None;
            }
        };
        match text {
            Ok(text) if text.trim().is_empty() => {
                self.problem(key, "is empty", "give it a value, or set the environment variable it names");
                None
            }
            Ok(text) => Some(text.trim().to_owned()),
            Err(Unfilled::Missing(name)) => {
                let hint = format!("set it, or give a default as ${{{name}:-default}}");
                self.problem(key, format!("the environment variable {name} is not set"), hint);
                None
            }
            Err(Unfilled::Malformed) => {
                let hint = "write ${NAME} or ${NAME:-default}, and $${ for the characters themselves";
                self.problem(key, "has a ${ that names no variable", hint);
                None
            }
        }
    }

    /// As [`text`](Self::text), and absence is a problem too.
    pub(super) fn required_text(&mut self, key: &str, hint: &str) -> Option<String> {
        if !self.has(key) {
            self.problem(key, "is missing", hint);
        }
        self.text(key)
    }

    /// A whole number within the range; `None` if absent, or wrong and noted.
    pub(super) fn integer(&mut self, key: &str, allowed: RangeInclusive<u32>) -> Option<u32> {
        match self.value(key)? {
            Value::Integer(number) => {
                let fitting = u32::try_from(*number).ok().filter(|n| allowed.contains(n));
                if fitting.is_none() {
                    self.out_of_range(key, number, &allowed);
                }
                fitting
            }
            other => {
                let found = kind(other);
                self.problem(key, format!("is {found}"), "it must be a whole number without quotes");
                None
            }
        }
    }

    /// A number within the range; `None` if absent, or wrong and noted.
    #[allow(clippy::cast_precision_loss)] // Whatever is in range is exact.
    pub(super) fn number(&mut self, key: &str, allowed: RangeInclusive<f64>) -> Option<f64> {
        let number = match self.value(key)? {
            Value::Float(number) => *number,
            Value::Integer(number) => *number as f64,
            other => {
                let found = kind(other);
                self.problem(key, format!("is {found}"), "it must be a number without quotes");
                return None;
            }
        };
        if !allowed.contains(&number) {
            self.out_of_range(key, &number, &allowed);
            return None;
        }
        Some(number)
    }

    /// True or false; `None` if absent, or wrong and noted.
    pub(super) fn flag(&mut self, key: &str) -> Option<bool> {
        match self.value(key)? {
            Value::Boolean(flag) => Some(*flag),
            other => {
                let found = kind(other);
                self.problem(key, format!("is {found}"), "it must be true or false without quotes");
                None
            }
        }
    }

    /// A length of time such as `500ms` within the range; `None` if absent, or wrong and noted.
    pub(super) fn duration(&mut self, key: &str, allowed: RangeInclusive<Duration>) -> Option<Duration> {
        const HINT: &str = "it must be a number with its unit in quotes: \"500ms\", \"20s\", \"5m\", \"6h\"";
        if let Some(value) = self.value(key).filter(|value| !value.is_str()) {
            let found = kind(value);
            self.problem(key, format!("is {found}"), HINT);
            return None;
        }
        let text = self.text(key)?;
        match humantime::parse_duration(&text) {
            Ok(duration) if allowed.contains(&duration) => Some(duration),
            Ok(duration) => {
                let written = |d: &Duration| humantime::format_duration(*d).to_string();
                let range = written(allowed.start())..=written(allowed.end());
                self.out_of_range(key, &written(&duration), &range);
                None
            }
            Err(_) => {
                self.problem(key, "is not a length of time", HINT);
                None
            }
        }
    }

    fn value(&self, key: &str) -> Option<&'a Value> {
        self.file.get(self.name)?.as_table()?.get(key)
    }

    fn out_of_range<T: Display>(&mut self, key: &str, found: &dyn Display, allowed: &RangeInclusive<T>) {
        let hint = format!("allowed is {} to {}", allowed.start(), allowed.end());
        self.problem(key, format!("is {found}"), hint);
    }
}

/// What a value is, for a person; never what it says.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "a string",
        Value::Integer(_) => "a whole number",
        Value::Float(_) => "a number with a fraction",
        Value::Boolean(_) => "true or false",
        Value::Datetime(_) => "a date",
        Value::Array(_) => "a list",
        Value::Table(_) => "a section",
    }
}
