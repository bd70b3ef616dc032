//! The forecast of a sync, as text and as JSON.

use serde_json::{Value, json};

use super::estimate::{self, ASSUMED_LATENCY};
use super::guard;
use super::paint::Paint;
use super::text::{brief, counted, invalid_key, number, tame};
use super::warnings;
use crate::cli::exit::Exit;
use crate::engine::Forecast;
use crate::record::{Action, Change, Counts, InvalidRow};

/// The forecast as a person reads it.
pub(crate) fn text(forecast: &Forecast, workers: usize, paint: Paint) -> String {
    let mut lines = change_lines(forecast, paint);
    lines.extend(invalid_lines(forecast, paint));
    if !lines.is_empty() {
        lines.push(String::new());
    }
    lines.push(paint.strong(&summary(forecast)));
    lines.extend(not_planned(forecast));
    if forecast.requests > 0 {
        lines.push(estimate::sentence(forecast, workers));
    }
    lines.extend(warnings::lines(&forecast.warnings, paint));
    lines.extend(guard::lines(&forecast.exceeded, paint));
    if !forecast.exceeded.is_empty() {
        lines.push("a guard would block this sync before its first write call".to_owned());
    }
    lines.join("\n") + "\n"
}

/// The changes of a forecast and what they cost, without the rows of the source.
pub(crate) fn text_without_rows(forecast: &Forecast, workers: usize, paint: Paint) -> String {
    let mut lines = change_lines(forecast, paint);
    if !lines.is_empty() {
        lines.push(String::new());
    }
    lines.push(paint.strong(&summary(forecast)));
    if forecast.requests > 0 {
        lines.push(estimate::sentence(forecast, workers));
    }
    lines.join("\n")
}

/// The first changes, then their number by attribute.
fn change_lines(forecast: &Forecast, paint: Paint) -> Vec<String> {
    let mut lines: Vec<String> =
        forecast.sample.iter().map(|change| change_line(change, forecast, paint)).collect();
    let unseen = forecast.counts.planned - count(forecast.sample.len());
    if unseen > 0 && !lines.is_empty() {
        lines.push(format!("  … and {} more: raise --limit", number(unseen)));
    }
    if !forecast.attributes.is_empty() && forecast.counts.planned > 0 {
        lines.push(String::new());
        lines.extend(forecast.attributes.iter().map(|(id, attribute)| {
            let deletes = match attribute.deletes {
                0 => String::new(),
                deletes => format!(", {} to delete", number(deletes)),
            };
            format!(
                "{} ({id}): {} to create, {} to update{deletes}",
                tame(&attribute.name),
                number(attribute.creates),
                number(attribute.updates),
            )
        }));
    }
    lines
}

/// `~ customer 12 · loyalty_tier (1): "silver" → "gold"`.
fn change_line(change: &Change, forecast: &Forecast, paint: Paint) -> String {
    let id = change.key.attribute_id;
    let name = forecast.attributes.get(&id).map_or("attribute", |attribute| &attribute.name);
    let sign = match change.action {
        Action::Create => paint.good("+"),
        Action::Update => paint.notable("~"),
        Action::Delete => paint.bad("-"),
    };
    let new = change.value.as_deref().unwrap_or_default();
    let value = match (&change.action, &change.previous_value) {
        (Action::Create, _) => brief(new),
        (Action::Update, Some(previous)) => format!("{} → {}", brief(previous), brief(new)),
        (Action::Update, None) => format!("not known → {}", brief(new)),
        (Action::Delete, Some(previous)) => format!("{} → no value", brief(previous)),
        (Action::Delete, None) => "not known → no value".to_owned(),
    };
    format!("{sign} customer {} · {} ({id}): {value}", change.key.customer_id, tame(name))
}

