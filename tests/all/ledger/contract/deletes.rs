//! Deletes: what is recorded of them, and what the ledger then believes.

use attrsync::record::{
    Belief, BeliefEdit, Change, ChangeOutcome, Counts, EditKind, Entry, Key, KeyScope, Outcome, PlanPart,
    PlannedChange, RequestMethod, Verdict,
};

use super::backend::Backend;
use super::fixture::*;

/// Confirms a value with an id and returns its key.
async fn confirm(scene: &Scene<'_>, seconds: i64, customer: i64, value: &str, id: Option<i64>) -> Key {
    let verdict = Verdict::Confirmed { value_id: id, stored_value: None };
    scene.send(seconds, change(customer, 1, value), verdict).await;
    Key::new(customer, 1)
}

fn nothing_is_left_of(entry: &Entry) -> bool {
    let Entry { value, stored_value, observed_value, value_id, .. } = entry;
    value.is_none() && stored_value.is_none() && observed_value.is_none() && value_id.is_none()
}

pub(crate) async fn a_delete_that_a_read_proved_leaves_no_value(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    let key = confirm(&scene, 0, 1, "a", Some(7)).await;
    let plan = [Change { previous_value: Some("a".to_owned()), ..delete(1, 1, Some(7)) }];
    let run = scene.planned_run(5, plan.to_vec()).await;
    assert_eq!(scene.counts(run).await.deletes, 1);
    let request = scene.intent(run, 6, &plan).await;
    assert_eq!(backend.requests(run).await[0].method, RequestMethod::Delete);
    let entry = scene.entry(key).await;
    assert_eq!((entry.value.as_deref(), entry.belief, entry.run_id), (None, Belief::Unconfirmed, run));
    assert_eq!((entry.stored_value.as_deref(), entry.value_id), (Some("a"), Some(7)), "until it is proved");

    let verdict = Verdict::Absent { value_id: Some(7), reason: Some("others were faster".to_owned()) };
    let kept = ChangeOutcome { key, verdict, in_doubt_until: Some(at(90)) };
    scene.outcome(run, request, 7, &[kept]).await;
    let entry = scene.entry(key).await;
    assert!(nothing_is_left_of(&entry), "{entry:?}");
    assert_eq!((entry.belief, entry.run_id, entry.updated_at), (Belief::Absent, run, at(7)));
    assert_eq!(entry.reason.as_deref(), Some("others were faster"));
    assert_eq!(entry.in_doubt_until, Some(at(90)), "as given");
    let row = backend.changes(run).await.remove(0);
    assert_eq!((row.outcome, row.value_id, row.value), (Outcome::Confirmed, Some(7), None));
    let counts = scene.counts(run).await;
    assert_eq!((counts.confirmed, counts.altered, counts.unknown, counts.requests), (1, 0, 0, 1));

    scene.close(run, 8).await;
    let run = scene.send(9, change(1, 1, "a"), confirmed()).await;
    let entry = scene.entry(key).await;
    assert_eq!((entry.value.as_deref(), entry.belief, entry.run_id), (Some("a"), Belief::Confirmed, run));
    assert_eq!((entry.stored_value, entry.value_id), (None, None), "the store gave it another id");
}

pub(crate) async fn the_id_of_a_value_may_be_read_after_the_plan_was_made(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    for customer in [1, 2, 3] {
        confirm(&scene, customer, customer, "a", (customer == 2).then_some(20)).await;
    }
    let plan = [delete(1, 1, None), delete(2, 1, Some(20)), delete(3, 1, None)];
    let run = scene.planned_run(9, plan.to_vec()).await;
    let read = [Change { value_id: Some(11), ..plan[0].clone() }, plan[1].clone(), plan[2].clone()];
    let first = scene.intent(run, 10, &read).await;
    let ids = async || {
        let changes = backend.changes(run).await.into_iter().map(|row| row.value_id).collect::<Vec<_>>();
        let entries = scene.entries().await.into_iter().map(|entry| entry.value_id).collect::<Vec<_>>();
        assert_eq!(changes, entries);
        changes
    };
    assert_eq!(ids().await, [Some(11), Some(20), None]);
    scene.outcome(run, first, 11, &[]).await;
    let other = [Change { value_id: Some(21), ..plan[1].clone() }];
    scene.try_intent(run, Some(first), 12, &other).await.expect("records the intent");
    assert_eq!(ids().await, [Some(11), Some(21), None], "the value has another id now");
}

pub(crate) async fn a_value_that_is_not_there_needs_no_request(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    let key = confirm(&scene, 0, 1, "a", None).await;
    confirm(&scene, 3, 2, "b", None).await;
    let plan = vec![delete(1, 1, None), delete(2, 1, None)];
    let run = scene.planned_run(6, plan.clone()).await;
    let untouched = scene.entry(plan[1].key).await;
    let missing = Verdict::Absent { value_id: None, reason: Some("it was not there".to_owned()) };
    scene.unsent(run, 7, &outcomes(&plan, [missing, deferred()])).await;
    let entry = scene.entry(key).await;
    assert!(nothing_is_left_of(&entry), "{entry:?}");
    assert_eq!((entry.belief, entry.run_id, entry.updated_at), (Belief::Absent, run, at(7)));
    assert_eq!(entry.reason.as_deref(), Some("it was not there"));
    assert_eq!(scene.entry(plan[1].key).await, untouched);
    let row = backend.changes(run).await.remove(0);
    assert_eq!((row.outcome, row.request_id), (Outcome::Confirmed, None));
    let counts = scene.counts(run).await;
    assert_eq!((counts.confirmed, counts.deferred, counts.requests), (1, 1, 0));
}

