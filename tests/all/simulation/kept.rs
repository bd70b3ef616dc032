//! Stories that once broke a promise, shortened.

use super::story::Story;
use super::world::play;

fn holds(story: &str) {
    let story: Story = story.parse().expect("a story");
    assert_eq!(play(&story).err(), None, "{story}");
}

/// A request times out, its retry is confirmed, and the table changes. The next run must not send the new value inside
/// the in-doubt window of the first request; otherwise the old value could be applied last and stay in the store.
#[test]
fn a_request_applied_after_its_retry_was_confirmed_overwrites_nothing() {
    holds(
        r#"{"seed": 939, "store": {}, "push": {}, "steps": [
  {"row":[30,1,"2"]},
  {"sync":{"writes":{"0":"late"}}},
  {"row":[30,1,"1"]},
  {"sync":{}}
]}"#,
    );
}

/// The store ignores the bad value of a refused batch and accepts the request. That it accepted this part of the batch
/// does not show that the rest of the batch is bad.
#[test]
fn an_ignored_bad_value_rejects_no_neighbour() {
    holds(
        r#"{"seed": 5, "store": {"blame":"wrongly"}, "push": {}, "steps": [
  {"row":[2,2,"1"]},
  {"row":[11,1," 0.0 "]},
  {"row":[28,3,"!reject2"]},
  {"row":[2,1,"!reject2"]},
  {"row":[12,3,"2"]},
  {"row":[15,1,"3"]},
  {"row":[19,1,"3"]},
  {"sync":{"writes":{"5":"skipped"}}}
]}"#,
    );
}

/// The first of three runs is killed while a request is in doubt. The second run confirms the same value. The third
/// sends another value, and the first request may be applied after it. So the second run must keep the in-doubt window.
#[test]
fn a_request_in_doubt_before_a_crash_overwrites_nothing_two_runs_later() {
    holds(
        r#"{"seed": 6748, "store": {}, "push": {}, "steps": [
  {"row":[7,1,"!reject1"]},
  {"row":[22,1,"3"]},
  {"sync":{"killed_ms":18811,"writes":{"1":"late"}}},
  {"sync":{}},
  {"row":[22,1," 0.0 "]},
  {"sync":{}}
]}"#,
    );
}

/// The store ignores the bad value of a batch and returns 200. The bad value is empty and its customer was deleted, so
/// a read-back shows no row, which confirms the value. This says nothing about the other values of its batch.
#[test]
fn an_ignored_empty_value_rejects_no_neighbour() {
    holds(
        r#"{"seed": 11404, "store": {"blame":"wrongly","names_all":true}, "push": {}, "steps": [
  {"row":[30,2,"4"]},
  {"row":[25,3,"2"]},
  {"row":[29,1,"1"]},
  {"row":[19,1,"!reject1"]},
  {"row":[1,2,"2"]},
  {"row":[21,1,""]},
  {"row":[7,1,"4"]},
  {"row":[3,2," 1.0 "]},
  {"row":[30,3,""]},
  {"customer_deleted":21},
  {"sync":{"writes":{"11":"skipped"}}}
]}"#,
    );
}

/// The store ignores the bad value of a batch in two runs, and each time shows the value that it had before. The value
/// is then confirmed as altered. This says nothing about the other values of its batch.
/// The store ignores the bad value of a batch and shows a value that it holds from others. That is no form of the bad
/// value, and says nothing about the other values of its batch.
#[test]
fn a_value_of_others_in_the_place_of_a_bad_one_rejects_no_neighbour() {
    holds(
        r#"{"seed": 8519, "store": {"blame":"wrongly"}, "push": {}, "steps": [
  {"store_value":[24,1,"1"]},
  {"row":[5,3,"3"]},
  {"row":[22,1," 6.0 "]},
  {"row":[24,1,"!reject0"]},
  {"sync":{"writes":{"2":"ignored"}}}
]}"#,
    );
}

