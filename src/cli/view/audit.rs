//! Runs and rejected values as a person reads them, in the words of the ledger's columns.

use std::time::Duration;

use serde::Serialize;
use serde_json::{Result, Value};

use super::table::{aligned, fitted};
use super::text::{brief, counted, duration, number, tame, wrapped};
use crate::ledger::audit::{BeliefEditRow, FailedChange, RequestRow, RunRow, RunTotals, StoreRow};
use crate::record::{InvalidRow, MissedTimes, RunStatus, WaitTotal};

/// A column: its heading and the field that it shows.
type Column = (&'static str, &'static str);

const RUN: &[Column] = &[
    ("run", "id"),
    ("kind", "kind"),
    ("status", "status"),
    ("started", "started_at"),
    ("took", "duration_ms"),
    ("scheduled for", "scheduled_for"),
    ("of run", "of_run_id"),
    ("planned", "planned"),
    ("confirmed", "confirmed"),
    ("rejected", "rejected"),
    ("unknown", "unknown"),
    ("deferred", "deferred"),
    ("still rejected", "still_rejected"),
    ("acknowledged", "acknowledged"),
    ("invalid", "invalid"),
    ("no value", "no_value"),
    ("orphans", "orphans"),
    ("pinned", "pinned"),
    ("unchanged", "unchanged"),
    ("requests", "requests"),
    ("message", "message"),
];

/// The columns that only an active run has.
const ACTIVE: &[Column] = &[("in flight", "in_flight"), ("to come", "to_come")];

/// The columns of a store.
const STORE: &[Column] = &[("store", "hash"), ("at", "api_url")];