pub(crate) async fn a_rejected_delete_keeps_what_the_store_holds(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    let (sent, unsent) = (confirm(&scene, 0, 1, "a", Some(7)).await, confirm(&scene, 3, 2, "b", None).await);
    let plan = [delete(1, 1, Some(7)), delete(2, 1, None)];
    let run = scene.planned_run(6, plan.to_vec()).await;
    let request = scene.intent(run, 7, &plan[..1]).await;
    scene.outcome(run, request, 8, &outcomes(&plan[..1], [rejected()])).await;
    scene.unsent(run, 9, &outcomes(&plan[1..], [rejected()])).await;
    for (key, stored, id) in [(sent, "a", Some(7)), (unsent, "b", None)] {
        let entry = scene.entry(key).await;
        assert_eq!((entry.belief, entry.value, entry.value_id), (Belief::Rejected, None, id));
        assert_eq!(entry.stored_value.as_deref(), Some(stored));
        assert_eq!(entry.reason.as_deref(), Some("no such attribute"));
    }
}

pub(crate) async fn deletes_are_a_part_of_a_plan_of_their_own(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    for customer in [2, 3, 5] {
        confirm(&scene, customer, customer, "a", Some(customer)).await;
    }
    scene.send(9, change(3, 1, "b"), unknown(Some("c"))).await;
    scene.send(12, delete(5, 1, Some(5)), unknown(Some("a"))).await;
    let in_doubt_later = |change| Change { in_doubt_until: Some(at(90)), ..change };
    let plan = vec![
        change(1, 1, "x"),
        delete(2, 1, Some(2)),
        in_doubt_later(delete(3, 1, Some(3))),
        in_doubt_later(change(4, 1, "y")),
        in_doubt_later(delete(5, 1, Some(5))),
    ];
    let run = scene.open_run(15).await;
    scene.ledger.save_plan(run, plan.clone(), Vec::new()).await.expect("saves");
    let read = async |part, after| scene.ledger.planned(run, part, after, 9).await.expect("reads");
    assert_eq!(read(PlanPart::Upserts, None).await, planned(&plan[..1]));
    assert_eq!(read(PlanPart::Deletes, None).await, planned(&plan[1..2]));
    assert_eq!(read(PlanPart::UpsertsInDoubt, None).await, planned(&plan[3..4]));
    let in_doubt = |at: usize, value: Option<&str>| PlannedChange {
        change: plan[at].clone(),
        is_in_doubt: true,
        in_doubt_value: value.map(str::to_owned),
        observed_value: None,
    };
    let (value, repeated) = (in_doubt(2, Some("b")), in_doubt(4, None));
    assert_eq!((value.repeats(), repeated.repeats()), (false, true));
    assert_eq!(read(PlanPart::DeletesInDoubt, None).await, [value.clone(), repeated.clone()]);
    assert_eq!(read(PlanPart::DeletesInDoubt, Some(value.key())).await, [repeated]);

    scene.ledger.remove_deletes(run).await.expect("removes");
    let left: Vec<Key> = backend.changes(run).await.iter().map(|row| row.key).collect();
    assert_eq!(left, [plan[0].key, plan[3].key]);
}

pub(crate) async fn a_deleted_value_is_no_unchanged_row_of_the_next_run(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    confirm(&scene, 0, 1, "a", Some(7)).await;
    let plan = vec![delete(1, 1, Some(7)), change(2, 1, "b")];
    let run = scene.open_run(3).await;
    let counts = Counts { source_rows: 1, planned: 2, deletes: 1, ..Counts::default() };
    scene.ledger.save_plan(run, plan.clone(), Vec::new()).await.expect("saves");
    scene.ledger.seal_plan(run, &counts, Some("1:0:00000000000000ff"), at(3)).await.expect("seals");
    for (sent, verdict) in plan.chunks(1).zip([absent(), confirmed()]) {
        let request = scene.intent(run, 4, sent).await;
        scene.outcome(run, request, 5, &outcomes(sent, [verdict])).await;
    }
    let expected = scene.counts(run).await.without_changes();
    assert_eq!((expected.unchanged, expected.planned, expected.deletes), (1, 0, 0));
    scene.close(run, 6).await;
    let run = scene.open_run(7).await;
    let known = scene.ledger.known_digest(run).await.expect("reads").expect("a digest");
    assert_eq!(known.counts, expected);
    scene.ledger.seal_by_digest(run, known.run_id, at(8)).await.expect("seals");
    assert_eq!(scene.counts(run).await, expected);
}

pub(crate) async fn an_absent_entry_stays_absent(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    let key = confirm(&scene, 0, 1, "a", Some(7)).await;
    scene.send(3, delete(1, 1, Some(7)), absent()).await;
    let run = scene.open_run(6).await;
    for edit in [EditKind::Invalidate, EditKind::Clear, EditKind::Requeue] {
        let (scope, until) = (KeyScope::default(), Some(at(60)));
        let edit = BeliefEdit { scope, edit, reason: edit.to_string(), in_doubt_until: until };
        scene.ledger.edit_beliefs(run, &edit, at(7)).await.expect("edits");
    }
    let entry = scene.entry(key).await;
    assert_eq!((entry.belief, entry.in_doubt_until), (Belief::Absent, Some(at(60))));
    assert_eq!(entry.reason.as_deref(), Some("clear"), "a requeue is of rejected values only");
    scene.ledger.mark_unconfirmed(&[key], at(8)).await.expect("marks");
    assert_eq!(scene.entry(key).await.belief, Belief::Unconfirmed, "a value may have been sent meanwhile");
}
