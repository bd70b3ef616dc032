//! The plan: it is saved, sealed, read, discarded, and kept when its run is closed.

use attrsync::ledger::NewRun;
use attrsync::record::{
    Action, Change, Counts, InvalidRow, Key, Outcome, PlanPart, PlannedChange, RunStatus, Trigger,
};

use super::backend::Backend;
use super::fixture::*;

pub(crate) async fn a_plan_is_saved_sealed_and_read_in_pages(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    let run = scene.open_run(0).await;
    let update = Change {
        action: Action::Update,
        previous_value: Some("old".to_owned()),
        previous_in_doubt: true,
        source_value: Some("source".to_owned()),
        value_id: Some(77),
        ..change(2, 1, "")
    };
    let plan = [change(1, 2, "a"), change(1, 9, "ü"), update, change(10, 1, "d")];
    let invalid = InvalidRow {
        customer_id: Some(3),
        attribute_id: None,
        value: Some("v".to_owned()),
        reason: "no attribute".to_owned(),
    };
    let nothing = InvalidRow { customer_id: None, attribute_id: None, value: None, ..invalid.clone() };
    scene.ledger.save_plan(run, plan[..1].to_vec(), vec![invalid.clone()]).await.expect("saves");
    scene.ledger.save_plan(run, plan[1..].to_vec(), vec![nothing.clone()]).await.expect("saves");
    assert!(backend.outcomes(run).await.is_empty(), "a plan counts only once it is complete");
    assert_eq!(scene.counts(run).await, Counts::default());

    let planning = Counts {
        source_rows: 9,
        no_value: 1,
        unchanged: 2,
        still_rejected: 3,
        invalid: 2,
        orphans: 5,
        stored_without_row: 5,
        pinned: 6,
        planned: 4,
        ..Counts::default()
    };
    scene.ledger.seal_plan(run, &planning, None, at(1)).await.expect("seals");
    let row = backend.runs(&store()).await.pop().expect("a run");
    assert_eq!((row.status, row.planned_at), (RunStatus::Running, Some(at(1))));
    assert_eq!(row.counts, Counts { deferred: 4, ..planning });
    assert_eq!(scene.counts(run).await, row.counts);
    assert_eq!(backend.invalid_rows(run).await, [invalid, nothing]);

    let read = scene.ledger.planned(run, PlanPart::Upserts, None, 3).await.expect("reads");
    assert_eq!(read, planned(&plan[..3]));
    let read = scene.ledger.planned(run, PlanPart::Upserts, Some(plan[2].key), 3).await.expect("reads");
    assert_eq!(read, planned(&plan[3..]));
    assert!(
        scene.ledger.planned(run, PlanPart::Upserts, Some(plan[3].key), 3).await.expect("reads").is_empty()
    );
    let read = scene.ledger.planned(run, PlanPart::Upserts, Some(Key::new(1, 5)), 1).await.expect("reads");
    assert_eq!(read, planned(&plan[1..2]), "the key to read after need not be in the plan");

    scene.intent(run, 2, &plan[..1]).await;
    scene.unsent(run, 3, &[outcome(plan[2].key, deferred())]).await;
    let read = scene.ledger.planned(run, PlanPart::Upserts, None, 9).await.expect("reads");
    assert_eq!(read, planned(&[plan[1].clone(), plan[3].clone()]), "only what is still planned");
}

pub(crate) async fn changes_in_doubt_are_read_separately(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    scene.send(0, change(2, 1, "b"), unknown(Some("B"))).await;
    scene.send(1, change(4, 1, "c"), unknown(Some("C"))).await;
    let same = Change { in_doubt_until: Some(at(60)), ..change(2, 1, "b") };
    let other = Change { in_doubt_until: Some(at(90)), ..change(4, 1, "d") };
    let plan = vec![change(1, 1, "a"), same.clone(), change(3, 1, "c"), other.clone()];
    let run = scene.planned_run(5, plan.clone()).await;
    let read = scene.ledger.planned(run, PlanPart::Upserts, None, 9).await.expect("reads");
    assert_eq!(read, planned(&[plan[0].clone(), plan[2].clone()]));
    let read = scene.ledger.planned(run, PlanPart::UpsertsInDoubt, None, 9).await.expect("reads");
    let same = PlannedChange {
        change: same,
        is_in_doubt: true,
        in_doubt_value: Some("b".to_owned()),
        observed_value: Some("B".to_owned()),
    };
    // A value observed for another desired value says nothing about this one.
    let other = PlannedChange {
        change: other,
        is_in_doubt: true,
        in_doubt_value: Some("c".to_owned()),
        observed_value: None,
    };
    assert_eq!(read, [same.clone(), other.clone()], "with the present values of the entry");
    assert_eq!(
        scene.ledger.planned(run, PlanPart::UpsertsInDoubt, Some(same.key()), 9).await.expect("reads"),
        [other]
    );
}

