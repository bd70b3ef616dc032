//! Intents: an intent is recorded before each request.

use attrsync::record::{Belief, Change, ChangeOutcome, Key, Outcome, RequestOutcome, Verdict};

use super::backend::Backend;
use super::fixture::*;

pub(crate) async fn an_intent_is_recorded_before_a_request(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    let plan = vec![change(1, 1, "a"), Change { value_id: Some(7), ..change(1, 2, "b") }, change(2, 1, "c")];
    let run = scene.planned_run(0, plan.clone()).await;
    let request = scene.intent(run, 4, &plan[..2]).await;

    let row = backend.requests(run).await.pop().expect("a request");
    assert_eq!((row.id, row.run_id, row.parent_id, row.attempt), (request, run, None, 1));
    assert_eq!((row.customers, row.items, row.sent_at, row.answered_at), (1, 2, at(4), None));
    assert_eq!(row.outcome, RequestOutcome::Sending);
    let changes = backend.changes(run).await;
    assert_eq!((changes[0].outcome, changes[0].request_id), (Outcome::Sending, Some(request)));
    assert_eq!((changes[2].outcome, changes[2].request_id), (Outcome::Planned, None));
    assert_eq!(changes[0].decided_at, None);
    let entries = scene.entries().await;
    assert_eq!(entries.len(), 2, "nothing is known of a change without an intent");
    let entry = &entries[1];
    assert_eq!(
        (entry.value.as_deref(), entry.belief, entry.value_id),
        (Some("b"), Belief::Unconfirmed, Some(7))
    );
    assert_eq!((entry.run_id, entry.updated_at), (run, at(4)));
    assert_eq!((&entry.stored_value, &entry.observed_value, &entry.reason), (&None, &None, &None));
    assert_eq!(entry.in_doubt_until, Some(at(124)), "until the end of the request's window");
    let counts = scene.counts(run).await;
    assert_eq!((counts.requests, counts.unknown, counts.deferred), (1, 2, 1));
}

