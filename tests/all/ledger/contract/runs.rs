//! Who owns a store, and how runs begin and end.

use std::time::Duration;

use attrsync::ledger::audit::AuditLog;
use attrsync::ledger::{LearnedSize, LedgerError, LedgerReader, NewRun, RequestEnd, TimeOut};
use attrsync::record::{Belief, Counts, InvalidRow, Key, News, Outcome, RunStatus, Trigger};

use super::backend::Backend;
use super::fixture::*;

pub(crate) async fn a_run_is_opened_and_closed(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    let run = scene.open_run(1).await;
    let row = backend.runs(&store()).await.pop().expect("a run");
    assert_eq!((row.id, row.kind.as_str(), row.trigger), (run, "sync", Trigger::Manual));
    assert_eq!((row.status, row.started_at, row.finished_at), (RunStatus::Planning, at(1), None));
    assert_eq!((row.planned_at, row.counts, row.distrusted), (None, Counts::default(), false));

    scene.ledger.close_run(run, RunStatus::Failed, Some("no source"), at(2)).await.expect("closes");
    let row = backend.runs(&store()).await.pop().expect("a run");
    assert_eq!((row.status, row.finished_at), (RunStatus::Failed, Some(at(2))));
    assert_eq!(row.message.as_deref(), Some("no source"));

    let next = scene.open_run(3).await;
    assert!(next > run);
    let first = &backend.runs(&store()).await[0];
    assert_eq!((first.status, first.finished_at), (RunStatus::Failed, Some(at(2))), "stays as it ended");
}

pub(crate) async fn an_open_run_is_interrupted_by_the_next(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    let changes = vec![change(1, 1, "a"), change(2, 1, "b")];
    let run = scene.planned_run(0, changes.clone()).await;
    scene.begin(run, 1, &changes[..1]).await;
    let before = backend.changes(run).await;
    drop(scene);

    let scene = Scene::new(backend).await;
    let still = &backend.runs(&store()).await[0];
    assert_eq!((still.status, still.finished_at), (RunStatus::Running, None), "opening a ledger is no run");
    scene.open_run(9).await;
    let row = &backend.runs(&store()).await[0];
    assert_eq!((row.status, row.finished_at), (RunStatus::Interrupted, Some(at(9))));
    assert_eq!(backend.changes(run).await, before, "undecided changes stay as they are");
    let outcomes = backend.outcomes(run).await;
    assert_eq!(outcomes, [(Key::new(1, 1), Outcome::Unknown), (Key::new(2, 1), Outcome::Deferred)]);
    assert_eq!((row.counts.unknown, row.counts.deferred), (1, 1));
}

/// Calls every method that must prove who owns the store, as `run`; all must fail, naming `owner`.
async fn all_are_refused(scene: &Scene<'_>, run: i64, request: i64, owner: i64) {
    let (ledger, key) = (&scene.ledger, Key::new(1, 1));
    let invalid = InvalidRow { customer_id: None, attribute_id: None, value: None, reason: String::new() };
    let refusals = [
        ledger.distrust(run).await,
        ledger.save_plan(run, vec![change(9, 9, "z")], vec![invalid]).await,
        ledger.discard_plan(run).await,
        ledger.seal_plan(run, &Counts { planned: 7, ..Counts::default() }, at(9)).await,
        scene.try_begin(run, None, 9, &[change(2, 1, "b")]).await.map(drop),
        ledger.finish(run, request, &request_end(9), &[(key, confirmed())]).await,
        ledger.set_aside(run, &[(Key::new(2, 1), rejected())], at(9)).await,
        ledger.release_by_hand(run, Default::default(), at(9)).await.map(drop),
        ledger.release(run, Default::default(), News::Changed, "news", at(9)).await.map(drop),
        ledger.note_attributes(run, &[], at(9)).await,
        ledger.note_customers(run, &[1], &[]).await,
        ledger.note_asked(run, run, None).await,
        ledger.close_run(run, RunStatus::Succeeded, None, at(9)).await,
    ];
    for refusal in refusals {
        match refusal {
            Err(LedgerError::LostLock { owner: told }) => assert_eq!(told, owner),
            other => panic!("not refused: {other:?}"),
        }
    }
}

