use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;
use proptest::prelude::*;

use super::*;
use crate::record::Pin;

mod missing;
mod pinned;

type Row = (Option<i64>, Option<i64>, Option<String>);

#[derive(Debug, Clone)]
struct Known {
    value: Option<String>,
    stored_value: Option<String>,
    belief: Belief,
    acknowledged: bool,
    value_id: Option<i64>,
    in_doubt_until: Option<DateTime<Utc>>,
    pin: Option<Pin>,
}

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).expect("a valid time")
}

fn policy() -> DiffPolicy {
    DiffPolicy {
        attributes: BTreeSet::from([1, 2, 3]),
        deleted_attributes: BTreeMap::from([(8, "attribute 8 was deleted".to_owned())]),
        requeued: BTreeSet::new(),
        missing: MissingPolicy::default(),
        retry_rejected: false,
        full: false,
        now: now(),
    }
}

/// Runs a whole merge of streams in pages of `page` rows. Returns the counts and the plan.
fn merge(
    policy: DiffPolicy,
    rows: &[Row],
    entries: &BTreeMap<Key, Known>,
    page: usize,
) -> (Counts, PlanPage) {
    let (diff, plan) = merged(policy, rows, entries, page);
    (diff.counts(), plan)
}

/// The same, with everything that the diff knows.
fn merged(policy: DiffPolicy, rows: &[Row], entries: &BTreeMap<Key, Known>, page: usize) -> (Diff, PlanPage) {
    let mut source_pages = rows.chunks(page).map(|rows| {
        let mut page = SourcePage::default();
        for (customer_id, attribute_id, value) in rows {
            page.push(SourceRow {
                customer_id: *customer_id,
                attribute_id: *attribute_id,
                value: value.as_deref(),
                problem: None,
            });
        }
        page
    });
    let all: Vec<_> = entries.iter().collect();
    let mut entry_pages = all.chunks(page).map(|rows| {
        let mut page = EntryPage::default();
        for (key, known) in rows {
            page.push(EntryRow {
                key: **key,
                value: known.value.as_deref(),
                stored_value: known.stored_value.as_deref(),
                observed_value: None,
                value_id: known.value_id,
                belief: known.belief,
                acknowledged: known.acknowledged,
                in_doubt_until: known.in_doubt_until,
                pin: None,
            });
            if let Some(pin) = &known.pin {
                page.pin(pin.clone());
            }
        }
        page
    });
    let (mut diff, mut out, mut whole) = (Diff::new(policy), PlanPage::default(), PlanPage::default());
    let (mut source, mut ledger) = (Cursor::default(), Cursor::default());
    loop {
        let need = diff.step(&mut source, &mut ledger, &mut out).expect("streams in order");
        match need {
            Need::Source => source.advance(source_pages.next()),
            Need::Entries => ledger.advance(entry_pages.next()),
            Need::Room | Need::Nothing => {
                let page = std::mem::take(&mut out);
                whole.changes.extend(page.changes);
                whole.invalid.extend(page.invalid);
            }
        }
        if need == Need::Nothing {
            return (diff, whole);
        }
    }
}

fn row(customer_id: i64, attribute_id: i64, value: &str) -> Row {
    (Some(customer_id), Some(attribute_id), Some(value.to_owned()))
}

fn known(value: &str, belief: Belief) -> Known {
    Known {
        value: Some(value.to_owned()),
        stored_value: None,
        belief,
        acknowledged: false,
        value_id: Some(7),
        in_doubt_until: None,
        pin: None,
    }
}

fn plan_one(rows: &[Row], entry: Option<Known>) -> (Counts, PlanPage) {
    let entries = entry.map(|known| (Key::new(5, 1), known)).into_iter().collect();
    merge(policy(), rows, &entries, 100)
}

#[test]
fn a_new_value_is_created_and_a_changed_one_updated() {
    let (_, plan) = plan_one(&[row(5, 1, "gold")], None);
    assert_eq!((plan.changes[0].action, plan.changes[0].previous_value.as_deref()), (Action::Create, None));
    let (_, plan) = plan_one(&[row(5, 1, "gold")], Some(known("silver", Belief::Confirmed)));
    let change = &plan.changes[0];
    assert_eq!((change.action, change.previous_value.as_deref()), (Action::Update, Some("silver")));
    assert_eq!(change.value_id, Some(7));
}

