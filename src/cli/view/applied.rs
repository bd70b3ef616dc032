//! How the plan of an earlier run was applied, as text and as JSON.

use serde_json::{Value, json};

use super::paint::Paint;
use super::text::{brief, counted, number};
use crate::engine::Applied;
use crate::plan::saved::Conflict;
use crate::record::{Action, Belief};

/// How many conflicts a person is shown.
const SHOWN: usize = 20;

/// The lines of a report.
pub(crate) fn lines(applied: &Applied, paint: Paint) -> Vec<String> {
    let Applied { of_run_id, planned, done, conflicts_total, conflicts, left, .. } = applied;
    let mut lines =
        vec![format!("applied run {of_run_id}, which had planned {}", changes(planned.unsigned_abs()))];
    if *done > 0 {
        lines.push(format!("{} of them held already: the store has the value", number(*done)));
    }
    if *conflicts_total > 0 {
        let head =
            format!("{}: the source or the ledger has changed since", counted(*conflicts_total, "conflict"));
        lines.push(paint.notable(&head));
        lines.extend(conflicts.iter().take(SHOWN).map(conflict));
        let unseen = conflicts_total.saturating_sub(SHOWN as u64);
        if unseen > 0 {
            lines.push(format!("  … and {} more: --json lists them", number(unseen)));
        }
    }
    if *left > 0 {
        lines.push(format!("{} not in that plan: the next sync sends what is due", changes(*left)));
    }
    lines
}

fn changes(count: u64) -> String {
    counted(count, "change")
}

/// `! customer 12 · attribute 1: planned "gold", now "silver"`.
fn conflict(conflict: &Conflict) -> String {
    let Conflict { key, planned, planned_value, now, now_value, belief, .. } = conflict;
    let to = |action: Action, value: &Option<String>| match (action, value) {
        (Action::Delete, _) => "to delete it".to_owned(),
        (Action::Create | Action::Update, value) => brief(value.as_deref().unwrap_or_default()),
    };
    let now = match (now, belief, now_value) {
        // The same value, but one of them creates it.
        (Some(now), _, value) if value == planned_value => format!("now to {now} it"),
        (Some(now), _, value) => format!("now {}", to(*now, value)),
        (None, Some(Belief::Rejected), _) => "now rejected by the store".to_owned(),
        (None, Some(Belief::Confirmed), Some(value)) => {
            format!("now nothing to do: the store has {}", brief(value))
        }
        (None, ..) => "now nothing to do: the source does not ask for a value".to_owned(),
    };
    format!(
        "! customer {} · attribute {}: planned {}, {now}",
        key.customer_id,
        key.attribute_id,
        to(*planned, planned_value)
    )
}

/// The same for programs. Keys are only ever added.
pub(crate) fn json(applied: &Applied) -> Value {
    let conflict = |conflict: &Conflict| {
        json!({
            "customer_id": conflict.key.customer_id,
            "attribute_id": conflict.key.attribute_id,
            "planned": conflict.planned,
            "planned_value": conflict.planned_value,
            "previous_value": conflict.previous_value,
            "now": conflict.now,
            "now_value": conflict.now_value,
            "belief": conflict.belief,
        })
    };
    json!({
        "of_run_id": applied.of_run_id,
        "planned": applied.planned,
        "done": applied.done,
        "conflicts_total": applied.conflicts_total,
        "conflicts": applied.conflicts.iter().map(conflict).collect::<Vec<_>>(),
        "left_to_next_sync": applied.left,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Key;

    #[test]
    fn conflicts_are_named_with_what_was_planned_and_what_is_now() {
        let of = |id, now, now_value: Option<&str>, belief| Conflict {
            key: Key::new(id, 1),
            planned: Action::Update,
            planned_value: Some("gold".to_owned()),
            previous_value: None,
            now,
            now_value: now_value.map(str::to_owned),
            belief,
        };
        let conflicts = vec![
            of(1, Some(Action::Update), Some("silver"), Some(Belief::Confirmed)),
            of(2, Some(Action::Delete), None, Some(Belief::Confirmed)),
            of(3, Some(Action::Create), Some("gold"), None),
            of(4, None, Some("gold"), Some(Belief::Rejected)),
            of(5, None, Some("silver"), Some(Belief::Confirmed)),
            of(6, None, None, None),
        ];
        let applied = Applied {
            of_run_id: 12,
            planned: 40,
            done: 1,
            conflicts_total: 26,
            conflicts,
            skip_conflicts: false,
            left: 5,
        };
        assert_eq!(
            lines(&applied, Paint::default()).join("\n"),
            "\
applied run 12, which had planned 40 changes
1 of them held already: the store has the value
26 conflicts: the source or the ledger has changed since
! customer 1 · attribute 1: planned \"gold\", now \"silver\"
! customer 2 · attribute 1: planned \"gold\", now to delete it
! customer 3 · attribute 1: planned \"gold\", now to create it
! customer 4 · attribute 1: planned \"gold\", now rejected by the store
! customer 5 · attribute 1: planned \"gold\", now nothing to do: the store has \"silver\"
! customer 6 · attribute 1: planned \"gold\", now nothing to do: the source does not ask for a value
  … and 6 more: --json lists them
5 changes not in that plan: the next sync sends what is due"
        );
        assert_eq!(json(&applied)["conflicts"][3]["belief"], "rejected");
    }
}
