//! The plan of a run by attribute.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::groups;
use super::table::{Column, Kind, table};
use crate::ledger::audit::{COUNTED_MAX, PlanGroup, RunRow};
use crate::web::format::number;

/// A column of the table: its heading, and which groups it counts.
type Counting = (&'static str, fn(&PlanGroup) -> bool);

/// What can be done to a value, and what can become of it. A column without any change is left out.
const COUNTINGS: [Counting; 8] = [
    ("Create", |group| group.action == "create"),
    ("Update", |group| group.action == "update"),
    ("Delete", |group| group.action == "delete"),
    ("Confirmed", |group| group.outcome == "confirmed"),
    ("Rejected", |group| group.outcome == "rejected"),
    ("Unknown", |group| group.outcome == "unknown"),
    ("In flight", |group| group.outcome == "sending"),
    ("Not sent", |group| matches!(group.outcome.as_str(), "planned" | "deferred")),
];

/// The plan: a row for each attribute, with its actions and outcomes.
pub(super) fn by_attribute(run: &RunRow, plan: &[PlanGroup], names: &BTreeMap<i64, String>) -> Markup {
    let shown: Vec<&Counting> = COUNTINGS.iter().filter(|(_, counts)| plan.iter().any(counts)).collect();
    let mut columns: Vec<Column> = vec![("Attribute", Kind::Text)];
    columns.extend(shown.iter().map(|(head, _)| (*head, Kind::Number)));
    let mut attributes: BTreeMap<i64, Vec<&PlanGroup>> = BTreeMap::new();
    for group in plan {
        attributes.entry(group.attribute_id).or_default().push(group);
    }
    let row = |(id, groups): (&i64, &Vec<&PlanGroup>)| {
        let sum = |counts: &fn(&PlanGroup) -> bool| -> i64 {
            groups.iter().filter(|group| counts(group)).map(|group| group.changes).sum()
        };
        let mut row = vec![groups::attribute(*id, names)];
        row.extend(shown.iter().map(|(_, counts)| html! { (number(sum(counts))) }));
        row
    };
    let rows: Vec<_> = attributes.iter().map(row).collect();
    html! {
        @if !rows.is_empty() {
            section {
                h2 { "Plan by attribute" }
                (table("Plan by attribute", &columns, &rows))
                @if run.counts.planned > COUNTED_MAX {
                    p.note {
                        "Of " (number(run.counts.planned)) " changes, only the first " (number(COUNTED_MAX))
                        " were counted."
                    }
                }
            }
        }
    }
}
