//! Readings of the store's values, and the edits of beliefs that follow from them.

use attrsync::ledger::LedgerError;
use attrsync::record::{
    Action, Belief, Change, EditKind, Entry, Key, ObservedValue, Reading, ReadingKind, ReportedDrift,
    ValueEdit,
};

use super::backend::Backend;
use super::fixture::*;

const ALL: i64 = i64::MAX;

fn observed(customer_id: i64, attribute_id: i64, value: &str, value_id: Option<i64>) -> ObservedValue {
    ObservedValue { key: Key::new(customer_id, attribute_id), value: value.to_owned(), value_id }
}

fn value_edit(customer_id: i64, edit: EditKind, value: Option<&str>, value_id: Option<i64>) -> ValueEdit {
    ValueEdit { key: Key::new(customer_id, 1), edit, value: value.map(str::to_owned), value_id }
}

fn reading(kind: ReadingKind, position: i64, seconds: i64) -> Reading {
    Reading { kind, started_at: at(0), position, at: at(seconds) }
}

pub(crate) async fn what_was_observed_is_kept_until_it_is_removed(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    let ledger = &scene.ledger;
    let run = scene.open_run(0).await;
    assert_eq!(ledger.readings().await.expect("reads"), []);
    let first = [observed(2, 1, "b", Some(5)), observed(3, 1, "", None)];
    let page = reading(ReadingKind::Whole, 1, 1);
    ledger.keep_observed(run, &first, &page).await.expect("keeps");
    // A page shows a value again, because the pages have moved, and another one of the same customer.
    let second =
        [observed(1, 2, "a\u{1F600}'", Some(7)), observed(2, 1, "B", Some(6)), observed(2, 2, "c", None)];
    let page = reading(ReadingKind::Whole, 2, 2);
    ledger.keep_observed(run, &second, &page).await.expect("keeps");
    let sweep = reading(ReadingKind::Sweep, 40, 3);
    ledger.keep_reading(run, &sweep).await.expect("keeps");
    let all = [second[0].clone(), second[1].clone(), second[2].clone(), first[1].clone()];
    let after = async |after, last, limit| ledger.observed_after(after, last, limit).await.expect("reads");
    assert_eq!(after(Key::new(0, 0), ALL, 9).await, all);
    assert_eq!(after(Key::new(0, 0), ALL, 2).await, all[..2]);
    assert_eq!(after(Key::new(2, 1), ALL, 9).await, all[2..]);
    assert_eq!(after(Key::new(2, 0), 2, 9).await, all[1..3]);
    let mut readings = ledger.readings().await.expect("reads");
    readings.sort_by_key(|reading| reading.kind.as_str());
    assert_eq!(readings, [sweep, page]);
    ledger.keep_observed(run, &[], &reading(ReadingKind::Whole, 3, 4)).await.expect("an empty page");
    drop(scene);

    let other = Scene::of(backend, &other_store()).await;
    let other_run = other.open_run(5).await;
    assert_eq!(other.ledger.observed_after(Key::new(0, 0), ALL, 9).await.expect("reads"), []);
    other.ledger.keep_observed(other_run, &first, &page).await.expect("keeps");
    drop(other);

    let scene = Scene::new(backend).await;
    let run = scene.open_run(6).await;
    while scene.ledger.remove_observed(run).await.expect("removes") {}
    assert_eq!(scene.ledger.observed_after(Key::new(0, 0), ALL, 9).await.expect("reads"), []);
    assert_eq!(scene.ledger.readings().await.expect("reads"), [sweep], "the other one stays");
    drop(scene);
    let other = Scene::of(backend, &other_store()).await;
    assert_eq!(other.ledger.observed_after(Key::new(0, 0), ALL, 9).await.expect("reads"), first);
}

