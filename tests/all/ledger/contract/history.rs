//! Histories of several runs: the beliefs follow from the changes and the belief edits.

use std::collections::BTreeMap;

use attrsync::ledger::NewRun;
use attrsync::ledger::audit::{AuditLog, Progress};
use attrsync::record::{
    Action, Belief, BeliefEdit, Change, Counts, EditKind, Entry, Key, KeyScope, KnownAttribute, Outcome,
    RunKind, RunStatus, ValueEdit, Verdict,
};
use chrono::TimeDelta;

use super::backend::Backend;
use super::fixture::*;

/// The part of an entry that follows from the changes.
type Believed = (Option<String>, Belief, Option<String>, i64, bool);

/// Computes the entries from the runs, changes and belief edits.
async fn fold(backend: &dyn Backend) -> BTreeMap<Key, Believed> {
    let mut entries: BTreeMap<Key, Believed> = BTreeMap::new();
    for run in backend.runs(&store()).await {
        for row in backend.belief_edits(run.id).await {
            let BeliefEdit { scope, edit, reason, .. } = row.edit;
            if edit.is_of_value() {
                let (customer_id, attribute_id) = (scope.customer_id, scope.attribute_id);
                let key = Key::new(customer_id.expect("a customer"), attribute_id.expect("an attribute"));
                assert_eq!(row.count, 1);
                if edit == EditKind::Adopt {
                    let adopted = (row.value, Belief::Confirmed, None, run.id, false);
                    assert_eq!(entries.insert(key, adopted), None, "it had no entry");
                } else if edit == EditKind::Drift {
                    let (_, belief, why, ..) = entries.get_mut(&key).expect("an entry");
                    (*belief, *why) = (Belief::Unconfirmed, Some(reason));
                }
                continue;
            }
            let edited = |belief, acknowledged: bool| match edit {
                EditKind::Requeue => belief == Belief::Rejected,
                EditKind::Acknowledge => belief == Belief::Rejected && !acknowledged,
                EditKind::Unpin => false,
                _ => true,
            };
            let mut count = 0;
            for (key, (_, belief, why, _, acknowledged)) in &mut entries {
                if !scope.contains(*key) || !edited(*belief, *acknowledged) {
                    continue;
                }
                *acknowledged = edit == EditKind::Acknowledge;
                if !*acknowledged {
                    *why = Some(reason.clone());
                    if *belief != Belief::Absent {
                        *belief = Belief::Unconfirmed;
                    }
                }
                count += 1;
            }
            assert_eq!(row.count, count, "the edit of run {} counts its entries", run.id);
        }
        for change in backend.changes(run.id).await {
            let belief = match change.outcome {
                Outcome::Confirmed if change.action == Action::Delete => Belief::Absent,
                Outcome::Confirmed => Belief::Confirmed,
                Outcome::Rejected => Belief::Rejected,
                // The change was never sent, so the entry does not change.
                _ if change.request_id.is_none() => continue,
                _ => Belief::Unconfirmed,
            };
            entries.insert(change.key, (change.value, belief, change.reason, run.id, false));
        }
    }
    entries
}

async fn believed(backend: &dyn Backend) -> BTreeMap<Key, Believed> {
    let entries = backend.entries(&store()).await.into_iter();
    let believed = |entry: Entry| (entry.value, entry.belief, entry.reason, entry.run_id, entry.acknowledged);
    entries.map(|entry| (entry.key, believed(entry))).collect()
}

/// Asserts that `check --ledger` finds nothing.
async fn assert_verified(backend: &dyn Backend) {
    let Some(config) = backend.config() else { return };
    let audit = AuditLog::open(&config).await.expect("opens").expect("is there");
    let proofs = audit.verify(&Progress::default()).await.expect("can be looked at");
    assert_eq!(proofs.len(), 7);
    assert!(proofs.iter().all(|proof| proof.flaws.is_empty()), "{proofs:#?}");
}

