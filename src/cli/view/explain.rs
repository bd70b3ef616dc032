//! Why a customer has a value: the desired value, the ledger's belief, every change and belief edit.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use super::paint::Paint;
use super::text::{attribute_name, brief, brief_or_delete, moment, tame};
use crate::cli::desired::DesiredRow;
use crate::ledger::audit::{BeliefEditRow, EntryHistory, PastChange, PastInvalidRow};
use crate::record::{Belief, EditKind, Entry, IN_DOUBT_MAX, Pin, ReportedDrift};

/// The explanation as a person reads it. `desired` is `None` if the source could not be read. In-doubt windows that are
/// over at `now` are left out.
pub(crate) fn text(
    now: DateTime<Utc>,
    customer: i64,
    desired: Option<&[DesiredRow]>,
    known: &EntryHistory,
    names: &BTreeMap<i64, String>,
    paint: Paint,
) -> String {
    let attributes: BTreeSet<Option<i64>> = (desired.unwrap_or_default().iter().map(|row| row.attribute_id))
        .chain(known.entries.iter().map(|entry| Some(entry.key.attribute_id)))
        .chain(known.history.iter().map(|change| Some(change.attribute_id)))
        .chain(known.invalid.iter().map(|past| past.row.attribute_id))
        .collect();
    let block = |attribute: Option<i64>| {
        let name = match attribute {
            Some(id) if names.contains_key(&id) => attribute_name(id, names),
            Some(id) => format!("attribute {id}"),
            None => "attribute NULL".to_owned(),
        };
        let mut lines = vec![paint.strong(&format!("customer {customer} · {name}"))];
        lines.push(format!("  desired   {}", desired_text(desired, attribute)));
        let invalid = known.invalid.iter().filter(|past| past.row.attribute_id == attribute);
        lines.extend(invalid.map(invalid_line));
        let entry = known.entries.iter().find(|entry| Some(entry.key.attribute_id) == attribute);
        let believed = entry.map_or("nothing was sent yet".to_owned(), |entry| belief(entry, known));
        lines.push(format!("  believed  {believed}"));
        let pin = known.pins.iter().find(|pin| Some(pin.key.attribute_id) == attribute);
        lines.extend(pin.map(pin_line));
        // A later time means that the clock was set back. A sync waits no longer than this either.
        let until = entry.and_then(|entry| entry.in_doubt_until).map(|until| until.min(now + IN_DOUBT_MAX));
        if let Some(until) = until.filter(|until| *until > now) {
            lines
                .push(format!("  in doubt  an earlier request may still be applied until {}", moment(until)));
        }
        let drift = known.drift.iter().filter(|drift| Some(drift.key.attribute_id) == attribute);
        lines.extend(drift.map(drift_line));
        lines.extend(history(known, attribute));
        lines.join("\n") + "\n"
    };
    let blocks: Vec<String> = attributes.into_iter().map(block).collect();
    blocks.join("\n")
}

/// The changes of an attribute and the belief edits that concern it, newest run first.
fn history(known: &EntryHistory, attribute: Option<i64>) -> Vec<String> {
    let changes: Vec<&PastChange> =
        known.history.iter().filter(|change| Some(change.attribute_id) == attribute).collect();
    let edits = known
        .belief_edits
        .iter()
        .filter(|edit| edit.attribute_id.is_none_or(|id| Some(id) == attribute) && concerns(edit, &changes));
    let mut lines: Vec<(i64, String)> =
        changes.iter().map(|change| (change.run_id, change_line(change))).collect();
    lines.extend(edits.map(|edit| (edit.run_id, edit_line(edit))));
    // A run edits beliefs before it sends, so its change stays above its edit. The sort is stable.
    lines.sort_by_key(|(run_id, _)| std::cmp::Reverse(*run_id));
    lines.into_iter().map(|(_, line)| line).collect()
}

/// Returns whether the edit changed the value's entry. The edit's scope may include values that have no entry. The
/// newest change before the edit shows the state of the entry: requeues and acknowledgements edit rejected entries only.
fn concerns(edit: &BeliefEditRow, newest_first: &[&PastChange]) -> bool {
    let made_entry = |change: &&&PastChange| {
        change.run_id < edit.run_id && (change.request.is_some() || change.outcome == "rejected")
    };
    let rejected = newest_first.iter().find(made_entry).map(|change| change.outcome == "rejected");
    let only_rejected = matches!(edit.edit.as_str(), "requeue" | "acknowledge");
    // An edit of one value may come before any change of it.
    let is_of_value = EditKind::from_word(&edit.edit).is_some_and(EditKind::is_of_value);
    is_of_value || edit.count > 0 && rejected.is_some_and(|rejected| rejected || !only_rejected)
}

fn desired_text(desired: Option<&[DesiredRow]>, attribute: Option<i64>) -> String {
    let Some(rows) = desired else { return "not looked up".to_owned() };
    let values: Vec<String> = rows
        .iter()
        .filter(|row| row.attribute_id == attribute)
        .map(|row| match (&row.value, &row.problem) {
            (Some(value), _) => brief(value),
            (None, Some(problem)) => tame(problem),
            (None, None) => "NULL: no value is desired".to_owned(),
        })
        .collect();
    match values.len() {
        0 => "not in the source".to_owned(),
        1 => values.concat(),
        rows => format!("{rows} rows, so none of them is sent: {}", values.join(", ")),
    }
}

