//! Why a customer has a value: the desired value, the ledger's belief, every change and belief edit.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use super::paint::Paint;
use super::text::{attribute_name, brief, brief_or_delete, moment, tame};
use crate::cli::desired::DesiredRow;
use crate::ledger::audit::{BeliefEditRow, EntryHistory, PastChange, PastInvalidRow};
use crate::record::{Belief, Entry, IN_DOUBT_MAX};

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
        // A later time means that the clock was set back. A sync waits no longer than this either.
        let until = entry.and_then(|entry| entry.in_doubt_until).map(|until| until.min(now + IN_DOUBT_MAX));
        if let Some(until) = until.filter(|until| *until > now) {
            lines
                .push(format!("  in doubt  an earlier request may still be applied until {}", moment(until)));
        }
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
    edit.count > 0 && rejected.is_some_and(|rejected| rejected || !only_rejected)
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
    format!("  run {:<4}  {} {}: {}", edit.run_id, edit.edit, moment(edit.at), tame(&edit.reason))
}

fn because(reason: Option<&str>) -> String {
    reason.map_or(String::new(), |reason| format!(": {}", tame(reason)))
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::ledger::audit::RequestRow;
    use crate::record::{InvalidRow, Key};

    fn nothing() -> EntryHistory {
        EntryHistory {
            invalid: Vec::new(),
            invalid_total: 0,
            entries: Vec::new(),
            history: Vec::new(),
            history_total: 0,
            belief_edits: Vec::new(),
            belief_edits_total: 0,
            customer_deleted: false,
        }
    }

    fn names() -> BTreeMap<i64, String> {
        [(1, "tier".to_owned())].into()
    }

    fn edit(run_id: i64, attribute_id: Option<i64>, edit: &str) -> BeliefEditRow {
        BeliefEditRow {
            run_id,
            customer_id: None,
            attribute_id,
            edit: edit.to_owned(),
            count: 1,
            reason: format!("why {edit}"),
            at: DateTime::UNIX_EPOCH,
        }
    }

    fn known() -> EntryHistory {
        let at = DateTime::UNIX_EPOCH;
        let request = RequestRow {
            id: 33,
            run_id: 4,
            parent_id: None,
            method: "PUT".to_owned(),
            attempt: 1,
            customers: 1,
            items: 1,
            sent_at: at,
            answered_at: Some(at),
            http_status: Some(422),
            store_request_id: None,
            outcome: "refused".to_owned(),
            error: None,
        };
        EntryHistory {
            entries: vec![Entry {
                key: Key::new(12, 1),
                value: Some("gold !".to_owned()),
                stored_value: Some("silver".to_owned()),
                observed_value: None,
                value_id: Some(7),
                belief: Belief::Rejected,
                reason: Some("422 · value: invalid".to_owned()),
                acknowledged: false,
                run_id: 4,
                updated_at: at,
                in_doubt_until: Some(at + TimeDelta::minutes(2)),
            }],
            history: vec![PastChange {
                run_id: 4,
                run_status: "partial".to_owned(),
                run_started_at: at,
                customer_id: 12,
                attribute_id: 1,
                action: "update".to_owned(),
                value: Some("gold !".to_owned()),
                previous_value: Some("silver".to_owned()),
                outcome: "rejected".to_owned(),
                reason: Some("422 · value: invalid".to_owned()),
                decided_at: Some(at),
                request: Some(request),
            }],
            belief_edits: vec![
                edit(6, None, "invalidate"),
                edit(5, None, "requeue"),
                edit(4, None, "clear"),
                edit(3, Some(2), "clear"),
            ],
            ..nothing()
        }
    }

    #[test]
    fn a_value_is_explained() {
        let desired = [DesiredRow {
            customer_id: Some(12),
            attribute_id: Some(1),
            value: Some("gold !".to_owned()),
            problem: None,
        }];
        assert_eq!(
            text(DateTime::UNIX_EPOCH, 12, Some(&desired), &known(), &names(), Paint::default()),
            "\
customer 12 · tier (1)
  desired   \"gold !\"
  believed  rejected \"gold !\", the store was last known to hold \"silver\" (run 4, 1970-01-01 00:00:00): 422 · value: invalid
  in doubt  an earlier request may still be applied until 1970-01-01 00:02:00
  run 6     invalidate 1970-01-01 00:00:00: why invalidate
  run 5     requeue 1970-01-01 00:00:00: why requeue
  run 4     update \"silver\" → \"gold !\": rejected 1970-01-01 00:00:00 by request 33 (422, refused): value: invalid
"
        );
    }

    #[test]
    fn the_form_that_the_store_keeps_and_a_deleted_customer_are_named() {
        let mut entry = known().entries.remove(0);
        (entry.belief, entry.value) = (Belief::Confirmed, Some("gold ".to_owned()));
        entry.stored_value = Some("gold".to_owned());
        let mut known = nothing();
        assert!(belief(&entry, &known).starts_with("confirmed \"gold \", kept by the store as \"gold\" ("));
        entry.belief = Belief::Rejected;
        known.customer_deleted = true;
        let text = belief(&entry, &known);
        assert!(
            text.contains("the store does not have the customer") && !text.contains("known to hold"),
            "{text}"
        );
        entry.value = Some("x".repeat(300));
        known.customer_deleted = false;
        assert!(belief(&entry, &known).len() < 250, "a long value is cut");
    }

    #[test]
    fn the_reason_of_a_later_edit_has_the_edits_run() {
        let (known, mut entry) = (known(), known().entries.remove(0));
        (entry.belief, entry.reason) = (Belief::Unconfirmed, Some("why requeue".to_owned()));
        let text = belief(&entry, &known);
        assert!(
            text.ends_with("(run 4, 1970-01-01 00:00:00); then run 5, 1970-01-01 00:00:00: why requeue"),
            "{text}"
        );
    }

    #[test]
    fn a_requeue_concerns_only_a_rejected_value() {
        let mut known = known();
        known.history[0].outcome = "confirmed".to_owned();
        let lines = history(&known, Some(1)).join("\n");
        assert!(lines.contains("invalidate") && !lines.contains("requeue"), "{lines}");
    }

    #[test]
    fn what_is_not_known_is_said() {
        let desired = [
            DesiredRow { customer_id: Some(12), attribute_id: Some(1), value: None, problem: None },
            DesiredRow {
                customer_id: Some(12),
                attribute_id: Some(2),
                value: Some("a".to_owned()),
                problem: None,
            },
            DesiredRow {
                customer_id: Some(12),
                attribute_id: Some(2),
                value: Some("b".to_owned()),
                problem: None,
            },
            DesiredRow {
                customer_id: Some(12),
                attribute_id: Some(3),
                value: None,
                problem: Some("its value is not text".to_owned()),
            },
        ];
        let shown = text(DateTime::UNIX_EPOCH, 12, Some(&desired), &nothing(), &names(), Paint::default());
        for words in [
            "NULL: no value is desired",
            "2 rows, so none of them is sent: \"a\", \"b\"",
            "its value is not text",
            "nothing was sent yet",
        ] {
            assert!(shown.contains(words), "{shown}");
        }
        let clock_set_back = DateTime::UNIX_EPOCH - TimeDelta::days(1);
        let shown = text(clock_set_back, 12, None, &known(), &names(), Paint::default());
        assert!(shown.contains("may still be applied until 1969-12-31 00:20:00"), "{shown}");
        let later = DateTime::UNIX_EPOCH + TimeDelta::minutes(2);
        let shown = text(later, 12, None, &known(), &names(), Paint::default());
        assert!(shown.contains("desired   not looked up") && !shown.contains("in doubt"), "{shown}");
    }

    #[test]
    fn a_row_that_cannot_be_sent_is_shown_with_its_reason() {
        let row = |attribute_id, value: Option<&str>, reason: &str| PastInvalidRow {
            run_id: 4,
            run_started_at: DateTime::UNIX_EPOCH,
            row: InvalidRow {
                customer_id: Some(12),
                attribute_id,
                value: value.map(str::to_owned),
                reason: reason.to_owned(),
            },
        };
        let invalid =
            vec![row(None, Some("a"), "the row has no attribute id"), row(Some(9), None, "why\nnot")];
        assert_eq!(
            text(
                DateTime::UNIX_EPOCH,
                12,
                Some(&[]),
                &EntryHistory { invalid, ..nothing() },
                &names(),
                Paint::default()
            ),
            "\
customer 12 · attribute NULL
  desired   not in the source
  invalid   run 4, 1970-01-01 00:00:00, did not send \"a\": the row has no attribute id
  believed  nothing was sent yet

customer 12 · attribute 9
  desired   not in the source
  invalid   run 4, 1970-01-01 00:00:00, did not send the row: why\\nnot
  believed  nothing was sent yet
"
        );
    }
}
