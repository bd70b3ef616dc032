use chrono::{DateTime, TimeDelta, Utc};

use super::fold::{Believed, Fold, PastChange, SentIn};
use crate::record::{Action, Belief, Key, Outcome, RequestOutcome};

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
}

/// A change of run `run_id` that was sent.
fn sent(run_id: i64, value: &str, outcome: Outcome) -> PastChange {
    let is_sending = outcome == Outcome::Sending;
    PastChange {
        run_id,
        sealed: true,
        action: Action::Create,
        outcome,
        value: Some(value.to_owned()),
        previous_value: None,
        previous_in_doubt: false,
        source_value: None,
        observed_value: None,
        value_id: None,
        reason: matches!(outcome, Outcome::Rejected | Outcome::Unknown).then(|| "why".to_owned()),
        request_id: Some(run_id),
        request: Some(SentIn { run_id, outcome: RequestOutcome::Accepted, sent_at: at(run_id) }),
        decided_at: (!is_sending).then(|| at(run_id + 1)),
        in_doubt_until: None,
        row_digest: 0,
    }
}

fn entry(run_id: i64, value: &str, belief: Belief) -> Believed {
    Believed {
        run_id,
        belief,
        value: Some(value.to_owned()),
        stored_value: None,
        observed_value: None,
        value_id: None,
        acknowledged: false,
        reason: None,
        updated_at: at(run_id + 1),
        in_doubt_until: None,
    }
}

fn flaws(changes: &[PastChange], entry: Option<Believed>) -> Vec<String> {
    let mut fold = Fold::new(Key::new(1, 2));
    for change in changes {
        let row_digest = change.expected_digest(Key::new(1, 2));
        fold.change(&PastChange { row_digest, ..change.clone() });
    }
    fold.end(entry)
}

#[test]
fn a_rejection_without_a_request_keeps_the_in_doubt_time() {
    let lost = sent(1, "a", Outcome::Sending);
    let rejected = PastChange {
        outcome: Outcome::Rejected,
        decided_at: Some(at(500)),
        request_id: None,
        request: None,
        reason: Some("customer 1 is deleted".to_owned()),
        previous_in_doubt: true,
        ..sent(5, "b", Outcome::Rejected)
    };
    let believed = Believed {
        reason: Some("customer 1 is deleted".to_owned()),
        updated_at: at(500),
        in_doubt_until: Some(at(61)),
        ..entry(5, "b", Belief::Rejected)
    };
    assert_eq!(flaws(&[lost.clone(), rejected.clone()], Some(believed.clone())), [""; 0]);
    let forged = Believed { in_doubt_until: Some(at(0)), ..believed };
    assert_eq!(flaws(&[lost, rejected], Some(forged)).len(), 1);
}

#[test]
fn a_lost_response_leaves_what_the_store_held() {
    let confirmed = sent(1, "a", Outcome::Confirmed);
    let lost = PastChange {
        action: Action::Update,
        previous_value: Some("a".to_owned()),
        ..sent(5, "b", Outcome::Sending)
    };
    let unconfirmed = Believed {
        stored_value: Some("a".to_owned()),
        updated_at: at(5),
        in_doubt_until: Some(at(65)),
        ..entry(5, "b", Belief::Unconfirmed)
    };
    let changes = [confirmed, lost];
    assert_eq!(flaws(&changes, Some(unconfirmed.clone())), [""; 0]);
    let never = Believed { in_doubt_until: None, ..unconfirmed.clone() };
    assert_eq!(
        flaws(&changes, Some(never)),
        [
            "customer 1 · attribute 2: the entry's in_doubt_until is NULL, expected a time before 1970-01-01T00:20:05+00:00"
        ]
    );
    let forged = Believed { stored_value: None, belief: Belief::Confirmed, ..unconfirmed };
    assert_eq!(
        flaws(&changes, Some(forged)),
        [
            "customer 1 · attribute 2: the entry's stored_value is NULL, expected \"a\"",
            "customer 1 · attribute 2: the entry's belief is confirmed, expected unconfirmed",
        ]
    );
}

#[test]
fn a_change_must_follow_from_the_entry_before_it() {
    let changes = [sent(1, "a", Outcome::Confirmed), sent(5, "b", Outcome::Confirmed)];
    assert_eq!(
        flaws(&changes, Some(entry(5, "b", Belief::Confirmed))),
        [
            "customer 1 · attribute 2: the change of run 5: its previous_value is NULL, expected \"a\"",
            "customer 1 · attribute 2: the change of run 5: its action is create, expected update",
        ]
    );
}

#[test]
fn an_entry_and_its_change_need_each_other() {
    assert_eq!(
        flaws(&[], Some(entry(1, "a", Belief::Confirmed))),
        [
            "customer 1 · attribute 2: the entry is confirmed and refers to run 1, which has no change of it that was sent or rejected"
        ]
    );
    assert_eq!(
        flaws(&[sent(1, "a", Outcome::Confirmed)], None),
        ["customer 1 · attribute 2: sent or rejected in run 1, but there is no entry"]
    );
}
