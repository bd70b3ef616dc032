//! How a run was undone, or can be, as text and as JSON.

use serde_json::{Value, json};

use super::paint::Paint;
use super::plan;
use super::text::{brief, counted, number, tame};
use crate::cli::exit::Exit;
use crate::engine::{Forecast, Undone};
use crate::plan::undo::{Conflict, Reason};

/// How many conflicts a person is shown.
const SHOWN: usize = 20;

/// The lines of a report.
pub(crate) fn lines(undone: &Undone, paint: Paint) -> Vec<String> {
    let Undone { of_run_id, sent, done, conflicts_total, conflicts } = undone;
    let sent = counted(sent.unsigned_abs(), "change");
    let mut lines = vec![format!("run {of_run_id} had sent {sent}")];
    if *done > 0 {
        lines.push(format!(
            "{} of them are undone already: the store holds the value from before",
            number(*done)
        ));
    }
    if *conflicts_total > 0 {
        lines.push(paint.notable(&format!("{} left alone", counted(*conflicts_total, "conflict"))));
        lines.extend(conflicts.iter().take(SHOWN).map(conflict_line));
        let unseen = conflicts_total.saturating_sub(SHOWN as u64);
        if unseen > 0 {
            lines.push(format!("  … and {} more: --json lists them", number(unseen)));
        }
    }
    lines
}

/// `! customer 12 · attribute 1: sent "gold", before "silver": run 14 has changed it since`.
fn conflict_line(conflict: &Conflict) -> String {
    let Conflict { key, value, previous_value, reason } = conflict;
    let sent = value.as_deref().map_or("deleted".to_owned(), |value| format!("sent {}", brief(value)));
    let before =
        previous_value.as_deref().map_or(String::new(), |value| format!(", before {}", brief(value)));
    let shown = match reason {
        Reason::Foreign(shown) => format!(" ({})", brief(shown)),
        _ => String::new(),
    };
    format!("! {key}: {sent}{before}: {}{shown}", tame(&reason.to_string()))
}

/// The plan of an undo as a person reads it.
pub(crate) fn plan_text(forecast: &Forecast, undone: &Undone, workers: usize, paint: Paint) -> String {
    let plan = plan::text_without_rows(forecast, workers, paint);
    format!("{plan}\n{}\n", lines(undone, paint).join("\n"))
}

/// The same for programs. Keys are only ever added.
pub(crate) fn plan_json(forecast: &Forecast, undone: &Undone, workers: usize, exit: Exit) -> Value {
    let mut plan = plan::json(forecast, workers, exit, None);
    plan["undone"] = json(undone);
    plan
}

/// How a run was undone, for programs. Keys are only ever added.
pub(crate) fn json(undone: &Undone) -> Value {
    let conflict = |conflict: &Conflict| {
        let Conflict { key, value, previous_value, reason } = conflict;
        let (kind, later, shown) = match reason {
            Reason::ChangedSince(run_id) => ("changed_since", Some(*run_id), None),
            Reason::PreviousUnknown => ("previous_unknown", None, None),
            Reason::Rejected => ("rejected", None, None),
            Reason::Forgotten => ("forgotten", None, None),
            Reason::NoAttribute => ("no_attribute", None, None),
            Reason::Foreign(shown) => ("foreign", None, Some(shown)),
            Reason::Removed => ("removed", None, None),
            Reason::SourceAmbiguous(_) => ("source_ambiguous", None, None),
        };
        json!({
            "customer_id": key.customer_id,
            "attribute_id": key.attribute_id,
            "value": value,
            "previous_value": previous_value,
            "conflict": kind,
            "changed_by_run_id": later,
            "store_value": shown,
            "reason": reason.to_string(),
        })
    };
    json!({
        "of_run_id": undone.of_run_id,
        "sent": undone.sent,
        "done": undone.done,
        "conflicts_total": undone.conflicts_total,
        "conflicts": undone.conflicts.iter().map(conflict).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Key;

    #[test]
    fn conflicts_are_named_with_what_was_sent_and_why_they_are_left_alone() {
        let of = |id, value: Option<&str>, previous: Option<&str>, reason| Conflict {
            key: Key::new(id, 1),
            value: value.map(str::to_owned),
            previous_value: previous.map(str::to_owned),
            reason,
        };
        let conflicts = vec![
            of(1, Some("gold"), Some("silver"), Reason::ChangedSince(14)),
            of(2, Some("gold"), None, Reason::Foreign("iron".to_owned())),
            of(3, None, Some("silver"), Reason::Removed),
        ];
        let undone = Undone { of_run_id: 12, sent: 1_400, done: 3, conflicts_total: 23, conflicts };
        assert_eq!(
            lines(&undone, Paint::default()).join("\n"),
            "\
run 12 had sent 1,400 changes
3 of them are undone already: the store holds the value from before
23 conflicts left alone
! customer 1 · attribute 1: sent \"gold\", before \"silver\": run 14 has changed it since
! customer 2 · attribute 1: sent \"gold\": the store holds this value now, which attrsync did not send (\"iron\")
! customer 3 · attribute 1: deleted, before \"silver\": the store holds no value any more: others have deleted it
  … and 3 more: --json lists them"
        );
        assert_eq!(json(&undone)["conflicts"][1]["store_value"], "iron");
    }
}