#[test]
fn an_unconfirmed_value_is_sent_again_even_if_it_is_the_desired_one() {
    let (counts, plan) = plan_one(&[row(5, 1, "gold")], Some(known("gold", Belief::Unconfirmed)));
    assert_eq!((counts.planned, counts.unchanged, plan.changes.len()), (1, 0, 1));
    assert_eq!(plan.changes[0].value.as_deref(), Some("gold"));
}

#[test]
fn a_change_waits_while_an_older_request_is_in_doubt() {
    let in_doubt = |seconds| Known {
        in_doubt_until: Some(now() + TimeDelta::seconds(seconds)),
        ..known("b", Belief::Unconfirmed)
    };
    let planned = |value, seconds| plan_one(&[row(5, 1, value)], Some(in_doubt(seconds))).1.changes.remove(0);
    let until = |value, seconds| planned(value, seconds).in_doubt_until;
    assert_eq!(until("a", 100), Some(now() + TimeDelta::seconds(100)));
    assert_eq!(until("b", 100), until("a", 100), "the outcome must keep the time");
    assert_eq!(until("a", 0), None);
    assert_eq!(until("a", -5), None);
    assert_eq!(until("a", 100_000), Some(now() + IN_DOUBT_MAX), "the clock was set back");
}

#[test]
fn a_rejected_value_is_not_sent_until_it_changes_or_is_requeued() {
    let rejected = || Some(known("bad", Belief::Rejected));
    assert_eq!(plan_one(&[row(5, 1, "bad")], rejected()).0.still_rejected, 1);
    assert_eq!(plan_one(&[row(5, 1, "good")], rejected()).0.planned, 1);
    let acknowledged = Some(Known { acknowledged: true, ..known("bad", Belief::Rejected) });
    let (counts, _) = plan_one(&[row(5, 1, "bad")], acknowledged);
    assert_eq!((counts.still_rejected, counts.acknowledged), (1, 1));
    let entries = BTreeMap::from([(Key::new(5, 1), known("bad", Belief::Rejected))]);
    let requeued = DiffPolicy { retry_rejected: true, ..policy() };
    assert_eq!(merge(requeued, &[row(5, 1, "bad")], &entries, 9).0.planned, 1);
}

#[test]
fn a_full_sync_plans_confirmed_and_rejected_values_too() {
    let entries = BTreeMap::from([
        (Key::new(5, 1), known("gold", Belief::Confirmed)),
        (Key::new(6, 1), known("bad", Belief::Rejected)),
    ]);
    let rows = [row(5, 1, "gold"), row(6, 1, "bad")];
    let counts = merge(policy(), &rows, &entries, 9).0;
    assert_eq!((counts.unchanged, counts.still_rejected), (1, 1));
    let counts = merge(DiffPolicy { full: true, ..policy() }, &rows, &entries, 9).0;
    assert_eq!((counts.unchanged, counts.still_rejected, counts.planned), (0, 0, 2));
}

#[test]
fn null_means_no_desired_value_and_an_empty_text_is_a_value() {
    let (counts, plan) = plan_one(&[(Some(5), Some(1), None)], Some(known("x", Belief::Confirmed)));
    assert_eq!((counts.no_value, counts.orphans, plan.changes.len()), (1, 0, 0), "its row has not left");
    let (_, plan) = plan_one(&[row(5, 1, "")], Some(known("x", Belief::Confirmed)));
    assert_eq!(plan.changes[0].value.as_deref(), Some(""));
}

#[test]
fn rows_that_cannot_be_sent_are_invalid_and_neither_changes_nor_orphans() {
    let long = "é".repeat(256);
    let rows = [
        row(-1, 1, "x"),
        row(5, 1, "a"),
        row(5, 1, "b"),
        row(5, 2, &long),
        row(5, 3, &"é".repeat(255)),
        row(5, 9, "x"),
        (Some(5), None, Some("x".into())),
        row(1 << 40, 1, "x"),
        (None, Some(1), None),
    ];
    let (counts, plan) = plan_one(&rows, Some(known("x", Belief::Confirmed)));
    assert_eq!((counts.source_rows, counts.invalid, counts.planned, counts.orphans), (9, 8, 1, 0));
    let reasons: Vec<_> = plan.invalid.iter().map(|row| row.reason.as_str()).collect();
    assert_eq!(
        reasons,
        [
            "customer id -1 is out of range (1 to 2147483647)",
            REPEATED,
            REPEATED,
            "its value is longer than 255 characters",
            "the store has no attribute 9",
            "it has no attribute id",
            "customer id 1099511627776 is out of range (1 to 2147483647)",
            "it has no customer id",
        ]
    );
}