const REQUEST: &[Column] = &[
    ("request", "id"),
    ("of", "parent_id"),
    ("attempt", "attempt"),
    ("customers", "customers"),
    ("values", "items"),
    ("sent", "sent_at"),
    ("status", "http_status"),
    ("outcome", "outcome"),
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

const EDIT: &[Column] = &[
    ("customer", "customer_id"),
    ("attribute", "attribute_id"),
    ("edit", "edit"),
    ("entries", "count"),
    ("reason", "reason"),
];

const MISSED: &[Column] = &[("first", "first"), ("last", "last"), ("times", "times"), ("reason", "reason")];

const WAIT: &[Column] = &[("reason", "reason"), ("waits", "waits"), ("time", "milliseconds")];

const INVALID: &[Column] =
    &[("customer", "customer_id"), ("attribute", "attribute_id"), ("value", "value"), ("reason", "reason")];

/// The runs, one line each, in all their columns.
pub(crate) fn runs(runs: &[RunRow]) -> Result<String> {
    in_full(RUN, runs)
}

/// The runs of several stores, one line each with its store, in all their columns.
pub(crate) fn runs_of_stores(runs: &[RunRow]) -> Result<String> {
    let columns = [&RUN[..2], STORE, &RUN[2..]].concat();
    in_full(&columns, runs)
}

fn in_full(columns: &[Column], runs: &[RunRow]) -> Result<String> {
    let (heads, cells) = records(columns, runs)?;
    Ok(aligned(&heads, &cells))
}

/// The runs, one line each, of at most `width` columns. `stores` are all stores of the ledger.
pub(crate) fn runs_in_brief(runs: &[RunRow], stores: &[StoreRow], width: Option<usize>) -> String {
    let store = |run: &RunRow| {
        let namesakes = stores.iter().filter(|store| store.hash == run.hash).count();
        if namesakes > 1 { format!("{} ({})", run.hash, run.store_id) } else { run.hash.clone() }
    };
    let row = |run: &RunRow| {
        let counts = &run.counts;
        let is_over = run.finished_at.is_some() || run.is_cut_off();
        let open = if is_over { counts.need_attention() + counts.deferred } else { 0 };
        let mut cells = vec![run.id.to_string()];
        cells.extend((stores.len() > 1).then(|| store(run)));
        cells.extend([
            run.kind.clone(),
            status_of(&run.status, run.by_digest),
            run.started_at.format("%Y-%m-%d %H:%M").to_string(),
            run.duration_ms.map_or(String::new(), took_in_brief),
            number(counts.planned),
            number(counts.confirmed),
            number(open),
        ]);
        cells
    };
    let store = (stores.len() > 1).then_some("store");
    let heads: Vec<&str> = ["run"]
        .into_iter()
        .chain(store)
        .chain(["kind", "status", "started", "took", "planned", "confirmed", "open"])
        .collect();
    fitted(&heads, &runs.iter().map(row).collect::<Vec<_>>(), width)
}

/// `   350 ms`, `1 h 2 min`: in a column that hardly changes its width.
fn took_in_brief(millis: i64) -> String {
    format!("{:>9}", took(millis))
}

fn took(millis: i64) -> String {
    duration(Duration::from_millis(millis.unsigned_abs()))
}

/// How `runs` shows more.
const MORE: &str = "raise --limit";

/// What a run has, the first rows of each kind.
#[derive(Debug, Default)]
pub(crate) struct RunLists {
    pub(crate) requests: Vec<RequestRow>,
    pub(crate) failures: Vec<FailedChange>,
    pub(crate) edits: Vec<BeliefEditRow>,
    pub(crate) invalid: Vec<InvalidRow>,
    pub(crate) waits: Vec<WaitTotal>,
    pub(crate) missed: Option<MissedTimes>,
    /// The runs that applied its plan.
    pub(crate) applied_by: Vec<i64>,
    /// The runs that undid it.
    pub(crate) undone_by: Vec<i64>,
    /// How many rows there are.
    pub(crate) totals: RunTotals,
}

/// One run with its requests, failures, belief edits and invalid rows, in lines of at most `width` columns. Its store is
/// named if the ledger has several.
pub(crate) fn run(
    run: &impl Serialize,
    stores: usize,
    lists: &RunLists,
    width: Option<usize>,
) -> Result<String> {
    let RunLists { requests, failures, edits, invalid, waits, missed, applied_by, undone_by, totals } = lists;
    let run = serde_json::to_value(run)?;
    let is_active = ["in_flight", "to_come"].iter().any(|field| run[field].as_i64().is_some_and(|n| n > 0));
    let store = if stores > 1 { STORE } else { &[] };
    let active = if is_active { ACTIVE } else { &[] };
    let columns = [&RUN[..1], store, &RUN[1..8], active, &RUN[8..]].concat();
    let mut text = pairs(&columns, &run, width);
    for (head, runs) in [("applied by run", applied_by), ("undone by run", undone_by)] {
        let ids: Vec<String> = runs.iter().map(i64::to_string).collect();
        if !ids.is_empty() {
            text += &format!("{head}  {}\n", ids.join(", "));
        }
    }
    text += &section("scheduled times that the run stands for", MISSED, missed.as_slice(), width)?;
    text += &section("waited for", WAIT, waits, width)?;
    text += &(section("requests", REQUEST, requests, width)? + &unlisted(requests, totals.requests, MORE));
    text += &(section("belief edits", EDIT, edits, width)? + &unlisted(edits, totals.belief_edits, MORE));
    Ok(text + &self::failures(failures, invalid, *totals, MORE, width)?)
}

/// Says how many rows are not listed.
fn unlisted<T>(rows: &[T], total: i64, what_to_do: &str) -> String {
    match total - i64::try_from(rows.len()).unwrap_or(i64::MAX) {
        more if more > 0 => format!("… and {} more: {what_to_do}\n", number(more)),
        _ => String::new(),
    }
}

/// What did not land in a run: changes that are not confirmed, and rows that cannot be sent.
pub(crate) fn failures(
    failures: &[FailedChange],
    invalid: &[InvalidRow],
    totals: RunTotals,
    what_to_do: &str,
    width: Option<usize>,
) -> Result<String> {
    let mut text = section("values that are not confirmed", CHANGE, failures, width)?;
    text += &unlisted(failures, totals.failures, what_to_do);
    if totals.removed > 0 {
        let start = if text.is_empty() { "\n" } else { "" };
        text += &format!(
            "{start}{} not sent, and removed from the ledger when a later run planned anew\n",
            were(totals.removed)
        );
    }
    text += &section("rows of the source that cannot be sent", INVALID, invalid, width)?;
    Ok(text + &unlisted(invalid, totals.invalid_rows, what_to_do))
}

/// `1 change was`, `360 changes were`.
fn were(changes: i64) -> String {
    let verb = if changes == 1 { "was" } else { "were" };
    format!("{} {verb}", counted(changes.unsigned_abs(), "change"))
}

fn section(
    heading: &str,
    columns: &[Column],
    rows: &[impl Serialize],
    width: Option<usize>,
) -> Result<String> {
    if rows.is_empty() {
        return Ok(String::new());
    }
    let (heads, cells) = records(columns, rows)?;
    Ok(format!("\n{heading}\n{}", fitted(&heads, &cells, width)))
}

/// The headings of the columns, and the cells below them.
fn records<'a>(
    columns: &[(&'a str, &str)],
    rows: &[impl Serialize],
) -> Result<(Vec<&'a str>, Vec<Vec<String>>)> {
    let heads: Vec<&str> = columns.iter().map(|(head, _)| *head).collect();
    let mut cells: Vec<Vec<String>> = Vec::with_capacity(rows.len());
    for row in rows {
        let row = serde_json::to_value(row)?;
        cells.push(columns.iter().map(|(_, field)| cell(field, &row)).collect());
    }
    Ok((heads, cells))
}

/// One record, one line per field, or more if the field is too long. Empty fields are left out.
fn pairs(columns: &[Column], record: &Value, width: Option<usize>) -> String {
    const INDENT: usize = 16;
    let fit = |cell: &str| match width {
        Some(width) => wrapped(cell, width.saturating_sub(INDENT)).join(&format!("\n{:INDENT$}", "")),
        None => cell.to_owned(),
    };
    columns
        .iter()
        .map(|(head, field)| (head, cell(field, record)))
        .filter(|(_, cell)| !cell.is_empty())
        .map(|(head, cell)| format!("{head:<INDENT$}{}\n", fit(&tame(&cell))))
        .collect()
}

/// A field as it is shown: times to the second, customers' values in quotes and cut.
fn cell(field: &str, record: &Value) -> String {
    match &record[field] {
        Value::Null => String::new(),
        Value::String(status) if field == "status" => status_of(status, record["by_digest"] == true),
        Value::String(text) if field == "value" || field.ends_with("_value") => brief(text),
        Value::String(text) if is_time(field) => moment(text),
        Value::String(text) => text.clone(),
        Value::Number(value) => match value.as_i64() {
            Some(millis) if matches!(field, "duration_ms" | "milliseconds") => took(millis),
            Some(count) if !field.ends_with("id") && field != "http_status" => number(count),
            _ => value.to_string(),
        },
        other => other.to_string(),
    }
}

/// Whether a field is a time.
fn is_time(field: &str) -> bool {
    field.ends_with("_at") || ["since", "scheduled_for", "first", "last"].contains(&field)
}

/// The status of a run, which says so if no row was compared.
fn status_of(status: &str, by_digest: bool) -> String {
    let succeeded = status == RunStatus::Succeeded.as_str();
    match by_digest {
        true if succeeded => "unchanged (digest)".to_owned(),
        true => format!("{status} (digest)"),
        false => status.to_owned(),
    }
}

/// Returns `2026-01-02 03:04:05` for an RFC 3339 time in UTC.
fn moment(text: &str) -> String {
    text.get(..19).map_or_else(|| text.to_owned(), |text| text.replace('T', " "))
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use serde_json::json;

    use super::*;
    use crate::record::{Counts, WaitReason};

    #[test]
    fn a_run_is_shown_with_its_failures() {
        let summary = json!({
            "id": 12, "kind": "sync", "status": "partial", "started_at": "2026-01-02T03:04:05.678Z",
            "planned": 1200, "confirmed": 1199, "rejected": 1, "message": null,
        });
        let failure = FailedChange {
            customer_id: 1200,
            attribute_id: 1,
            value: Some("go\nld".to_owned()),
            outcome: "rejected".to_owned(),
            request_id: Some(7),
            reason: Some("0.value: invalid".to_owned()),
        };
        let wait = WaitTotal { reason: WaitReason::Quota, waits: 2, milliseconds: 41_000 };
        let totals = RunTotals { failures: 6, removed: 360, ..RunTotals::default() };
        let lists = RunLists { failures: vec![failure], waits: vec![wait], totals, ..RunLists::default() };
        let text = run(&summary, 1, &lists, None).expect("text");
        assert_eq!(
            text,
            "\
run             12
kind            sync
status          partial
started         2026-01-02 03:04:05
planned         1,200
confirmed       1,199
rejected        1

waited for
reason  waits  time
------  -----  ----
quota       2  41 s

values that are not confirmed
customer  attribute  value     outcome   request  reason
--------  ---------  --------  --------  -------  ----------------
    1200          1  \"go\\nld\"  rejected        7  0.value: invalid
… and 5 more: raise --limit
360 changes were not sent, and removed from the ledger when a later run planned anew
"
        );
        let of_two_stores = run(&row(12, "abc123", 1), 2, &RunLists::default(), None).expect("text");
        assert!(of_two_stores.contains("store           abc123\n"), "{of_two_stores}");
    }

    fn row(id: i64, hash: &str, store_id: i64) -> RunRow {
        let started_at = DateTime::from_timestamp(1_800_000_000, 0).expect("a time");
        RunRow {
            id,
            store_id,
            api_url: "https://api.example.com".to_owned(),
            hash: hash.to_owned(),
            kind: "sync".to_owned(),
            trigger: "manual".to_owned(),
            status: "partial".to_owned(),
            started_at,
            planned_at: Some(started_at),
            finished_at: Some(started_at),
            scheduled_for: None,
            of_run_id: None,
            duration_ms: Some(3_725_000),
            needs_attention: true,
            filtered: false,
            by_digest: false,
            counts: Counts {
                planned: 1_234_567,
                confirmed: 1_234_500,
                rejected: 60,
                deferred: 7,
                still_rejected: 5,
                acknowledged: 2,
                ..Counts::default()
            },
            in_flight: 0,
            to_come: 0,
            message: None,
            version: "0.1.0".to_owned(),
        }
    }

    #[test]
    fn the_list_of_runs_fits_a_terminal() {
        let store = |id, hash: &str| StoreRow {
            id,
            api_url: String::new(),
            hash: hash.to_owned(),
            owner_run_id: None,
        };
        let brief = runs_in_brief(&[row(1234, "abc123", 1)], &[store(1, "abc123")], None);
        assert_eq!(
            brief,
            "\x20run  kind  status   started           took         planned  confirmed  open
----  ----  -------  ----------------  ---------  ---------  ---------  ----
1234  sync  partial  2027-01-15 08:00  1 h 2 min  1,234,567  1,234,500    70
"
        );
        assert!(brief.lines().all(|line| line.chars().count() <= 80));
        let runs = [row(2, "abc123", 1), row(1, "abc123", 2)];
        let brief = runs_in_brief(&runs, &[store(1, "abc123"), store(2, "abc123"), store(3, "x")], None);
        assert!(brief.contains("  abc123 (1)  sync") && brief.contains("  abc123 (2)  sync"), "{brief}");
    }

    #[test]
    fn a_run_that_compared_no_row_says_so() {
        let by_digest =
            |status: &str| RunRow { status: status.to_owned(), by_digest: true, ..row(1, "abc123", 1) };
        let brief = runs_in_brief(&[by_digest("succeeded"), by_digest("partial")], &[], None);
        assert!(
            brief.contains("  unchanged (digest)  ") && brief.contains("  partial (digest)  "),
            "{brief}"
        );
        let detailed = run(&by_digest("succeeded"), 1, &RunLists::default(), None).expect("text");
        assert!(detailed.contains("status          unchanged (digest)\n"), "{detailed}");
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
