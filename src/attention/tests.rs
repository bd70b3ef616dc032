use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::*;
use crate::record::{Counts, RunStatus};

fn at(hours: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::days(20_000) + TimeDelta::hours(hours)
}

fn run(id: i64, status: RunStatus, counts: Counts) -> PastRun {
    PastRun { id, status, started_at: at(0), finished_at: Some(at(1)), filtered: false, counts }
}

/// The facts after this whole sync.
fn after(run: &PastRun) -> Facts {
    let is_good = matches!(run.status, RunStatus::Succeeded | RunStatus::Partial);
    Facts {
        last_run: Some(run.clone()),
        last_ended: Some(run.clone()),
        last_whole: Some(run.clone()),
        last_planned: Some(run.clone()),
        last_success_at: is_good.then(|| at(1)),
        ..Facts::default()
    }
}

fn needs(facts: Facts) -> Vec<String> {
    Standing::of(facts, None, at(2)).needs.iter().map(ToString::to_string).collect()
}

#[test]
fn each_end_of_a_sync_needs_what_fits_it() {
    let none = Counts::default();
    for (status, counts, shown) in [
        (RunStatus::Succeeded, Counts { orphans: 3, ..none }, &[][..]),
        (RunStatus::Succeeded, Counts { still_rejected: 2, acknowledged: 2, ..none }, &[]),
        (RunStatus::Failed, none, &["run 7 failed"]),
        (RunStatus::Stopped, none, &["run 7 was stopped"]),
        (RunStatus::Interrupted, none, &["run 7 was interrupted"]),
        (RunStatus::Blocked, none, &["a guard blocked run 7"]),
        (RunStatus::Partial, Counts { rejected: 1, ..none }, &["1 value rejected"]),
        (
            RunStatus::Partial,
            Counts { rejected: 1, still_rejected: 5, acknowledged: 2, unknown: 3, invalid: 1, ..none },
            &["4 values rejected", "3 changes unknown", "1 row invalid"],
        ),
    ] {
        assert_eq!(needs(after(&run(7, status, counts))), shown, "{status}");
    }
}

#[test]
fn a_store_without_a_sync_never_ran() {
    let standing = Standing::of(Facts::default(), None, at(0));
    assert_eq!(standing.needs, [Attention::NeverRan]);
    assert_eq!(standing.state(), State::NeedsAttention);
}

#[test]
fn a_sync_of_a_part_does_not_make_up_for_a_whole_one() {
    let part = run(8, RunStatus::Succeeded, Counts::default());
    let whole = after(&run(7, RunStatus::Failed, Counts::default()));
    let facts = Facts { last_run: Some(part.clone()), last_ended: Some(part), ..whole };
    assert_eq!(needs(facts), ["run 7 failed"]);

    // And a part that failed is told although the whole one succeeded.
    let part = run(8, RunStatus::Failed, Counts::default());
    let whole = after(&run(7, RunStatus::Succeeded, Counts::default()));
    let facts = Facts { last_run: Some(part.clone()), last_ended: Some(part), ..whole };
    assert_eq!(needs(facts), ["run 8 failed"]);
}

#[test]
fn a_run_that_was_killed_is_told_before_the_next_run_closes_it() {
    let killed = PastRun { finished_at: None, ..run(8, RunStatus::Interrupted, Counts::default()) };
    let facts = Facts { last_run: Some(killed), ..after(&run(7, RunStatus::Succeeded, Counts::default())) };
    assert_eq!(needs(facts), ["run 8 was interrupted"]);
}

#[test]
fn what_was_requeued_or_acknowledged_needs_no_attention_before_the_next_sync() {
    let facts = after(&run(7, RunStatus::Partial, Counts { rejected: 3, ..Counts::default() }));
    assert_eq!(needs(Facts { requeued_later: 1, ..facts.clone() }), ["2 values rejected"]);
    assert_eq!(needs(Facts { requeued_later: 3, rejected_later: 1, ..facts.clone() }), ["1 value rejected"]);
    assert_eq!(needs(Facts { requeued_later: 9, ..facts }), [""; 0]);
}

#[test]
fn a_time_is_overdue_after_the_grace_unless_a_run_is_active() {
    let facts = after(&run(7, RunStatus::Succeeded, Counts::default()));
    let timing = |due| Some(Timing { due, grace: Duration::from_secs(3600), ..Timing::default() });
    let needs = |facts: &Facts, timing| Standing::of(facts.clone(), timing, at(10)).needs;
    assert_eq!(needs(&facts, timing(Some(at(8)))), [Attention::Overdue { since: at(8) }]);
    assert_eq!(needs(&facts, timing(Some(at(9)))), []);
    assert_eq!(needs(&facts, timing(Some(at(11)))), []);
    assert_eq!(needs(&facts, timing(None)), []);
    assert_eq!(needs(&facts, None), []);
    let active = Facts { last_run: Some(run(8, RunStatus::Planning, Counts::default())), ..facts };
    assert_eq!(needs(&active, timing(Some(at(8)))), []);
}

#[test]
fn a_change_needs_attention_when_it_is_not_confirmed_for_more_than_a_night() {
    let facts = after(&run(7, RunStatus::Succeeded, Counts::default()));
    let facts = Facts { oldest_unconfirmed_at: Some(at(0)), ..facts };
    let needs = |hours| Standing::of(facts.clone(), None, at(hours)).needs;
    assert_eq!(needs(26), []);
    assert_eq!(needs(27), [Attention::Unconfirmed { oldest: at(0) }]);
}

#[test]
fn an_older_copy_of_the_ledger_needs_attention_however_well_the_syncs_end() {
    let facts = after(&run(7, RunStatus::Succeeded, Counts::default()));
    let standing = Standing::of(Facts { is_older_copy: true, ..facts }, None, at(2));
    assert_eq!(standing.needs, [Attention::OlderLedger]);
    assert_eq!(standing.state(), State::NeedsAttention);
}

#[test]
fn the_worst_need_is_the_state() {
    let state = |status, counts| Standing::of(after(&run(7, status, counts)), None, at(2)).state();
    let rejected = Counts { rejected: 1, ..Counts::default() };
    assert_eq!(state(RunStatus::Succeeded, Counts::default()), State::Fine);
    assert_eq!(state(RunStatus::Partial, rejected), State::NeedsAttention);
    assert_eq!(state(RunStatus::Blocked, rejected), State::Blocked);
    assert_eq!(state(RunStatus::Failed, rejected), State::Failing);
}

#[test]
fn every_need_has_a_kind_and_says_what_to_do() {
    let needs = [
        Attention::NeverRan,
        Attention::Failing { run_id: 1, status: RunStatus::Failed },
        Attention::Blocked { run_id: 1 },
        Attention::OlderLedger,
        Attention::Overdue { since: at(0) },
        Attention::Missed(1),
        Attention::Rejected(1),
        Attention::Unknown { run_id: 1, count: 1 },
        Attention::Invalid { run_id: 1, count: 1 },
        Attention::Drift(1),
        Attention::Unconfirmed { oldest: at(0) },
    ];
    assert_eq!(needs.len(), Attention::KINDS.len());
    for need in needs {
        assert!(Attention::KINDS.contains(&need.kind()));
        assert!(!need.what_to_do().is_empty() && !need.to_string().is_empty());
    }
}
