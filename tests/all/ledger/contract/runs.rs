//! Runs: the fencing token of a store, and the start and end of runs.

use attrsync::ledger::{LedgerError, NewRun};
use attrsync::record::{
    Belief, BeliefEdit, Counts, EditKind, InvalidRow, Key, KeyScope, Outcome, RunKind, RunStatus, Trigger,
    WaitReason, WaitTotal,
};
use attrsync::record::{DatedSize, RequestSizes};

use super::backend::Backend;
use super::fixture::*;

pub(crate) async fn a_run_is_opened_and_closed(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    let run = scene.open_run(1).await;
    let row = backend.runs(&store()).await.pop().expect("a run");
    assert_eq!((row.id, row.kind, row.trigger), (run, RunKind::Sync, Trigger::Manual));
    assert_eq!((row.status, row.started_at, row.finished_at), (RunStatus::Planning, at(1), None));
    assert_eq!((row.planned_at, row.counts), (None, Counts::default()));

    scene.ledger.close_run(run, RunStatus::Failed, Some("no source"), at(2)).await.expect("closes");
    assert_eq!(scene.ledger.unclosed_run().await.expect("reads"), None);
    let row = backend.runs(&store()).await.pop().expect("a run");
    assert_eq!((row.status, row.finished_at), (RunStatus::Failed, Some(at(2))));
    assert_eq!(row.message.as_deref(), Some("no source"));

    let requeue = NewRun { kind: RunKind::Requeue, ..new_run(3) };
    let next = scene.ledger.open_run(&requeue).await.expect("opens a run");
    assert!(next > run);
    assert_eq!(backend.runs(&store()).await[1].kind, RunKind::Requeue);
    let first = &backend.runs(&store()).await[0];
    assert_eq!((first.status, first.finished_at), (RunStatus::Failed, Some(at(2))), "stays as it ended");
}

pub(crate) async fn how_long_a_run_waited_is_recorded(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    let run = scene.open_run(1).await;
    let total = |reason, waits, milliseconds| WaitTotal { reason, waits, milliseconds };
    let totals = [total(WaitReason::Backoff, 3, 4_500), total(WaitReason::Quota, 2, 41_000)];
    scene.ledger.record_waits(run, &totals).await.expect("records");
    assert_eq!(backend.waits(run).await, totals);
}

pub(crate) async fn an_open_run_is_interrupted_by_the_next(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    let changes = vec![change(1, 1, "a"), change(2, 1, "b")];
    let run = scene.planned_run(0, changes.clone()).await;
    scene.intent(run, 1, &changes[..1]).await;
    let before = backend.changes(run).await;
    drop(scene);

    let scene = Scene::new(backend).await;
    let still = &backend.runs(&store()).await[0];
    assert_eq!((still.status, still.finished_at), (RunStatus::Running, None), "opening a ledger is no run");
    assert_eq!(scene.ledger.unclosed_run().await.expect("reads"), Some(run));
    scene.open_run(9).await;
    let row = &backend.runs(&store()).await[0];
    assert_eq!((row.status, row.finished_at), (RunStatus::Interrupted, Some(at(9))));
    assert_eq!(backend.changes(run).await, before, "its changes stay as they are");
    let outcomes = backend.outcomes(run).await;
    assert_eq!(outcomes, [(Key::new(1, 1), Outcome::Unknown), (Key::new(2, 1), Outcome::Deferred)]);
    assert_eq!((row.counts.unknown, row.counts.deferred), (1, 1));
}

/// Calls every method that checks the fencing token, with the token `run`. All must fail and name `owner_run_id`.
async fn all_are_refused(scene: &Scene<'_>, run: i64, request: i64, owner_run_id: i64) {
    let (ledger, key) = (&scene.ledger, Key::new(1, 1));
    let invalid = InvalidRow { customer_id: None, attribute_id: None, value: None, reason: String::new() };
    let edit = |edit| {
        let reason = "edited".to_owned();
        BeliefEdit { scope: KeyScope::default(), edit, reason, in_doubt_until: None }
    };
    let refusals = [
        ledger.save_plan(run, vec![change(9, 9, "z")], vec![invalid]).await,
        ledger.discard_plan(run).await,
        ledger.seal_plan(run, &Counts { planned: 7, ..Counts::default() }, None, at(9)).await,
        scene.try_intent(run, None, 9, &[change(2, 1, "b")]).await.map(drop),
        ledger.record_outcome(run, request, &request_end(9), &[outcome(key, confirmed())]).await.map(drop),
        ledger.record_unsent(run, &[outcome(Key::new(2, 1), rejected())], at(9)).await.map(drop),
        ledger.edit_beliefs(run, &edit(EditKind::Requeue), at(9)).await.map(drop),
        ledger.edit_beliefs(run, &edit(EditKind::Acknowledge), at(9)).await.map(drop),
        ledger.edit_beliefs(run, &edit(EditKind::Invalidate), at(9)).await.map(drop),
        ledger.edit_beliefs(run, &edit(EditKind::Clear), at(9)).await.map(drop),
        ledger.record_attributes(run, &[], at(9)).await,
        ledger.seal_by_digest(run, run, at(9)).await,
        ledger.record_customers(run, &[1], &[]).await,
        ledger.record_waits(run, &[]).await,
        ledger.close_run(run, RunStatus::Succeeded, None, at(9)).await,
    ];
    for refusal in refusals {
        match refusal {
            Err(LedgerError::LostLock { run_id: named }) => assert_eq!(named, owner_run_id),
            other => panic!("not refused: {other:?}"),
        }
    }
}