pub(crate) async fn a_plan_is_discarded(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    let earlier = scene.send(0, change(1, 1, "a"), confirmed()).await;
    let run = scene.open_run(3).await;
    let invalid =
        InvalidRow { customer_id: None, attribute_id: None, value: None, reason: "no ids".to_owned() };
    let plan = vec![change(1, 1, "b"), change(2, 1, "c")];
    scene.ledger.save_plan(run, plan.clone(), vec![invalid]).await.expect("saves");
    scene.ledger.discard_plan(run).await.expect("discards");
    assert!(backend.changes(run).await.is_empty() && backend.invalid_rows(run).await.is_empty());
    assert_eq!(backend.changes(earlier).await.len(), 1, "earlier plans stay");
    scene.ledger.save_plan(run, plan, Vec::new()).await.expect("saves anew");
    assert_eq!(backend.changes(run).await.len(), 2);
}

pub(crate) async fn a_key_is_planned_once(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    let run = scene.open_run(0).await;
    scene.ledger.save_plan(run, vec![change(1, 1, "a")], Vec::new()).await.expect("saves");
    let twice = scene.ledger.save_plan(run, vec![change(1, 1, "b"), change(2, 1, "z")], Vec::new()).await;
    assert!(twice.is_err());
    assert_eq!(backend.changes(run).await.len(), 1, "a page is saved whole or not at all");
}

pub(crate) async fn every_change_of_a_closed_run_has_an_outcome(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    let plan = vec![change(1, 1, "a"), change(2, 1, "b"), change(3, 1, "c")];
    let keys = [plan[0].key, plan[1].key, plan[2].key];
    let run = scene.planned_run(0, plan.clone()).await;
    let request = scene.intent(run, 1, &plan[..2]).await;
    scene.outcome(run, request, 2, &[outcome(keys[0], confirmed())]).await;
    let open = [Outcome::Confirmed, Outcome::Sending, Outcome::Planned];
    assert_eq!(backend.outcomes(run).await, Vec::from_iter(keys.into_iter().zip(open)));
    let before = backend.changes(run).await;
    scene.close(run, 3).await;
    assert_eq!(backend.changes(run).await, before, "closing touches no change");
    let closed = [Outcome::Confirmed, Outcome::Unknown, Outcome::Deferred];
    assert_eq!(backend.outcomes(run).await, Vec::from_iter(keys.into_iter().zip(closed)));
    let counts = scene.counts(run).await;
    assert_eq!((counts.confirmed, counts.unknown, counts.deferred), (1, 1, 1));
}

fn invalid(customer_id: i64, reason: &str) -> InvalidRow {
    InvalidRow {
        customer_id: Some(customer_id),
        attribute_id: None,
        value: Some("v".to_owned()),
        reason: reason.to_owned(),
    }
}

pub(crate) async fn what_an_ended_run_never_sent_is_removed(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    let plan: Vec<Change> = (1..=5).map(|id| change(id, 1, "a")).collect();
    let stopped = scene.planned_run(0, plan.clone()).await;
    let request = scene.intent(stopped, 1, &plan[..2]).await;
    scene.outcome(stopped, request, 2, &[outcome(plan[0].key, confirmed())]).await;
    scene.unsent(stopped, 2, &[outcome(plan[4].key, deferred())]).await;
    scene.close(stopped, 3).await;
    let failed = scene.open_run(4).await;
    scene.ledger.save_plan(failed, plan.clone(), vec![invalid(7, "why")]).await.expect("saves");
    scene.ledger.close_run(failed, RunStatus::Failed, Some("it failed"), at(5)).await.expect("closes");

    let run = scene.open_run(6).await;
    scene.ledger.save_plan(run, plan.clone(), Vec::new()).await.expect("saves");
    let mut steps = 0;
    while scene.ledger.remove_unsent(run, at(7)).await.expect("removes") {
        steps += 1;
        assert!(steps < 9, "it comes to an end");
    }
    let left = backend.changes(stopped).await.into_iter().map(|row| row.key).collect::<Vec<_>>();
    assert_eq!(left, [plan[0].key, plan[1].key, plan[4].key], "what was sent or has a reason stays");
    let counts = scene.counts(stopped).await;
    assert_eq!((counts.planned, counts.deferred), (5, 3), "the counts stay");
    assert!(backend.changes(failed).await.is_empty() && backend.invalid_rows(failed).await.is_empty());
    assert_eq!(backend.changes(run).await.len(), 5, "the run's own plan stays");
}

