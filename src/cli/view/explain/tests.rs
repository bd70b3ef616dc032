use chrono::TimeDelta;

use super::*;
use crate::ledger::audit::RequestRow;
use crate::record::{InvalidRow, Key};

fn nothing() -> EntryHistory {
    EntryHistory {
        invalid: Vec::new(),
        invalid_total: 0,
        entries: Vec::new(),
        pins: Vec::new(),
        history: Vec::new(),
        history_total: 0,
        drift: Vec::new(),
        belief_edits: Vec::new(),
        belief_edits_total: 0,
        customer_deleted: false,
    }
}

fn names() -> BTreeMap<i64, String> {
    [(1, "tier".to_owned())].into()
}

fn edit(run_id: i64, attribute_id: Option<i64>, edit: &str) -> BeliefEditRow {
    BeliefEditRow {
        run_id,
        customer_id: None,
        attribute_id,
        edit: edit.to_owned(),
        count: 1,
        reason: format!("why {edit}"),
        at: DateTime::UNIX_EPOCH,
        value: None,
        value_id: None,
    }
}

fn known() -> EntryHistory {
    let at = DateTime::UNIX_EPOCH;
    let request = RequestRow {
        id: 33,
        run_id: 4,
        parent_id: None,
        method: "PUT".to_owned(),
        attempt: 1,
        customers: 1,
        items: 1,
        sent_at: at,
        answered_at: Some(at),
        http_status: Some(422),
        store_request_id: None,
        outcome: "refused".to_owned(),
        error: None,
    };
    EntryHistory {
        entries: vec![Entry {
            key: Key::new(12, 1),
            value: Some("gold !".to_owned()),
            stored_value: Some("silver".to_owned()),
            observed_value: None,
            value_id: Some(7),
            belief: Belief::Rejected,
            reason: Some("422 · value: invalid".to_owned()),
            acknowledged: false,
            run_id: 4,
            updated_at: at,
            in_doubt_until: Some(at + TimeDelta::minutes(2)),
        }],
        history: vec![PastChange {
            run_id: 4,
            run_status: "partial".to_owned(),
            run_started_at: at,
            customer_id: 12,
            attribute_id: 1,
            action: "update".to_owned(),
            value: Some("gold !".to_owned()),
            previous_value: Some("silver".to_owned()),
            outcome: "rejected".to_owned(),
            reason: Some("422 · value: invalid".to_owned()),
            decided_at: Some(at),
            request: Some(request),
        }],
        belief_edits: vec![
            edit(6, None, "invalidate"),
            edit(5, None, "requeue"),
            edit(4, None, "clear"),
            edit(3, Some(2), "clear"),
        ],
        ..nothing()
    }
}

#[test]
fn a_value_is_explained() {
    let desired = [DesiredRow {
        customer_id: Some(12),
        attribute_id: Some(1),
        value: Some("gold !".to_owned()),
        problem: None,
    }];
    assert_eq!(
        text(DateTime::UNIX_EPOCH, 12, Some(&desired), &known(), &names(), Paint::default()),
        "\
customer 12 · tier (1)
  desired   \"gold !\"
  believed  rejected \"gold !\", the store was last known to hold \"silver\" (run 4, 1970-01-01 00:00:00): 422 · value: invalid
  in doubt  an earlier request may still be applied until 1970-01-01 00:02:00
  run 6     invalidate 1970-01-01 00:00:00: why invalidate
  run 5     requeue 1970-01-01 00:00:00: why requeue
  run 4     update \"silver\" → \"gold !\": rejected 1970-01-01 00:00:00 by request 33 (422, refused): value: invalid
"
    );
}

