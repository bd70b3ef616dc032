//! Begin, finish, and what is decided without a request.

use attrsync::ledger::RequestEnd;
use attrsync::record::{Belief, Change, Counts, Key, Outcome, Verdict};

use super::backend::Backend;
use super::fixture::*;

pub(crate) async fn begin_commits_the_intent(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    let plan = vec![change(1, 1, "a"), Change { value_id: Some(7), ..change(1, 2, "b") }, change(2, 1, "c")];
    let run = scene.planned_run(0, plan.clone()).await;
    let request = scene.begin(run, 4, &plan[..2]).await;

    let row = backend.requests(run).await.pop().expect("a request");
    assert_eq!((row.id, row.run_id, row.parent_id, row.attempt), (request, run, None, 1));
    assert_eq!((row.customers, row.items, row.sent_at, row.answered_at), (1, 2, at(4), None));
    let changes = backend.changes(run).await;
    assert_eq!((changes[0].outcome, changes[0].request_id), (Outcome::Sending, Some(request)));
    assert_eq!((changes[2].outcome, changes[2].request_id), (Outcome::Planned, None));
    assert_eq!(changes[0].decided_at, None);
    let entries = scene.entries().await;
    assert_eq!(entries.len(), 2, "nothing is known of what was not begun");
    let entry = &entries[1];
    assert_eq!((entry.value.as_str(), entry.belief, entry.value_id), ("b", Belief::Unconfirmed, Some(7)));
    assert_eq!((entry.run_id, entry.updated_at), (run, at(4)));
    assert_eq!((&entry.stored_value, &entry.observed_value, &entry.reason), (&None, &None, &None));
    let counts = scene.books(run).await;
    assert_eq!((counts.requests, counts.unknown, counts.deferred), (1, 2, 1));
}

