//! Plans that are kept to be applied by another run.

use attrsync::ledger::NewRun;
use attrsync::record::{
    Belief, Change, Counts, Key, Outcome, PLAN_VALID_FOR, PlanOfRun, RunKind, RunStatus, SavedChange,
};

use super::backend::Backend;
use super::fixture::*;

fn plan() -> Vec<Change> {
    vec![change(1, 1, "a"), change(1, 2, "b"), change(3, 1, "c"), delete(4, 1, Some(7))]
}

/// Opens a run of a kind, seals the plan for it and closes it with a status.
async fn left(scene: &Scene<'_>, kind: RunKind, status: RunStatus, filtered: bool, seconds: i64) -> i64 {
    let new = NewRun { kind, filtered, ..new_run(seconds) };
    let run = scene.ledger.open_run(&new).await.expect("opens");
    scene.ledger.save_plan(run, plan(), Vec::new()).await.expect("saves");
    let counts = Counts { planned: 4, deletes: 1, ..Counts::default() };
    scene.ledger.seal_plan(run, &counts, None, at(seconds)).await.expect("seals");
    scene.ledger.close_run(run, status, Some("why"), at(seconds + 1)).await.expect("closes");
    run
}

/// Opens a run that removes what was never sent, and closes it. With a plan it has planned all rows.
async fn next_sync(scene: &Scene<'_>, filtered: bool, seconds: i64) -> i64 {
    let new = NewRun { filtered, ..new_run(seconds) };
    let run = scene.ledger.open_run(&new).await.expect("opens");
    let mut steps = 0;
    while scene.ledger.remove_unsent(run, at(seconds)).await.expect("removes") {
        steps += 1;
        assert!(steps < 9, "it comes to an end");
    }
    scene.ledger.seal_plan(run, &Counts::default(), None, at(seconds)).await.expect("seals");
    scene.close(run, seconds).await;
    run
}

async fn plan_of(scene: &Scene<'_>, run: i64) -> PlanOfRun {
    scene.ledger.plan_of_run(run).await.expect("reads").expect("a run")
}

pub(crate) async fn a_saved_plan_stays_for_seven_days(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    let saved = left(&scene, RunKind::Plan, RunStatus::Saved, false, 0).await;
    let failed = left(&scene, RunKind::Plan, RunStatus::Failed, false, 2).await;
    let age = PLAN_VALID_FOR.num_seconds();
    next_sync(&scene, false, age - 1).await;
    assert_eq!(backend.changes(saved).await.len(), 4, "syncs leave it alone");
    assert!(backend.changes(failed).await.is_empty(), "a run that failed to save it has no plan");
    assert!(!plan_of(&scene, saved).await.is_removed);
    next_sync(&scene, false, age).await;
    assert!(backend.changes(saved).await.is_empty());
    assert!(plan_of(&scene, saved).await.is_removed);
    let counts = scene.counts(saved).await;
    assert_eq!((counts.planned, counts.deferred), (4, 4), "the counts stay");
}

pub(crate) async fn the_plan_of_a_blocked_run_stays_until_all_rows_are_planned_anew(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    let blocked = left(&scene, RunKind::Sync, RunStatus::Blocked, false, 0).await;
    let month = 30 * 86_400;
    next_sync(&scene, true, month).await;
    next_sync(&scene, true, month + 1).await;
    left(&scene, RunKind::Plan, RunStatus::Saved, false, month + 2).await;
    assert_eq!(
        plan_of(&scene, blocked).await.superseded_by,
        None,
        "a part, or a plan to read, is not all rows"
    );
    let whole = next_sync(&scene, false, month + 4).await;
    assert_eq!(backend.changes(blocked).await.len(), 4, "the plan after it was not complete before");
    assert_eq!(plan_of(&scene, blocked).await.superseded_by, Some(whole));
    next_sync(&scene, true, month + 5).await;
    assert!(backend.changes(blocked).await.is_empty());
    assert!(plan_of(&scene, blocked).await.is_removed);
}

pub(crate) async fn a_saved_plan_is_read_with_what_the_entries_say_now(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    let saved = left(&scene, RunKind::Plan, RunStatus::Saved, false, 0).await;
    scene.send(2, change(1, 1, "a"), confirmed()).await;
    scene.send(5, change(3, 1, "x"), rejected()).await;
    scene.send(8, delete(4, 1, Some(7)), absent()).await;
    let entries = [
        Some((Belief::Confirmed, Some("a".to_owned()))),
        None,
        Some((Belief::Rejected, Some("x".to_owned()))),
        Some((Belief::Absent, None)),
    ];
    let expected: Vec<SavedChange> = plan()
        .into_iter()
        .zip(entries)
        .map(|(change, entry)| SavedChange { change: Change { value_id: None, ..change }, entry })
        .collect();
    let read = async |after, limit| scene.ledger.saved_changes(saved, after, limit).await.expect("reads");
    assert_eq!(read(None, 3).await, expected[..3], "all parts of a plan, in key order");
    assert_eq!(read(Some(Key::new(3, 1)), 3).await, expected[3..]);
    assert_eq!(read(Some(Key::new(4, 1)), 3).await, []);
    assert_eq!(read(None, 1).await, expected[..1]);
    let planned = backend.changes(saved).await.into_iter().filter(|row| row.outcome == Outcome::Planned);
    assert_eq!(planned.count(), 4, "reading it changes nothing");
}

pub(crate) async fn a_run_is_known_by_what_applies_its_plan(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    let saved = left(&scene, RunKind::Plan, RunStatus::Saved, true, 0).await;
    let expected = PlanOfRun {
        run_id: saved,
        is_of_store: true,
        kind: RunKind::Plan,
        status: RunStatus::Saved,
        filtered: true,
        planned_at: Some(at(0)),
        planned: 4,
        is_removed: false,
        superseded_by: None,
    };
    assert_eq!(plan_of(&scene, saved).await, expected);
    assert_eq!(scene.ledger.plan_of_run(99).await.expect("reads"), None);
    let apply = NewRun { kind: RunKind::Apply, of_run_id: Some(saved), ..new_run(3) };
    let apply = scene.ledger.open_run(&apply).await.expect("opens");
    let rows = backend.runs(&store()).await;
    assert_eq!(rows.iter().map(|row| row.of_run_id).collect::<Vec<_>>(), [None, Some(saved)]);
    let open =
        PlanOfRun { kind: RunKind::Apply, status: RunStatus::Planning, filtered: false, ..expected.clone() };
    let open = PlanOfRun { run_id: apply, planned_at: None, planned: 0, ..open };
    assert_eq!(plan_of(&scene, apply).await, open);
    scene.close(apply, 4).await;
    drop(scene);
    let other = Scene::of(backend, &other_store()).await;
    assert_eq!(plan_of(&other, saved).await, PlanOfRun { is_of_store: false, ..expected });
}
