//! Belief edits, and the records of attributes and customers.

use attrsync::ledger::LedgerReader;
use attrsync::ledger::audit::AuditLog;
use attrsync::record::{
    Belief, BeliefEdit, Change, Counts, EditKind, Entry, Filter, Key, KeyScope, KnownAttribute,
};
use attrsync::testing::memory_ledger::BeliefEditRow;

use super::backend::Backend;
use super::fixture::*;

const fn attribute(id: i64) -> KeyScope {
    KeyScope { customer_id: None, attribute_id: Some(id) }
}

const fn customer(id: i64) -> KeyScope {
    KeyScope { customer_id: Some(id), attribute_id: None }
}

fn edit_of(scope: KeyScope, edit: EditKind, reason: &str) -> BeliefEdit {
    BeliefEdit { scope, edit, reason: reason.to_owned(), in_doubt_until: None }
}

/// Sends four values of two customers and two attributes: one is confirmed as altered, two are rejected, one is
/// confirmed.
async fn four_entries(scene: &Scene<'_>) -> Vec<Entry> {
    scene.send(0, Change { value_id: Some(9), ..change(1, 1, "a ") }, altered("a")).await;
    scene.send(3, change(1, 2, "b"), rejected()).await;
    scene.send(6, change(2, 1, "c"), rejected()).await;
    scene.send(9, change(2, 2, "d"), confirmed()).await;
    scene.entries().await
}

pub(crate) async fn a_requeue_makes_rejected_entries_unconfirmed(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    let before = four_entries(&scene).await;
    let run = scene.open_run(20).await;
    let requeue = async |scope, reason| {
        let edit = edit_of(scope, EditKind::Requeue, reason);
        scene.ledger.edit_beliefs(run, &edit, at(21)).await.expect("edits")
    };
    assert_eq!(requeue(attribute(2), "renamed").await, 1);
    assert_eq!(requeue(attribute(2), "renamed").await, 0, "it is not rejected any more");
    assert_eq!(requeue(KeyScope::default(), "by hand").await, 1);
    let reasons = [None, Some("renamed"), Some("by hand"), None];
    for ((entry, before), reason) in scene.entries().await.into_iter().zip(before).zip(reasons) {
        let belief = reason.map_or(before.belief, |_| Belief::Unconfirmed);
        assert_eq!(entry, Entry { belief, reason: reason.map(str::to_owned), ..before }, "the rest stays");
    }
    assert_eq!(scene.counts(run).await, Counts::default(), "it plans nothing");
    let row = |scope, reason, count| BeliefEditRow {
        run_id: run,
        edit: edit_of(scope, EditKind::Requeue, reason),
        count,
        at: at(21),
        value: None,
        value_id: None,
    };
    let all = row(KeyScope::default(), "by hand", 1);
    let expected = [row(attribute(2), "renamed", 1), row(attribute(2), "renamed", 0), all];
    assert_eq!(backend.belief_edits(run).await, expected);
}

pub(crate) async fn an_acknowledgement_lasts_as_long_as_the_rejection(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    let before = four_entries(&scene).await;
    let edit = async |run, scope, edit| {
        let edit = edit_of(scope, edit, "by hand");
        scene.ledger.edit_beliefs(run, &edit, at(21)).await.expect("edits")
    };
    let run = scene.open_run(20).await;
    assert_eq!(edit(run, customer(1), EditKind::Acknowledge).await, 1, "the other value is confirmed");
    assert_eq!(edit(run, KeyScope::default(), EditKind::Acknowledge).await, 1, "one is acknowledged already");
    for (entry, before) in scene.entries().await.into_iter().zip(before) {
        let acknowledged = before.belief == Belief::Rejected;
        assert_eq!(entry, Entry { acknowledged, ..before }, "belief and reason stay");
    }
    let acknowledged = async |customer_id, attribute_id| {
        let entry = scene.entry(Key::new(customer_id, attribute_id)).await;
        let filter = Filter { customers: [customer_id].into(), attributes: [attribute_id].into() };
        let mut pages = scene.ledger.entries(&filter).await.expect("scans");
        let page = pages.next().await.expect("a page").expect("an entry");
        assert_eq!(page.row(0).acknowledged, entry.acknowledged, "the diff reads the same");
        (entry.belief, entry.acknowledged)
    };
    assert_eq!(acknowledged(1, 2).await, (Belief::Rejected, true));
    assert_eq!(edit(run, customer(2), EditKind::Requeue).await, 1);
    assert_eq!(acknowledged(2, 1).await, (Belief::Unconfirmed, false));
    scene.close(run, 22).await;
    // Another value of the key is rejected, once sent and once without being sent: no person knows of that.
    scene.send(23, change(1, 2, "other"), rejected()).await;
    assert_eq!(acknowledged(1, 2).await, (Belief::Rejected, false));
    let run = scene.open_run(26).await;
    assert_eq!(edit(run, customer(1), EditKind::Acknowledge).await, 1);
    scene.close(run, 27).await;
    let run = scene.planned_run(28, vec![change(1, 2, "third")]).await;
    scene.unsent(run, 29, &[outcome(Key::new(1, 2), rejected())]).await;
    assert_eq!(acknowledged(1, 2).await, (Belief::Rejected, false));
}

