//! The live store: values that it holds already are adopted, and what others change in it is found.

use std::time::Duration;

use attrsync::engine::{Finding, FindingKind, ReconcileOptions, Reconciled};
use attrsync::record::{Belief, DriftPolicy, EditKind, Key, OnMissing, RunKind, RunStatus};
use attrsync::sandbox::Fault;

use super::live::{ADOPT, Live};

fn kinds(findings: &[Finding]) -> Vec<(i64, FindingKind)> {
    findings.iter().map(|finding| (finding.key.customer_id, finding.kind)).collect()
}

#[tokio::test(start_paused = true)]
async fn a_first_sync_after_an_adoption_sends_true_differences_only() {
    let live = Live::new(600);
    for customer in 1..=590 {
        live.others_set(customer, Some(if customer % 100 == 0 { "silver" } else { "gold" }));
    }
    // No row desires these.
    live.model().set_value(Key::new(7, 2), Some("theirs"));
    live.source.edit(|rows| {
        rows[8].2 = None;
        rows.push((Some(10), Some(1), Some("twice".to_owned())));
    });
    let (adopted, findings) = live.adopt().await;
    let count = |kind| adopted.count(kind);
    assert_eq!((count(FindingKind::Equal), count(FindingKind::Different)), (583, 5), "{adopted:?}");
    assert_eq!((count(FindingKind::UnknownToSource), count(FindingKind::Invalid)), (2, 1));
    assert_eq!((adopted.drifted(), adopted.not_in_ledger, adopted.status), (0, 3, RunStatus::Succeeded));
    assert_eq!(findings.len(), 591, "each value of the store");
    assert_eq!((adopted.pages, adopted.direct_reads), (3, 0), "591 values in pages of 250");
    assert_eq!(live.model().tally().writes, 0, "it reads only");
    assert_eq!(live.belief(9), None, "a NULL is no desired value");

    let report = live.sync().await;
    assert_eq!((report.counts.planned, report.counts.confirmed), (15, 15), "5 differ, and 10 are new");
    assert_eq!(report.counts.unchanged, 583);
    assert_eq!(live.value(100).as_deref(), Some("gold"));
    assert_eq!(live.model().value(Key::new(7, 2)), Some("theirs"), "promise 14: never touched");
    let again = live.sync().await;
    assert_eq!((again.counts.planned, again.counts.requests), (0, 0));
    let (again, _) = live.adopt().await;
    assert_eq!((again.count(FindingKind::Equal), again.agreeing, again.drifted()), (0, 598, 0));
}

#[tokio::test(start_paused = true)]
async fn promise_14_an_adoption_overwrites_no_newer_intent() {
    let mut live = Live::new(3);
    live.sync().await;
    live.source.edit(|rows| rows.iter_mut().for_each(|row| row.2 = Some("platinum".to_owned())));
    (live.push.max_attempts, live.push.give_up_after) = (1, Duration::ZERO);
    // The responses are lost, so that the ledger knows an intent only.
    live.model().script.extend([Fault::Refused; 40]);
    let report = live.sync().await;
    assert_eq!(report.counts.confirmed, 0, "{report:?}");
    let before = live.ledger.entries(&live.name);
    assert!(
        before
            .iter()
            .all(|entry| entry.belief == Belief::Unconfirmed && entry.value.as_deref() == Some("platinum"))
    );
    let (adopted, _) = live.adopt().await;
    assert_eq!(live.ledger.entries(&live.name), before, "the intents stay");
    assert_eq!((adopted.unconfirmed, adopted.drifted(), adopted.counts.len()), (3, 0, 0));
    live.model().script.clear();
    assert_eq!(live.sync().await.counts.confirmed, 3);
}