pub(crate) async fn a_run_that_lost_the_store_writes_nothing(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    scene.send(0, change(3, 1, "c"), confirmed()).await;
    let changes = vec![change(1, 1, "a"), change(2, 1, "b")];
    let run = scene.planned_run(3, changes.clone()).await;
    let request = scene.begin(run, 4, &changes[..1]).await;
    let second = scene.open_run(5).await;

    let before = (backend.entries(&store()).await, backend.runs(&store()).await);
    let rows = (backend.changes(run).await, backend.requests(run).await);
    all_are_refused(&scene, run, request, second).await;
    assert_eq!((backend.entries(&store()).await, backend.runs(&store()).await), before);
    assert_eq!((backend.changes(run).await, backend.requests(run).await), rows);
    assert!(backend.invalid_rows(run).await.is_empty() && backend.releases(run).await.is_empty());
    assert!(scene.ledger.missing_customers(9).await.expect("reads").is_empty());
}

pub(crate) async fn a_closed_run_writes_nothing(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    let changes = vec![change(1, 1, "a"), change(2, 1, "b")];
    let run = scene.planned_run(3, changes.clone()).await;
    let request = scene.begin(run, 4, &changes[..1]).await;
    scene.close(run, 5).await;
    let before = (backend.changes(run).await, backend.runs(&store()).await);
    let late = scene.ledger.finish(run, request, &request_end(6), &[(Key::new(1, 1), confirmed())]).await;
    assert!(matches!(late, Err(LedgerError::LostLock { .. })), "{late:?}");
    assert_eq!((backend.changes(run).await, backend.runs(&store()).await), before);
}

pub(crate) async fn what_a_store_accepts_is_learnt_and_forgotten(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    assert_eq!(scene.ledger.learned_size().await.expect("reads"), None);
    let size = LearnedSize { values_per_request: 5, learned_at: at(1) };
    scene.ledger.learn_size(Some(size)).await.expect("learns");
    drop(scene);
    let scene = Scene::new(backend).await;
    assert_eq!(scene.ledger.learned_size().await.expect("reads"), Some(size), "outlives the process");
    scene.ledger.learn_size(None).await.expect("forgets");
    assert_eq!(scene.ledger.learned_size().await.expect("reads"), None);
}

pub(crate) async fn how_long_runs_waited_is_kept(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    let open = async |seconds, timeout: Option<u64>| {
        let request_timeout = timeout.map(Duration::from_millis);
        scene.ledger.open_run(&NewRun { request_timeout, ..new_run(seconds) }).await.expect("opens a run")
    };
    let told = async || scene.ledger.timeouts().await.expect("reads");
    let of = |millis, ended: Option<i64>| TimeOut {
        request_timeout: Duration::from_millis(millis),
        ended_at: ended.map(at),
    };
    assert_eq!(told().await, []);
    let run = open(0, Some(1_500)).await;
    assert_eq!(backend.runs(&store()).await[0].request_timeout, Some(Duration::from_millis(1_500)));
    assert_eq!(told().await, [of(1_500, None)], "it has not ended");
    scene.close(run, 1).await;
    let run = open(2, None).await;
    scene.close(run, 3).await;
    let run = open(4, Some(700)).await;
    scene.close(run, 5).await;
    // It is killed, and the next one finds it so.
    open(6, Some(60_000)).await;
    assert_eq!(told().await, [of(700, Some(5)), of(1_500, Some(1)), of(60_000, None)]);
    open(9, Some(700)).await;
    let all = [of(700, None), of(1_500, Some(1)), of(60_000, Some(9))];
    assert_eq!(told().await, all, "one of those of 700 ms has not ended");
    if let Some(config) = backend.config() {
        let audit = AuditLog::open(&config).await.expect("opens").expect("is there");
        let id = audit.store_id(&store()).await.expect("reads").expect("is known");
        assert_eq!(audit.entries_of(id).timeouts().await.expect("reads"), all);
    }
    drop(scene);
    let sandbox = Scene::of(backend, &other_store()).await;
    assert_eq!(sandbox.ledger.timeouts().await.expect("reads"), [], "another store's");
}

