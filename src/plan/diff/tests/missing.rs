//! Values that the source does not desire.

use super::*;
use crate::plan::extent::Extent;
use crate::record::OnMissing;

fn deleting() -> DiffPolicy {
    let missing = MissingPolicy { action: OnMissing::Delete, ..MissingPolicy::default() };
    DiffPolicy { missing, ..policy() }
}

const NULL: &[Row] = &[(Some(5), Some(1), None)];

fn plan_missing(rows: &[Row], entry: Known) -> (Counts, PlanPage) {
    merge(deleting(), rows, &BTreeMap::from([(Key::new(5, 1), entry)]), 100)
}

fn no_value(belief: Belief) -> Known {
    Known { value: None, stored_value: Some("old".to_owned()), ..known("", belief) }
}

#[test]
fn a_value_without_a_row_and_one_whose_row_is_null_are_deleted() {
    for (rows, null) in [(&[] as &[Row], 0), (NULL, 1)] {
        let (counts, plan) = plan_missing(rows, known("gold", Belief::Confirmed));
        let expected =
            Counts { source_rows: null, no_value: null, planned: 1, deletes: 1, ..Counts::default() };
        assert_eq!(counts, expected);
        let change = &plan.changes[0];
        assert_eq!(
            (change.action, change.value.as_deref(), change.value_id),
            (Action::Delete, None, Some(7))
        );
        assert_eq!(change.previous_value.as_deref(), Some("gold"));
    }
}

#[test]
fn nothing_is_deleted_unless_it_is_asked_for() {
    assert_eq!(
        plan_one(&[], Some(known("gold", Belief::Confirmed))).0,
        Counts { orphans: 1, stored_without_row: 1, ..Counts::default() }
    );
    let kept =
        MissingPolicy { action: OnMissing::Delete, attributes: BTreeMap::from([(1, OnMissing::Keep)]) };
    let deleted =
        MissingPolicy { action: OnMissing::Keep, attributes: BTreeMap::from([(1, OnMissing::Delete)]) };
    let entries = BTreeMap::from([
        (Key::new(5, 1), known("a", Belief::Confirmed)),
        (Key::new(5, 2), known("b", Belief::Confirmed)),
    ]);
    for (missing, attribute) in [(kept, 2), (deleted, 1)] {
        let (counts, plan) = merge(DiffPolicy { missing, ..policy() }, &[], &entries, 100);
        assert_eq!((counts.deletes, counts.orphans), (1, 1));
        assert_eq!(plan.changes[0].key, Key::new(5, attribute));
    }
}

/// What a guard compares: a delete is none of a value that is kept, or of another attribute.
#[test]
fn promise_10_deletes_are_counted_for_each_attribute_and_kept_values_apart_from_them() {
    let missing = MissingPolicy { action: OnMissing::Keep, attributes: [(1, OnMissing::Delete)].into() };
    let entries: BTreeMap<Key, Known> = (1..=5)
        .flat_map(|customer| [1, 2].map(|id| (Key::new(customer, id), known("x", Belief::Confirmed))))
        .collect();
    // Customer 1 stays. The rows of customer 2 are NULL, the others have left.
    let rows = [row(1, 1, "x"), row(1, 2, "x"), (Some(2), Some(1), None), (Some(2), Some(2), None)];
    let diff = merged(DiffPolicy { missing, ..policy() }, &rows, &entries, 100).0;
    let counts = diff.counts();
    assert_eq!((counts.deletes, counts.stored_without_row, counts.orphans, counts.no_value), (4, 4, 3, 2));
    let extents = diff.into_extents();
    let of =
        |extent: &Extent| (extent.stored, extent.deletes.count, extent.creates.count, extent.updates.count);
    let found: Vec<_> = extents.iter().map(|(id, extent)| (id, of(extent))).collect();
    assert_eq!(found, [(1, (5, 4, 0, 0)), (2, (5, 0, 0, 0))]);
}

#[test]
fn promise_14_a_value_that_the_store_cannot_hold_is_not_deleted() {
    let never = Known { value_id: None, ..known("bad", Belief::Rejected) };
    let absent = Known { value: None, value_id: None, ..known("", Belief::Absent) };
    for entry in [never, absent] {
        for rows in [&[] as &[Row], NULL] {
            let (counts, plan) = plan_missing(rows, entry.clone());
            assert_eq!((counts.planned, counts.orphans, plan.changes.len()), (0, 0, 0), "{entry:?}");
        }
    }
    let of_deleted_attribute = BTreeMap::from([(Key::new(5, 8), known("x", Belief::Confirmed))]);
    assert_eq!(merge(deleting(), &[], &of_deleted_attribute, 100).0, Counts::default());
}

#[test]
fn promise_14_a_key_whose_row_cannot_be_sent_is_not_deleted() {
    let long = "x".repeat(300);
    for rows in
        [vec![row(5, 1, &long)], vec![row(5, 1, "a"), row(5, 1, "b")], vec![row(5, 1, "a"), NULL[0].clone()]]
    {
        let (counts, plan) = plan_missing(&rows, known("gold", Belief::Confirmed));
        assert_eq!((counts.deletes, plan.changes.len()), (0, 0), "{rows:?}");
    }
}

