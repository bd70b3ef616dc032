//! Values that an undo has restored, and the pins that keep them.

use super::*;
use crate::record::OnMissing;

const KEY: Key = Key { customer_id: 5, attribute_id: 1 };

/// A value that the store holds, and that is kept as long as the source says `source_value`.
fn pinned(value: Option<&str>, source_value: Option<&str>) -> Known {
    let text = |text: &str| text.to_owned();
    let pin = Pin { key: KEY, value: value.map(text), source_value: source_value.map(text), run_id: 9 };
    let entry = match value {
        Some(value) => known(value, Belief::Confirmed),
        None => Known { value: None, value_id: None, belief: Belief::Absent, ..known("", Belief::Absent) },
    };
    Known { pin: Some(pin), ..entry }
}

/// Plans, and returns the pins that end too.
fn plan_with(policy: DiffPolicy, rows: &[Row], entry: Known) -> (Counts, PlanPage, Vec<Key>) {
    let (diff, plan) = merged(policy, rows, &BTreeMap::from([(KEY, entry)]), 100);
    (diff.counts(), plan, diff.ended_pins().to_vec())
}

#[test]
fn a_pin_holds_until_the_source_says_something_else() {
    let null: Row = (Some(5), Some(1), None);
    for (kept, ignored, same) in [
        (Some("silver"), Some("gold"), vec![row(5, 1, "gold")]),
        (None, Some("gold"), vec![row(5, 1, "gold")]),
        (Some("silver"), None, vec![]),
        (Some("silver"), None, vec![null.clone()]),
    ] {
        let (counts, plan, ended) = plan_with(policy(), &same, pinned(kept, ignored));
        assert_eq!((counts.pinned, counts.planned, counts.unchanged), (1, 0, 0), "{kept:?} {ignored:?}");
        assert_eq!((counts.orphans, counts.stored_without_row), (0, 0), "{kept:?} {ignored:?}");
        assert!(plan.changes.is_empty() && ended.is_empty());
        let (counts, plan, ended) = plan_with(policy(), &[row(5, 1, "bronze")], pinned(kept, ignored));
        assert_eq!((counts.pinned, counts.planned), (0, 1), "{kept:?} {ignored:?}");
        assert_eq!((plan.changes[0].value.as_deref(), ended), (Some("bronze"), vec![KEY]));
    }
}

#[test]
fn a_pin_ends_if_the_source_says_what_it_keeps() {
    let (counts, _, ended) =
        plan_with(policy(), &[row(5, 1, "silver")], pinned(Some("silver"), Some("gold")));
    assert_eq!((counts.unchanged, counts.pinned, ended), (1, 0, vec![KEY]));
}

#[test]
fn a_pinned_value_that_has_left_the_source_is_not_deleted_and_its_pin_ends_if_its_row_leaves() {
    let missing = MissingPolicy { action: OnMissing::Delete, ..MissingPolicy::default() };
    let deleting = || DiffPolicy { missing: missing.clone(), ..policy() };
    let (counts, ..) = plan_with(deleting(), &[], pinned(Some("silver"), None));
    assert_eq!((counts.pinned, counts.deletes), (1, 0));
    let (counts, _, ended) = plan_with(deleting(), &[], pinned(Some("silver"), Some("gold")));
    assert_eq!((counts.pinned, counts.deletes, ended), (0, 1, vec![KEY]));
}

#[test]
fn an_invalid_row_leaves_the_pin() {
    for rows in [vec![row(5, 1, "a"), row(5, 1, "b")], vec![row(5, 1, &"x".repeat(256))]] {
        let (counts, plan, ended) = plan_with(policy(), &rows, pinned(Some("silver"), Some("gold")));
        assert_eq!((counts.planned, plan.changes.len(), ended.len()), (0, 0, 0));
    }
}

#[test]
fn a_pinned_value_that_is_not_confirmed_is_sent_again() {
    let lost = |known: Known| Known { belief: Belief::Unconfirmed, ..known };
    let gold = [row(5, 1, "gold")];
    let (counts, plan, ended) = plan_with(policy(), &gold, lost(pinned(Some("silver"), Some("gold"))));
    assert_eq!((counts.pinned, counts.planned, ended.len()), (0, 1, 0));
    assert_eq!(plan.changes[0].value.as_deref(), Some("silver"));
    let (counts, plan, _) = plan_with(policy(), &gold, lost(pinned(None, Some("gold"))));
    assert_eq!((counts.pinned, counts.planned, counts.deletes), (0, 1, 1));
    assert_eq!(plan.changes[0].action, Action::Delete);
    let full = DiffPolicy { full: true, ..policy() };
    let (_, plan, _) = plan_with(full, &gold, pinned(Some("silver"), Some("gold")));
    assert_eq!(plan.changes[0].value.as_deref(), Some("silver"), "a full sync sends what is pinned");
}

#[test]
fn a_pinned_value_that_the_store_rejects_is_given_up() {
    let rejected = Known { belief: Belief::Rejected, ..pinned(Some("silver"), Some("gold")) };
    let (counts, plan, ended) = plan_with(policy(), &[row(5, 1, "gold")], rejected);
    assert_eq!((counts.pinned, counts.still_rejected, ended), (0, 0, vec![KEY]));
    assert_eq!(plan.changes[0].value.as_deref(), Some("gold"));
}

#[test]
fn a_pinned_delete_is_kept_back_while_the_source_cannot_be_read_whole() {
    let lost = Known { belief: Belief::Unconfirmed, ..pinned(None, Some("gold")) };
    let mut diff = Diff::new(policy());
    diff.counts = plan_with(policy(), &[row(5, 1, "gold")], lost).0;
    diff.pinned_deletes = 1;
    diff.keep_missing();
    let counts = diff.counts();
    assert_eq!((counts.pinned, counts.planned, counts.orphans, counts.stored_without_row), (1, 0, 0, 0));
}
