//! What the runs of a store say about how it stands, on both databases.

use attrsync::attention::{Facts, PastRun};
use attrsync::ledger::NewRun;
use attrsync::ledger::audit::AuditLog;
use attrsync::record::{BeliefEdit, EditKind, KeyScope, MissedTimes, RunKind, RunStatus, Trigger};

use super::contract::backend::Backend;
use super::contract::fixture::{Scene, at, change, confirmed, new_run, outcome, rejected, store, unknown};
use super::contract::postgres::PostgresBackend;
use super::contract::sqlite::SqliteBackend;

#[tokio::test]
async fn the_runs_of_a_sqlite_ledger_say_how_a_store_stands() {
    the_runs_say_how_a_store_stands(&SqliteBackend::fresh()).await;
}

#[tokio::test]
async fn the_runs_of_a_postgres_ledger_say_how_a_store_stands() {
    the_runs_say_how_a_store_stands(&PostgresBackend::fresh()).await;
}

fn id_and_status(run: Option<&PastRun>) -> Option<(i64, RunStatus)> {
    run.map(|run| (run.id, run.status))
}

async fn the_runs_say_how_a_store_stands(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    let config = backend.config().expect("a ledger that can be read");
    let audit = AuditLog::open(&config).await.expect("opens").expect("is there");
    let id = audit.store_id(&store()).await.expect("reads").expect("is known");
    let facts = async || audit.facts(id).await.expect("reads");
    assert_eq!(facts().await, Facts::default(), "no run yet");

    // A night that rejects a value.
    let values = [change(1, 1, "a"), change(2, 1, "b")];
    let first = scene.planned_run(0, values.to_vec()).await;
    let active = facts().await;
    assert_eq!(id_and_status(active.last_run.as_ref()), Some((first, RunStatus::Running)));
    assert_eq!((active.last_ended, active.oldest_unconfirmed_at), (None, Some(at(0))));
    let request = scene.intent(first, 1, &values).await;
    let outcomes = [outcome(values[0].key, confirmed()), outcome(values[1].key, rejected())];
    scene.outcome(first, request, 2, &outcomes).await;
    scene.ledger.close_run(first, RunStatus::Partial, None, at(3)).await.expect("closes");
    let after_first = facts().await;
    assert_eq!(id_and_status(after_first.last_run.as_ref()), Some((first, RunStatus::Partial)));
    assert_eq!(after_first.last_planned.as_ref().map(|run| run.counts.rejected), Some(1));
    assert_eq!((after_first.last_success_at, after_first.oldest_unconfirmed_at), (Some(at(3)), None));
    assert_eq!(
        (&after_first.last_ended, &after_first.last_whole),
        (&after_first.last_run, &after_first.last_run)
    );

    // A person acknowledges it.
    let by_hand = NewRun { kind: RunKind::Acknowledge, trigger: Trigger::Manual, ..new_run(10) };
    let by_hand = scene.ledger.open_run(&by_hand).await.expect("opens");
    let edit = BeliefEdit {
        scope: KeyScope::default(),
        edit: EditKind::Acknowledge,
        reason: "known".to_owned(),
        in_doubt_until: None,
    };
    assert_eq!(scene.ledger.edit_beliefs(by_hand, &edit, at(10)).await.expect("edits"), 1);
    scene.close(by_hand, 11).await;
    assert_eq!(facts().await, Facts { requeued_later: 1, ..after_first.clone() });

    // A night that fails with a change in doubt.
    let failed = scene.planned_run(20, vec![change(3, 1, "c")]).await;
    let request = scene.intent(failed, 21, &[change(3, 1, "c")]).await;
    scene.outcome(failed, request, 22, &[outcome(change(3, 1, "c").key, unknown(None))]).await;
    scene.ledger.close_run(failed, RunStatus::Failed, None, at(23)).await.expect("closes");
    let after_failed = facts().await;
    assert_eq!(id_and_status(after_failed.last_whole.as_ref()), Some((failed, RunStatus::Failed)));
    assert_eq!(after_failed.last_success_at, Some(at(3)));
    assert_eq!(after_failed.oldest_unconfirmed_at, Some(at(20)));
    assert_eq!(audit.facts_after(id, by_hand).await.expect("reads").last_run, after_first.last_run);

    // A run that is killed. A notification was sent for the run before it, and for none of it.
    let killed = scene.open_run(30).await;
    drop(scene);
    let unclosed = facts().await;
    assert_eq!(id_and_status(unclosed.last_run.as_ref()), Some((killed, RunStatus::Interrupted)));
    let scene = Scene::new(backend).await;
    let last = scene.send(40, change(3, 1, "c"), confirmed()).await;
    assert_eq!(audit.facts_after(id, last - 1).await.expect("reads"), after_failed);

    // A night that makes up for it.
    let made_up = facts().await;
    assert_eq!(id_and_status(made_up.last_run.as_ref()), Some((last, RunStatus::Succeeded)));
    assert_eq!((made_up.last_success_at, made_up.oldest_unconfirmed_at), (Some(at(42)), None));

    // A requeued value is not confirmed until a sync confirms it.
    let requeue = NewRun { kind: RunKind::Requeue, ..new_run(50) };
    let requeue = scene.ledger.open_run(&requeue).await.expect("opens");
    let edit = BeliefEdit { edit: EditKind::Requeue, ..edit };
    scene.ledger.edit_beliefs(requeue, &edit, at(50)).await.expect("edits");
    scene.close(requeue, 51).await;
    let requeued = facts().await;
    assert_eq!((requeued.oldest_unconfirmed_at, requeued.requeued_later), (Some(at(50)), 1));

    // Scheduled times that were missed before and after the last success.
    for (seconds, times) in [(41, 5), (60, 2), (61, 1)] {
        let missed = MissedTimes { first: at(0), last: at(0), times, reason: "it was off".to_owned() };
        scene.ledger.pass_over(Some(&missed), at(seconds), at(seconds)).await.expect("records it");
    }
    assert_eq!(facts().await, Facts { missed_later: 3, ..requeued });
}
