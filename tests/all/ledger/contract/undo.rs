//! Undo: what a run has sent is read back, and an undo leaves pins.

use attrsync::ledger::NewRun;
use attrsync::record::{
    Action, Belief, BeliefEdit, Change, Counts, EditKind, Filter, Key, KeyScope, Pin, RunKind, RunStatus,
};

use super::backend::Backend;
use super::fixture::*;

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

/// The change of an undo: it restores `value`, and the source desires `source_value`.
fn restoring(customer_id: i64, value: &str, source_value: Option<&str>) -> Change {
    Change {
        action: Action::Update,
        source_value: source_value.map(str::to_owned),
        ..change(customer_id, 1, value)
    }
}

/// Opens an undo of a run and seals this plan for it.
async fn planned_undo(scene: &Scene<'_>, seconds: i64, of_run_id: i64, changes: &[Change]) -> i64 {
    let new = NewRun { kind: RunKind::Undo, of_run_id: Some(of_run_id), filtered: true, ..new_run(seconds) };
    let run = scene.ledger.open_run(&new).await.expect("opens a run");
    scene.ledger.save_plan(run, changes.to_vec(), Vec::new()).await.expect("saves");
    let deletes = changes.iter().filter(|change| change.action == Action::Delete).count() as i64;
    let counts = Counts { planned: changes.len() as i64, deletes, ..Counts::default() };
    scene.ledger.seal_plan(run, &counts, None, at(seconds)).await.expect("seals");
    run
}

async fn pins(scene: &Scene<'_>) -> Vec<Pin> {
    scene.ledger.pins(&Filter::default(), None, 99).await.expect("reads")
}

fn pin(customer_id: i64, value: Option<&str>, source_value: Option<&str>, run_id: i64) -> Pin {
    let text = |text: &str| text.to_owned();
    let (value, source_value) = (value.map(text), source_value.map(text));
    Pin { key: Key::new(customer_id, 1), value, source_value, run_id }
}

pub(crate) async fn what_a_run_has_sent_is_read_with_what_the_entries_say_now(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    let plan: Vec<Change> = (1..=6).map(|customer| change(customer, 1, "a")).collect();
    let run = scene.planned_run(0, plan.clone()).await;
    let request = scene.intent(run, 1, &plan[..5]).await;
    let verdicts = [confirmed(), unknown(Some("A")), rejected(), deferred()];
    scene.outcome(run, request, 2, &outcomes(&plan, verdicts)).await;
    let read = scene.ledger.run_to_undo(run).await.expect("reads").expect("the run");
    assert!(read.is_of_store && !read.has_ended);
    assert_eq!((read.kind, read.sent), (RunKind::Sync, 3), "a change that is on its way may be applied");
    scene.ledger.close_run(run, RunStatus::Failed, Some("why"), at(3)).await.expect("closes");
    let later = Change { previous_value: text("a"), action: Action::Update, ..change(1, 1, "b") };
    let second = scene.send(4, later, altered("B")).await;
    assert!(scene.ledger.run_to_undo(99).await.expect("reads").is_none());

    let sent = scene.ledger.sent_changes(run, None, 9).await.expect("reads");
    let customers: Vec<i64> = sent.iter().map(|sent| sent.change.key.customer_id).collect();
    assert_eq!(customers, [1, 2, 5]);
    let now = sent[0].entry.as_ref().expect("an entry");
    assert_eq!((now.belief, now.value.as_deref()), (Belief::Confirmed, Some("b")));
    assert_eq!((now.stored_value.as_deref(), now.run_id), (Some("B"), second));
    assert_eq!(now.previous_value.as_deref(), Some("a"), "what the last run had replaced");
    assert_eq!(now.stored_form.as_deref(), Some("B"));
    let lost = sent[1].entry.as_ref().expect("an entry");
    assert_eq!((lost.belief, lost.run_id, &lost.previous_value), (Belief::Unconfirmed, run, &None));
    assert_eq!(sent[2].entry.as_ref().expect("an entry").in_doubt_until, Some(at(121)));
    let page = scene.ledger.sent_changes(run, Some(Key::new(1, 1)), 1).await.expect("reads");
    assert_eq!(page, sent[1..2]);

    drop(scene);
    let other = Scene::of(backend, &other_store()).await;
    let of_other = other.ledger.run_to_undo(run).await.expect("reads").expect("the run");
    assert!(!of_other.is_of_store && of_other.has_ended);
}