pub(crate) async fn a_run_that_lost_its_lock_writes_nothing(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    scene.send(0, change(3, 1, "c"), confirmed()).await;
    let changes = vec![change(1, 1, "a"), change(2, 1, "b")];
    let run = scene.planned_run(3, changes.clone()).await;
    let request = scene.intent(run, 4, &changes[..1]).await;
    let second = scene.open_run(5).await;

    let before = (backend.entries(&store()).await, backend.runs(&store()).await);
    let rows = (backend.changes(run).await, backend.requests(run).await);
    all_are_refused(&scene, run, request, second).await;
    assert_eq!((backend.entries(&store()).await, backend.runs(&store()).await), before);
    assert_eq!((backend.changes(run).await, backend.requests(run).await), rows);
    assert!(backend.invalid_rows(run).await.is_empty() && backend.belief_edits(run).await.is_empty());
    assert!(scene.ledger.customers_to_check(i64::MAX, 9).await.expect("reads").is_empty());
}

pub(crate) async fn a_closed_run_writes_nothing(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    let changes = vec![change(1, 1, "a"), change(2, 1, "b")];
    let run = scene.planned_run(3, changes.clone()).await;
    let request = scene.intent(run, 4, &changes[..1]).await;
    scene.close(run, 5).await;
    let before = (backend.changes(run).await, backend.runs(&store()).await);
    let confirmed = [outcome(Key::new(1, 1), confirmed())];
    let written = scene.ledger.record_outcome(run, request, &request_end(6), &confirmed).await;
    assert!(matches!(written, Err(LedgerError::LostLock { .. })), "{written:?}");
    assert_eq!((backend.changes(run).await, backend.runs(&store()).await), before);
}

pub(crate) async fn the_sizes_of_requests_are_kept_and_forgotten(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    let nothing = RequestSizes::default();
    assert_eq!(scene.ledger.request_sizes().await.expect("reads"), nothing);
    drop(scene);
    let size = |values, second| Some(DatedSize { values, at: at(second) });
    for sizes in [
        RequestSizes { learned: size(5, 1), accepted: size(30, 2) },
        RequestSizes { learned: None, accepted: size(31, 3) },
        nothing,
    ] {
        let scene = Scene::new(backend).await;
        scene.ledger.keep_request_sizes(&sizes).await.expect("keeps");
        drop(scene);
        let scene = Scene::new(backend).await;
        assert_eq!(scene.ledger.request_sizes().await.expect("reads"), sizes, "outlives the process");
    }
}

pub(crate) async fn two_stores_of_one_ledger_do_not_touch_each_other(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    scene.send(0, change(1, 1, "live"), confirmed()).await;
    let run = scene.planned_run(5, vec![change(2, 1, "later")]).await;
    let sizes = RequestSizes { learned: Some(DatedSize { values: 5, at: at(1) }), accepted: None };
    scene.ledger.keep_request_sizes(&sizes).await.expect("keeps");
    let before = (backend.entries(&store()).await, backend.runs(&store()).await);
    drop(scene);

    let sandbox = Scene::of(backend, &other_store()).await;
    assert_eq!(sandbox.ledger.request_sizes().await.expect("reads"), RequestSizes::default());
    assert!(sandbox.scan(&Default::default()).await.0.is_empty());
    let rehearsal = sandbox.send(6, change(1, 1, "rehearsed"), confirmed()).await;
    let second = sandbox.open_run(9).await;
    for edit in [EditKind::Acknowledge, EditKind::Requeue, EditKind::Invalidate, EditKind::Clear] {
        let reason = "edited".to_owned();
        let edit = BeliefEdit { scope: KeyScope::default(), edit, reason, in_doubt_until: Some(at(99)) };
        sandbox.ledger.edit_beliefs(second, &edit, at(10)).await.expect("edits");
    }
    sandbox.ledger.mark_unconfirmed(&[Key::new(1, 1)], at(10)).await.expect("marks");
    assert!(sandbox.try_intent(run, None, 9, &[change(2, 1, "later")]).await.is_err(), "another store's run");
    assert_eq!(backend.entries(&other_store()).await[0].belief, Belief::Unconfirmed);
    assert_eq!(backend.entries(&other_store()).await[0].run_id, rehearsal);
    drop(sandbox);

    assert_eq!((backend.entries(&store()).await, backend.runs(&store()).await), before);
    let scene = Scene::new(backend).await;
    assert_eq!(scene.ledger.request_sizes().await.expect("reads"), sizes);
    scene.intent(run, 11, &[change(2, 1, "later")]).await;
}

pub(crate) async fn a_store_has_one_lock(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    let refused = |result: Result<_, LedgerError>| match result {
        Err(LedgerError::Locked { holder }) => holder,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("two runs have the lock of one store"),
    };
    assert_eq!(refused(backend.open(&store()).await), "a run that is just starting");
    let run = scene.open_run(0).await;
    assert_eq!(
        refused(backend.open(&store()).await),
        format!("run {run} (sync), started 2026-01-02 03:04:05 UTC")
    );
    drop(scene);
    drop(backend.open(&store()).await.expect("free again"));
}