pub(crate) async fn a_blocked_run_keeps_its_plan_until_a_later_whole_plan(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    let plan: Vec<Change> = (1..=3).map(|id| change(id, 1, "a")).collect();
    let blocked = scene.planned_run(0, plan.clone()).await;
    let message = Some("a guard blocked the run");
    scene.ledger.close_run(blocked, RunStatus::Blocked, message, at(1)).await.expect("closes");
    let remove_before = async |run| while scene.ledger.remove_unsent(run, at(9)).await.expect("removes") {};

    let filtered = NewRun { filtered: true, ..new_run(2) };
    let of_some = scene.ledger.open_run(&filtered).await.expect("opens");
    remove_before(of_some).await;
    scene.ledger.seal_plan(of_some, &Counts::default(), None, at(2)).await.expect("seals");
    scene.close(of_some, 3).await;
    let failed = scene.open_run(4).await;
    remove_before(failed).await;
    scene.ledger.close_run(failed, RunStatus::Failed, Some("it failed"), at(5)).await.expect("closes");
    let whole = scene.open_run(6).await;
    remove_before(whole).await;
    assert_eq!(backend.changes(blocked).await.len(), 3, "no later plan of all rows is complete");
    scene.ledger.seal_plan(whole, &Counts::default(), None, at(7)).await.expect("seals");
    scene.close(whole, 8).await;

    let run = scene.open_run(9).await;
    remove_before(run).await;
    assert!(backend.changes(blocked).await.is_empty());
}

pub(crate) async fn the_last_finished_run_is_a_whole_one_that_came_to_its_end(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    assert_eq!(scene.ledger.last_finished().await.expect("reads"), None);
    let ended = async |seconds, status, filtered| {
        let run = scene.ledger.open_run(&NewRun { filtered, ..new_run(seconds) }).await.expect("opens");
        let counts = Counts { source_rows: seconds, stored_without_row: 1, no_value: 1, ..Counts::default() };
        scene.ledger.seal_plan(run, &counts, None, at(seconds)).await.expect("seals");
        scene.ledger.close_run(run, status, Some("why"), at(seconds)).await.expect("closes");
        scene.ledger.last_finished().await.expect("reads").map(|counts| counts.source_rows)
    };
    assert_eq!(ended(1, RunStatus::Failed, false).await, None);
    assert_eq!(ended(2, RunStatus::Succeeded, false).await, Some(2));
    assert_eq!(ended(3, RunStatus::Partial, false).await, Some(3));
    for (seconds, status, filtered) in [
        (4, RunStatus::Succeeded, true),
        (5, RunStatus::Blocked, false),
        (6, RunStatus::Stopped, false),
        (7, RunStatus::Failed, false),
    ] {
        assert_eq!(ended(seconds, status, filtered).await, Some(3), "{status}");
    }
    let last = scene.ledger.last_finished().await.expect("reads").expect("a run");
    assert_eq!((last.stored_without_row, last.no_value), (1, 1));
}

pub(crate) async fn runs_on_change_displace_no_invalid_rows_of_other_syncs(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    let (night, change) = (vec![invalid(1, "why"), invalid(2, "why")], vec![invalid(1, "why")]);
    let mut runs = Vec::new();
    for seconds in 0..40 {
        let (trigger, rows) =
            if seconds % 20 == 0 { (Trigger::Schedule, &night) } else { (Trigger::Change, &change) };
        let run = scene.ledger.open_run(&NewRun { trigger, ..new_run(seconds) }).await.expect("opens");
        scene.ledger.save_plan(run, Vec::new(), rows.clone()).await.expect("saves");
        let invalid = i64::try_from(rows.len()).expect("few");
        scene
            .ledger
            .seal_plan(run, &Counts { invalid, ..Counts::default() }, None, at(seconds))
            .await
            .expect("seals");
        scene.close(run, seconds).await;
        runs.push((run, trigger, rows));
    }
    for (place, (run, trigger, rows)) in runs.into_iter().rev().enumerate() {
        if trigger == Trigger::Schedule || place < 10 {
            assert_eq!(&backend.invalid_rows(run).await, rows, "run {run}, {place} runs ago");
        }
    }
}

pub(crate) async fn invalid_rows_are_kept_for_the_newest_ten_syncs(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    let (same, other) =
        (vec![invalid(1, "why"), invalid(1, "why")], vec![invalid(1, "why"), invalid(2, "why")]);
    let mut runs = Vec::new();
    for seconds in 0..14 {
        let rows = if seconds == 6 { &other } else { &same };
        let run = scene.open_run(seconds).await;
        scene.ledger.save_plan(run, Vec::new(), rows.clone()).await.expect("saves");
        let counts = Counts { source_rows: 2, invalid: 2, ..Counts::default() };
        scene.ledger.seal_plan(run, &counts, None, at(seconds)).await.expect("seals");
        scene.close(run, seconds).await;
        runs.push((run, rows.clone()));
    }
    for (place, (run, rows)) in runs.into_iter().rev().enumerate() {
        let kept = if place < 10 { rows } else { Vec::new() };
        let found = backend.invalid_rows(run).await;
        // Rows that other rows refer to are there longer.
        assert!(found == kept || place >= 10, "run {run}, {place} runs ago: {found:?}");
    }
}
