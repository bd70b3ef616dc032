//! Giving back what was set aside.

use attrsync::record::{Action, Belief, Change, Counts, Key, Outcome, RunStatus, Whose};

use super::backend::Backend;
use super::fixture::*;

/// The keys whose values are set aside.
async fn aside(backend: &dyn Backend) -> Vec<Key> {
    let entries = backend.entries(&store()).await.into_iter();
    entries.filter(|entry| entry.belief == Belief::Rejected).map(|entry| entry.key).collect()
}

pub(crate) async fn what_was_set_aside_is_released_by_hand(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    scene.send(0, Change { value_id: Some(9), ..change(1, 1, "a") }, altered("A")).await;
    scene.send(3, change(1, 1, "b"), rejected()).await;
    scene.send(6, change(2, 1, "c"), confirmed()).await;
    let sent_at = scene.entry(Key::new(1, 1)).await.updated_at;

    let run = scene.open_run(20).await;
    assert_eq!(scene.ledger.release_by_hand(run, Whose::default(), at(21)).await.expect("releases"), 1);
    let expected = Counts { planned: 1, deferred: 1, ..Counts::default() };
    assert_eq!(scene.books(run).await, expected);
    let row = backend.runs(&store()).await.pop().expect("a run");
    assert_eq!((row.status, row.planned_at), (RunStatus::Running, Some(at(21))));
    scene.close(run, 22).await;

    let reason = Some("released by hand; set aside before: no such attribute");
    let entry = scene.entry(Key::new(1, 1)).await;
    assert_eq!((entry.belief, entry.value.as_str(), entry.run_id), (Belief::Unconfirmed, "b", run));
    assert_eq!((entry.stored_value.as_deref(), entry.reason.as_deref()), (Some("A"), reason));
    assert_eq!(entry.updated_at, sent_at, "nothing was sent, so nothing can arrive late");
    let changes = backend.changes(run).await;
    let [told] = changes.as_slice() else { panic!("{changes:?}") };
    assert_eq!((told.key, told.action, told.outcome), (entry.key, Action::Release, Outcome::Deferred));
    assert_eq!(
        (told.value.as_str(), told.previous_value.as_deref(), told.value_id),
        ("b", Some("A"), Some(9))
    );
    assert_eq!((told.reason.as_deref(), told.decided_at, told.request_id), (reason, Some(at(21)), None));
    assert_eq!(backend.outcomes(run).await, [(entry.key, Outcome::Deferred)]);
    assert!(scene.ledger.planned(run, false, None, 9).await.expect("reads").is_empty(), "nothing to send");
}

pub(crate) async fn only_what_is_named_is_released(backend: &dyn Backend) {
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
    let one = Whose { customer_id: Some(1), attribute_id: Some(2) };
    let customer = Whose { customer_id: Some(2), attribute_id: None };
    let nobody = Whose { customer_id: Some(7), attribute_id: None };
    for (whose, count, left) in [
        (one, 1, [0, 2, 3, 4].as_slice()),
        (one, 0, &[0, 2, 3, 4]),
        (customer, 2, &[0, 4]),
        (nobody, 0, &[0, 4]),
    ] {
        assert_eq!(
            scene.ledger.release_by_hand(run, whose, at(21)).await.expect("releases"),
            count,
            "{whose:?}"
        );
        assert_eq!(aside(backend).await, left.iter().map(|&index| keys[index]).collect::<Vec<_>>());
    }
    assert_eq!(scene.books(run).await.planned, 3);
    scene.close(run, 22).await;
    assert_eq!(backend.entries(&other_store()).await[0].belief, Belief::Rejected, "another store's stays");
}
