//! What the ledger knows of runs and values, as a person reads it. The words are those of the ledger's columns.

use serde::Serialize;
use serde_json::Value;

use super::table::aligned;
use super::text::{brief, counted, number, tame};
use crate::cli::failure::Failure;
use crate::record::KeyScope;

/// A column: its head and the field that it shows.
type Column = (&'static str, &'static str);

const RUN: &[Column] = &[
    ("run", "id"),
    ("kind", "kind"),
    ("status", "status"),
    ("started", "started_at"),
    ("planned", "planned"),
    ("confirmed", "confirmed"),
    ("rejected", "rejected"),
    ("unknown", "unknown"),
    ("deferred", "deferred"),
    ("still rejected", "still_rejected"),
    ("invalid", "invalid"),
    ("unchanged", "unchanged"),
    ("calls", "requests"),
    ("message", "message"),
];

/// A store is an address and a hash.
const STORE: &[Column] = &[("store", "hash"), ("at", "api_url")];

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
    ("value", "value"),
    ("outcome", "outcome"),
    ("request", "request_id"),
    ("reason", "reason"),
];

const INVALID: &[Column] =
    &[("customer", "customer_id"), ("attribute", "attribute_id"), ("value", "value"), ("reason", "reason")];

const REJECTED: &[Column] = &[
    ("customer", "customer_id"),
    ("attribute", "attribute_id"),
    ("value", "value"),
    ("run", "run_id"),
    ("since", "since"),
    ("reason", "reason"),
];

/// The runs, a line each.
pub(crate) fn runs(runs: &[impl Serialize]) -> Result<String, Failure> {
    records(RUN, runs)
}

/// The runs of several stores, a line each with its store.
pub(crate) fn runs_of_stores(runs: &[impl Serialize]) -> Result<String, Failure> {
    let columns = [&RUN[..2], STORE, &RUN[2..]].concat();
    records(&columns, runs)
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

/// What was given back to the next sync, in a line.
pub(crate) fn released(run_id: i64, count: i64) -> String {
    let count = counted(count.unsigned_abs(), "value");
    format!("run {run_id} released {count}\n")
}

/// That somebody has no value to give back.
pub(crate) fn nothing_aside(whose: KeyScope) -> String {
    match (whose.customer_id, whose.attribute_id) {
        (Some(customer), Some(attribute)) => {
            format!("{customer}:{attribute}: this value is not set aside")
        }
        (Some(customer), None) => format!("{customer}: no value of this customer is set aside"),
        _ => "nothing is set aside".to_owned(),
    }
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

/// A field as it is shown: times without fractions of a second, customers' values in quotes and cut.
fn cell(field: &str, record: &Value) -> String {
    match &record[field] {
        Value::Null => String::new(),
        Value::String(text) if field == "value" || field.ends_with("_value") => brief(text),
        Value::String(text) if field.ends_with("_at") || field == "since" => moment(text),
        Value::String(text) => text.clone(),
        Value::Number(value) => match value.as_i64() {
            Some(count) if !field.ends_with("id") && field != "http_status" => number(count),
            _ => value.to_string(),
        },
        other => other.to_string(),
    }
}

/// `2026-01-02 03:04:05` of an RFC 3339 time in UTC.
fn moment(text: &str) -> String {
    text.get(..19).map_or_else(|| text.to_owned(), |text| text.replace('T', " "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_run_is_told_with_what_went_wrong() {
        let summary = json!({
            "id": 12, "kind": "sync", "status": "partial", "started_at": "2026-01-02T03:04:05.678Z",
            "planned": 1200, "confirmed": 1199, "rejected": 1, "message": null,
        });
        let failure = json!({
            "customer_id": 1200, "attribute_id": 1, "value": "go\nld",
            "outcome": "rejected", "request_id": 7, "reason": "0.value: invalid",
        });
        let none: [Value; 0] = [];
        let text = run(&summary, &none, &[failure], &none).expect("text");
        assert_eq!(
            text,
            "\
run        12
kind       sync
status     partial
started    2026-01-02 03:04:05
planned    1,200
confirmed  1,199
rejected   1

values that did not land
customer  attribute  value     outcome   request  reason
--------  ---------  --------  --------  -------  ----------------
    1200          1  \"go\\nld\"  rejected        7  0.value: invalid
"
        );
    }

    #[test]
    fn numbers_of_things_are_grouped_and_names_of_things_are_not() {
        let record = json!({ "id": 1200, "requests": 1200, "http_status": 422 });
        assert_eq!(cell("id", &record), "1200");
        assert_eq!(cell("requests", &record), "1,200");
        assert_eq!(cell("http_status", &record), "422");
        assert_eq!(cell("nothing", &record), "");
    }
}
