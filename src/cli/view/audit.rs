//! What the ledger knows of runs and values, as a person reads it. The words are those of the ledger's columns.

use serde::Serialize;
use serde_json::Value;

use super::table::aligned;
use super::text::{number, quoted, tame};
use crate::cli::failure::Failure;

/// A column: its head and the field that it shows.
type Column = (&'static str, &'static str);

const RUN: &[Column] = &[
    ("run", "id"),
    ("status", "status"),
    ("started", "started_at"),
    ("planned", "planned"),
    ("confirmed", "confirmed"),
    ("rejected", "rejected"),
    ("unknown", "unknown"),
    ("deferred", "deferred"),
    ("held", "held"),
    ("invalid", "invalid"),
    ("unchanged", "unchanged"),
    ("calls", "requests"),
    ("message", "message"),
];

const REQUEST: &[Column] = &[
    ("request", "id"),
    ("of", "parent_id"),
    ("attempt", "attempt"),
    ("customers", "customers"),
    ("values", "items"),
    ("sent", "sent_at"),
    ("status", "http_status"),
    ("error", "error"),
];

const CHANGE: &[Column] = &[
    ("customer", "customer_id"),
    ("attribute", "attribute_id"),
    ("action", "action"),
    ("value", "value"),
    ("outcome", "outcome"),
    ("request", "request_id"),
    ("reason", "reason"),
];

const INVALID: &[Column] = &[
    ("customer", "customer_id"),
    ("attribute", "attribute_id"),
    ("value", "value"),
    ("reason", "reason"),
];

const REJECTED: &[Column] = &[
    ("customer", "customer_id"),
    ("attribute", "attribute_id"),
    ("value", "value"),
    ("run", "run_id"),
    ("since", "updated_at"),
    ("reason", "reason"),
];

/// The runs, a line each.
pub(crate) fn runs(runs: &[impl Serialize]) -> Result<String, Failure> {
    records(RUN, runs)
}

/// One run with what went wrong in it.
pub(crate) fn run(
    run: &impl Serialize,
    requests: &[impl Serialize],
    failures: &[impl Serialize],
    invalid: &[impl Serialize],
) -> Result<String, Failure> {
    let mut text = pairs(RUN, &serde_json::to_value(run)?);
    for (head, part) in [
        ("requests", section(REQUEST, requests)?),
        ("values that did not land", section(CHANGE, failures)?),
        ("rows of the source that cannot be sent", section(INVALID, invalid)?),
    ] {
        if let Some(part) = part {
            text += &format!("\n{head}\n{part}");
        }
    }
    Ok(text)
}

/// The values that are set aside, a line each.
pub(crate) fn rejected(rejected: &[impl Serialize]) -> Result<String, Failure> {
    records(REJECTED, rejected)
}

fn section(columns: &[Column], rows: &[impl Serialize]) -> Result<Option<String>, Failure> {
    if rows.is_empty() { Ok(None) } else { records(columns, rows).map(Some) }
}

fn records(columns: &[Column], rows: &[impl Serialize]) -> Result<String, Failure> {
    let heads: Vec<&str> = columns.iter().map(|(head, _)| *head).collect();
    let mut cells = Vec::with_capacity(rows.len());
    for row in rows {
        let row = serde_json::to_value(row)?;
        cells.push(columns.iter().map(|(_, field)| cell(field, &row)).collect());
    }
    Ok(aligned(&heads, &cells))
}

/// One record, a line a field; empty ones are left out.
fn pairs(columns: &[Column], record: &Value) -> String {
    columns
        .iter()
        .map(|(head, field)| (head, cell(field, record)))
        .filter(|(_, cell)| !cell.is_empty())
        .map(|(head, cell)| format!("{head:<11}{}\n", tame(&cell)))
        .collect()
}

/// A field as it is shown: times without fractions of a second, customers' values in quotes.
fn cell(field: &str, record: &Value) -> String {
    match find(field, record) {
        Value::Null => String::new(),
        Value::String(text) if field == "value" || field.ends_with("_value") => quoted(text),
        Value::String(text) if field.ends_with("_at") => moment(text),
        Value::String(text) => text.clone(),
        Value::Number(value) => match value.as_i64() {
            Some(count) if !field.ends_with("id") && field != "http_status" => number(count),
            _ => value.to_string(),
        },
        other => other.to_string(),
    }
}

/// A field of the record, or of its counts.
fn find<'a>(field: &str, record: &'a Value) -> &'a Value {
    match &record[field] {
        Value::Null => &record["counts"][field],
        found => found,
    }
}

/// `2026-01-02 03:04:05` of an RFC 3339 time in UTC.
fn moment(text: &str) -> String {
    text.get(..19).map_or_else(|| text.to_owned(), |text| text.replace('T', " "))
}
