//! Cells of rows that were read, the same for both databases.

use chrono::{DateTime, Utc};

use super::{LedgerError, Result};
use crate::record::Counts;

/// One cell of a row.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[serde(untagged)]
pub enum Value {
    /// NULL.
    Null,
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Another number, which is finite.
    Real(f64),
    /// A text, or any other type as text: times in RFC 3339, bytes as `\x6869`.
    Text(String),
}

/// The cells of a row, taken from the left.
pub(super) struct Cells(std::vec::IntoIter<Value>);

impl Cells {
    pub(super) fn of(row: Vec<Value>) -> Self {
        Self(row.into_iter())
    }

    pub(super) fn maybe_int(&mut self) -> Result<Option<i64>> {
        match self.0.next() {
            Some(Value::Int(value)) => Ok(Some(value)),
            Some(Value::Null) => Ok(None),
            _ => Err(unexpected("a number")),
        }
    }

    pub(super) fn int(&mut self) -> Result<i64> {
        self.maybe_int()?.ok_or_else(|| unexpected("a number"))
    }

    pub(super) fn maybe_text(&mut self) -> Result<Option<String>> {
        match self.0.next() {
            Some(Value::Text(value)) => Ok(Some(value)),
            Some(Value::Null) => Ok(None),
            _ => Err(unexpected("a text")),
        }
    }

    pub(super) fn text(&mut self) -> Result<String> {
        self.maybe_text()?.ok_or_else(|| unexpected("a text"))
    }

    pub(super) fn maybe_time(&mut self) -> Result<Option<DateTime<Utc>>> {
        let Some(text) = self.maybe_text()? else { return Ok(None) };
        let time = DateTime::parse_from_rfc3339(&text).map_err(|_| unexpected("a time"))?;
        Ok(Some(time.to_utc()))
    }

    /// The counts of a run, in the order of [`Counts`].
    pub(super) fn counts(&mut self) -> Result<Counts> {
        Ok(Counts {
            source_rows: self.int()?,
            no_value: self.int()?,
            unchanged: self.int()?,
            still_rejected: self.int()?,
            acknowledged: self.int()?,
            invalid: self.int()?,
            orphans: self.int()?,
            stored_without_row: self.int()?,
            pinned: self.int()?,
            planned: self.int()?,
            deletes: self.int()?,
            confirmed: self.int()?,
            altered: self.int()?,
            rejected: self.int()?,
            unknown: self.int()?,
            deferred: self.int()?,
            requests: self.int()?,
        })
    }

    pub(super) fn time(&mut self) -> Result<DateTime<Utc>> {
        self.maybe_time()?.ok_or_else(|| unexpected("a time"))
    }
}

pub(super) fn unexpected(expected: &str) -> LedgerError {
    LedgerError::Unusable(format!(
        "the ledger holds something else where {expected} was expected: was it edited by hand?"
    ))
}