pub(crate) async fn a_clear_forgets_what_the_store_held(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    let before = four_entries(&scene).await;
    let run = scene.open_run(20).await;
    let clear = edit_of(attribute(1), EditKind::Clear, "deleted");
    assert_eq!(scene.ledger.edit_beliefs(run, &clear, at(21)).await.expect("edits"), 2);
    for (index, (entry, before)) in scene.entries().await.into_iter().zip(before).enumerate() {
        let expected = match index {
            0 | 2 => Entry {
                belief: Belief::Unconfirmed,
                reason: Some("deleted".to_owned()),
                value_id: None,
                stored_value: None,
                observed_value: None,
                ..before
            },
            _ => before,
        };
        assert_eq!(entry, expected);
    }
    assert_eq!(backend.belief_edits(run).await[0].count, 2);
}

pub(crate) async fn a_full_sync_leaves_nothing_confirmed(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    let before = four_entries(&scene).await;
    let run = scene.open_run(20).await;
    let invalidate = async |until| {
        let edit = edit_of(KeyScope::default(), EditKind::Invalidate, "a full sync");
        let edit = BeliefEdit { in_doubt_until: Some(at(until)), ..edit };
        assert_eq!(scene.ledger.edit_beliefs(run, &edit, at(21)).await.expect("edits"), 4);
        scene.entries().await.iter().map(|entry| entry.in_doubt_until).collect::<Vec<_>>()
    };
    assert_eq!(invalidate(140).await, [Some(at(140)); 4]);
    assert_eq!(invalidate(100).await, [Some(at(140)); 4], "the later time counts");
    for (entry, before) in scene.entries().await.into_iter().zip(before) {
        let (belief, reason) = (Belief::Unconfirmed, Some("a full sync".to_owned()));
        assert_eq!(
            entry,
            Entry { belief, reason, in_doubt_until: Some(at(140)), ..before },
            "the rest stays"
        );
    }
    let requeue = edit_of(KeyScope::default(), EditKind::Requeue, "again");
    assert_eq!(scene.ledger.edit_beliefs(run, &requeue, at(22)).await.expect("edits"), 0);
    let clear = edit_of(customer(1), EditKind::Clear, "deleted");
    assert_eq!(scene.ledger.edit_beliefs(run, &clear, at(22)).await.expect("edits"), 2);
    assert_eq!(
        scene.entry(Key::new(1, 1)).await.in_doubt_until,
        Some(at(140)),
        "a request may still be applied"
    );
}

pub(crate) async fn an_edit_affects_its_scope_only(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    let keys =
        [(1, 1), (1, 2), (2, 1), (2, 2), (3, 1)].map(|(customer, attribute)| Key::new(customer, attribute));
    for (seconds, key) in (0..).zip(keys) {
        scene.send(seconds, change(key.customer_id, key.attribute_id, "v"), rejected()).await;
    }
    drop(scene);
    let sandbox = Scene::of(backend, &other_store()).await;
    sandbox.send(9, change(1, 1, "v"), rejected()).await;
    drop(sandbox);

    let scene = Scene::new(backend).await;
    let run = scene.open_run(20).await;
    let one = KeyScope { customer_id: Some(1), attribute_id: Some(2) };
    for (scope, count, left) in [
        (one, 1, [0, 2, 3, 4].as_slice()),
        (one, 0, &[0, 2, 3, 4]),
        (customer(2), 2, &[0, 4]),
        (customer(7), 0, &[0, 4]),
        (attribute(1), 2, &[]),
    ] {
        let requeue = edit_of(scope, EditKind::Requeue, "by hand");
        assert_eq!(
            scene.ledger.edit_beliefs(run, &requeue, at(21)).await.expect("edits"),
            count,
            "{scope:?}"
        );
        let entries = scene.entries().await.into_iter();
        let rejected = entries.filter(|entry| entry.belief == Belief::Rejected).map(|entry| entry.key);
        assert_eq!(rejected.collect::<Vec<_>>(), left.iter().map(|&index| keys[index]).collect::<Vec<_>>());
    }
    scene.close(run, 22).await;
    assert_eq!(backend.entries(&other_store()).await[0].belief, Belief::Rejected, "another store's stays");
}

