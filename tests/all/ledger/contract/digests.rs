//! The digest of a run: when it stands for what the ledger knows, and a run that ends by it.

use attrsync::ledger::NewRun;
use attrsync::record::{BeliefEdit, Counts, EditKind, InvalidRow, Key, KeyScope, RunKind, RunStatus};

use super::backend::Backend;
use super::fixture::*;

const DIGEST: &str = "6:-42:00000000000000ff";

/// The counts of a plan with one change.
const COUNTS: Counts = Counts {
    source_rows: 6,
    no_value: 1,
    unchanged: 2,
    still_rejected: 1,
    acknowledged: 1,
    invalid: 1,
    orphans: 3,
    stored_without_row: 3,
    pinned: 2,
    planned: 1,
    deletes: 0,
    confirmed: 0,
    altered: 0,
    rejected: 0,
    unknown: 0,
    deferred: 0,
    requests: 0,
};

fn invalid_row() -> InvalidRow {
    InvalidRow { customer_id: Some(9), attribute_id: None, value: None, reason: "no attribute".to_owned() }
}

/// Performs a run that sends one value, with a digest and an invalid row.
async fn digested_run(scene: &Scene<'_>, seconds: i64, value: &str) -> i64 {
    let run = scene.open_run(seconds).await;
    let changes = vec![change(1, 1, value)];
    scene.ledger.save_plan(run, changes.clone(), vec![invalid_row()]).await.expect("saves");
    scene.ledger.seal_plan(run, &COUNTS, Some(DIGEST), at(seconds)).await.expect("seals");
    let request = scene.intent(run, seconds, &changes).await;
    scene.outcome(run, request, seconds, &[outcome(Key::new(1, 1), confirmed())]).await;
    scene.close(run, seconds).await;
    run
}

/// Opens a run and returns the digest that it knows.
async fn known(scene: &Scene<'_>, seconds: i64) -> Option<String> {
    let run = scene.open_run(seconds).await;
    let known = scene.ledger.known_digest(run).await.expect("reads");
    known.map(|known| known.digest)
}

fn edit(edit: EditKind) -> BeliefEdit {
    let scope = KeyScope { customer_id: Some(77), attribute_id: None };
    BeliefEdit { scope, edit, reason: "edited".to_owned(), in_doubt_until: None }
}

pub(crate) async fn a_digest_is_known_as_long_as_the_ledger_is_as_its_run_left_it(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    assert_eq!(known(&scene, 0).await, None, "no run has a digest");
    digested_run(&scene, 1, "a").await;
    let run = scene.open_run(2).await;
    assert!(scene.ledger.known_digest(run).await.expect("reads").is_some());
    scene.ledger.edit_beliefs(run, &edit(EditKind::Clear), at(2)).await.expect("edits");
    assert_eq!(scene.ledger.known_digest(run).await.expect("reads"), None, "this run edited a belief");
    scene.close(run, 2).await;
    assert_eq!(known(&scene, 3).await, None, "the run before has no digest");

    digested_run(&scene, 4, "b").await;
    scene.ledger.mark_unconfirmed(&[Key::new(1, 1)], at(5)).await.expect("marks");
    assert_eq!(known(&scene, 6).await, None, "a run that had lost its lock made an entry unconfirmed");

    digested_run(&scene, 7, "c").await;
    let requeue = NewRun { kind: RunKind::Requeue, ..new_run(8) };
    let run = scene.ledger.open_run(&requeue).await.expect("opens");
    scene.close(run, 8).await;
    assert_eq!(known(&scene, 9).await, None, "the run before is no sync");
}

pub(crate) async fn a_digest_needs_a_run_that_confirmed_all_of_its_changes(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    let (changes, key) = (vec![change(1, 1, "a")], Key::new(1, 1));
    let counts = Counts { source_rows: 1, planned: 1, ..Counts::default() };
    for (seconds, verdict) in [(0, rejected()), (1, unknown(None)), (2, deferred())] {
        let run = scene.open_run(seconds).await;
        scene.ledger.save_plan(run, changes.clone(), Vec::new()).await.expect("saves");
        scene.ledger.seal_plan(run, &counts, Some(DIGEST), at(seconds)).await.expect("seals");
        let request = scene.intent(run, seconds, &changes).await;
        scene.outcome(run, request, seconds, &[outcome(key, verdict.clone())]).await;
        scene.ledger.close_run(run, RunStatus::Partial, None, at(seconds)).await.expect("closes");
        assert_eq!(known(&scene, seconds).await, None, "{verdict:?}");
    }
    for status in [RunStatus::Failed, RunStatus::Stopped, RunStatus::Succeeded, RunStatus::Partial] {
        let run = scene.open_run(3).await;
        let counts = Counts { source_rows: 1, unchanged: 1, ..Counts::default() };
        scene.ledger.seal_plan(run, &counts, Some(DIGEST), at(3)).await.expect("seals");
        scene.ledger.close_run(run, status, Some("why"), at(3)).await.expect("closes");
        let ended = matches!(status, RunStatus::Succeeded | RunStatus::Partial);
        assert_eq!(known(&scene, 4).await.is_some(), ended, "{status}");
    }
    let run = scene.open_run(5).await;
    scene.ledger.seal_plan(run, &Counts::default(), Some(DIGEST), at(5)).await.expect("seals");
    assert_eq!(known(&scene, 6).await, None, "the run before was interrupted");
}

pub(crate) async fn a_run_by_digest_has_the_counts_and_the_invalid_rows_of_the_run_before(
    backend: &dyn Backend,
) {
    let scene = Scene::new(backend).await;
    let first = digested_run(&scene, 1, "a").await;
    let expected = Counts { unchanged: 3, planned: 0, ..COUNTS };
    let mut before = first;
    for seconds in [2, 3] {
        let run = scene.open_run(seconds).await;
        let known = scene.ledger.known_digest(run).await.expect("reads").expect("a digest");
        assert_eq!((known.run_id, known.digest.as_str(), known.counts), (before, DIGEST, expected));
        assert_eq!(known.compared_at, at(1), "the start of the run that compared");
        scene.ledger.seal_by_digest(run, known.run_id, at(seconds)).await.expect("seals");
        scene.close(run, seconds).await;
        let row = backend.runs(&store()).await.pop().expect("a run");
        assert_eq!((row.by_digest, row.digest.as_deref(), row.counts), (true, Some(DIGEST), expected));
        assert_eq!(row.planned_at, Some(at(seconds)));
        assert_eq!(backend.invalid_rows(run).await, [invalid_row()]);
        before = run;
    }
    let row = &backend.runs(&store()).await[0];
    assert_eq!((row.by_digest, row.digest.as_deref(), row.filtered), (false, Some(DIGEST), false));
    let filtered = NewRun { filtered: true, ..new_run(4) };
    scene.ledger.open_run(&filtered).await.expect("opens");
    assert!(backend.runs(&store()).await.pop().expect("a run").filtered);
}