/// Values that were sent one after the other, each with its outcome.
type History<'a> = &'a [(&'a str, Verdict)];

/// Returns `stored_value` after the intent of the last value.
async fn stored_after(
    backend: &dyn Backend,
    customer: i64,
    history: History<'_>,
    last: &str,
) -> Option<String> {
    let scene = Scene::new(backend).await;
    for (value, verdict) in history {
        scene.send(0, change(customer, 1, value), verdict.clone()).await;
    }
    let run = scene.planned_run(5, vec![change(customer, 1, last)]).await;
    scene.intent(run, 6, &[change(customer, 1, last)]).await;
    let entry = scene.entry(Key::new(customer, 1)).await;
    assert_eq!((entry.belief, entry.value.as_deref(), entry.reason), (Belief::Unconfirmed, Some(last), None));
    entry.stored_value
}

pub(crate) async fn an_intent_keeps_the_value_that_the_store_held(backend: &dyn Backend) {
    let a = || ("A", confirmed());
    let trimmed = || ("A ", altered("A"));
    let cases: [(History<'_>, &str, Option<&str>); 9] = [
        (&[], "B", None),
        (&[a()], "B", Some("A")),
        (&[a()], "A", None),
        (&[trimmed()], "B", Some("A")),
        (&[trimmed()], "A ", Some("A")),
        (&[trimmed()], "A", None),
        (&[a(), ("B", unknown(None))], "C", Some("A")),
        (&[a(), ("B", rejected())], "C", Some("A")),
        (&[("A", unknown(None))], "B", None),
    ];
    for (customer, (history, last, expected)) in (1..).zip(cases) {
        let stored = stored_after(backend, customer, history, last).await;
        assert_eq!(stored.as_deref(), expected, "{history:?}, then {last:?}");
    }
}

pub(crate) async fn an_intent_keeps_the_observed_value_of_the_same_value_only(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    scene.send(0, change(1, 1, "a"), unknown(Some("A"))).await;
    assert_eq!(scene.entry(Key::new(1, 1)).await.observed_value.as_deref(), Some("A"));
    let run = scene.planned_run(5, vec![change(1, 1, "a")]).await;
    scene.intent(run, 6, &[change(1, 1, "a")]).await;
    assert_eq!(scene.entry(Key::new(1, 1)).await.observed_value.as_deref(), Some("A"));
    let run = scene.planned_run(8, vec![change(1, 1, "b")]).await;
    scene.intent(run, 9, &[change(1, 1, "b")]).await;
    assert_eq!(scene.entry(Key::new(1, 1)).await.observed_value, None);
}

pub(crate) async fn changes_may_be_sent_again(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    let plan = vec![change(1, 1, "a"), change(2, 1, "b"), change(3, 1, "c")];
    let run = scene.planned_run(0, plan.clone()).await;
    let first = scene.intent(run, 1, &plan[..2]).await;
    scene.outcome(run, first, 2, &[]).await;
    let half =
        scene.try_intent(run, Some(first), 3, &plan[1..2]).await.expect("records the intent").request_id;
    let counts = scene.counts(run).await;
    assert_eq!((counts.requests, counts.unknown, counts.deferred), (2, 2, 1), "only the requests grow");
    let row = backend.requests(run).await.pop().expect("a request");
    assert_eq!((row.id, row.parent_id, row.attempt, row.items), (half, Some(first), 2, 1));
    let changes = backend.changes(run).await;
    assert_eq!(changes[0].request_id, Some(first));
    assert_eq!(changes[1].request_id, Some(half), "the last request that carried it");
    assert_eq!(scene.entry(plan[1].key).await.updated_at, at(3));

    // A request may have changes that its parent does not have: here one change was sent before and one was not.
    let both = scene.try_intent(run, Some(half), 4, &plan[1..]).await.expect("records the intent");
    assert_eq!((both.counts.requests, both.counts.unknown, both.counts.deferred), (3, 3, 0));
    assert_eq!(both.counts, scene.counts(run).await);
    scene.outcome(run, both.request_id, 4, &outcomes(&plan[1..2], [confirmed()])).await;
    assert!(scene.try_intent(run, Some(half), 5, &plan[1..2]).await.is_err(), "its outcome is recorded");
    assert_eq!(scene.counts(run).await.requests, 3);
}

pub(crate) async fn an_intent_needs_changes_without_an_outcome(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    let plan = vec![change(1, 1, "a"), change(2, 1, "b")];
    let run = scene.planned_run(0, plan.clone()).await;
    let request = scene.intent(run, 1, &plan[..1]).await;
    scene.outcome(run, request, 1, &outcomes(&plan[..1], [confirmed()])).await;
    let before = (scene.entries().await, backend.changes(run).await, scene.counts(run).await);
    let again = scene.try_intent(run, None, 2, &[plan[1].clone(), plan[0].clone()]).await;
    assert!(again.is_err(), "was confirmed");
    let stranger = scene.try_intent(run, None, 2, &[plan[1].clone(), change(9, 9, "z")]).await;
    assert!(stranger.is_err(), "is in no plan");
    let twice = scene.try_intent(run, None, 2, &[plan[1].clone(), plan[1].clone()]).await;
    assert!(twice.is_err(), "is given twice");
    assert_eq!((scene.entries().await, backend.changes(run).await, scene.counts(run).await), before);
    assert_eq!(backend.requests(run).await.len(), 1);
}

pub(crate) async fn the_later_end_of_the_in_doubt_window_counts(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    let one = [change(1, 1, "a")];
    let run = scene.planned_run(0, one.to_vec()).await;
    let until = async || scene.entry(one[0].key).await.in_doubt_until;
    scene.intent(run, 100, &one).await;
    assert_eq!(until().await, Some(at(220)));
    let earlier = scene.intent(run, 50, &one).await;
    assert_eq!(until().await, Some(at(220)), "the first request may still be applied");
    let later = scene.intent(run, 110, &one).await;
    assert_eq!(until().await, Some(at(230)));
    scene.outcome(run, earlier, 111, &[]).await;
    assert_eq!(until().await, Some(at(230)), "without an outcome of the change nothing is known");
    let kept = ChangeOutcome { key: one[0].key, verdict: confirmed(), in_doubt_until: Some(at(220)) };
    scene.outcome(run, later, 112, &[kept]).await;
    assert_eq!(until().await, Some(at(220)), "an outcome writes what it is given");
    scene.send(200, change(1, 1, "b"), unknown(None)).await;
    assert_eq!(until().await, None, "no request is in doubt any more");
}

/// A store that counts values, or a refused batch, makes requests that hold only some values of a customer.
pub(crate) async fn a_request_touches_no_other_value_of_its_customers(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    let keys = [(1, 1), (1, 2), (2, 1), (2, 2), (3, 1)];
    let plan: Vec<Change> =
        keys.iter().map(|(customer, attribute)| change(*customer, *attribute, "a")).collect();
    let run = scene.planned_run(0, plan.clone()).await;
    let sent = [plan[0].clone(), plan[3].clone()];
    let rest = [plan[1].clone(), plan[2].clone()];
    let request = scene.intent(run, 1, &sent).await;
    let other = scene.intent(run, 2, &rest).await;
    scene.outcome(run, request, 3, &outcomes(&sent, [confirmed(), rejected()])).await;

    let changes = backend.changes(run).await;
    let found: Vec<_> = changes.iter().map(|change| (change.outcome, change.request_id)).collect();
    assert_eq!(found[0], (Outcome::Confirmed, Some(request)));
    assert_eq!(found[1..3], [(Outcome::Sending, Some(other)); 2]);
    assert_eq!(found[3..], [(Outcome::Rejected, Some(request)), (Outcome::Planned, None)]);
    let beliefs: Vec<_> = scene.entries().await.iter().map(|entry| entry.belief).collect();
    assert_eq!(beliefs, [Belief::Confirmed, Belief::Unconfirmed, Belief::Unconfirmed, Belief::Rejected]);
}
