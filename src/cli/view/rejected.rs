//! Rejected values, and what was done to them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::table::fitted;
use super::text::{attribute_name, brief_or_delete, counted, moment};
use crate::cli::desired::DesiredRow;
use crate::engine::requeue::Edited;
use crate::ledger::audit::Rejection;
use crate::record::{Key, KeyScope};

/// The most keys that one message names.
const NAMED_MAX: usize = 5;

/// Where a rejected value stands in the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// The source desires this value; of a rejected delete: no value.
    Desired,
    /// The source desires another value, which the next sync sends.
    Changed,
    /// The source has no value for the key.
    Left,
}

/// Returns where each value stands, given the source's rows of its customers.
pub(crate) fn standings(values: &[Rejection], rows: &[DesiredRow]) -> BTreeMap<Key, Standing> {
    let desired: BTreeMap<(Option<i64>, Option<i64>), &str> = rows
        .iter()
        .filter_map(|row| Some(((row.customer_id, row.attribute_id), row.value.as_deref()?)))
        .collect();
    let standing = |value: &Rejection| {
        let key = (Some(value.customer_id), Some(value.attribute_id));
        match desired.get(&key).copied() {
            desired if desired == value.value.as_deref() => Standing::Desired,
            Some(_) => Standing::Changed,
            None => Standing::Left,
        }
    };
    values.iter().map(|value| (key_of(value), standing(value))).collect()
}

fn key_of(value: &Rejection) -> Key {
    Key::new(value.customer_id, value.attribute_id)
}

/// The rejected values, one line each, of at most `width` columns. `names` are the attributes' names.
pub(crate) fn text(
    values: &[Rejection],
    standings: &BTreeMap<Key, Standing>,
    names: &BTreeMap<i64, String>,
    width: Option<usize>,
) -> String {
    let row = |value: &Rejection| {
        let standing = match standings.get(&key_of(value)) {
            Some(Standing::Changed) => "changed in the source",
            Some(Standing::Left) => "no longer desired",
            Some(Standing::Desired) | None => "",
        };
        let acknowledged = if value.acknowledged { "acknowledged" } else { "" };
        let notes: Vec<&str> = [acknowledged, standing].into_iter().filter(|note| !note.is_empty()).collect();
        vec![
            value.customer_id.to_string(),
            attribute_name(value.attribute_id, names),
            brief_or_delete(value.value.as_deref()),
            value.run_id.to_string(),
            moment(value.since),
            notes.join(", "),
            value.reason.clone().unwrap_or_default(),
        ]
    };
    let mut rows: Vec<Vec<String>> = values.iter().map(row).collect();
    let mut heads = vec!["customer", "attribute", "value", "run", "since", "note", "reason"];
    if rows.iter().all(|row| row[5].is_empty()) {
        heads.remove(5);
        for row in &mut rows {
            row.remove(5);
        }
    }
    fitted(&heads, &rows, width)
}

/// A rejected value for programs. Keys are only ever added.
pub(crate) fn json(value: &Rejection, standings: &BTreeMap<Key, Standing>) -> Value {
    let standing = standings.get(&key_of(value));
    json!({
        "customer_id": value.customer_id,
        "attribute_id": value.attribute_id,
        "value": value.value,
        "reason": value.reason,
        "acknowledged": value.acknowledged,
        "desired": standing.map(|standing| *standing == Standing::Desired),
        "run_id": value.run_id,
        "since": value.since,
    })
}

/// What was `done` to how many values, in all and in each scope, for programs. `left`: how many of them are no longer
/// desired, if it is known.
pub(crate) fn edited_json(edited: &Edited, done: &str, total: i64, left: Option<usize>) -> Value {
    let key = |(scope, count): &(KeyScope, i64)| json!({ "customer_id": scope.customer_id, "attribute_id": scope.attribute_id, done: count });
    let keys: Vec<Value> = edited.counts.iter().map(key).collect();
    let mut document = json!({ "run_id": edited.run_id, done: total, "keys": keys, "exit_code": 0 });
    if let Some(left) = left {
        document["no_longer_desired"] = left.into();
    }
    document
}

