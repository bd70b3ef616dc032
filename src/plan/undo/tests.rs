use chrono::TimeDelta;

use super::*;
use crate::record::{RunKind, RunStatus, RunToUndo};

const RUN: i64 = 7;

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).expect("a valid time")
}

fn text(text: Option<&str>) -> Option<String> {
    text.map(str::to_owned)
}

/// What run 7 has sent: `value`, over `previous`.
fn sent(action: Action, previous: Option<&str>, value: Option<&str>, entry: Option<EntryNow>) -> SentChange {
    let change = Change {
        key: Key::new(5, 1),
        action,
        value: text(value),
        previous_value: text(previous),
        previous_in_doubt: false,
        source_value: None,
        value_id: None,
        in_doubt_until: None,
    };
    SentChange { change, was_sent: true, entry }
}

fn entry(run_id: i64, belief: Belief, value: Option<&str>) -> Option<EntryNow> {
    Some(EntryNow {
        belief,
        value: text(value),
        stored_value: None,
        value_id: Some(3),
        in_doubt_until: None,
        run_id,
        previous_value: None,
        stored_form: None,
    })
}

fn check(sent: &SentChange, expect: &Finding) {
    assert_eq!(finding(RUN, sent), *expect, "{sent:?}");
}

#[test]
fn each_action_has_its_finding() {
    use Action::{Create, Delete, Update};
    let stored = |value| entry(RUN, Belief::Confirmed, Some(value));
    check(
        &sent(Update, Some("silver"), Some("gold"), stored("gold")),
        &Finding::Restore(text(Some("silver"))),
    );
    check(&sent(Create, None, Some("gold"), stored("gold")), &Finding::Restore(None));
    let deleted = entry(RUN, Belief::Absent, None);
    check(&sent(Delete, Some("silver"), None, deleted), &Finding::Restore(text(Some("silver"))));
    check(&sent(Update, Some("gold"), Some("gold"), stored("gold")), &Finding::Done);
    check(&sent(Update, Some("silver"), Some("gold"), None), &Finding::Conflict(Reason::Forgotten));
    let needless = sent(Delete, Some("silver"), None, entry(RUN, Belief::Absent, None));
    check(&SentChange { was_sent: false, ..needless }, &Finding::Done);
}

#[test]
fn what_may_have_been_applied_is_undone_too() {
    for value in ["gold", "silver"] {
        let lost = entry(RUN, Belief::Unconfirmed, Some(value));
        let update = sent(Action::Update, Some("silver"), Some("gold"), lost);
        check(&update, &Finding::Restore(text(Some("silver"))));
    }
}

#[test]
fn a_value_that_was_not_known_before_is_left_alone() {
    let stored = || entry(RUN, Belief::Confirmed, Some("gold"));
    let unknown = Finding::Conflict(Reason::PreviousUnknown);
    check(&sent(Action::Update, None, Some("gold"), stored()), &unknown);
    let mut in_doubt = sent(Action::Update, Some("silver"), Some("gold"), stored());
    in_doubt.change.previous_in_doubt = true;
    check(&in_doubt, &unknown);
    let mut created = sent(Action::Create, None, Some("gold"), stored());
    created.change.previous_in_doubt = true;
    check(&created, &unknown);
}

#[test]
fn what_a_later_run_has_changed_is_left_alone() {
    let update = |entry| sent(Action::Update, Some("silver"), Some("gold"), entry);
    let later = Finding::Conflict(Reason::ChangedSince(9));
    check(&update(entry(9, Belief::Confirmed, Some("bronze"))), &later);
    check(&update(entry(9, Belief::Unconfirmed, Some("bronze"))), &later);
    check(&update(entry(9, Belief::Rejected, Some("bronze"))), &later);
    check(&update(entry(9, Belief::Absent, None)), &later);
    check(&update(entry(9, Belief::Rejected, Some("silver"))), &Finding::Conflict(Reason::Rejected));
    check(&update(entry(9, Belief::Confirmed, Some("silver"))), &Finding::Done);
    let after = |previous: Option<&str>| {
        entry(9, Belief::Confirmed, Some("gold"))
            .map(|entry| EntryNow { previous_value: text(previous), ..entry })
    };
    check(&update(after(Some("bronze"))), &later);
    // The same value was sent again.
    for previous in [None, Some("gold"), Some("silver")] {
        check(&update(after(previous)), &Finding::Restore(text(Some("silver"))));
    }
}