pub(crate) async fn an_undo_leaves_pins_of_what_it_has_sent(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    let first = scene.send(0, change(9, 1, "x"), confirmed()).await;
    let plan = [
        restoring(1, "a", text("b").as_deref()),
        restoring(2, "a", None),
        restoring(3, "a", text("a").as_deref()),
        restoring(4, "a", text("b").as_deref()),
        restoring(5, "a", text("b").as_deref()),
        restoring(6, "a", text("b").as_deref()),
        restoring(7, "a", text("b").as_deref()),
    ];
    let deleted = Change { source_value: text("b"), ..delete(8, 1, Some(7)) };
    let undo = planned_undo(&scene, 3, first, &[plan.to_vec(), vec![deleted.clone()]].concat()).await;
    let request = scene.intent(undo, 4, &plan[..6]).await;
    let verdicts = [confirmed(), confirmed(), confirmed(), unknown(None), rejected(), deferred()];
    scene.outcome(undo, request, 5, &outcomes(&plan, verdicts)).await;
    scene.unsent(undo, 6, &[outcome(deleted.key, absent())]).await;
    assert_eq!(pins(&scene).await, [], "as long as the undo goes on");
    scene.close(undo, 7).await;
    let expected = [
        pin(1, Some("a"), Some("b"), undo),
        pin(2, Some("a"), None, undo),
        pin(4, Some("a"), Some("b"), undo),
        pin(8, None, Some("b"), undo),
    ];
    assert_eq!(pins(&scene).await, expected, "not of what the source desires, was refused, or was not sent");
    let page = scene.ledger.pins(&Filter::default(), Some(Key::new(1, 1)), 1).await.expect("reads");
    assert_eq!(page, expected[1..2]);
    let customers = Filter { customers: [4, 8].into(), ..Filter::default() };
    assert_eq!(scene.ledger.pins(&customers, None, 9).await.expect("reads"), expected[2..]);
    drop(scene);
    let other = Scene::of(backend, &other_store()).await;
    assert_eq!(pins(&other).await, []);
}

pub(crate) async fn an_interrupted_undo_leaves_pins_too(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    let first = scene.send(0, change(9, 1, "x"), confirmed()).await;
    let plan = [restoring(1, "a", text("b").as_deref()), restoring(2, "a", text("b").as_deref())];
    let undo = planned_undo(&scene, 3, first, &plan).await;
    scene.intent(undo, 4, &plan[..1]).await;
    drop(scene);
    let scene = Scene::new(backend).await;
    assert_eq!(pins(&scene).await, [], "no run has found it interrupted yet");
    let next = scene.open_run(9).await;
    assert_eq!(pins(&scene).await, [pin(1, Some("a"), Some("b"), undo)], "one value may have been sent");
    scene.close(next, 10).await;
    assert_eq!(pins(&scene).await.len(), 1);
}

pub(crate) async fn a_later_undo_replaces_the_pins_of_its_keys(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    let first = scene.send(0, change(9, 1, "x"), confirmed()).await;
    let undo = async |seconds, of_run_id, plan: &[Change]| {
        let undo = planned_undo(&scene, seconds, of_run_id, plan).await;
        let request = scene.intent(undo, seconds, plan).await;
        scene.outcome(undo, request, seconds, &outcomes(plan, [confirmed(), confirmed()])).await;
        scene.close(undo, seconds).await;
        undo
    };
    let source = text("b");
    let source = source.as_deref();
    let one = undo(3, first, &[restoring(1, "a", source), restoring(2, "a", source)]).await;
    let two = undo(5, one, &[restoring(2, "b", source), restoring(3, "c", source)]).await;
    let expected = [pin(1, Some("a"), source, one), pin(3, Some("c"), source, two)];
    assert_eq!(pins(&scene).await, expected, "the source desires the value of customer 2 again");
}

pub(crate) async fn pins_end_by_key_and_by_scope(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    let first = scene.send(0, change(9, 1, "x"), confirmed()).await;
    let plan: Vec<Change> = (1..=4).map(|customer| restoring(customer, "a", None)).collect();
    let undo = planned_undo(&scene, 3, first, &plan).await;
    let request = scene.intent(undo, 4, &plan).await;
    let all = outcomes(&plan, std::iter::repeat_n(confirmed(), 4));
    scene.outcome(undo, request, 5, &all).await;
    scene.close(undo, 6).await;
    let run = scene.open_run(7).await;
    scene.ledger.end_pins(run, &[Key::new(2, 1), Key::new(7, 1)]).await.expect("ends");
    let customers = async || pins(&scene).await.iter().map(|pin| pin.key.customer_id).collect::<Vec<_>>();
    assert_eq!(customers().await, [1, 3, 4]);
    let entries = scene.entries().await;
    let unpin = async |customer_id| {
        let scope = KeyScope { customer_id, attribute_id: None };
        let edit =
            BeliefEdit { scope, edit: EditKind::Unpin, reason: "asked".to_owned(), in_doubt_until: None };
        scene.ledger.edit_beliefs(run, &edit, at(8)).await.expect("edits")
    };
    assert_eq!(unpin(Some(3)).await, 1);
    assert_eq!(customers().await, [1, 4]);
    assert_eq!((unpin(None).await, unpin(None).await), (2, 0));
    assert_eq!(scene.entries().await, entries, "no entry is edited");
    assert_eq!(backend.belief_edits(run).await.len(), 3);
    let lost = scene.ledger.end_pins(undo, &[Key::new(1, 1)]).await;
    assert!(matches!(lost, Err(attrsync::ledger::LedgerError::LostLock { .. })), "{lost:?}");
}
