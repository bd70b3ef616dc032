//! Reads one section of the file, key by key. A problem is noted and the reading goes on, so that a person sees all
//! problems at once.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use toml::{Table, Value};

use super::Environment;
use super::address::Flaw;
use super::interpolate::{ReferenceError, interpolate};
use super::problem::{Problem, shown};

/// A section of the file, which may be absent, with the list of problems. The keys above all sections have the name "".
pub(super) struct Section<'a> {
    pub(super) name: &'static str,
    pub(super) file: &'a Table,
    pub(super) env: Environment<'a>,
    pub(super) problems: &'a mut Vec<Problem>,
}

impl<'a> Section<'a> {
    /// Continues with another section.
    pub(super) fn called(&mut self, name: &'static str) -> &mut Self {
        self.name = name;
        self
    }

    /// Notes a problem of one key.
    pub(super) fn problem(&mut self, key: &str, problem: impl Into<String>, hint: impl Into<String>) {
        self.problems.push(Problem::new(self.path(key), problem).hint(hint));
    }

    /// Whether the key is set, even to an invalid value.
    pub(super) fn has(&self, key: &str) -> bool {
        self.value(key).is_some()
    }

    /// Reads a string, with its references replaced and without white space around it; `None` if it is absent, or
    /// invalid and noted. An empty string is invalid.
    fn text(&mut self, key: &str) -> Option<String> {
        match self.value(key)? {
            Value::String(text) => self.interpolated(key, text),
            other => self.wrong_type(key, other, "it must be a string in quotes"),
        }
    }

    /// Reads a string, or a list of strings, as [`text`](Self::text) does; empty if the key is absent, or invalid and noted.
    fn texts(&mut self, key: &str) -> Vec<String> {
        const HINT: &str = "it must be a string in quotes, or a list of them: [\"…\", \"…\"]";
        let values = match self.value(key) {
            None => return Vec::new(),
            Some(Value::Array(values)) if values.is_empty() => {
                self.problem(key, "is an empty list", HINT);
                return Vec::new();
            }
            Some(Value::Array(values)) => values.as_slice(),
            Some(value) => std::slice::from_ref(value),
        };
        let texts = values.iter().filter_map(|value| match value {
            Value::String(text) => self.interpolated(key, text),
            other => self.wrong_type(key, other, HINT),
        });
        texts.collect()
    }

    /// Reads a string or a list of strings and checks each; empty if the key is absent. What is invalid is noted.
    pub(super) fn all_checked<T>(&mut self, key: &str, check: impl Fn(&str) -> Result<T, Flaw>) -> Vec<T> {
        let texts = self.texts(key);
        let checked = texts
            .iter()
            .filter_map(|text| check(text).map_err(|(problem, hint)| self.problem(key, problem, hint)).ok());
        checked.collect()
    }

    fn interpolated(&mut self, key: &str, written: &str) -> Option<String> {
        match interpolate(written, self.env) {
            Ok(text) if text.trim().is_empty() => {
                let hint = "give it a value, or set the environment variable it names";
                if written.contains("${") {
                    return self.unset(key, "is empty".to_owned(), hint);
                }
                self.problem(key, "is empty", hint);
                None
            }
            Ok(text) => Some(text.trim().to_owned()),
            Err(ReferenceError::Missing(name)) => {
                let hint = format!("set it, or give a default as ${{{name}:-default}}");
                self.unset(key, format!("the environment variable {name} is not set"), &hint)
            }
            Err(ReferenceError::NotText(name)) => {
                self.unset(key, format!("the environment variable {name} is not UTF-8 text"), "set it again")
            }
            Err(ReferenceError::Malformed) => {
                let hint = "write ${NAME} or ${NAME:-default}, and $${ for the characters themselves";
                self.problem(key, "has a ${ that names no variable", hint);
                None
            }
        }
    }

    /// Notes that a variable has no value that can be used.
    fn unset(&mut self, key: &str, problem: String, hint: &str) -> Option<String> {
        self.problems.push(Problem::new(self.path(key), problem).hint(hint).unset());
        None
    }