#[tokio::test(start_paused = true)]
async fn what_others_changed_is_found_and_put_right() {
    let live = Live::new(700);
    live.sync().await;
    for customer in 1..=20 {
        live.others_set(customer * 30, Some("theirs"));
        live.others_set(customer * 30 + 1, None);
    }
    let (found, findings) = live.look().await;
    assert_eq!(found.count(FindingKind::DriftOverwrite), 40, "{found:?}");
    assert_eq!((found.agreeing, found.not_in_ledger), (660, 0));
    let expected: Vec<_> =
        (1..=20).flat_map(|at| [at * 30, at * 30 + 1]).map(|id| (id, FindingKind::DriftOverwrite)).collect();
    assert_eq!(kinds(&findings), expected);
    assert_eq!((found.pages, found.direct_reads), (3, 1), "all that differ are read directly at once");
    let run = live.ledger.runs(&live.name).pop().expect("a run");
    assert_eq!((run.kind, run.status, run.counts.requests), (RunKind::Reconcile, RunStatus::Succeeded, 0));
    let edits = live.ledger.belief_edits(run.id);
    assert_eq!((edits.len(), edits[0].value.as_deref(), &edits[1].value), (40, Some("theirs"), &None));
    let report = live.sync().await;
    assert_eq!((report.counts.planned, report.counts.confirmed), (40, 40));
    assert!((1..=700).all(|customer| live.value(customer).as_deref() == Some("gold")));
    assert_eq!(live.look().await.0.drifted(), 0);
}

#[tokio::test(start_paused = true)]
async fn drift_is_treated_by_the_policy_of_its_attribute() {
    let mut live = Live::new(3);
    live.source.edit(|rows| {
        rows.extend((1..=3).map(|id| (Some(id), Some(3), Some("2026-01-01".to_owned()))));
    });
    live.sync().await;
    live.drift.policy = DriftPolicy::Report;
    live.drift.attributes.insert("last_order".to_owned(), DriftPolicy::Accept);
    live.others_set(1, Some("theirs"));
    live.others_set(2, None);
    live.model().set_value(Key::new(3, 3), Some("2027-07-07"));
    let (found, _) = live.look().await;
    let counts = |found: &Reconciled| {
        [FindingKind::DriftReport, FindingKind::DriftAccept, FindingKind::DriftReturn]
            .map(|kind| found.count(kind))
    };
    assert_eq!(counts(&found), [2, 1, 0]);
    assert_eq!(live.sync().await.counts.planned, 0, "nothing is sent");
    // It is reported as long as it lasts, and recorded once.
    let (again, _) = live.look().await;
    assert_eq!(counts(&again), [2, 0, 0]);
    assert_eq!(live.ledger.belief_edits(again.run_id), []);
    live.others_set(2, Some("gold"));
    let (over, _) = live.look().await;
    assert_eq!(counts(&over), [1, 0, 1]);
    let kinds: Vec<_> = live.ledger.belief_edits(over.run_id).iter().map(|row| row.edit.edit).collect();
    assert_eq!(kinds, [EditKind::Return]);
    // Another value of the source ends what was reported and what was accepted.
    live.source.edit(|rows| rows.iter_mut().for_each(|row| row.2 = Some("2028-08-08".to_owned())));
    assert_eq!(live.sync().await.counts.confirmed, 6);
    assert_eq!(live.model().value(Key::new(3, 3)), Some("2028-08-08"));
    assert_eq!(counts(&live.look().await.0), [0, 0, 1]);
}

