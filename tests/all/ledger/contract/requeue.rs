//! Giving back what was set aside.

use attrsync::ledger::LedgerReader;
use attrsync::ledger::audit::AuditLog;
use attrsync::ledger::memory::ReleaseRow;
use attrsync::record::{
    Action, Belief, Change, Counts, Key, KeyScope, KnownAttribute, News, Outcome, RunStatus,
};

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
    assert_eq!(scene.ledger.release_by_hand(run, KeyScope::default(), at(21)).await.expect("releases"), 1);
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
    let one = KeyScope { customer_id: Some(1), attribute_id: Some(2) };
    let customer = KeyScope { customer_id: Some(2), attribute_id: None };
    let nobody = KeyScope { customer_id: Some(7), attribute_id: None };
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

const fn attribute(id: i64) -> KeyScope {
    KeyScope { customer_id: None, attribute_id: Some(id) }
}

pub(crate) async fn news_of_the_store_take_beliefs_back(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    scene.send(0, Change { value_id: Some(9), ..change(1, 1, "a ") }, altered("a")).await;
    scene.send(3, change(1, 2, "b"), rejected()).await;
    scene.send(6, change(2, 1, "c"), rejected()).await;
    scene.send(9, change(2, 2, "d"), confirmed()).await;
    let before = scene.entries().await;

    let run = scene.open_run(20).await;
    let release = async |whose, news, reason| {
        scene.ledger.release(run, whose, news, reason, at(21)).await.expect("releases")
    };
    assert_eq!(release(attribute(2), News::Changed, "renamed").await, 1);
    assert_eq!(release(attribute(2), News::Changed, "renamed").await, 0, "once is enough");
    assert_eq!(
        release(KeyScope { customer_id: Some(2), attribute_id: None }, News::Back, "is back").await,
        1
    );
    let entries = scene.entries().await;
    for (index, belief, reason) in [
        (0, Belief::Confirmed, None),
        (1, Belief::Unconfirmed, Some("renamed")),
        (2, Belief::Unconfirmed, Some("is back")),
        (3, Belief::Confirmed, None),
    ] {
        let expected =
            attrsync::record::Entry { belief, reason: reason.map(str::to_owned), ..before[index].clone() };
        assert_eq!(entries[index], expected);
    }
    assert_eq!(scene.books(run).await, Counts { released: 2, ..Counts::default() });

    assert_eq!(release(attribute(1), News::Gone, "deleted").await, 2);
    let entries = scene.entries().await;
    for index in [0, 2] {
        let entry = &entries[index];
        assert_eq!((entry.belief, entry.reason.as_deref()), (Belief::Unconfirmed, Some("deleted")));
        assert_eq!(
            (entry.value_id, entry.stored_value.as_deref(), &entry.value),
            (None, None, &before[index].value)
        );
    }
    assert_eq!((&entries[1].reason, entries[3].belief), (&Some("renamed".to_owned()), Belief::Confirmed));
    assert_eq!(scene.books(run).await.released, 2, "what is gone is not released");
    let told = backend.releases(run).await;
    let row = |whose, news, entries, reason: &str| ReleaseRow {
        run_id: run,
        whose,
        news,
        entries,
        reason: reason.to_owned(),
        released_at: at(21),
    };
    let back = KeyScope { customer_id: Some(2), attribute_id: None };
    let expected = [
        row(attribute(2), News::Changed, 1, "renamed"),
        row(attribute(2), News::Changed, 0, "renamed"),
        row(back, News::Back, 1, "is back"),
        row(attribute(1), News::Gone, 2, "deleted"),
    ];
    assert_eq!(told, expected);
}

