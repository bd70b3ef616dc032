//! Intents before requests, outcomes after them, and outcomes without a request.

use attrsync::record::RequestEnd;
use attrsync::record::{Belief, Change, ChangeOutcome, Counts, Key, Outcome, RequestOutcome, Verdict};

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
    assert_eq!((entry.value.as_str(), entry.belief, entry.value_id), ("b", Belief::Unconfirmed, Some(7)));
    assert_eq!((entry.run_id, entry.updated_at), (run, at(4)));
    assert_eq!((&entry.stored_value, &entry.observed_value, &entry.reason), (&None, &None, &None));
    assert_eq!(entry.in_doubt_until, Some(at(124)), "until the end of the request's window");
    let counts = scene.counts(run).await;
    assert_eq!((counts.requests, counts.unknown, counts.deferred), (1, 2, 1));
}

/// Values sent one after the other, each with its outcome.
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
    assert_eq!((entry.belief, entry.value.as_str(), entry.reason), (Belief::Unconfirmed, last, None));
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

    // What a request carries does not follow from its parent: here, one change that was sent and one that was not.
    let both = scene.try_intent(run, Some(half), 4, &plan[1..]).await.expect("records the intent");
    assert_eq!((both.counts.requests, both.counts.unknown, both.counts.deferred), (3, 3, 0));
    assert_eq!(both.counts, scene.counts(run).await);
    scene.outcome(run, both.request_id, 4, &outcomes(&plan[1..2], [confirmed()])).await;
    assert!(scene.try_intent(run, Some(half), 5, &plan[1..2]).await.is_err(), "its outcome is recorded");
    assert_eq!(scene.counts(run).await.requests, 3);
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

pub(crate) async fn a_write_that_nobody_polls_goes_on(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    let plan = vec![change(1, 1, "a"), change(2, 1, "b"), change(3, 1, "c")];
    let run = scene.planned_run(0, plan.clone()).await;
    let first = scene.intent(run, 1, &plan[..1]).await;
    let second = scene.intent(run, 1, &plan[1..2]).await;
    let end = request_end(2);
    let (one, two) = (outcomes(&plan[..1], [confirmed()]), outcomes(&plan[1..2], [confirmed()]));
    let mut recording = scene.ledger.record_outcome(run, first, &end, &one);
    let early = futures_util::poll!(&mut recording);
    let other = async {
        scene.ledger.record_outcome(run, second, &end, &two).await.expect("records");
        scene.ledger.record_unsent(run, &outcomes(&plan[2..], [rejected()]), at(3)).await.expect("records");
        scene.ledger.planned(run, false, None, 10).await.expect("reads the plan");
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), other).await.expect("it waits for nobody");
    if early.is_pending() {
        recording.await.expect("records");
    }
    let counts = scene.counts(run).await;
    assert_eq!((counts.confirmed, counts.rejected, counts.unknown, counts.deferred), (2, 1, 0, 0));
}

