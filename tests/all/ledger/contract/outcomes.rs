//! Outcomes: they are recorded after a request, or without one.

use attrsync::record::{
    Belief, Change, ChangeOutcome, Counts, EditKind, Key, PlanPart, RequestEnd, RequestOutcome, Verdict,
};

use super::backend::Backend;
use super::fixture::*;

pub(crate) async fn an_unpolled_write_does_not_block_others(backend: &dyn Backend) {
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
        scene.ledger.planned(run, PlanPart::Upserts, None, 10).await.expect("reads the plan");
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), other)
        .await
        .expect("the other writes do not wait");
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
            // The first outcome of each pair is valid, but the second is not, so neither is recorded.
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
    assert_eq!((made.value.as_deref(), made.belief, made.run_id), (Some("a"), Belief::Rejected, run));
    assert_eq!((made.reason.as_deref(), made.updated_at), (Some("no such attribute"), at(6)));
    let rejected = scene.entry(plan[1].key).await;
    assert_eq!(
        (rejected.value.as_deref(), rejected.belief),
        (Some("b"), Belief::Rejected),
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
    assert_eq!((entries[0].value.as_deref(), entries[0].run_id), (Some("a"), run));
    assert_eq!(entries[1].belief, Belief::Unconfirmed);
    assert_eq!((entries[2].belief, entries[2].updated_at), (Belief::Confirmed, at(7)));
    let edits = backend.belief_edits(run + 3).await;
    let edits: Vec<_> =
        edits.iter().map(|row| (row.edit.edit, row.edit.scope.customer_id, row.count)).collect();
    let lost = |customer, count| (EditKind::LostLock, Some(customer), count);
    assert_eq!(edits, [lost(1, 1), lost(2, 1), lost(8, 0)], "recorded as edits of the newest run");
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