/// Values sent one after the other, each with what became of it.
type History<'a> = &'a [(&'a str, Verdict)];

/// What `stored_value` is after the last of these was begun, the earlier ones having ended as told.
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
    scene.begin(run, 6, &[change(customer, 1, last)]).await;
    let entry = scene.entry(Key::new(customer, 1)).await;
    assert_eq!((entry.belief, entry.value.as_str(), entry.reason), (Belief::Unconfirmed, last, None));
    entry.stored_value
}

pub(crate) async fn begin_keeps_what_the_store_was_known_to_hold(backend: &dyn Backend) {
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

pub(crate) async fn begin_keeps_what_was_seen_for_the_same_value_only(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    scene.send(0, change(1, 1, "a"), unknown(Some("A"))).await;
    assert_eq!(scene.entry(Key::new(1, 1)).await.observed_value.as_deref(), Some("A"));
    let run = scene.planned_run(5, vec![change(1, 1, "a")]).await;
    scene.begin(run, 6, &[change(1, 1, "a")]).await;
    assert_eq!(scene.entry(Key::new(1, 1)).await.observed_value.as_deref(), Some("A"));
    let run = scene.planned_run(8, vec![change(1, 1, "b")]).await;
    scene.begin(run, 9, &[change(1, 1, "b")]).await;
    assert_eq!(scene.entry(Key::new(1, 1)).await.observed_value, None);
}

pub(crate) async fn a_repeated_request_carries_what_was_begun(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    let plan = vec![change(1, 1, "a"), change(2, 1, "b"), change(3, 1, "c")];
    let run = scene.planned_run(0, plan.clone()).await;
    let first = scene.begin(run, 1, &plan[..2]).await;
    scene.finish(run, first, 2, &[]).await;
    let half = scene.try_begin(run, Some(first), 3, &plan[1..2]).await.expect("begins");
    let counts = scene.books(run).await;
    assert_eq!((counts.requests, counts.unknown, counts.deferred), (2, 2, 1), "only the calls grow");
    let row = backend.requests(run).await.pop().expect("a request");
    assert_eq!((row.id, row.parent_id, row.attempt, row.items), (half, Some(first), 2, 1));
    let changes = backend.changes(run).await;
    assert_eq!(changes[0].request_id, Some(first));
    assert_eq!(changes[1].request_id, Some(half), "the last that carried it");
    assert_eq!(scene.entry(plan[1].key).await.updated_at, at(3));

    assert!(scene.try_begin(run, Some(half), 4, &plan[2..]).await.is_err(), "was never begun");
    scene.finish(run, half, 4, &[(plan[1].key, confirmed())]).await;
    assert!(scene.try_begin(run, Some(half), 5, &plan[1..2]).await.is_err(), "is decided");
    assert_eq!(scene.books(run).await.requests, 2);
}

pub(crate) async fn only_what_is_planned_is_begun(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    let plan = vec![change(1, 1, "a"), change(2, 1, "b")];
    let run = scene.planned_run(0, plan.clone()).await;
    scene.begin(run, 1, &plan[..1]).await;
    let before = (scene.entries().await, backend.changes(run).await, scene.books(run).await);
    let again = scene.try_begin(run, None, 2, &[plan[1].clone(), plan[0].clone()]).await;
    assert!(again.is_err(), "was begun before");
    let stranger = scene.try_begin(run, None, 2, &[plan[1].clone(), change(9, 9, "z")]).await;
    assert!(stranger.is_err(), "is in no plan");
    assert_eq!((scene.entries().await, backend.changes(run).await, scene.books(run).await), before);
    assert_eq!(backend.requests(run).await.len(), 1);
}

pub(crate) async fn a_write_that_nobody_polls_goes_on(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    let plan = vec![change(1, 1, "a"), change(2, 1, "b"), change(3, 1, "c")];
    let run = scene.planned_run(0, plan.clone()).await;
    let first = scene.begin(run, 1, &plan[..1]).await;
    let second = scene.begin(run, 1, &plan[1..2]).await;
    let end = request_end(2);
    let (one, two) = ([(plan[0].key, confirmed())], [(plan[1].key, confirmed())]);
    let mut finishing = scene.ledger.finish(run, first, &end, &one);
    let early = futures_util::poll!(&mut finishing);
    let other = async {
        scene.ledger.finish(run, second, &end, &two).await.expect("finishes");
        scene.ledger.set_aside(run, &[(plan[2].key, rejected())], at(3)).await.expect("sets aside");
        scene.ledger.planned(run, false, None, 10).await.expect("reads the plan");
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), other).await.expect("it waits for nobody");
    if early.is_pending() {
        finishing.await.expect("finishes");
    }
    let counts = scene.books(run).await;
    assert_eq!((counts.confirmed, counts.rejected, counts.unknown, counts.deferred), (2, 1, 0, 0));
}

pub(crate) async fn finish_writes_every_verdict(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    let plan: Vec<Change> = (1..=6).map(|id| Change { value_id: Some(id), ..change(id, 1, "v") }).collect();
    let keys: Vec<Key> = plan.iter().map(|change| change.key).collect();
    let run = scene.planned_run(0, plan.clone()).await;
    let request = scene.begin(run, 1, &plan).await;
    let told = Verdict::Confirmed { value_id: Some(70), stored_value: None, note: None };
    let verdicts = [told, altered("V"), rejected(), unknown(Some("x")), deferred()];
    let verdicts: Vec<(Key, Verdict)> = keys.iter().copied().zip(verdicts).collect();
    scene.finish(run, request, 3, &verdicts).await;

    let row = backend.requests(run).await.pop().expect("a request");
    assert_eq!((row.answered_at, row.http_status), (Some(at(3)), Some(200)));
    assert_eq!((row.store_request_id.as_deref(), row.error), (Some("r-1"), None));
    for ((change, (_, verdict)), value_id) in
        backend.changes(run).await.iter().zip(&verdicts).zip([70, 2, 3, 4, 5])
    {
        assert_eq!((change.outcome, change.reason.as_deref()), (verdict.outcome(), verdict.reason()));
        assert_eq!((change.value_id, change.decided_at), (Some(value_id), Some(at(3))));
    }
    let told: Vec<_> = scene
        .entries()
        .await
        .into_iter()
        .map(|entry| (entry.belief, entry.value_id, entry.stored_value, entry.observed_value, entry.reason))
        .collect();
    let text = |text: &str| Some(text.to_owned());
    use Belief::{Confirmed, Rejected, Unconfirmed};
    assert_eq!(
        told,
        [
            (Confirmed, Some(70), None, None, None),
            (Confirmed, Some(2), text("V"), None, None),
            (Rejected, Some(3), None, None, text("no such attribute")),
            (Unconfirmed, Some(4), None, text("x"), text("timed out")),
            (Unconfirmed, Some(5), None, None, text("the run ended")),
            (Unconfirmed, Some(6), None, None, None),
        ]
    );
    let counts = Counts {
        planned: 6,
        confirmed: 2,
        altered: 1,
        rejected: 1,
        unknown: 2,
        deferred: 1,
        requests: 1,
        ..Counts::default()
    };
    assert_eq!(scene.books(run).await, counts);
}

pub(crate) async fn finish_may_decide_nothing(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    let plan = vec![change(1, 1, "a")];
    let run = scene.planned_run(0, plan.clone()).await;
    let request = scene.begin(run, 1, &plan).await;
    let before = (scene.entries().await, backend.changes(run).await, scene.books(run).await);
    scene.finish(run, request, 2, &[]).await;
    assert_eq!((scene.entries().await, backend.changes(run).await, scene.books(run).await), before);
    assert_eq!(backend.requests(run).await[0].answered_at, Some(at(2)));
    assert!(scene.ledger.finish(run, request + 9, &request_end(3), &[]).await.is_err(), "no such request");
}

pub(crate) async fn what_was_not_sent_is_no_call(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    let plan = vec![change(1, 1, "a")];
    let run = scene.planned_run(0, plan.clone()).await;
    let request = scene.begin(run, 1, &plan).await;
    assert_eq!(scene.books(run).await.requests, 1, "it may be on its way");
    let end = RequestEnd {
        unsent: true,
        error: Some("no such host".to_owned()),
        at: at(2),
        ..RequestEnd::default()
    };
    scene.ledger.finish(run, request, &end, &[]).await.expect("finishes");
    let row = &backend.requests(run).await[0];
    assert_eq!((row.answered_at, row.error.as_deref()), (None, Some("no such host")));
    assert_eq!(scene.books(run).await.requests, 0);
    let again = scene.try_begin(run, Some(request), 3, &plan).await.expect("begins again");
    scene.finish(run, again, 4, &[(Key::new(1, 1), confirmed())]).await;
    assert_eq!(scene.books(run).await.requests, 1);
}

pub(crate) async fn finish_leaves_the_entries_of_other_runs_alone(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    let first = scene.planned_run(0, vec![change(1, 1, "old")]).await;
    let request = scene.begin(first, 1, &[change(1, 1, "old")]).await;
    let second = scene.planned_run(5, vec![change(1, 1, "new")]).await;
    scene.begin(second, 6, &[change(1, 1, "new")]).await;
    let before = scene.entries().await;
    let late = scene.ledger.finish(first, request, &request_end(7), &[(Key::new(1, 1), confirmed())]).await;
    assert!(late.is_err());
    assert_eq!(scene.entries().await, before, "the first run's answer says nothing of the second's value");
}

pub(crate) async fn a_decided_change_never_changes(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    let verdicts = [confirmed(), rejected(), unknown(None), deferred()];
    let plan: Vec<Change> = (1..=6).map(|id| change(id, 1, "v")).collect();
    let run = scene.planned_run(0, plan.clone()).await;
    let request = scene.begin(run, 1, &plan[..5]).await;
    let decided: Vec<(Key, Verdict)> = plan.iter().map(|change| change.key).zip(verdicts.clone()).collect();
    scene.finish(run, request, 2, &decided).await;
    let before = (scene.entries().await, backend.changes(run).await, scene.books(run).await);
    for (key, _) in &decided {
        for verdict in &verdicts {
            // The first of each pair could be decided, but not without the second.
            let pair = [(plan[4].key, confirmed()), (*key, verdict.clone())];
            assert!(scene.ledger.finish(run, request, &request_end(9), &pair).await.is_err());
            assert!(scene.ledger.set_aside(run, &pair, at(9)).await.is_err());
        }
    }
    let never_sent = [(plan[5].key, confirmed())];
    assert!(scene.ledger.finish(run, request, &request_end(9), &never_sent).await.is_err());
    let twice = [(plan[4].key, confirmed()), (plan[4].key, rejected())];
    assert!(scene.ledger.finish(run, request, &request_end(9), &twice).await.is_err());
    assert!(scene.ledger.set_aside(run, &[(Key::new(99, 1), rejected())], at(9)).await.is_err());
    assert_eq!((scene.entries().await, backend.changes(run).await, scene.books(run).await), before);
    assert_eq!(backend.requests(run).await[0].answered_at, Some(at(2)));
}

pub(crate) async fn planned_changes_are_set_aside(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    let first = scene.send(0, change(2, 1, "A"), confirmed()).await;
    scene.send(0, change(3, 1, "A"), confirmed()).await;
    let plan = vec![change(1, 1, "a"), change(2, 1, "b"), change(3, 1, "c"), change(4, 1, "d")];
    let run = scene.planned_run(5, plan.clone()).await;
    let untouched = scene.entry(plan[2].key).await;
    let verdicts = [rejected(), rejected(), deferred(), deferred()];
    let verdicts: Vec<(Key, Verdict)> = plan.iter().map(|change| change.key).zip(verdicts).collect();
    scene.set_aside(run, 6, &verdicts).await;

    for (change, (_, verdict)) in backend.changes(run).await.iter().zip(&verdicts) {
        assert_eq!((change.outcome, change.reason.as_deref()), (verdict.outcome(), verdict.reason()));
        assert_eq!((change.request_id, change.decided_at), (None, Some(at(6))));
    }
    let made = scene.entry(plan[0].key).await;
    assert_eq!((made.value.as_str(), made.belief, made.run_id), ("a", Belief::Rejected, run));
    assert_eq!((made.reason.as_deref(), made.updated_at), (Some("no such attribute"), at(6)));
    let refused = scene.entry(plan[1].key).await;
    assert_eq!((refused.value.as_str(), refused.belief), ("b", Belief::Rejected), "held while it is wanted");
    assert_eq!(refused.stored_value.as_deref(), Some("A"), "what the store still has");
    assert!(refused.run_id > first);
    assert_eq!(scene.entry(plan[2].key).await, untouched, "nothing was sent");
    assert_eq!(scene.entries().await.len(), 3, "a deferral makes no entry");
    let counts = scene.books(run).await;
    assert_eq!((counts.rejected, counts.deferred, counts.unknown), (2, 2, 0));
}

pub(crate) async fn changes_on_their_way_are_set_aside(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    let plan: Vec<Change> = (1..=4).map(|id| change(id, 1, "v")).collect();
    let run = scene.planned_run(0, plan.clone()).await;
    scene.begin(run, 1, &plan).await;
    let verdicts = [altered("V"), rejected(), unknown(Some("x")), deferred()];
    let verdicts: Vec<(Key, Verdict)> = plan.iter().map(|change| change.key).zip(verdicts).collect();
    scene.set_aside(run, 2, &verdicts).await;
    let beliefs: Vec<_> =
        scene.entries().await.iter().map(|entry| (entry.belief, entry.updated_at)).collect();
    use Belief::{Confirmed, Rejected, Unconfirmed};
    assert_eq!(beliefs, [Confirmed, Rejected, Unconfirmed, Unconfirmed].map(|belief| (belief, at(2))));
    assert_eq!(scene.entry(plan[2].key).await.observed_value.as_deref(), Some("x"));
    let counts = scene.books(run).await;
    assert_eq!((counts.confirmed, counts.altered, counts.rejected), (1, 1, 1));
    assert_eq!((counts.unknown, counts.deferred), (1, 1));
}

pub(crate) async fn certainty_is_cleared_whoever_owns_the_store(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    let run = scene.send(0, change(1, 1, "a"), confirmed()).await;
    scene.send(3, change(2, 1, "b"), rejected()).await;
    scene.send(6, change(3, 1, "c"), confirmed()).await;
    scene.open_run(9).await;
    let keys = [Key::new(1, 1), Key::new(2, 1), Key::new(8, 8)];
    scene.ledger.clear_certainty(&keys, at(20)).await.expect("clears");
    let entries = scene.entries().await;
    assert_eq!(entries.len(), 3, "a key without an entry stays so");
    assert_eq!((entries[0].belief, entries[0].updated_at), (Belief::Unconfirmed, at(20)));
    assert_eq!((entries[0].value.as_str(), entries[0].run_id), ("a", run));
    assert_eq!(entries[1].belief, Belief::Unconfirmed);
    assert_eq!((entries[2].belief, entries[2].updated_at), (Belief::Confirmed, at(7)));
}

pub(crate) async fn distrust_leaves_nothing_certain(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    scene.send(0, change(1, 1, "a "), altered("a")).await;
    scene.send(3, change(2, 1, "b"), rejected()).await;
    let mut expected = scene.entries().await;
    expected.iter_mut().for_each(|entry| entry.belief = Belief::Unconfirmed);
    let run = scene.open_run(6).await;
    scene.ledger.distrust(run).await.expect("distrusts");
    assert_eq!(scene.entries().await, expected, "all but the belief stays");
    let runs = backend.runs(&store()).await;
    assert_eq!(runs.iter().map(|run| run.distrusted).collect::<Vec<_>>(), [false, false, true]);
}
