//! Why a customer has the values it has: what is wanted, what is believed, and every attempt.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::Paint;
use super::text::{brief, quoted, tame};
use crate::cli::explain::Desired;
use crate::ledger::audit::{EntryHistory, EntryState, HistoryLine, InvalidLine};

/// The explanation as a person reads it. `desired` is `None` where the source could not be asked.
pub(crate) fn text(customer: i64, desired: Option<&[Desired]>, known: &EntryHistory, paint: Paint) -> String {
    let attributes: BTreeSet<Option<i64>> = (desired.unwrap_or_default().iter().map(|row| row.attribute_id))
        .chain(known.entries.iter().map(|entry| Some(entry.attribute_id)))
        .chain(known.history.iter().map(|line| Some(line.attribute_id)))
        .chain(known.invalid.iter().map(|line| line.attribute_id))
        .collect();
    let blocks: Vec<String> = attributes
        .into_iter()
        .map(|attribute| {
            let name = attribute.map_or("NULL".to_owned(), |id| id.to_string());
            let mut lines = vec![paint.strong(&format!("customer {customer} · attribute {name}"))];
            lines.push(format!("  desired   {}", desired_words(desired, attribute)));
            let invalid = known.invalid.iter().filter(|line| line.attribute_id == attribute);
            lines.extend(invalid.map(set_apart));
            let entry = known.entries.iter().find(|entry| Some(entry.attribute_id) == attribute);
            lines.push(format!("  believed  {}", entry.map_or("nothing was sent yet".to_owned(), belief)));
            let attempts: Vec<&HistoryLine> =
                known.history.iter().filter(|line| Some(line.attribute_id) == attribute).collect();
            lines.extend(attempts.into_iter().map(attempt));
            lines.join("\n") + "\n"
        })
        .collect();
    blocks.join("\n")
}

fn desired_words(desired: Option<&[Desired]>, attribute: Option<i64>) -> String {
    let Some(rows) = desired else { return "not known: the source could not be read".to_owned() };
    let values: Vec<String> = rows
        .iter()
        .filter(|row| row.attribute_id == attribute)
        .map(|row| row.value.as_deref().map_or("NULL: no value is wanted".to_owned(), quoted))
        .collect();
    match values.len() {
        0 => "not in the source".to_owned(),
        1 => values.concat(),
        rows => format!("{rows} rows, so none of them is sent: {}", values.join(", ")),
    }
}

/// `invalid   run 4, 2026-01-02 03:04:05, did not send "goooold": the value has 300 characters`.
fn set_apart(line: &InvalidLine) -> String {
    let value = line.value.as_deref().map_or("NULL".to_owned(), brief);
    let (run, at, reason) = (line.run_id, moment(line.run_started_at), tame(&line.reason));
    format!("  invalid   run {run}, {at}, did not send {value}: {reason}")
}

fn belief(entry: &EntryState) -> String {
    let also = |words: &str, value: &Option<String>| {
        value.as_deref().map_or(String::new(), |value| format!(", {words} {}", quoted(value)))
    };
    format!(
        "{} {}{}{} (run {}, {}){}",
        entry.belief,
        quoted(&entry.value),
        also("the store was last known to hold", &entry.stored_value),
        also("the store showed", &entry.observed_value),
        entry.run_id,
        moment(entry.updated_at),
        because(entry.reason.as_deref())
    )
}

/// `run 4  update "gold" → "platinum"  confirmed 2026-01-02 03:04:05 by request 33 (200)`.
fn attempt(line: &HistoryLine) -> String {
    let from = line.previous_value.as_deref().map_or(String::new(), |value| format!("{} → ", quoted(value)));
    let at = line.decided_at.map_or(String::new(), |at| format!(" {}", moment(at)));
    let by = line.request.as_ref().map_or(String::new(), |request| {
        let status = request.http_status.map_or("no answer".to_owned(), |status| status.to_string());
        format!(" by request {} ({status})", request.id)
    });
    format!(
        "  run {:<4}  {} {from}{}: {}{at}{by}{}",
        line.run_id,
        line.action,
        quoted(&line.value),
        line.outcome,
        because(line.reason.as_deref())
    )
}

fn because(reason: Option<&str>) -> String {
    reason.map_or(String::new(), |reason| format!(": {}", tame(reason)))
}

fn moment(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> EntryHistory {
        let at = DateTime::UNIX_EPOCH;
        EntryHistory {
            invalid: Vec::new(),
            entries: vec![EntryState {
                customer_id: 12,
                attribute_id: 1,
                value: "gold !".to_owned(),
                stored_value: Some("silver".to_owned()),
                observed_value: None,
                value_id: Some(7),
                belief: "rejected".to_owned(),
                reason: Some("0.value: invalid".to_owned()),
                run_id: 4,
                updated_at: at,
            }],
            history: vec![HistoryLine {
                run_id: 4,
                run_status: "partial".to_owned(),
                run_started_at: at,
                customer_id: 12,
                attribute_id: 1,
                action: "update".to_owned(),
                value: "gold !".to_owned(),
                previous_value: Some("silver".to_owned()),
                outcome: "rejected".to_owned(),
                reason: Some("0.value: invalid".to_owned()),
                decided_at: Some(at),
                request: None,
            }],
        }
    }

    #[test]
    fn a_value_is_explained() {
        let desired = [Desired { attribute_id: Some(1), value: Some("gold !".to_owned()) }];
        assert_eq!(
            text(12, Some(&desired), &known(), Paint::default()),
            "\
customer 12 · attribute 1
  desired   \"gold !\"
  believed  rejected \"gold !\", the store was last known to hold \"silver\" (run 4, 1970-01-01 00:00:00): 0.value: invalid
  run 4     update \"silver\" → \"gold !\": rejected 1970-01-01 00:00:00: 0.value: invalid
"
        );
    }

    #[test]
    fn what_is_not_known_is_said() {
        let none = EntryHistory { invalid: Vec::new(), entries: Vec::new(), history: Vec::new() };
        let desired = [
            Desired { attribute_id: Some(1), value: None },
            Desired { attribute_id: Some(2), value: Some("a".to_owned()) },
            Desired { attribute_id: Some(2), value: Some("b".to_owned()) },
        ];
        let shown = text(12, Some(&desired), &none, Paint::default());
        for words in
            ["no value is wanted", "2 rows, so none of them is sent: \"a\", \"b\"", "nothing was sent yet"]
        {
            assert!(shown.contains(words), "{shown}");
        }
        assert!(text(12, None, &known(), Paint::default()).contains("could not be read"));
    }
    #[test]
    fn a_row_that_cannot_be_sent_is_told_with_its_reason() {
        let line = |attribute_id, value: Option<&str>, reason: &str| InvalidLine {
            run_id: 4,
            run_started_at: DateTime::UNIX_EPOCH,
            attribute_id,
            value: value.map(str::to_owned),
            reason: reason.to_owned(),
        };
        let known = EntryHistory {
            invalid: vec![
                line(None, Some("a"), "the row has no attribute id"),
                line(Some(9), None, "why\nnot"),
            ],
            entries: Vec::new(),
            history: Vec::new(),
        };
        assert_eq!(
            text(12, Some(&[]), &known, Paint::default()),
            "\
customer 12 · attribute NULL
  desired   not in the source
  invalid   run 4, 1970-01-01 00:00:00, did not send \"a\": the row has no attribute id
  believed  nothing was sent yet

customer 12 · attribute 9
  desired   not in the source
  invalid   run 4, 1970-01-01 00:00:00, did not send NULL: why\\nnot
  believed  nothing was sent yet
"
        );
    }
}
