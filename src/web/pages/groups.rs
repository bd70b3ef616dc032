//! Reasons with how many rows have them.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use maud::{Markup, html};

use super::table::{Kind, table};
use crate::ledger::audit::{COUNTED_MAX, ReasonGroup};
use crate::record::Key;
use crate::web::format::{counted, number, reason, segment, state, when, words};

/// The name of an attribute with its id, or the id alone.
pub(super) fn attribute(id: i64, names: &BTreeMap<i64, String>) -> Markup {
    html! {
        @match names.get(&id) {
            Some(name) => span { (words(name)) " " span.id { (id) } },
            None => { "attribute " (id) },
        }
    }
}

/// A link to the page of a customer.
pub(super) fn customer(name: &str, id: i64) -> Markup {
    html! { a href={ "/syncs/" (segment(name)) "/customer?id=" (id) } { (id) } }
}

/// What is counted, and which columns the table has besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Counted {
    /// Changes of several outcomes.
    Changes,
    /// Rejected values.
    Values,
    /// Rows of the source.
    Rows,
}

/// The groups as a table. `example` makes a link of a key.
pub(super) fn reasons(
    caption: &str,
    groups: &[ReasonGroup],
    what: Counted,
    example: impl Fn(Key) -> Markup,
    now: DateTime<Utc>,
) -> Markup {
    let mut columns = vec![("Reason", Kind::Text)];
    columns.extend((what == Counted::Changes).then_some(("Outcome", Kind::Text)));
    let counted = if what == Counted::Rows { "Rows" } else { "Values" };
    columns.extend([(counted, Kind::Number), ("For example", Kind::Text)]);
    columns.extend((what != Counted::Rows).then_some(("Newest", Kind::Text)));
    let row = |group: &ReasonGroup| {
        let mut row = vec![reason(group.reason.as_deref())];
        row.extend((what == Counted::Changes).then(|| state(&group.outcome)));
        row.extend([
            html! {
                (number(group.rows))
                @if group.acknowledged > 0 { span.note { (number(group.acknowledged)) " acknowledged" } }
            },
            html! { @if let Some(key) = group.example { (example(key)) } },
        ]);
        row.extend(
            (what != Counted::Rows).then(|| html! { @if let Some(at) = group.newest { (when(at, now)) } }),
        );
        row
    };
    html! {
        (table(caption, &columns, &groups.iter().map(row).collect::<Vec<_>>()))
        (bound(groups))
    }
}

/// Says that not all rows were counted, if that is so.
fn bound(groups: &[ReasonGroup]) -> Markup {
    let rows: i64 = groups.iter().map(|group| group.rows).sum();
    html! {
        @if rows >= COUNTED_MAX { p.note { "Only the first " (counted(COUNTED_MAX, "row")) " were counted." } }
    }
}