#[test]
fn the_form_that_the_store_keeps_and_a_deleted_customer_are_named() {
    let mut entry = known().entries.remove(0);
    (entry.belief, entry.value) = (Belief::Confirmed, Some("gold ".to_owned()));
    entry.stored_value = Some("gold".to_owned());
    let mut known = nothing();
    assert!(belief(&entry, &known).starts_with("confirmed \"gold \", kept by the store as \"gold\" ("));
    entry.belief = Belief::Rejected;
    known.customer_deleted = true;
    let text = belief(&entry, &known);
    assert!(
        text.contains("the store does not have the customer") && !text.contains("known to hold"),
        "{text}"
    );
    entry.value = Some("x".repeat(300));
    known.customer_deleted = false;
    assert!(belief(&entry, &known).len() < 250, "a long value is cut");
}

#[test]
fn the_reason_of_a_later_edit_has_the_edits_run() {
    let (known, mut entry) = (known(), known().entries.remove(0));
    (entry.belief, entry.reason) = (Belief::Unconfirmed, Some("why requeue".to_owned()));
    let text = belief(&entry, &known);
    assert!(
        text.ends_with("(run 4, 1970-01-01 00:00:00); then run 5, 1970-01-01 00:00:00: why requeue"),
        "{text}"
    );
}

#[test]
fn a_requeue_concerns_only_a_rejected_value() {
    let mut known = known();
    known.history[0].outcome = "confirmed".to_owned();
    let lines = history(&known, Some(1)).join("\n");
    assert!(lines.contains("invalidate") && !lines.contains("requeue"), "{lines}");
}

#[test]
fn what_is_not_known_is_said() {
    let desired = [
        DesiredRow { customer_id: Some(12), attribute_id: Some(1), value: None, problem: None },
        DesiredRow {
            customer_id: Some(12),
            attribute_id: Some(2),
            value: Some("a".to_owned()),
            problem: None,
        },
        DesiredRow {
            customer_id: Some(12),
            attribute_id: Some(2),
            value: Some("b".to_owned()),
            problem: None,
        },
        DesiredRow {
            customer_id: Some(12),
            attribute_id: Some(3),
            value: None,
            problem: Some("its value is not text".to_owned()),
        },
    ];
    let shown = text(DateTime::UNIX_EPOCH, 12, Some(&desired), &nothing(), &names(), Paint::default());
    for words in [
        "NULL: no value is desired",
        "2 rows, so none of them is sent: \"a\", \"b\"",
        "its value is not text",
        "nothing was sent yet",
    ] {
        assert!(shown.contains(words), "{shown}");
    }
    let clock_set_back = DateTime::UNIX_EPOCH - TimeDelta::days(1);
    let shown = text(clock_set_back, 12, None, &known(), &names(), Paint::default());
    assert!(shown.contains("may still be applied until 1969-12-31 00:20:00"), "{shown}");
    let later = DateTime::UNIX_EPOCH + TimeDelta::minutes(2);
    let shown = text(later, 12, None, &known(), &names(), Paint::default());
    assert!(shown.contains("desired   not looked up") && !shown.contains("in doubt"), "{shown}");
}

#[test]
fn a_row_that_cannot_be_sent_is_shown_with_its_reason() {
    let row = |attribute_id, value: Option<&str>, reason: &str| PastInvalidRow {
        run_id: 4,
        run_started_at: DateTime::UNIX_EPOCH,
        row: InvalidRow {
            customer_id: Some(12),
            attribute_id,
            value: value.map(str::to_owned),
            reason: reason.to_owned(),
        },
    };
    let invalid = vec![row(None, Some("a"), "the row has no attribute id"), row(Some(9), None, "why\nnot")];
    assert_eq!(
        text(
            DateTime::UNIX_EPOCH,
            12,
            Some(&[]),
            &EntryHistory { invalid, ..nothing() },
            &names(),
            Paint::default()
        ),
        "\
customer 12 · attribute NULL
  desired   not in the source
  invalid   run 4, 1970-01-01 00:00:00, did not send \"a\": the row has no attribute id
  believed  nothing was sent yet

customer 12 · attribute 9
  desired   not in the source
  invalid   run 4, 1970-01-01 00:00:00, did not send the row: why\\nnot
  believed  nothing was sent yet
"
    );
}