pub(crate) async fn an_adopted_value_is_confirmed_and_no_known_key_is_adopted(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    scene.send(0, change(1, 1, "newer"), unknown(None)).await;
    let before = scene.entries().await;
    let run = scene.open_run(10).await;
    let adopt =
        [value_edit(2, EditKind::Adopt, Some("b"), Some(9)), value_edit(3, EditKind::Adopt, Some(""), None)];
    scene.ledger.edit_values(run, &adopt, at(11)).await.expect("adopts");
    let entry = |customer_id, value: &str, value_id| Entry {
        key: Key::new(customer_id, 1),
        value: Some(value.to_owned()),
        stored_value: None,
        observed_value: None,
        value_id,
        belief: Belief::Confirmed,
        reason: None,
        acknowledged: false,
        run_id: run,
        updated_at: at(11),
        in_doubt_until: None,
    };
    let adopted = [before[0].clone(), entry(2, "b", Some(9)), entry(3, "", None)];
    assert_eq!(scene.entries().await, adopted);
    let edits = backend.belief_edits(run).await;
    let shown: Vec<_> = edits.iter().map(|row| (row.edit.edit, row.value.as_deref(), row.value_id)).collect();
    assert_eq!(shown, [(EditKind::Adopt, Some("b"), Some(9)), (EditKind::Adopt, Some(""), None)]);

    // A key with an entry may have a newer intent: nothing of this edit is written.
    let known =
        [value_edit(4, EditKind::Adopt, Some("d"), None), value_edit(1, EditKind::Adopt, Some("old"), None)];
    scene.ledger.edit_values(run, &known, at(12)).await.expect_err("its key is known");
    assert_eq!(scene.entries().await, adopted);
    assert_eq!(backend.belief_edits(run).await.len(), 2);
    scene.close(run, 13).await;
    // The next plan knows what the store held.
    let planned = Change {
        action: Action::Update,
        previous_value: Some("b".to_owned()),
        value_id: Some(9),
        ..change(2, 1, "c")
    };
    scene.send(14, planned, confirmed()).await;
    assert_eq!(scene.entry(Key::new(2, 1)).await.value.as_deref(), Some("c"));
}

pub(crate) async fn drift_makes_an_entry_unconfirmed_and_keeps_what_was_sent(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    for customer in 1..=5 {
        let change = Change { value_id: Some(customer), ..change(customer, 1, "sent") };
        scene.send(customer * 3, change, altered("kept")).await;
    }
    let before = scene.entries().await;
    let run = scene.open_run(30).await;
    let edits = [
        value_edit(1, EditKind::Drift, Some("theirs"), Some(77)),
        value_edit(2, EditKind::Drift, None, None),
        value_edit(3, EditKind::Accept, Some("theirs"), Some(78)),
        value_edit(4, EditKind::Accept, None, None),
        value_edit(5, EditKind::Drift, Some("theirs"), before[4].value_id),
    ];
    scene.ledger.edit_values(run, &edits, at(31)).await.expect("edits");
    let after = scene.entries().await;
    let known = |entry: &Entry| (entry.belief, entry.stored_value.clone(), entry.value_id);
    let theirs = Some("theirs".to_owned());
    assert_eq!(known(&after[0]), (Belief::Unconfirmed, None, before[0].value_id), "another id: not ours");
    assert_eq!(known(&after[1]), (Belief::Unconfirmed, None, None));
    assert_eq!(known(&after[2]), (Belief::Confirmed, theirs.clone(), Some(78)));
    assert_eq!(known(&after[3]), (Belief::Confirmed, Some(String::new()), None));
    assert_eq!(known(&after[4]), (Belief::Unconfirmed, theirs, before[4].value_id), "the same id: edited");
    for (after, before) in after.iter().zip(&before) {
        let kept = |entry: &Entry| (entry.value.clone(), entry.run_id, entry.updated_at);
        assert_eq!(kept(after), kept(before), "no edit changes what was sent");
        assert_eq!(after.reason.is_some(), after.belief == Belief::Unconfirmed);
    }
}