/// A generator of small numbers, the same in every run of the test.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    fn verdict(&mut self, change: &Change) -> Verdict {
        match self.roll(5) {
            3 | 4 if change.action == Action::Delete => absent(),
            0 => rejected(),
            1 => unknown(None),
            2 => deferred(),
            3 => altered("Z"),
            _ => confirmed(),
        }
    }
}

/// The change that a plan makes of a key with these entries. Without a value it deletes, if the store may hold a value.
fn change_after(entries: &[Entry], key: Key, value: Option<&str>) -> Change {
    let entry = entries.iter().find(|entry| entry.key == key);
    let previous_value = entry.and_then(|entry| match entry.belief {
        Belief::Confirmed => entry.stored_value.clone().or(entry.value.clone()),
        Belief::Unconfirmed | Belief::Rejected | Belief::Absent => entry.stored_value.clone(),
    });
    let previous_in_doubt = entry.is_some_and(|entry| entry.belief == Belief::Unconfirmed);
    let value_id = entry.and_then(|entry| entry.value_id);
    let known = previous_value.is_some() || value_id.is_some();
    if value.is_none() && entry.is_some_and(|entry| entry.belief != Belief::Absent) {
        return Change {
            previous_value,
            previous_in_doubt,
            ..delete(key.customer_id, key.attribute_id, value_id)
        };
    }
    let action = if known { Action::Update } else { Action::Create };
    let value = value.unwrap_or("d");
    Change {
        previous_value,
        previous_in_doubt,
        value_id,
        action,
        ..change(key.customer_id, key.attribute_id, value)
    }
}

/// Performs a run that has read the store, and edits some of the beliefs about nine customers' values and three others.
async fn read_store(scene: &Scene<'_>, dice: &mut Dice, seconds: i64) {
    let new = NewRun { kind: RunKind::Reconcile, ..new_run(seconds) };
    let run = scene.ledger.open_run(&new).await.expect("opens");
    let entries = scene.entries().await;
    let mut edits = Vec::new();
    for customer in 1..=12 {
        let key = Key::new(customer, 1);
        let entry = entries.iter().find(|entry| entry.key == key);
        let edit = match entry.map(|entry| entry.belief) {
            None => EditKind::Adopt,
            Some(Belief::Confirmed) => {
                let kinds = [EditKind::Drift, EditKind::Accept, EditKind::Report, EditKind::Return];
                kinds[dice.roll(4) as usize]
            }
            Some(_) => continue,
        };
        if dice.roll(2) == 0 {
            let value = (edit == EditKind::Adopt || dice.roll(3) > 0).then(|| "theirs".to_owned());
            let value_id = value.as_ref().map(|_| dice.roll(99) as i64);
            edits.push(ValueEdit { key, edit, value, value_id });
        }
    }
    scene.ledger.edit_values(run, &edits, at(seconds)).await.expect("edits");
    scene.ledger.close_run(run, RunStatus::Succeeded, Some("read"), at(seconds)).await.expect("closes");
}

