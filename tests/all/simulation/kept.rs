//! Stories that once broke a promise, shrunk.

use super::story::Story;
use super::world::tell;

fn holds(story: &str) {
    let story: Story = story.parse().expect("a story");
    assert_eq!(tell(&story).err(), None, "{story}");
}

/// A request times out, its retry is confirmed, and the table changes. The next run must not send the new value before
/// the older copy can have arrived, or that one stays in the store.
#[test]
fn a_copy_that_arrives_after_its_retry_was_confirmed_overtakes_nothing() {
    holds(
        r#"{"seed": 939, "store": {}, "push": {}, "steps": [
  {"row":[30,1,"2"]},
  {"sync":{"writes":{"0":"late"}}},
  {"row":[30,1,"1"]},
  {"sync":{}}
]}"#,
    );
}

/// The store passes over the bad value of a refused batch in silence. That it took the others of its part does not show
/// that the rest of the batch is bad.
#[test]
fn a_bad_value_that_was_passed_over_rejects_no_neighbour() {
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

/// Three runs: the first dies and leaves a late request behind, the second confirms the same value, the third sends
/// another one, which the late request overtakes. The second has to note that something may still arrive.
#[test]
fn a_late_copy_from_before_a_crash_overtakes_nothing_two_runs_later() {
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

/// The store passes over the bad value of a batch and says 200. The bad one is empty and its customer gone, so reading it
/// back shows no row, which confirms it; but that says nothing of the rest of its set.
#[test]
fn an_empty_value_that_was_passed_over_rejects_no_neighbour() {
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
  {"customer_gone":21},
  {"sync":{"writes":{"11":"skipped"}}}
]}"#,
    );
}

/// The bad value of a batch is passed over in two runs, and each time the store shows what it had before. That this
/// is taken for the form in which the store keeps it says nothing of the rest of its set.
#[test]
fn a_value_that_was_passed_over_twice_rejects_no_neighbour() {
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

/// A run uses up the quota, and the next one is told to wait at its first question. That is no failed attempt, of which
/// one is allowed here.
#[test]
fn a_quota_that_is_used_up_ends_no_run() {
    holds(
        r#"{"seed": 1202, "store": {"quota":5,"blame":"wrongly"}, "push": {"max_attempts":1}, "steps": [
  {"sync":{"during":[[1748,{"row":[17,2,"1"]}],[2258,{"row":[3,1,"!reject1"]}]]}}
]}"#,
    );
}

/// A bad value is passed over, and the store shows what it had before. Another value takes its place and is passed over
/// too: that the store shows the same again is no second meeting, since it is of another value.
#[test]
fn what_was_seen_of_another_value_proves_nothing() {
    holds(
        r#"{"seed": 23463, "store": {"most_per_call":5,"blame":"wrongly"}, "push": {}, "steps": [
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

/// The store keeps a number in its own form, and then the table wants just that: the store passes it over, and has it.
#[test]
fn the_stores_form_of_the_value_before_may_be_what_is_wanted() {
    holds(
        r#"{"seed": 17583, "store": {"most_per_call":2,"shortens_numbers":true}, "push": {}, "steps": [
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

/// A value is kept trimmed and its answer is lost; the next, in a run whose ledger fails, and then passed over: the echo shows the
/// older one in a form that nobody has heard of.
#[test]
fn the_form_of_an_older_value_that_went_unanswered_is_not_taken_for_the_new_ones() {
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

/// A ledger that is not trusted, a value begun by a run that loses its store: the next run no longer knows what was there, and must
/// not take it for the store's form of the new value.
#[test]
fn after_a_run_that_was_robbed_what_was_there_before_is_not_taken_for_the_new_value() {
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