#[test]
fn promise_14_what_others_have_changed_in_the_store_is_left_alone() {
    let disturbed = |entry: Option<EntryNow>, before, shown: &[&str]| {
        let update = sent(Action::Update, before, Some("gold"), None);
        disturbed(&update.change, &entry.expect("an entry"), before, shown)
    };
    let stored = || entry(RUN, Belief::Confirmed, Some("gold"));
    let silver = Some("silver");
    assert_eq!(disturbed(stored(), silver, &["gold"]), None);
    assert_eq!(disturbed(stored(), silver, &["Gold "]), None, "another form");
    assert_eq!(disturbed(stored(), silver, &["silver"]), None, "it is back already");
    assert_eq!(disturbed(stored(), silver, &["iron"]), Some(Reason::Foreign("iron".to_owned())));
    assert_eq!(disturbed(stored(), silver, &["gold", "iron"]), Some(Reason::Foreign("iron".to_owned())));
    assert_eq!(disturbed(stored(), silver, &[]), Some(Reason::Removed));
    assert_eq!(disturbed(stored(), None, &[]), None, "it is to be deleted");
    assert_eq!(disturbed(stored(), None, &["iron"]), Some(Reason::Foreign("iron".to_owned())));
    assert_eq!(disturbed(entry(RUN, Belief::Absent, None), silver, &[]), None);
    let foreign = Some(Reason::Foreign("iron".to_owned()));
    assert_eq!(disturbed(entry(RUN, Belief::Absent, None), silver, &["iron"]), foreign);
    assert_eq!(disturbed(entry(RUN, Belief::Confirmed, Some("")), silver, &[]), None, "an empty value");
    let lost = entry(RUN, Belief::Unconfirmed, Some("gold"))
        .map(|entry| EntryNow { stored_value: text(silver), ..entry });
    assert_eq!(disturbed(lost.clone(), silver, &["silver"]), None);
    assert_eq!(disturbed(lost.clone(), silver, &[]), Some(Reason::Removed));
    let undoing = entry(9, Belief::Unconfirmed, silver)
        .map(|entry| EntryNow { previous_value: text(Some("GOLD!")), ..entry });
    for shown in ["gold", "GOLD!", "silver"] {
        assert_eq!(disturbed(undoing.clone(), silver, &[shown]), None, "an interrupted undo: {shown}");
    }
    assert_eq!(disturbed(undoing, silver, &["iron"]), Some(Reason::Foreign("iron".to_owned())));
    // A reading has shown the value of others.
    let drifted = lost.map(|entry| EntryNow { stored_value: text(Some("iron")), ..entry });
    assert_eq!(disturbed(drifted, silver, &["iron"]), Some(Reason::Foreign("iron".to_owned())));
    let altered = stored().map(|entry| EntryNow {
        stored_value: text(Some("GOLD!")),
        stored_form: text(Some("GOLD!")),
        ..entry
    });
    assert_eq!(disturbed(altered.clone(), silver, &["GOLD!"]), None, "the store's form of it");
    let update = |entry| sent(Action::Update, silver, Some("gold"), entry);
    check(&update(altered.clone()), &Finding::Restore(text(silver)));
    let accepted = altered.map(|entry| EntryNow { stored_value: text(Some("iron")), ..entry });
    check(&update(accepted), &Finding::Conflict(Reason::Foreign("iron".to_owned())));
}

#[test]
fn the_change_is_made_as_any_plan_makes_it() {
    let restored = |entry: Option<EntryNow>, before| {
        let entry = entry.expect("an entry");
        restoring(Key::new(5, 1), &entry, text(before), text(Some("gold")), now())
    };
    let update = restored(entry(RUN, Belief::Confirmed, Some("gold")), Some("silver"));
    assert_eq!((update.action, update.previous_value.as_deref()), (Action::Update, Some("gold")));
    assert_eq!((update.value.as_deref(), update.source_value.as_deref()), (Some("silver"), Some("gold")));
    let delete = restored(entry(RUN, Belief::Confirmed, Some("gold")), None);
    assert_eq!((delete.action, delete.value_id), (Action::Delete, Some(3)));
    let absent = entry(RUN, Belief::Absent, None).map(|entry| EntryNow { value_id: None, ..entry });
    assert_eq!(restored(absent, Some("silver")).action, Action::Create);
    let in_doubt = |seconds| {
        let until = Some(now() + TimeDelta::seconds(seconds));
        let lost = entry(RUN, Belief::Unconfirmed, Some("gold"));
        restored(lost.map(|entry| EntryNow { in_doubt_until: until, ..entry }), Some("silver"))
    };
    assert_eq!(in_doubt(100).in_doubt_until, Some(now() + TimeDelta::seconds(100)));
    assert_eq!(in_doubt(-1).in_doubt_until, None);
    assert_eq!(in_doubt(100_000).in_doubt_until, Some(now() + IN_DOUBT_MAX));
    assert!(in_doubt(1).previous_in_doubt);
}

#[test]
fn only_a_run_of_this_store_that_has_sent_something_can_be_undone() {
    let ended = RunToUndo {
        run_id: RUN,
        is_of_store: true,
        kind: RunKind::Sync,
        status: RunStatus::Succeeded,
        has_ended: true,
        sent: 3,
    };
    let problem = |run: Option<RunToUndo>, has_lock| {
        undoable(RUN, run, has_lock).map_err(|refusal| refusal.problem).err().unwrap_or_default()
    };
    let open = RunToUndo { has_ended: false, ..ended.clone() };
    assert_eq!(problem(Some(ended.clone()), false), "");
    assert_eq!(problem(Some(open.clone()), true), "", "no other run has the lock, so it was interrupted");
    for (run, words) in [
        (None, "there is no run 7"),
        (Some(open), "run 7 has not ended yet"),
        (Some(RunToUndo { is_of_store: false, ..ended.clone() }), "of another store"),
        (
            Some(RunToUndo { sent: 0, kind: RunKind::Plan, status: RunStatus::Saved, ..ended }),
            "nothing to undo: it is of kind plan and saved",
        ),
    ] {
        let found = problem(run, false);
        assert!(found.contains(words), "{found}");
    }
}