#[test]
fn a_value_rejected_at_its_first_attempt_that_left_the_source_is_no_orphan() {
    let never = Known { value_id: None, ..known("bad", Belief::Rejected) };
    assert_eq!(plan_one(&[], Some(never)).0.orphans, 0);
    assert_eq!(plan_one(&[], Some(known("bad", Belief::Rejected))).0.orphans, 1);
}

#[test]
fn rows_out_of_order_are_an_error() {
    let mut page = SourcePage::default();
    for customer in [2, 1] {
        page.push(SourceRow {
            customer_id: Some(customer),
            attribute_id: Some(1),
            value: Some("x"),
            problem: None,
        });
    }
    let (mut source, mut entries) = (Cursor::default(), Cursor::<EntryPage>::default());
    source.advance(Some(page));
    entries.advance(None);
    let end = Diff::new(policy()).step(&mut source, &mut entries, &mut PlanPage::default());
    assert_eq!(end, Err(OutOfOrder { stream: "source", key: Key::new(1, 1) }));
}

/// Computes the expected changes and counts from whole maps.
fn oracle(rows: &[Row], entries: &BTreeMap<Key, Known>) -> (BTreeMap<Key, String>, Counts) {
    let mut groups: BTreeMap<Key, Vec<&Option<String>>> = BTreeMap::new();
    let mut counts = Counts { source_rows: rows.len() as i64, ..Counts::default() };
    for (customer, attribute, value) in rows {
        match (customer, attribute) {
            (Some(c), Some(a)) if *c > 0 && *a > 0 => groups.entry(Key::new(*c, *a)).or_default().push(value),
            _ => counts.invalid += 1,
        }
    }
    let mut changes = BTreeMap::new();
    for (key, values) in &groups {
        match (values.as_slice(), entries.get(key)) {
            ([None], entry) => {
                counts.no_value += 1;
                counts.stored_without_row += i64::from(entry.is_some());
            }
            ([Some(_)], _) if key.attribute_id > 3 => counts.invalid += 1,
            ([Some(v)], Some(e)) if e.belief == Belief::Confirmed && e.value.as_ref() == Some(v) => {
                counts.unchanged += 1
            }
            ([Some(v)], Some(e)) if e.belief == Belief::Rejected && e.value.as_ref() == Some(v) => {
                counts.still_rejected += 1
            }
            ([Some(v)], _) => {
                changes.insert(*key, v.clone());
                counts.planned += 1;
            }
            (many, _) => counts.invalid += many.len() as i64,
        }
    }
    counts.orphans += entries.keys().filter(|key| !groups.contains_key(key)).count() as i64;
    counts.stored_without_row += counts.orphans;
    (changes, counts)
}

prop_compose! {
    fn any_row()(c in prop::option::weighted(0.95, -1_i64..12), a in prop::option::weighted(0.95, 0_i64..5),
                 v in prop::option::weighted(0.9, "[abc]?")) -> Row {
        (c, a, v)
    }
}

prop_compose! {
    fn any_entry()(c in 1_i64..12, a in 1_i64..5, v in "[abc]?", b in 0_usize..3) -> (Key, Known) {
        let belief = [Belief::Confirmed, Belief::Unconfirmed, Belief::Rejected][b];
        (Key::new(c, a), known(&v, belief))
    }
}

proptest! {
    #[test]
    fn agrees_with_the_oracle_at_every_page_size(
        mut rows in prop::collection::vec(any_row(), 0..40),
        entries in prop::collection::vec(any_entry(), 0..30),
        page in 1_usize..9,
    ) {
        // NULL ids come last, as Postgres sorts them.
        rows.sort_by_key(|(c, a, _)| (c.is_none(), *c, a.is_none(), *a));
        let entries: BTreeMap<_, _> = entries.into_iter().collect();
        let (expected, expected_counts) = oracle(&rows, &entries);
        let (counts, plan) = merge(policy(), &rows, &entries, page);
        prop_assert_eq!(counts, expected_counts);
        let changes: BTreeMap<_, _> = plan.changes.iter().map(|c| (c.key, c.value.clone().unwrap_or_default())).collect();
        prop_assert_eq!(changes, expected);
        prop_assert!(plan.changes.is_sorted_by_key(|c| c.key));
    }
}