pub(crate) async fn attributes_are_known_and_missed(backend: &dyn Backend) {
    let known =
        |id, name: &str, gone| KnownAttribute { id, name: name.to_owned(), kind: "string".to_owned(), gone };
    let scene = Scene::new(backend).await;
    assert!(scene.ledger.known_attributes().await.expect("reads").is_empty());
    let run = scene.open_run(0).await;
    let note = async |run, listed: &[KnownAttribute]| {
        scene.ledger.note_attributes(run, listed, at(1)).await.expect("notes");
        scene.ledger.known_attributes().await.expect("reads")
    };
    let first = [known(1, "tier", false), known(2, "größe", false)];
    assert_eq!(note(run, &first).await, first);
    let second = [known(2, "size", false), known(3, "tier", false)];
    assert_eq!(note(run, &second).await, [known(1, "tier", true), second[0].clone(), second[1].clone()]);
    scene.close(run, 2).await;
    let run = scene.open_run(3).await;
    assert_eq!(note(run, &second).await[0], known(1, "tier", true), "stays gone");
    assert_eq!(note(run, &first).await[2], known(3, "tier", true));
    assert_eq!(note(run, &first).await[..2], first, "is there again");
    if let Some(config) = backend.config() {
        let audit = AuditLog::open(&config).await.expect("opens").expect("is there");
        let id = audit.store_id(&store()).await.expect("reads").expect("is known");
        let read = audit.entries_of(id).known_attributes().await.expect("reads");
        assert_eq!(read, [first[0].clone(), first[1].clone(), known(3, "tier", true)]);
    }
    drop(scene);
    let sandbox = Scene::of(backend, &other_store()).await;
    assert!(sandbox.ledger.known_attributes().await.expect("reads").is_empty(), "another store's");
}

pub(crate) async fn missing_customers_are_asked_about_in_turn(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    let run = scene.open_run(0).await;
    scene.ledger.note_customers(run, &[5, 3, 8], &[]).await.expect("notes");
    assert_eq!(scene.ledger.missing_customers(2).await.expect("reads"), [3, 5]);
    scene.close(run, 1).await;
    let run = scene.open_run(2).await;
    scene.ledger.note_customers(run, &[3], &[5, 99]).await.expect("notes");
    assert_eq!(
        scene.ledger.missing_customers(9).await.expect("reads"),
        [8, 3],
        "the one asked about last is last"
    );
    if let Some(config) = backend.config() {
        let audit = AuditLog::open(&config).await.expect("opens").expect("is there");
        let id = audit.store_id(&store()).await.expect("reads").expect("is known");
        assert_eq!(audit.entries_of(id).missing_customers(1).await.expect("reads"), [8]);
        assert!(audit.entries_of(id + 1).missing_customers(9).await.expect("reads").is_empty());
    }
}

pub(crate) async fn customers_of_refused_values_are_asked_about_once(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    let unasked = async |limit| {
        let refused = scene.ledger.unasked_customers(limit).await.expect("reads").into_iter();
        refused.map(|refused| (refused.run_id, refused.customer_id)).collect::<Vec<_>>()
    };
    assert_eq!(unasked(9).await, []);
    let first = scene.send(0, change(9, 1, "x"), rejected()).await;
    let plan: Vec<_> =
        [(2, 1), (4, 1), (4, 2), (6, 1), (7, 1)].map(|(customer, id)| change(customer, id, "v")).into();
    // One that is killed.
    let second = scene.planned_run(3, plan.clone()).await;
    let request = scene.begin(second, 4, &plan).await;
    let verdicts = plan
        .iter()
        .map(|change| (change.key, if change.key.customer_id == 6 { confirmed() } else { rejected() }));
    scene.finish(second, request, 5, &verdicts.collect::<Vec<_>>()).await;
    let third = scene.open_run(6).await;
    let all = [(first, 9), (second, 2), (second, 4), (second, 7)];
    assert_eq!(unasked(9).await, all);
    assert_eq!(unasked(2).await, all[..2]);
    let note = async |of, through| scene.ledger.note_asked(third, of, through).await.expect("notes");
    for (of, through, left) in [
        (first, Some(8), all.as_slice()),
        (first, Some(9), &all[1..]),
        (first, None, &all[1..]),
        (second, Some(2), &all[2..]),
        (second, Some(4), &all[3..]),
        (second, None, &[]),
    ] {
        note(of, through).await;
        assert_eq!(unasked(9).await, left, "through {through:?} of run {of}");
    }
    scene.close(third, 7).await;
    let fourth = scene.send(8, change(1, 1, "y"), rejected()).await;
    assert_eq!(unasked(9).await, [(fourth, 1)]);
    drop(scene);

    let sandbox = Scene::of(backend, &other_store()).await;
    assert!(sandbox.ledger.unasked_customers(9).await.expect("reads").is_empty(), "another store's");
    sandbox.send(9, change(5, 1, "z"), rejected()).await;
    drop(sandbox);
    let scene = Scene::new(backend).await;
    assert_eq!(scene.ledger.unasked_customers(9).await.expect("reads").len(), 1, "another store's stays out");
}