#[test]
fn a_value_that_returns_after_its_delete_is_sent() {
    for belief in [Belief::Absent, Belief::Unconfirmed, Belief::Rejected] {
        let (counts, plan) = plan_missing(&[row(5, 1, "gold")], no_value(belief));
        assert_eq!((counts.planned, counts.deletes), (1, 0), "{belief}");
        assert_eq!(plan.changes[0].value.as_deref(), Some("gold"));
    }
    let absent = Known { value_id: None, stored_value: None, ..no_value(Belief::Absent) };
    assert_eq!(plan_missing(&[row(5, 1, "gold")], absent).1.changes[0].action, Action::Create);
}

#[test]
fn a_delete_in_doubt_is_repeated_and_a_rejected_one_is_not() {
    let (counts, plan) = plan_missing(&[], no_value(Belief::Unconfirmed));
    assert_eq!((counts.deletes, plan.changes[0].previous_value.as_deref()), (1, Some("old")));
    let rejected = Known { acknowledged: true, ..no_value(Belief::Rejected) };
    let (counts, _) = plan_missing(&[], rejected.clone());
    let expected = Counts { still_rejected: 1, acknowledged: 1, ..Counts::default() };
    assert_eq!(counts, expected);
    let requeued = DiffPolicy { retry_rejected: true, ..deleting() };
    let entries = BTreeMap::from([(Key::new(5, 1), rejected.clone())]);
    assert_eq!(merge(requeued, &[], &entries, 100).0.deletes, 1);
    assert_eq!(
        merge(policy(), &[], &entries, 100).0,
        Counts { orphans: 1, stored_without_row: 1, ..Counts::default() }
    );
    let of_a_value = Known { stored_value: Some("old".to_owned()), ..known("bad", Belief::Rejected) };
    assert_eq!(plan_missing(&[], of_a_value).0.deletes, 1, "the store holds the value from before");
}

#[test]
fn a_delete_waits_for_an_older_request_with_a_value() {
    let in_doubt = |known: Known| Known { in_doubt_until: Some(now() + TimeDelta::seconds(100)), ..known };
    let waits = |rows: &[Row], known: Known| {
        let (diff, _) = merged(deleting(), rows, &BTreeMap::from([(Key::new(5, 1), known)]), 100);
        (diff.waits_until().is_some(), diff.parts().next(None))
    };
    let (value, delete) =
        (in_doubt(known("a", Belief::Unconfirmed)), in_doubt(no_value(Belief::Unconfirmed)));
    assert_eq!(waits(&[], value), (true, Some(PlanPart::DeletesInDoubt)));
    assert_eq!(waits(&[], delete.clone()), (false, Some(PlanPart::DeletesInDoubt)));
    assert_eq!(waits(&[row(5, 1, "a")], delete), (true, Some(PlanPart::UpsertsInDoubt)));
}

#[test]
fn deletes_are_taken_back_if_the_source_could_not_be_read_whole() {
    let rows = [(Some(2), Some(1), None), row(3, 1, "new"), (None, Some(1), Some("x".to_owned()))];
    let entries = [1, 2].map(|customer| (Key::new(customer, 1), known("old", Belief::Confirmed)));
    let (mut diff, _) = merged(deleting(), &rows, &entries.into(), 100);
    assert_eq!((diff.counts().planned, diff.counts().deletes, diff.without_key()), (3, 2, 1));
    diff.keep_missing();
    let counts = diff.counts();
    assert_eq!((counts.planned, counts.deletes, counts.orphans, counts.no_value), (1, 0, 1, 1));
    assert_eq!(counts.stored_without_row, 2);
    assert_eq!(
        (diff.parts().next(None), diff.parts().next(Some(PlanPart::Upserts))),
        (Some(PlanPart::Upserts), None)
    );
}

proptest! {
    #[test]
    fn promise_14_exactly_the_values_without_a_row_are_deleted(
        mut rows in prop::collection::vec(any_row(), 0..40),
        entries in prop::collection::vec(any_entry(), 0..30),
        page in 1_usize..9,
    ) {
        rows.sort_by_key(|(c, a, _)| (c.is_none(), *c, a.is_none(), *a));
        let entries: BTreeMap<_, _> = entries.into_iter().collect();
        let (kept, plan) = merge(policy(), &rows, &entries, page);
        let (counts, with_deletes) = merge(deleting(), &rows, &entries, page);
        let is_null = |key: &Key| {
            let mut of_key = rows.iter().filter(|(c, a, _)| (*c, *a) == (Some(key.customer_id), Some(key.attribute_id)));
            matches!((of_key.next(), of_key.next()), (None, _) | (Some((_, _, None)), None))
        };
        let expected: Vec<Key> = entries.keys().filter(|key| is_null(key)).copied().collect();
        let (deletes, others): (Vec<Change>, Vec<Change>) =
            with_deletes.changes.into_iter().partition(|change| change.action == Action::Delete);
        prop_assert_eq!(deletes.iter().map(|change| change.key).collect::<Vec<_>>(), expected);
        prop_assert_eq!(others, plan.changes);
        let deletes = deletes.len() as i64;
        prop_assert_eq!(counts, Counts { orphans: 0, stored_without_row: 0, planned: kept.planned + deletes, deletes, ..kept });
    }
}