pub(crate) async fn what_had_no_clear_answer_is_told(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    let unclear = async |since: i64| {
        let told = scene.ledger.has_unclear(at(since)).await.expect("looks");
        if let Some(config) = backend.config() {
            let audit = AuditLog::open(&config).await.expect("opens").expect("is there");
            let id = audit.store_id(&store()).await.expect("reads").expect("is known");
            assert_eq!(audit.entries_of(id).has_unclear(at(since)).await.expect("looks"), told);
        }
        told
    };
    assert!(!unclear(0).await);
    let answered = |http_status| RequestEnd { http_status, error: Some("no".to_owned()), ..request_end(0) };
    let unsent = RequestEnd { unsent: true, ..answered(None) };
    let mut seconds = 0;
    for (end, expected) in [
        (request_end(0), false),
        (answered(Some(422)), false),
        (answered(Some(401)), false),
        (answered(Some(429)), false),
        (answered(Some(301)), false),
        (answered(Some(507)), false),
        (unsent, false),
        (answered(Some(200)), true),
        (answered(Some(408)), true),
        (answered(Some(423)), true),
        (answered(Some(502)), true),
        (answered(None), true),
    ] {
        seconds += 10;
        let plan = vec![change(seconds, 1, "a")];
        let run = scene.planned_run(seconds, plan.clone()).await;
        let request = scene.begin(run, seconds + 2, &plan).await;
        assert!(unclear(seconds).await, "no answer yet");
        let end = RequestEnd { at: at(seconds + 3), ..end };
        scene.ledger.finish(run, request, &end, &[]).await.expect("finishes");
        assert_eq!(unclear(seconds).await, expected, "{end:?}");
        assert!(!unclear(seconds + 2).await, "it was sent then, and not since");
        scene.close(run, seconds + 4).await;
        assert_eq!(unclear(seconds).await, expected, "of a run that has ended: {end:?}");
        assert_eq!(unclear(seconds - 1).await, expected);
    }
    let run = scene.open_run(200).await;
    scene.ledger.distrust(run).await.expect("distrusts");
    assert!(unclear(300).await, "the run has not ended");
    scene.close(run, 201).await;
    assert!(unclear(200).await && !unclear(201).await);

    // One that was killed while a request was under way, found so by the next.
    let plan = vec![change(1, 1, "a")];
    let killed = scene.planned_run(300, plan.clone()).await;
    scene.begin(killed, 301, &plan).await;
    scene.open_run(310).await;
    assert!(unclear(300).await && !unclear(301).await);
    drop(scene);
    let sandbox = Scene::of(backend, &other_store()).await;
    assert!(!sandbox.ledger.has_unclear(at(0)).await.expect("looks"), "another store's");
}

pub(crate) async fn two_stores_of_one_ledger_do_not_touch_each_other(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    scene.send(0, change(1, 1, "live"), confirmed()).await;
    let run = scene.planned_run(5, vec![change(2, 1, "later")]).await;
    let size = LearnedSize { values_per_request: 5, learned_at: at(1) };
    scene.ledger.learn_size(Some(size)).await.expect("learns");
    let before = (backend.entries(&store()).await, backend.runs(&store()).await);
    drop(scene);

    let sandbox = Scene::of(backend, &other_store()).await;
    assert_eq!(sandbox.ledger.learned_size().await.expect("reads"), None);
    assert!(sandbox.scan(&Default::default()).await.0.is_empty());
    let rehearsal = sandbox.send(6, change(1, 1, "rehearsed"), confirmed()).await;
    let second = sandbox.open_run(9).await;
    sandbox.ledger.distrust(second).await.expect("distrusts");
    sandbox.ledger.clear_certainty(&[Key::new(1, 1)], at(10)).await.expect("clears");
    assert!(sandbox.try_begin(run, None, 9, &[change(2, 1, "later")]).await.is_err(), "another store's run");
    assert_eq!(backend.entries(&other_store()).await[0].belief, Belief::Unconfirmed);
    assert_eq!(backend.entries(&other_store()).await[0].run_id, rehearsal);
    drop(sandbox);

    assert_eq!((backend.entries(&store()).await, backend.runs(&store()).await), before);
    let scene = Scene::new(backend).await;
    assert_eq!(scene.ledger.learned_size().await.expect("reads"), Some(size));
    scene.begin(run, 11, &[change(2, 1, "later")]).await;
}

pub(crate) async fn a_store_is_held_by_one(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    let refused = |result: Result<_, LedgerError>| match result {
        Err(LedgerError::Locked { holder }) => holder,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("two hold one store"),
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