pub(crate) async fn reported_drift_lasts_until_it_ends(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    for customer in 1..=3 {
        scene.send(customer * 3, change(customer, 1, "sent"), confirmed()).await;
    }
    let before = scene.entries().await;
    let run = scene.open_run(30).await;
    let report = |customer, value| value_edit(customer, EditKind::Report, value, Some(7));
    let edits = [report(1, Some("theirs")), report(2, None), report(3, Some("other"))];
    scene.ledger.edit_values(run, &edits, at(31)).await.expect("edits");
    assert_eq!(scene.entries().await, before, "a report changes no entry");
    let row = |customer, value: Option<&str>, seconds| ReportedDrift {
        key: Key::new(customer, 1),
        value: value.map(str::to_owned),
        value_id: Some(7),
        run_id: run,
        at: at(seconds),
    };
    let reported = async |last| scene.ledger.reported_after(Key::new(0, 0), last, 9).await.expect("reads");
    assert_eq!(
        reported(ALL).await,
        [row(1, Some("theirs"), 31), row(2, None, 31), row(3, Some("other"), 31)]
    );
    assert_eq!(reported(1).await.len(), 1);
    let edits = [
        report(1, Some("again")),
        value_edit(2, EditKind::Return, Some("sent"), Some(7)),
        value_edit(3, EditKind::Drift, Some("other"), Some(7)),
    ];
    scene.ledger.edit_values(run, &edits, at(32)).await.expect("edits");
    assert_eq!(reported(ALL).await, [row(1, Some("again"), 32)]);
    assert_eq!(backend.belief_edits(run).await.len(), 6);
}

pub(crate) async fn a_run_that_lost_its_lock_keeps_nothing(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    let lost = scene.open_run(0).await;
    let newer = scene.open_run(1).await;
    let page = reading(ReadingKind::Whole, 1, 2);
    let ledger = &scene.ledger;
    let is_lost = |result: Result<(), LedgerError>| match result {
        Err(LedgerError::LostLock { run_id }) => assert_eq!(run_id, newer),
        other => panic!("{other:?}"),
    };
    is_lost(ledger.keep_observed(lost, &[observed(1, 1, "a", None)], &page).await);
    is_lost(ledger.keep_reading(lost, &page).await);
    is_lost(ledger.remove_observed(lost).await.map(drop));
    let adopt = value_edit(1, EditKind::Adopt, Some("a"), None);
    is_lost(ledger.edit_values(lost, &[adopt], at(3)).await);
    assert_eq!(scene.entries().await, []);
    assert_eq!(ledger.readings().await.expect("reads"), []);
}

pub(crate) async fn entries_are_read_by_customer(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    for (seconds, (customer, attribute)) in (0..).zip([(1, 1), (1, 2), (2, 1), (5, 1), (5, 3)]) {
        scene.send(seconds * 3, change(customer, attribute, "v"), confirmed()).await;
    }
    let all = scene.entries().await;
    let ledger = &scene.ledger;
    let after = async |after, last, limit| ledger.entries_after(after, last, limit).await.expect("reads");
    assert_eq!(after(Key::new(0, 0), ALL, 9).await, all);
    assert_eq!(after(Key::new(1, 1), ALL, 2).await, all[1..3]);
    assert_eq!(after(Key::new(2, i64::MAX), ALL, 9).await, all[3..]);
    assert_eq!(after(Key::new(2, 0), 2, 9).await, all[2..3]);
    assert_eq!(ledger.entries_of(&[5, 1, 7]).await.expect("reads"), [&all[..2], &all[3..]].concat());
    assert_eq!(ledger.entries_of(&[]).await.expect("reads"), []);
    assert_eq!(ledger.count_entries_after(0).await.expect("counts"), 5);
    assert_eq!(ledger.count_entries_after(2).await.expect("counts"), 2);
}