#[test]
fn a_value_ignored_twice_rejects_no_neighbour() {
    holds(
        r#"{"seed": 5488, "store": {"blame":"wrongly","names_all":true}, "push": {}, "steps": [
  {"row":[11,1," 3.0 "]},
  {"row":[26,3,"3"]},
  {"row":[29,1,"2"]},
  {"sync":{"during":[[102,{"row":[3,2,"!reject1"]}]]}},
  {"row":[2,2,"2"]},
  {"row":[21,2,"2"]},
  {"row":[11,1,"!reject0"]},
  {"row":[13,1,"0"]},
  {"sync":{"writes":{"6":"ignored"}}},
  {"sync":{"full":true,"writes":{"5":"ignored"}}}
]}"#,
    );
}

/// A run uses up the quota, and the first request of the next run is limited. A limited request is no failed attempt;
/// one attempt is allowed here.
#[test]
fn a_used_up_quota_ends_no_run() {
    holds(
        r#"{"seed": 1202, "store": {"quota":5,"blame":"wrongly"}, "push": {"max_attempts":1}, "steps": [
  {"sync":{"during":[[1748,{"row":[17,2,"1"]}],[2258,{"row":[3,1,"!reject1"]}]]}}
]}"#,
    );
}

/// The store ignores a bad value and shows the value that it had before. Then another desired value is ignored too. The
/// store shows the same value again, but this is the first observation for the new desired value.
#[test]
fn the_observed_value_of_another_desired_value_proves_nothing() {
    holds(
        r#"{"seed": 23463, "store": {"max_per_request":5,"blame":"wrongly"}, "push": {}, "steps": [
  {"row":[13,3,"1"]},
  {"row":[30,1,"1"]},
  {"row":[7,2,""]},
  {"row":[9,3,"!reject2"]},
  {"row":[13,2,"1"]},
  {"sync":{"writes":{"5":"cut"}}},
  {"row":[8,2,"3"]},
  {"row":[23,2,"!reject0"]},
  {"row":[12,1,"2"]},
  {"row":[13,3,"!reject0"]},
  {"row":[5,1," 1.0 "]},
  {"row":[27,3,"3"]},
  {"row":[9,1,"2"]},
  {"row":[10,3,"2"]},
  {"sync":{"writes":{"7":"skipped"}}},
  {"row":[5,3,"2"]},
  {"row":[4,1,"1"]},
  {"row":[13,3,"4"]},
  {"row":[5,1,"2"]},
  {"row":[12,1,"4"]},
  {"sync":{"writes":{"2":"skipped"}}}
]}"#,
    );
}

/// The store keeps a number in its own form. Then this form is the desired value: the store ignores it, but holds it
/// already.
#[test]
fn the_stored_form_of_the_previous_value_may_be_the_desired_value() {
    holds(
        r#"{"seed": 17583, "store": {"max_per_request":2,"shortens_numbers":true}, "push": {}, "steps": [
  {"row":[10,1,"0"]},
  {"row":[4,1,"4"]},
  {"row":[19,2," 1.0 "]},
  {"sync":{}},
  {"row":[11,3,"4"]},
  {"row":[8,2,"2"]},
  {"row":[19,2,"1"]},
  {"row":[3,2,"2"]},
  {"row":[6,3,"0"]},
  {"sync":{"writes":{"4":"skipped"}}}
]}"#,
    );
}

/// The store keeps a value trimmed, and its response is lost. Then the desired value changes, a run's ledger fails, and
/// a later run sends the new value, which the store ignores. The echo shows the older value in a form that no response
/// has shown before.
#[test]
fn the_stored_form_of_an_older_value_without_a_response_does_not_confirm_the_new_one() {
    holds(
        r#"{"seed": 63818, "store": {"trims":true}, "push": {"values_per_request":1}, "steps": [
  {"row":[3,1,"4"]},
  {"row":[19,2,"1"]},
  {"row":[29,3," 0.0 "]},
  {"row":[2,2,"0"]},
  {"row":[18,3,"4"]},
  {"row":[15,1,"2"]},
  {"row":[15,3,"0"]},
  {"row":[8,2," 4.0 "]},
  {"row":[30,1," 7.0 "]},
  {"row":[10,2,"3"]},
  {"row":[17,1,"1"]},
  {"row":[11,1,"1"]},
  {"sync":{"writes":{"2":"misaddressed","5":"429-bare","6":"429-bare","11":"misaddressed","13":"ignored"}}},
  {"row":[13,2,"2"]},
  {"row":[1,2,"3"]},
  {"row":[17,1,"4"]},
  {"row":[17,3,"1"]},
  {"row":[9,2,""]},
  {"row":[19,3," 4.0 "]},
  {"row":[11,3,"1"]},
  {"row":[22,1,"2"]},
  {"row":[2,1,"4"]},
  {"row":[10,3,""]},
  {"row":[16,2,"3"]},
  {"row":[14,1,"3"]},
  {"row":[10,2,"!reject0"]},
  {"row":[8,2,"0"]},
  {"row":[30,3,"0"]},
  {"sync":{"ledger_fails_from":39,"writes":{"15":"429-bare"}}},
  {"pause":171},
  {"sync":{"writes":{"0":"ignored"}}}
]}"#,
    );
}