pub(crate) async fn every_outcome_is_recorded(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    let plan: Vec<Change> = (1..=6).map(|id| Change { value_id: Some(id), ..change(id, 1, "v") }).collect();
    let run = scene.planned_run(0, plan.clone()).await;
    let request = scene.intent(run, 1, &plan).await;
    let named = Verdict::Confirmed { value_id: Some(70), stored_value: None };
    let verdicts = [named, altered("V"), rejected(), unknown(Some("x")), deferred()];
    scene.outcome(run, request, 3, &outcomes(&plan, verdicts.clone())).await;

    let row = backend.requests(run).await.pop().expect("a request");
    assert_eq!((row.answered_at, row.http_status), (Some(at(3)), Some(200)));
    assert_eq!((row.store_request_id.as_deref(), row.error), (Some("r-1"), None));
    assert_eq!(row.outcome, RequestOutcome::Accepted);
    for ((change, verdict), value_id) in
        backend.changes(run).await.iter().zip(&verdicts).zip([70, 2, 3, 4, 5])
    {
        assert_eq!((change.outcome, change.reason.as_deref()), (verdict.outcome(), verdict.reason()));
        assert_eq!((change.value_id, change.decided_at), (Some(value_id), Some(at(3))));
    }
    let entries: Vec<_> = scene
        .entries()
        .await
        .into_iter()
        .map(|entry| (entry.belief, entry.value_id, entry.stored_value, entry.observed_value, entry.reason))
        .collect();
    let text = |text: &str| Some(text.to_owned());
    use Belief::{Confirmed, Rejected, Unconfirmed};
    assert_eq!(
        entries,
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
    assert_eq!(scene.counts(run).await, counts);
    let in_doubt: Vec<bool> =
        scene.entries().await.iter().map(|entry| entry.in_doubt_until.is_some()).collect();
    assert_eq!(in_doubt, [false, false, false, false, false, true], "the last has no outcome");
}

pub(crate) async fn a_request_may_end_without_an_outcome_of_its_changes(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    let plan = vec![change(1, 1, "a")];
    let run = scene.planned_run(0, plan.clone()).await;
    let request = scene.intent(run, 1, &plan).await;
    let before = (scene.entries().await, backend.changes(run).await, scene.counts(run).await);
    scene.outcome(run, request, 2, &[]).await;
    assert_eq!((scene.entries().await, backend.changes(run).await, scene.counts(run).await), before);
    assert_eq!(backend.requests(run).await[0].answered_at, Some(at(2)));
    for outcome in [
        RequestOutcome::Accepted,
        RequestOutcome::Refused,
        RequestOutcome::Limited,
        RequestOutcome::InDoubt,
        RequestOutcome::Fatal,
    ] {
        let end = RequestEnd { outcome, ..request_end(2) };
        scene.ledger.record_outcome(run, request, &end, &[]).await.expect("records");
        assert_eq!(backend.requests(run).await[0].outcome, outcome);
    }
    assert!(
        scene.ledger.record_outcome(run, request + 9, &request_end(3), &[]).await.is_err(),
        "no such request"
    );
}

pub(crate) async fn a_request_that_was_not_sent_is_not_counted(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    let plan = vec![change(1, 1, "a")];
    let run = scene.planned_run(0, plan.clone()).await;
    let request = scene.intent(run, 1, &plan).await;
    assert_eq!(scene.counts(run).await.requests, 1, "it may be on its way");
    let end = RequestEnd {
        outcome: RequestOutcome::NotSent,
        error: Some("no such host".to_owned()),
        http_status: None,
        ..request_end(2)
    };
    let counts = scene.ledger.record_outcome(run, request, &end, &[]).await.expect("records");
    assert_eq!((counts.requests, counts), (0, scene.counts(run).await));
    let row = &backend.requests(run).await[0];
    assert_eq!((row.answered_at, row.error.as_deref()), (None, Some("no such host")));
    assert_eq!(row.outcome, RequestOutcome::NotSent);
    let again = scene.try_intent(run, Some(request), 3, &plan).await.expect("records the intent").request_id;
    scene.outcome(run, again, 4, &outcomes(&plan, [confirmed()])).await;
    assert_eq!(scene.counts(run).await.requests, 1);
}

pub(crate) async fn an_outcome_leaves_the_entries_of_other_runs_alone(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    let first = scene.planned_run(0, vec![change(1, 1, "old")]).await;
    let request = scene.intent(first, 1, &[change(1, 1, "old")]).await;
    let second = scene.planned_run(5, vec![change(1, 1, "new")]).await;
    scene.intent(second, 6, &[change(1, 1, "new")]).await;
    let before = scene.entries().await;
    let confirmed = [outcome(Key::new(1, 1), confirmed())];
    assert!(scene.ledger.record_outcome(first, request, &request_end(7), &confirmed).await.is_err());
    assert_eq!(
        scene.entries().await,
        before,
        "the first run's response says nothing about the second's value"
    );
}

pub(crate) async fn a_recorded_outcome_never_changes(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    let verdicts = [confirmed(), rejected(), unknown(None), deferred()];
    let plan: Vec<Change> = (1..=6).map(|id| change(id, 1, "v")).collect();
    let run = scene.planned_run(0, plan.clone()).await;
    let request = scene.intent(run, 1, &plan[..5]).await;
    let recorded = outcomes(&plan, verdicts.clone());
    scene.outcome(run, request, 2, &recorded).await;
    let before = (scene.entries().await, backend.changes(run).await, scene.counts(run).await);
    let fails = async |outcomes: &[ChangeOutcome]| {
        scene.ledger.record_outcome(run, request, &request_end(9), outcomes).await.is_err()
    };
    for ChangeOutcome { key, .. } in &recorded {
        for verdict in &verdicts {
            // The first of each pair could be recorded, but not without the second.
            let pair = [outcome(plan[4].key, confirmed()), outcome(*key, verdict.clone())];
            assert!(fails(&pair).await);
            assert!(scene.ledger.record_unsent(run, &pair, at(9)).await.is_err());
        }
    }
    assert!(fails(&[outcome(plan[5].key, confirmed())]).await, "was never sent");
    assert!(fails(&[outcome(plan[4].key, confirmed()), outcome(plan[4].key, rejected())]).await, "twice");
    let stranger = [outcome(Key::new(99, 1), rejected())];
    assert!(scene.ledger.record_unsent(run, &stranger, at(9)).await.is_err(), "is in no plan");
    assert_eq!((scene.entries().await, backend.changes(run).await, scene.counts(run).await), before);
    assert_eq!(backend.requests(run).await[0].answered_at, Some(at(2)));
}

pub(crate) async fn planned_changes_get_an_outcome_without_a_request(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    let first = scene.planned_run(0, vec![change(2, 1, "A")]).await;
    let request = scene.intent(first, 0, &[change(2, 1, "A")]).await;
    let kept = ChangeOutcome { in_doubt_until: Some(at(80)), ..outcome(Key::new(2, 1), confirmed()) };
    scene.outcome(first, request, 1, &[kept]).await;
    scene.send(0, change(3, 1, "A"), confirmed()).await;
    let plan = vec![change(1, 1, "a"), change(2, 1, "b"), change(3, 1, "c"), change(4, 1, "d")];
    let run = scene.planned_run(5, plan.clone()).await;
    let untouched = scene.entry(plan[2].key).await;
    let verdicts = [rejected(), rejected(), deferred(), deferred()];
    scene.unsent(run, 6, &outcomes(&plan, verdicts.clone())).await;

    for (change, verdict) in backend.changes(run).await.iter().zip(&verdicts) {
        assert_eq!((change.outcome, change.reason.as_deref()), (verdict.outcome(), verdict.reason()));
        assert_eq!((change.request_id, change.decided_at), (None, Some(at(6))));
    }
    let made = scene.entry(plan[0].key).await;
    assert_eq!((made.value.as_str(), made.belief, made.run_id), ("a", Belief::Rejected, run));
    assert_eq!((made.reason.as_deref(), made.updated_at), (Some("no such attribute"), at(6)));
    let rejected = scene.entry(plan[1].key).await;
    assert_eq!(
        (rejected.value.as_str(), rejected.belief),
        ("b", Belief::Rejected),
        "is not sent while desired"
    );
    assert_eq!(rejected.stored_value.as_deref(), Some("A"), "the store still has it");
    assert_eq!(rejected.in_doubt_until, Some(at(80)), "an older request may still be applied");
    assert!(rejected.run_id > first);
    assert_eq!(scene.entry(plan[2].key).await, untouched, "nothing was sent");
    assert_eq!(scene.entries().await.len(), 3, "a deferral creates no entry");
    let counts = scene.counts(run).await;
    assert_eq!((counts.rejected, counts.deferred, counts.unknown), (2, 2, 0));
}

pub(crate) async fn sent_changes_get_an_outcome_without_a_request(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    let plan: Vec<Change> = (1..=4).map(|id| change(id, 1, "v")).collect();
    let run = scene.planned_run(0, plan.clone()).await;
    scene.intent(run, 1, &plan).await;
    let verdicts = [altered("V"), rejected(), unknown(Some("x")), deferred()];
    let mut recorded = outcomes(&plan, verdicts);
    recorded[2].in_doubt_until = Some(at(90));
    scene.unsent(run, 2, &recorded).await;
    let until: Vec<_> = scene.entries().await.iter().map(|entry| entry.in_doubt_until).collect();
    assert_eq!(until, [None, None, Some(at(90)), None], "as given");
    let beliefs: Vec<_> =
        scene.entries().await.iter().map(|entry| (entry.belief, entry.updated_at)).collect();
    use Belief::{Confirmed, Rejected, Unconfirmed};
    assert_eq!(beliefs, [Confirmed, Rejected, Unconfirmed, Unconfirmed].map(|belief| (belief, at(2))));
    assert_eq!(scene.entry(plan[2].key).await.observed_value.as_deref(), Some("x"));
    let counts = scene.counts(run).await;
    assert_eq!((counts.confirmed, counts.altered, counts.rejected), (1, 1, 1));
    assert_eq!((counts.unknown, counts.deferred), (1, 1));
}

pub(crate) async fn entries_are_marked_unconfirmed_without_the_fence(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    let run = scene.send(0, change(1, 1, "a"), confirmed()).await;
    scene.send(3, change(2, 1, "b"), rejected()).await;
    scene.send(6, change(3, 1, "c"), confirmed()).await;
    scene.open_run(9).await;
    let keys = [Key::new(1, 1), Key::new(2, 1), Key::new(8, 8)];
    scene.ledger.mark_unconfirmed(&keys, at(20)).await.expect("marks");
    let entries = scene.entries().await;
    assert_eq!(entries.len(), 3, "a key without an entry stays so");
    assert_eq!((entries[0].belief, entries[0].updated_at), (Belief::Unconfirmed, at(20)));
    assert_eq!((entries[0].value.as_str(), entries[0].run_id), ("a", run));
    assert_eq!(entries[1].belief, Belief::Unconfirmed);
    assert_eq!((entries[2].belief, entries[2].updated_at), (Belief::Confirmed, at(7)));
}

pub(crate) async fn customers_of_rejected_values_are_to_be_checked(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    let plan: Vec<Change> = (1..=5).map(|id| change(id, 1, "v")).collect();
    let run = scene.planned_run(0, plan.clone()).await;
    let to_check = async || {
        let customers = scene.ledger.customers_to_check(run, 9).await.expect("reads").into_iter();
        customers.map(|customer| (customer.customer_id, customer.deleted)).collect::<Vec<_>>()
    };
    let request = scene.intent(run, 1, &plan[..3]).await;
    scene.outcome(run, request, 2, &outcomes(&plan[..2], [rejected(), confirmed()])).await;
    assert_eq!(to_check().await, [(1, false)]);
    scene.unsent(run, 3, &outcomes(&plan[2..], [rejected(), rejected(), deferred()])).await;
    assert_eq!(to_check().await, [(1, false), (3, false), (4, false)]);
    scene.ledger.record_customers(run, &[3], &[]).await.expect("records");
    scene.close(run, 4).await;
    let next = scene.send(5, change(3, 1, "w"), rejected()).await;
    let customers = scene.ledger.customers_to_check(next + 1, 9).await.expect("reads");
    assert!(
        customers.iter().any(|customer| (customer.customer_id, customer.deleted) == (3, true)),
        "stays deleted"
    );
}