fn invalid_lines(forecast: &Forecast, paint: Paint) -> Vec<String> {
    if forecast.counts.invalid == 0 {
        return Vec::new();
    }
    let invalid = u64::try_from(forecast.counts.invalid).unwrap_or(0);
    let head = format!("{} of the source cannot be sent:", counted(invalid, "row"));
    let mut lines = vec![String::new(), paint.notable(&head)];
    lines.extend(forecast.invalid_sample.iter().map(|row| format!("! {}", invalid_line(row))));
    let unseen = forecast.counts.invalid - count(forecast.invalid_sample.len());
    if unseen > 0 {
        lines.push(format!("  … and {} more: raise --limit", number(unseen)));
    }
    lines
}

/// An invalid row with its key, its value if one could be read, and the reason.
fn invalid_line(row: &InvalidRow) -> String {
    let parts = [Some(invalid_key(row)), row.value.as_deref().map(brief), Some(tame(&row.reason))];
    parts.into_iter().flatten().collect::<Vec<_>>().join(": ")
}

/// `Plan: 12 to create, 3 to update, 0 to delete · 2 calls`.
pub(crate) fn summary(forecast: &Forecast) -> String {
    format!(
        "Plan: {} to create, {} to update, {} to delete · {}",
        number(forecast.creates),
        number(forecast.updates),
        number(forecast.deletes),
        counted(forecast.requests, "call")
    )
}