    /// Reads a string and checks it; `None` if it is absent, or invalid and noted.
    pub(super) fn checked<T>(&mut self, key: &str, check: impl FnOnce(&str) -> Result<T, Flaw>) -> Option<T> {
        check(&self.text(key)?).map_err(|(problem, hint)| self.problem(key, problem, hint)).ok()
    }

    /// Reads a string and checks it. If it is absent, that is noted with this hint.
    pub(super) fn required<T>(
        &mut self,
        key: &str,
        hint: &str,
        check: impl FnOnce(&str) -> Result<T, Flaw>,
    ) -> Option<T> {
        if !self.has(key) {
            self.problem(key, "is missing", hint);
        }
        self.checked(key, check)
    }

    /// Reads a string and checks it. If it is absent, its default is used.
    pub(super) fn optional<T>(
        &mut self,
        key: &str,
        default: &str,
        check: impl FnOnce(&str) -> Result<T, Flaw>,
    ) -> Option<T> {
        if self.has(key) { self.checked(key, check) } else { check(default).ok() }
    }

    /// Reads a whole number within the range; `None` if it is absent, or invalid and noted.
    pub(super) fn integer(&mut self, key: &str, allowed: RangeInclusive<u32>) -> Option<u32> {
        match self.value(key)? {
            Value::Integer(number) => {
                let fitting = u32::try_from(*number).ok().filter(|n| allowed.contains(n));
                if fitting.is_none() {
                    self.out_of_range(key, number, &allowed);
                }
                fitting
            }
            other => self.wrong_type(key, other, "it must be a whole number without quotes"),
        }
    }

    /// Reads a number within the range; `None` if it is absent, or invalid and noted.
    #[allow(clippy::cast_precision_loss)] // A number within the range is exact.
    pub(super) fn number(&mut self, key: &str, allowed: RangeInclusive<f64>) -> Option<f64> {
        let number = match self.value(key)? {
            Value::Float(number) => *number,
            Value::Integer(number) => *number as f64,
            other => return self.wrong_type(key, other, "it must be a number without quotes"),
        };
        if !allowed.contains(&number) {
            self.out_of_range(key, &number, &allowed);
            return None;
        }
        Some(number)
    }

    /// Reads true or false; `None` if it is absent, or invalid and noted.
    pub(super) fn flag(&mut self, key: &str) -> Option<bool> {
        match self.value(key)? {
            Value::Boolean(flag) => Some(*flag),
            other => self.wrong_type(key, other, "it must be true or false without quotes"),
        }
    }

    /// Reads a duration such as `500ms` within the range; `None` if it is absent, or invalid and noted.
    pub(super) fn duration(&mut self, key: &str, allowed: RangeInclusive<Duration>) -> Option<Duration> {
        const HINT: &str = "it must be a number with its unit in quotes: \"500ms\", \"20s\", \"5m\", \"6h\"";
        if let Some(value) = self.value(key).filter(|value| !value.is_str()) {
            return self.wrong_type(key, value, HINT);
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
                self.problem(key, "is not a duration", HINT);
                None
            }
        }
    }

    /// The keys that are set.
    pub(super) fn keys(&self) -> Vec<String> {
        self.table().map(|table| table.keys().cloned().collect()).unwrap_or_default()
    }

    pub(super) fn value(&self, key: &str) -> Option<&'a Value> {
        self.table()?.get(key)
    }

    /// The section in the file: `[a.b]` is the table b of the table a.
    fn table(&self) -> Option<&'a Table> {
        let names = self.name.split('.').filter(|name| !name.is_empty());
        names.into_iter().try_fold(self.file, |table, name| table.get(name)?.as_table())
    }

    /// The key with its section: `push.workers`.
    fn path(&self, key: &str) -> String {
        let key = shown(key);
        if self.name.is_empty() { key } else { format!("{}.{key}", self.name) }
    }

    pub(super) fn wrong_type<T>(&mut self, key: &str, found: &Value, hint: &str) -> Option<T> {
        self.problem(key, format!("is {}", kind(found)), hint);
        None
    }

    fn out_of_range<T: Display>(&mut self, key: &str, found: &dyn Display, allowed: &RangeInclusive<T>) {
        let hint = format!("allowed: {} to {}", allowed.start(), allowed.end());
        self.problem(key, format!("is {found}"), hint);
    }
}

/// Returns the type of a value, for a person. The value itself may be a secret.
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