/// `pinned    by run 9, an undo: keeps "silver" as long as the source says "gold"`.
fn pin_line(pin: &Pin) -> String {
    let or_none = |value: &Option<String>| value.as_deref().map_or("no value".to_owned(), brief);
    let (kept, ignored) = (or_none(&pin.value), or_none(&pin.source_value));
    format!("  pinned    by run {}, an undo: keeps {kept} as long as the source says {ignored}", pin.run_id)
}

/// `invalid   run 4, 2026-01-02 03:04:05, did not send "goooold": the value has 300 characters`. Of a row without a value
/// the reason says whether the value could not be read.
fn invalid_line(past: &PastInvalidRow) -> String {
    let value = past.row.value.as_deref().map_or("the row".to_owned(), brief);
    let (run, at, reason) = (past.run_id, moment(past.run_started_at), tame(&past.row.reason));
    format!("  invalid   run {run}, {at}, did not send {value}: {reason}")
}

/// What the ledger believes of the value. A store that does not have the customer holds no value.
fn belief(entry: &Entry, known: &EntryHistory) -> String {
    let also = |words: &str, value: &Option<String>| {
        value.as_deref().map_or(String::new(), |value| format!(", {words} {}", brief(value)))
    };
    let stored = match entry.belief {
        _ if known.customer_deleted => ", and the store does not have the customer".to_owned(),
        Belief::Confirmed => also("kept by the store as", &entry.stored_value),
        Belief::Unconfirmed | Belief::Rejected | Belief::Absent => {
            also("the store was last known to hold", &entry.stored_value)
        }
    };
    let value = match entry.belief {
        Belief::Absent => "no value".to_owned(),
        _ => format!("{} {}", entry.belief, brief_or_delete(entry.value.as_deref())),
    };
    let run = if entry.belief == Belief::Absent { "deleted in run" } else { "run" };
    let edit = (known.belief_edits.iter())
        .find(|edit| edit.run_id > entry.run_id && entry.reason.as_deref() == Some(edit.reason.as_str()));
    format!(
        "{}{value}{stored}{} ({run} {}, {}){}",
        if entry.acknowledged { "acknowledged as " } else { "" },
        also("a read showed", &entry.observed_value),
        entry.run_id,
        moment(entry.updated_at),
        // The reason of a later edit has the edit's run, not that of the entry.
        edit.map_or_else(
            || because(entry.reason.as_deref()),
            |edit| { format!("; then run {}, {}: {}", edit.run_id, moment(edit.at), tame(&edit.reason)) }
        )
    )
}

/// `drift     run 7, 2026-01-02 03:04:05, found that the store holds "silver", and left it as it is`.
fn drift_line(drift: &ReportedDrift) -> String {
    let value = drift.value.as_deref().map_or("no value".to_owned(), brief);
    let (run, at) = (drift.run_id, moment(drift.at));
    format!("  drift     run {run}, {at}, found that the store holds {value}, and left it as it is")
}

/// `run 4     update "gold" → "platinum": confirmed 2026-01-02 03:04:05 by request 33 (200, accepted)`.
fn change_line(change: &PastChange) -> String {
    let value = |value: &Option<String>| value.as_deref().map(brief);
    let new = value(&change.value).or_else(|| (change.action == "delete").then(|| "no value".to_owned()));
    let values: Vec<String> = [value(&change.previous_value), new].into_iter().flatten().collect();
    let at = change.decided_at.map_or(String::new(), |at| format!(" {}", moment(at)));
    let by = change.request.as_ref().map_or(String::new(), |request| {
        let status = request.http_status.map_or(String::new(), |status| format!("{status}, "));
        format!(" by request {} ({status}{})", request.id, request.outcome.replace('_', " "))
    });
    // The status of the request is not repeated.
    let status = change.request.as_ref().and_then(|request| request.http_status);
    let reason = change.reason.as_deref().map(|reason| match status {
        Some(status) => reason.strip_prefix(&format!("{status} · ")).unwrap_or(reason),
        None => reason,
    });
    format!(
        "  run {:<4}  {} {}: {}{at}{by}{}",
        change.run_id,
        change.action,
        values.join(" → "),
        change.outcome,
        because(reason)
    )
}

/// `run 5     requeue 2026-01-02 03:04:05: requeued by hand`.
fn edit_line(edit: &BeliefEditRow) -> String {
    let value = edit.value.as_deref().map_or(String::new(), |value| format!(": {}", brief(value)));
    format!("  run {:<4}  {} {}: {}{value}", edit.run_id, edit.edit, moment(edit.at), tame(&edit.reason))
}

fn because(reason: Option<&str>) -> String {
    reason.map_or(String::new(), |reason| format!(": {}", tame(reason)))
}

#[cfg(test)]
mod tests;