#[tokio::test(start_paused = true)]
async fn promise_14_no_value_of_others_is_deleted_because_a_reading_saw_it() {
    for (policy, kept) in
        [(DriftPolicy::Overwrite, true), (DriftPolicy::Report, true), (DriftPolicy::Accept, false)]
    {
        let mut live = Live::new(4);
        live.drift.policy = policy;
        live.missing.action = OnMissing::Delete;
        live.sync().await;
        // Others replace a value, edit one under its own id, and delete one.
        live.others_set(1, None);
        live.others_set(1, Some("theirs"));
        live.others_set(2, Some("theirs"));
        live.others_set(3, None);
        assert_eq!(live.look().await.0.drifted(), 3);
        live.others_set(3, Some("theirs"));
        live.source.edit(|rows| rows.retain(|row| row.0 == Some(4)));
        let report = live.sync().await;
        assert_eq!(report.counts.deletes, 3, "{policy:?}: {report:?}");
        let left = live.value(1);
        assert_eq!(left.is_some(), kept, "{policy:?}: only what was accepted counts as pushed");
        assert_eq!(live.value(2), None, "{policy:?}: an edited value keeps its id");
        assert_eq!(live.value(3).as_deref(), Some("theirs"), "{policy:?}: it came after the reading");
        assert_eq!(live.value(4).as_deref(), Some("gold"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_page_is_no_proof_that_something_was_deleted() {
    let live = Live::new(700);
    live.sync().await;
    live.others_set(5, None);
    live.model().options.rules.shifts_pages = true;
    let (found, findings) = live.look().await;
    assert_eq!(kinds(&findings), [(5, FindingKind::DriftOverwrite)], "{found:?}");
    assert!(found.direct_reads > 1, "the pages lacked more than that");
    assert_eq!(found.agreeing, 699);
}

#[tokio::test(start_paused = true)]
async fn what_a_request_of_ours_may_explain_is_no_drift() {
    let live = Live::new(20);
    live.sync().await;
    live.source.edit(|rows| rows.iter_mut().for_each(|row| row.2 = Some("platinum".to_owned())));
    // The store applies the values, and no response arrives.
    live.model().script.extend([Fault::Lost; 40]);
    live.sync().await;
    live.model().script.clear();
    let (found, findings) = live.look().await;
    assert_eq!((found.drifted(), found.unconfirmed + found.agreeing), (0, 20), "{findings:?}");
}

#[tokio::test(start_paused = true)]
async fn a_killed_reading_goes_on_after_its_last_page() {
    let live = Live::new(1_000);
    for customer in 1..=1_000 {
        live.others_set(customer, Some("gold"));
    }
    let killed = live.try_reconcile(&ADOPT, Some(500)).await;
    assert!(killed.is_none());
    let before = live.reads();
    let (adopted, _) = live.adopt().await;
    assert_eq!((adopted.continued_after, adopted.pages), (Some(2), 2), "no page is read twice");
    assert_eq!(live.reads() - before, 3, "two pages and the attributes");
    assert_eq!(adopted.count(FindingKind::Equal), 1_000);
    assert_eq!(live.sync().await.counts.planned, 0);
    let runs = live.ledger.runs(&live.name);
    assert_eq!(runs[0].status, RunStatus::Interrupted);
}

#[tokio::test(start_paused = true)]
async fn only_the_customers_that_were_named_are_read() {
    let live = Live::new(100);
    live.sync().await;
    for customer in 1..=100 {
        live.others_set(customer, Some("theirs"));
    }
    let mut options = ReconcileOptions::default();
    options.filter.customers = (41..=90).collect();
    let (found, findings) = live.reconcile(&options).await;
    assert_eq!((found.count(FindingKind::DriftOverwrite), found.pages), (50, 2), "40 customers a page");
    assert!(findings.iter().all(|finding| (41..=90).contains(&finding.key.customer_id)));
    let run = live.ledger.runs(&live.name).pop().expect("a run");
    assert!(run.filtered);
    assert_eq!(live.belief(40), Some(Belief::Confirmed));
}

#[tokio::test(start_paused = true)]
async fn a_run_that_found_nothing_leaves_the_digest_in_force() {
    let live = Live::new(50);
    live.sync().await;
    assert!(live.sync().await.by_digest);
    live.look().await;
    assert!(live.sync().await.by_digest, "the entries are as the sync left them");
    live.others_set(3, Some("theirs"));
    live.look().await;
    assert!(!live.sync().await.by_digest, "a belief was edited");
}