/// What is not in the plan, and why.
fn not_planned(forecast: &Forecast) -> Vec<String> {
    let counts = &forecast.counts;
    let line = |count: i64, words: &str| (count > 0).then(|| format!("{} {words}", number(count)));
    [
        line(counts.unchanged, "unchanged"),
        line(
            counts.still_rejected,
            "still rejected: the store rejected them before (`attrsync rejected` lists them)",
        ),
        line(
            counts.pinned,
            "pinned: an undo restored them; the source's values are ignored until they change",
        ),
        line(counts.no_value, "NULL: no value is desired"),
        line(
            counts.orphans,
            "orphans: in the ledger, no longer in the source; the store keeps them ([missing])",
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// What a person should look at, in a line each.
pub(crate) fn attention(counts: &Counts) -> Vec<String> {
    let Counts { invalid, still_rejected, acknowledged, .. } = *counts;
    let rejected = still_rejected - acknowledged;
    let mut lines = Vec::new();
    if invalid > 0 {
        lines.push(format!(
            "{} cannot be sent: `attrsync plan` lists them",
            counted(invalid.unsigned_abs(), "row")
        ));
    }
    if rejected > 0 {
        lines.push(format!(
            "{} still rejected: `attrsync rejected` lists them",
            counted(rejected.unsigned_abs(), "value")
        ));
    }
    lines
}

/// The forecast for programs. Keys are only ever added.
pub(crate) fn json(forecast: &Forecast, workers: usize, exit: Exit, run_id: Option<i64>) -> Value {
    json!({
        "exit_code": exit as u8,
        "run_id": run_id,
        "needs_attention": forecast.counts.need_attention() > 0,
        "creates": forecast.creates,
        "updates": forecast.updates,
        "deletes": forecast.deletes,
        "requests": forecast.requests,
        "requests_without_ledger": forecast.requests_without_ledger,
        "estimated_seconds": estimate::whole(forecast, workers).as_secs_f64(),
        "assumed_latency_ms": u64::try_from(ASSUMED_LATENCY.as_millis()).unwrap_or(u64::MAX),
        "counts": forecast.counts,
        "warnings": warnings::json(&forecast.warnings),
        "exceeded": guard::json(&forecast.exceeded),
        "attributes": forecast.attributes.iter().map(|(id, attribute)| json!({
            "id": id, "name": attribute.name, "creates": attribute.creates, "updates": attribute.updates,
            "deletes": attribute.deletes,
        })).collect::<Vec<_>>(),
        "sample": forecast.sample.iter().map(|change| json!({
            "action": change.action.as_str(),
            "customer_id": change.key.customer_id,
            "attribute_id": change.key.attribute_id,
            "value": change.value,
            "previous_value": change.previous_value,
        })).collect::<Vec<_>>(),
        "invalid_sample": forecast.invalid_sample.iter().map(|row| json!({
            "customer_id": row.customer_id,
            "attribute_id": row.attribute_id,
            "value": row.value,
            "reason": row.reason,
        })).collect::<Vec<_>>(),
    })
}

fn count(len: usize) -> i64 {
    i64::try_from(len).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::destination::Allowance;
    use crate::engine::AttributeForecast;
    use crate::plan::batch::Limit;
    use crate::record::{Counts, Key};

    fn forecast() -> Forecast {
        let change = |customer, action, previous: Option<&str>| Change {
            key: Key::new(customer, 1),
            action,
            value: (action != Action::Delete).then(|| "gold".to_owned()),
            previous_value: previous.map(str::to_owned),
            previous_in_doubt: false,
            source_value: None,
            value_id: None,
            in_doubt_until: None,
        };
        let tier =
            AttributeForecast { name: "loyalty_tier".to_owned(), creates: 1200, updates: 2, deletes: 1 };
        Forecast {
            counts: Counts { planned: 1203, deletes: 1, unchanged: 5, invalid: 2, ..Counts::default() },
            attributes: [(1, tier)].into(),
            sample: vec![
                change(11, Action::Create, None),
                change(12, Action::Update, Some("sil\nver")),
                change(13, Action::Update, None),
                change(14, Action::Delete, Some("old")),
            ],
            invalid_sample: vec![InvalidRow {
                customer_id: None,
                attribute_id: Some(1),
                value: Some("x".to_owned()),
                reason: "no customer id".to_owned(),
            }],
            requests: 121,
            requests_without_ledger: 122,
            limit: Limit { customers: 10, values: Some(10) },
            allowance: Some(Allowance {
                now: 0,
                next_window: Duration::from_secs(30),
                each_window: 120,
                window: Duration::from_secs(30),
            }),
            in_doubt_wait: Duration::ZERO,
            creates: 1200,
            updates: 2,
            deletes: 1,
            warnings: Vec::new(),
            exceeded: Vec::new(),
        }
    }

    #[test]
    fn a_person_sees_the_changes_and_the_sums() {
        assert_eq!(
            text(&forecast(), 3, Paint::default()),
            "\
+ customer 11 · loyalty_tier (1): \"gold\"
~ customer 12 · loyalty_tier (1): \"sil\\nver\" → \"gold\"
~ customer 13 · loyalty_tier (1): not known → \"gold\"
- customer 14 · loyalty_tier (1): \"old\" → no value
  … and 1,199 more: raise --limit

loyalty_tier (1): 1,200 to create, 2 to update, 1 to delete

2 rows of the source cannot be sent:
! customer NULL · attribute 1: \"x\": no customer id
  … and 1 more: raise --limit

Plan: 1,200 to create, 2 to update, 1 to delete · 121 calls
5 unchanged
About 1 min: 121 calls of at most 10 values, and the store allows 120 in 30 s.
"
        );
    }

    #[test]
    fn nothing_to_do_is_one_line() {
        let nothing = Forecast {
            counts: Counts::default(),
            sample: Vec::new(),
            invalid_sample: Vec::new(),
            requests: 0,
            creates: 0,
            updates: 0,
            deletes: 0,
            ..forecast()
        };
        assert_eq!(
            text(&nothing, 3, Paint::default()),
            "Plan: 0 to create, 0 to update, 0 to delete · 0 calls\n"
        );
    }

    #[test]
    fn programs_get_the_same() {
        let value = json(&forecast(), 3, Exit::Done, Some(12));
        assert_eq!(value["run_id"], 12);
        assert_eq!(value["sample"][1]["previous_value"], "sil\nver");
        assert_eq!(value["counts"]["planned"], 1203);
        assert_eq!(value["attributes"][0]["name"], "loyalty_tier");
    }
}