/// A full sync records the intent for a value and then loses its lock. The next run does not know the value that the
/// store held before, and must not take it for the store's form of the new value.
#[test]
fn after_a_lost_lock_the_previous_value_does_not_confirm_the_new_one() {
    holds(
        r#"{"seed": 94718, "store": {"latency_ms":308,"jitter":0.4}, "push": {}, "steps": [
  {"sync":{}},
  {"row":[19,1,"3"]},
  {"row":[20,1,"4"]},
  {"row":[11,2,"1"]},
  {"sync":{}},
  {"pause":124},
  {"row":[19,1,"!poison"]},
  {"sync":{"full":true,"during":[[7724,{"sync":{"seizes":true,"writes":{"10":"cut","11":"429","15":"ignored"}}}]]}}
]}"#,
    );
}

/// Others replace a value, a reading sees theirs, and then the row leaves. What the reading saw is not ours to delete.
#[test]
fn a_value_of_others_that_a_reading_saw_is_not_deleted() {
    holds(
        r#"{"seed": 1, "store": {}, "push": {"deletes":true}, "steps": [
  {"row":[2,1,"1"]},
  {"sync":{}},
  {"store_value":[2,1,null]},
  {"store_value":[2,1,"7"]},
  {"reconcile":{}},
  {"row":[2,1,null]},
  {"sync":{}}
]}"#,
    );
}

/// A request is accepted and its value skipped, and a read shows a value of others. Then the row leaves. A value that was
/// observed once is not ours to delete.
#[test]
fn a_value_of_others_that_was_observed_once_is_not_deleted() {
    holds(
        r#"{"seed": 1, "store": {}, "push": {"deletes":true}, "steps": [
  {"store_value":[2,1,"7"]},
  {"row":[2,1,"1"]},
  {"sync":{"writes":{"0":"skipped","1":"skipped"}}},
  {"row":[2,1,null]},
  {"sync":{}}
]}"#,
    );
}

/// Others edit a value, a reading sees it, and others replace it by the same text. The new one has another id, so it is not
/// ours to delete.
#[test]
fn a_value_of_others_with_the_text_that_a_reading_saw_is_not_deleted() {
    holds(
        r#"{"seed": 5484, "store": {}, "push": {"deletes":true}, "steps": [
  {"row":[6,1,"4"]},
  {"sync":{}},
  {"store_value":[6,1,"2"]},
  {"reconcile":{}},
  {"store_value":[6,1,null]},
  {"store_value":[6,1,"2"]},
  {"null":[6,1]}
]}"#,
    );
}

/// The store ignores the first value of a key and shows that of others in its response, as if it kept the value in another
/// form. Its word makes it ours, so that it is deleted with the row.
#[test]
fn what_a_response_shows_for_a_value_counts_as_its_form() {
    holds(
        r#"{"seed": 3477, "store": {}, "push": {"deletes":true}, "steps": [
  {"sync":{"during":[[2462,{"store_value":[17,2,"3"]}]]}},
  {"row":[17,2,"4"]},
  {"row":[3,2,"1"]},
  {"customer_deleted":3},
  {"sync":{"writes":{"1":"ignored"}}},
  {"row":[17,2,null]}
]}"#,
    );
}