/// `run 4 requeued 2 values`.
pub(crate) fn edited(run_id: i64, done: &str, count: i64) -> String {
    format!("run {run_id} {done} {}\n", counted(count.unsigned_abs(), "value"))
}

/// `customer 12 · loyalty_tier (1)`, or the store.
pub(crate) fn scope(scope: KeyScope, names: &BTreeMap<i64, String>) -> String {
    match (scope.customer_id, scope.attribute_id) {
        (Some(customer), Some(id)) => format!("customer {customer} · {}", attribute_name(id, names)),
        (Some(customer), None) => format!("customer {customer}"),
        _ => "this store".to_owned(),
    }
}

/// Which requeued values nothing is sent for.
pub(crate) fn left(keys: &[Key], names: &BTreeMap<i64, String>) -> String {
    let name = |key: &Key| {
        let key = KeyScope { customer_id: Some(key.customer_id), attribute_id: Some(key.attribute_id) };
        scope(key, names)
    };
    let mut named: Vec<String> = keys.iter().take(NAMED_MAX).map(name).collect();
    if keys.len() > NAMED_MAX {
        named.push(format!("and {} more", keys.len() - NAMED_MAX));
    }
    let count = counted(u64::try_from(keys.len()).unwrap_or(u64::MAX), "value");
    format!(
        "{count} no longer in the source: off the list, and nothing is sent for it ({})",
        named.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    fn rejection(customer_id: i64, acknowledged: bool) -> Rejection {
        Rejection {
            customer_id,
            attribute_id: 1,
            value: Some("bad".to_owned()),
            reason: Some("not allowed".to_owned()),
            acknowledged,
            run_id: 3,
            since: DateTime::UNIX_EPOCH,
        }
    }

    fn row(customer: i64, value: Option<&str>) -> DesiredRow {
        let value = value.map(str::to_owned);
        DesiredRow { customer_id: Some(customer), attribute_id: Some(1), value, problem: None }
    }

    #[test]
    fn each_value_says_whether_it_is_acknowledged_and_still_desired() {
        let values = [1, 2, 3, 4].map(|customer| rejection(customer, customer < 3));
        let rows = [row(1, Some("bad")), row(2, Some("good")), row(3, None)];
        let standings = standings(&values, &rows);
        let names = BTreeMap::from([(1, "tier".to_owned())]);
        assert_eq!(
            text(&values, &standings, &names, None),
            "\
customer  attribute  value  run  since                note                                 reason
--------  ---------  -----  ---  -------------------  -----------------------------------  -----------
       1  tier (1)   \"bad\"    3  1970-01-01 00:00:00  acknowledged                         not allowed
       2  tier (1)   \"bad\"    3  1970-01-01 00:00:00  acknowledged, changed in the source  not allowed
       3  tier (1)   \"bad\"    3  1970-01-01 00:00:00  no longer desired                    not allowed
       4  tier (1)   \"bad\"    3  1970-01-01 00:00:00  no longer desired                    not allowed
"
        );
        let deleted = [1, 3].map(|customer| Rejection { value: None, ..rejection(customer, false) });
        let of_deletes = super::standings(&deleted, &rows).into_values().collect::<Vec<_>>();
        assert_eq!(of_deletes, [Standing::Changed, Standing::Desired]);
        assert!(text(&deleted, &standings, &names, None).contains("(delete)"));
        assert_eq!(json(&values[1], &standings)["desired"], Value::Bool(false));
        assert_eq!(json(&values[1], &BTreeMap::new())["desired"], Value::Null);
    }

    #[test]
    fn a_list_without_notes_has_no_column_for_them() {
        assert!(!text(&[rejection(1, false)], &BTreeMap::new(), &BTreeMap::new(), None).contains("note"));
    }
}
