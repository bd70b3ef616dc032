//! The cells of a row that may have been edited by hand: what cannot be read is a sentence, not an error.

use chrono::{DateTime, Utc};

use crate::ledger::cells::Cells;

/// The next cell, a word of a closed list.
pub(super) fn word<T>(cells: &mut Cells, column: &str, read: fn(&str) -> Option<T>) -> Result<T, String> {
    let text = cells.text().map_err(|_| format!("its {column} is no text"))?;
    read(&text).ok_or_else(|| format!("its {column} is \"{text}\", which is no known word"))
}

/// The next cell, a time or NULL.
pub(super) fn time(cells: &mut Cells, column: &str) -> Result<Option<DateTime<Utc>>, String> {
    cells.maybe_time().map_err(|_| format!("its {column} is no time"))
}

/// The next cell, a time.
pub(super) fn some_time(cells: &mut Cells, column: &str) -> Result<DateTime<Utc>, String> {
    time(cells, column)?.ok_or_else(|| format!("its {column} is NULL"))
}

/// The next cell, a number or NULL.
pub(super) fn int(cells: &mut Cells, column: &str) -> Result<Option<i64>, String> {
    cells.maybe_int().map_err(|_| format!("its {column} is no number"))
}

/// The next cell, a number.
pub(super) fn some_int(cells: &mut Cells, column: &str) -> Result<i64, String> {
    int(cells, column)?.ok_or_else(|| format!("its {column} is NULL"))
}

/// The next cell, 0 or 1.
pub(super) fn flag(cells: &mut Cells, column: &str) -> Result<bool, String> {
    match some_int(cells, column)? {
        0 => Ok(false),
        1 => Ok(true),
        other => Err(format!("its {column} is {other}, not 0 or 1")),
    }
}

/// The next cell, a text or NULL.
pub(super) fn text(cells: &mut Cells, column: &str) -> Result<Option<String>, String> {
    cells.maybe_text().map_err(|_| format!("its {column} is no text"))
}