pub(crate) async fn entries_are_a_fold_of_changes_and_edits(backend: &dyn Backend) {
    let mut dice = Dice(7);
    let mut scene = Scene::new(backend).await;
    let listed = KnownAttribute {
        id: 1,
        name: "tier".to_owned(),
        kind: "string".to_owned(),
        former_name: None,
        deleted: false,
    };
    for seconds in 0..30 {
        if seconds > 0 && dice.roll(2) == 0 {
            read_store(&scene, &mut dice, seconds).await;
        }
        let run = scene.open_run(seconds).await;
        scene
            .ledger
            .record_attributes(run, std::slice::from_ref(&listed), at(seconds))
            .await
            .expect("records");
        for number in 0..dice.roll(3) {
            let edits = [EditKind::Requeue, EditKind::Acknowledge, EditKind::Invalidate, EditKind::Clear];
            let edit = edits[dice.roll(4) as usize];
            let customer_id = Some(1 + dice.roll(9) as i64).filter(|_| dice.roll(2) == 0);
            let attribute_id = Some(1).filter(|_| dice.roll(2) == 0);
            let scope = KeyScope { customer_id, attribute_id };
            let edit = BeliefEdit { scope, edit, reason: format!("edit {seconds}"), in_doubt_until: None };
            let at = at(seconds) + TimeDelta::microseconds(number as i64);
            scene.ledger.edit_beliefs(run, &edit, at).await.expect("edits");
        }
        let keys: Vec<i64> = (1..=9).filter(|_| dice.roll(3) > 0).collect();
        let entries = scene.entries().await;
        let plan: Vec<_> = keys
            .iter()
            .map(|id| {
                change_after(
                    &entries,
                    Key::new(*id, 1),
                    [Some("a"), Some("b"), Some("c"), None][dice.roll(4) as usize],
                )
            })
            .collect();
        let planned = plan.len() as i64;
        let deletes = plan.iter().filter(|change| change.action == Action::Delete).count() as i64;
        let counts = Counts { source_rows: planned - deletes, planned, deletes, ..Counts::default() };
        scene.ledger.save_plan(run, plan.clone(), Vec::new()).await.expect("saves");
        scene.ledger.seal_plan(run, &counts, None, at(seconds)).await.expect("seals");

        let (sent, rest) = plan.split_at(plan.len() / 2);
        let (mut deleted, upserted): (Vec<Change>, Vec<Change>) =
            sent.iter().cloned().partition(|change| change.action == Action::Delete);
        for change in deleted.iter_mut().filter(|_| dice.roll(3) == 0) {
            // The id was read after the plan was made.
            change.value_id = Some(100 + seconds);
        }
        for sent in [upserted, deleted].iter().filter(|sent| !sent.is_empty()) {
            let request = scene.intent(run, seconds, sent).await;
            let with_outcome = sent.iter().filter(|_| dice.roll(4) > 0).cloned().collect::<Vec<_>>();
            let verdicts: Vec<_> = with_outcome.iter().map(|change| dice.verdict(change)).collect();
            scene.outcome(run, request, seconds, &outcomes(&with_outcome, verdicts)).await;
        }
        let unsent: Vec<_> = rest.iter().filter(|_| dice.roll(2) == 0).cloned().collect();
        let verdicts: Vec<_> = unsent
            .iter()
            .map(|change| match dice.roll(3) {
                0 if change.action == Action::Delete => absent(),
                1 => rejected(),
                _ => deferred(),
            })
            .collect();
        scene.unsent(run, seconds, &outcomes(&unsent, verdicts)).await;
        match dice.roll(3) {
            0 => {
                drop(scene);
                scene = Scene::new(backend).await;
            }
            _ => {
                let (status, message) = (RunStatus::Stopped, Some("asked to stop"));
                scene.ledger.close_run(run, status, message, at(seconds)).await.expect("closes");
            }
        }
        assert_eq!(believed(backend).await, fold(backend).await, "after run {run}");
        assert_verified(backend).await;
    }
}

pub(crate) async fn a_value_that_returns_is_sent_again(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    let key = Key::new(1, 1);
    scene.send(0, change(1, 1, "A"), confirmed()).await;
    let run = scene.planned_run(3, vec![change(1, 1, "B")]).await;
    scene.intent(run, 4, &[change(1, 1, "B")]).await;
    drop(scene);

    // The response was lost with the process: the store may hold B, and the ledger must not say A.
    let scene = Scene::new(backend).await;
    let entry = scene.entry(key).await;
    assert_eq!((entry.value.as_deref(), entry.belief), (Some("B"), Belief::Unconfirmed));
    assert_eq!(entry.stored_value.as_deref(), Some("A"));
    scene.send(9, change(1, 1, "A"), confirmed()).await;
    let entry = scene.entry(key).await;
    assert_eq!(
        (entry.value.as_deref(), entry.belief, entry.stored_value),
        (Some("A"), Belief::Confirmed, None)
    );
    assert_eq!(believed(backend).await, fold(backend).await);
}