pub(crate) async fn attributes_are_recorded_until_they_are_deleted(backend: &dyn Backend) {
    let known = |id, name: &str, deleted| KnownAttribute {
        id,
        name: name.to_owned(),
        kind: "string".to_owned(),
        former_name: None,
        deleted,
    };
    let scene = Scene::new(backend).await;
    assert!(scene.ledger.attributes().await.expect("reads").is_empty());
    let run = scene.open_run(0).await;
    let record = async |run, listed: &[KnownAttribute]| {
        scene.ledger.record_attributes(run, listed, at(1)).await.expect("records");
        scene.ledger.attributes().await.expect("reads")
    };
    let first = [known(1, "tier", false), known(2, "größe", false)];
    assert_eq!(record(run, &first).await, first);
    let renamed = KnownAttribute { former_name: Some("größe".to_owned()), ..known(2, "size", false) };
    let second = [renamed, known(3, "tier", false)];
    assert_eq!(record(run, &second).await, [known(1, "tier", true), second[0].clone(), second[1].clone()]);
    scene.close(run, 2).await;
    let run = scene.open_run(3).await;
    assert_eq!(record(run, &second).await[0], known(1, "tier", true), "stays deleted");
    assert_eq!(record(run, &first).await[2], known(3, "tier", true));
    assert_eq!(record(run, &first).await[..2], first, "exists again");
    if let Some(config) = backend.config() {
        let audit = AuditLog::open(&config).await.expect("opens").expect("is there");
        let id = audit.store_id(&store()).await.expect("reads").expect("is known");
        let read = audit.entries_of(id).attributes().await.expect("reads");
        assert_eq!(read, [first[0].clone(), first[1].clone(), known(3, "tier", true)]);
    }
    drop(scene);
    let sandbox = Scene::of(backend, &other_store()).await;
    assert!(sandbox.ledger.attributes().await.expect("reads").is_empty(), "another store's");
}

pub(crate) async fn the_customers_checked_longest_ago_come_first(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    let to_check = async |reader: &dyn LedgerReader, before_run, limit| {
        let customers = reader.customers_to_check(before_run, limit).await.expect("reads").into_iter();
        customers.map(|customer| (customer.customer_id, customer.deleted)).collect::<Vec<_>>()
    };
    for (seconds, customer) in [(0, 5), (3, 3), (6, 8)] {
        scene.send(seconds, change(customer, 1, "v"), rejected()).await;
    }
    let ledger = &*scene.ledger;
    let first = scene.open_run(10).await;
    assert_eq!(to_check(ledger, first, 2).await, [(3, false), (5, false)]);
    scene.ledger.record_customers(first, &[3, 8], &[]).await.expect("records");
    assert_eq!(to_check(ledger, first, 9).await, [(5, false)], "this run has checked the others");
    scene.close(first, 11).await;
    let second = scene.send(12, change(9, 1, "v"), rejected()).await;
    let third = scene.open_run(15).await;
    assert_eq!(to_check(ledger, third, 9).await, [(5, false), (9, false), (3, true), (8, true)]);
    scene.ledger.record_customers(third, &[3], &[5, 99]).await.expect("records");
    assert_eq!(to_check(ledger, third, 9).await, [(9, false), (8, true)]);
    assert_eq!(to_check(ledger, second, 9).await, [(9, false), (8, true)]);
    let all = [(9, false), (8, true), (3, true)];
    assert_eq!(to_check(ledger, i64::MAX, 9).await, all, "the one that was checked last is last");
    if let Some(config) = backend.config() {
        let audit = AuditLog::open(&config).await.expect("opens").expect("is there");
        let id = audit.store_id(&store()).await.expect("reads").expect("is known");
        assert_eq!(to_check(&audit.entries_of(id), i64::MAX, 9).await, all);
        assert!(to_check(&audit.entries_of(id + 1), i64::MAX, 9).await.is_empty());
    }
    drop(scene);
    let sandbox = Scene::of(backend, &other_store()).await;
    assert!(to_check(&*sandbox.ledger, i64::MAX, 9).await.is_empty(), "another store's");
}
