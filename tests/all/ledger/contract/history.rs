//! Histories of several runs: what the ledger believes follows from what it wrote down.

use std::collections::BTreeMap;

use attrsync::ledger::audit::AuditLog;
use attrsync::record::{Action, Belief, Key, KeyScope, News, Outcome, Verdict};

use super::backend::Backend;
use super::fixture::*;

/// What a fold of changes can know of an entry.
type Believed = (String, Belief, Option<String>, i64);

/// The entries as the runs and changes alone tell them.
async fn fold(backend: &dyn Backend) -> BTreeMap<Key, Believed> {
    let mut entries: BTreeMap<Key, Believed> = BTreeMap::new();
    for run in backend.runs(&store()).await {
        if run.distrusted {
            entries.values_mut().for_each(|(_, belief, ..)| *belief = Belief::Unconfirmed);
        }
        for release in backend.releases(run.id).await {
            let edited = |belief| release.news == News::Gone || belief == Belief::Rejected;
            let of_whom = entries
                .iter_mut()
                .filter(|(key, (_, belief, ..))| release.whose.has(**key) && edited(*belief));
            for (_, (_, belief, reason, _)) in of_whom {
                (*belief, *reason) = (Belief::Unconfirmed, Some(release.reason.clone()));
            }
        }
        for change in backend.changes(run.id).await {
            let belief = match change.outcome {
                Outcome::Confirmed => Belief::Confirmed,
                Outcome::Rejected => Belief::Rejected,
                _ if change.action == Action::Release => Belief::Unconfirmed,
                // Never sent: the entry is as true as it was.
                _ if change.request_id.is_none() => continue,
                _ => Belief::Unconfirmed,
            };
            entries.insert(change.key, (change.value, belief, change.reason, run.id));
        }
    }
    entries
}

async fn believed(backend: &dyn Backend) -> BTreeMap<Key, Believed> {
    let entries = backend.entries(&store()).await.into_iter();
    entries.map(|entry| (entry.key, (entry.value, entry.belief, entry.reason, entry.run_id))).collect()
}

/// What `check --ledger` looks at is in order.
async fn assert_proven(backend: &dyn Backend) {
    let Some(config) = backend.config() else { return };
    let audit = AuditLog::open(&config).await.expect("opens").expect("is there");
    let proofs = audit.verify().await.expect("can be looked at");
    assert_eq!(proofs.len(), 6);
    assert!(proofs.iter().all(|proof| proof.flaws.is_empty()), "{proofs:#?}");
}

/// A generator of small numbers that is the same in every run of the test.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    fn verdict(&mut self) -> Verdict {
        match self.roll(6) {
            0 => rejected(),
            1 => unknown(None),
            2 => deferred(),
            3 => altered("Z"),
            4 => Verdict::Confirmed { value_id: None, stored_value: None, note: Some("late".to_owned()) },
            _ => confirmed(),
        }
    }
}

pub(crate) async fn entries_are_a_fold_of_changes(backend: &dyn Backend) {
    let mut dice = Dice(7);
    let mut scene = Scene::new(backend).await;
    for seconds in 0..30 {
        let run = scene.open_run(seconds).await;
        if dice.roll(8) == 0 {
            scene.ledger.distrust(run).await.expect("distrusts");
        }
        if dice.roll(4) == 0 {
            let news = [News::Changed, News::Gone, News::Back][dice.roll(3) as usize];
            let customer_id =
                Some(1 + dice.roll(9) as i64).filter(|_| news != News::Gone || dice.roll(2) == 0);
            let whose = KeyScope { customer_id, attribute_id: (news != News::Back).then_some(1) };
            scene.ledger.release(run, whose, news, "news", at(seconds)).await.expect("releases");
        }
        let keys: Vec<i64> = (1..=9).filter(|_| dice.roll(3) > 0).collect();
        let plan: Vec<_> =
            keys.iter().map(|id| change(*id, 1, ["a", "b", "c"][dice.roll(3) as usize])).collect();
        let counts = attrsync::record::Counts { planned: plan.len() as i64, ..Default::default() };
        scene.ledger.save_plan(run, plan.clone(), Vec::new()).await.expect("saves");
        scene.ledger.seal_plan(run, &counts, at(seconds)).await.expect("seals");

        let (sent, rest) = plan.split_at(plan.len() / 2);
        let request = scene.begin(run, seconds, sent).await;
        let answered = sent.iter().filter(|_| dice.roll(4) > 0).collect::<Vec<_>>();
        let verdicts: Vec<_> = answered.iter().map(|change| (change.key, dice.verdict())).collect();
        scene.finish(run, request, seconds, &verdicts).await;
        let aside: Vec<_> = rest.iter().filter(|_| dice.roll(2) == 0).map(|change| change.key).collect();
        let aside: Vec<_> = aside
            .into_iter()
            .map(|key| (key, if dice.roll(2) == 0 { rejected() } else { deferred() }))
            .collect();
        scene.set_aside(run, seconds, &aside).await;
        match dice.roll(3) {
            0 => {
                drop(scene);
                scene = Scene::new(backend).await;
            }
            _ => scene.close(run, seconds).await,
        }
        assert_eq!(believed(backend).await, fold(backend).await, "after run {run}");
        assert_proven(backend).await;
        if dice.roll(5) == 0 {
            let whose = KeyScope { customer_id: Some(1 + dice.roll(9) as i64), attribute_id: None };
            let run = scene.open_run(seconds).await;
            scene.ledger.release_by_hand(run, whose, at(seconds)).await.expect("releases");
            scene.close(run, seconds).await;
            assert_eq!(believed(backend).await, fold(backend).await, "after the release {run}");
        }
    }
}

pub(crate) async fn a_value_that_comes_back_is_sent_again(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    let key = Key::new(1, 1);
    scene.send(0, change(1, 1, "A"), confirmed()).await;
    let run = scene.planned_run(3, vec![change(1, 1, "B")]).await;
    scene.begin(run, 4, &[change(1, 1, "B")]).await;
    drop(scene);

    // The answer was lost with the process: the store may hold B, and the ledger must not say A.
    let scene = Scene::new(backend).await;
    let entry = scene.entry(key).await;
    assert_eq!((entry.value.as_str(), entry.belief), ("B", Belief::Unconfirmed));
    assert_eq!(entry.stored_value.as_deref(), Some("A"));
    scene.send(9, change(1, 1, "A"), confirmed()).await;
    let entry = scene.entry(key).await;
    assert_eq!((entry.value.as_str(), entry.belief, entry.stored_value), ("A", Belief::Confirmed, None));
    assert_eq!(believed(backend).await, fold(backend).await);
}
