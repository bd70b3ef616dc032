use std::collections::BTreeSet;

use proptest::prelude::*;

use super::bisection::{Bisection, Step};
use super::echo::{judge, judge_read_back};
use super::*;
use crate::record::{Action, Change, Key, PlannedChange, Verdict};

fn problem(status: u16, title: &str, errors: &[(&str, &str)]) -> Response {
    let errors = errors.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    answered(status, Body::Problem { title: title.to_owned(), errors })
}

fn answered(status: u16, body: Body) -> Response {
    Response::Received(HttpResponse { status, request_id: None, wait: None, body })
}

fn html(status: u16) -> Response {
    answered(status, Body::Unreadable("<html>".to_owned()))
}

#[test]
fn every_answer_has_its_meaning() {
    assert_eq!(meaning(&answered(200, Body::Echoes(vec![])), 1), Meaning::Accepted(&[]));
    assert_eq!(meaning(&html(413), 30), Meaning::TooLarge);
    assert_eq!(meaning(&problem(422, "Max batch size allowed is 10", &[]), 30), Meaning::TooLarge);
    for title in
        ["Too many items in the request, at most 10 are allowed", "array must have at most 10 elements"]
    {
        assert_eq!(meaning(&problem(400, title, &[]), 30), Meaning::TooLarge);
    }
    assert_eq!(meaning(&problem(422, "must be at most 255 characters", &[]), 30), Meaning::Refused(vec![]));
    for status in [400, 409, 422] {
        assert_eq!(meaning(&problem(status, "Invalid", &[]), 30), Meaning::Refused(vec![]));
        assert_eq!(meaning(&html(status), 30), Meaning::Refused(vec![]));
    }
    for status in [301, 302, 307, 401, 403, 404, 405, 406, 410, 415, 451, 501, 505, 507] {
        assert!(matches!(meaning(&html(status), 1), Meaning::Fatal(_)), "{status}");
    }
    assert_eq!(meaning(&html(429), 1), Meaning::Limited(None));
    for status in [200, 201, 204, 408, 423, 500, 502, 503, 504, 599] {
        assert_eq!(meaning(&html(status), 1), Meaning::Unknown, "{status}");
    }
    assert_eq!(meaning(&Response::Lost { reason: String::new() }, 1), Meaning::Unknown);
    assert_eq!(meaning(&Response::NotSent { reason: String::new() }, 1), Meaning::NotSent);
}

#[test]
fn a_store_cannot_ask_for_more_than_five_minutes() {
    let body = Body::Unreadable(String::new());
    let wait = Some(Duration::from_secs(86_400));
    let reply = Response::Received(HttpResponse { status: 429, request_id: None, wait, body });
    assert_eq!(meaning(&reply, 1), Meaning::Limited(Some(Duration::from_secs(300))));
}

#[test]
fn a_refusal_names_items_by_index_where_it_can() {
    let named = |errors: &[(&str, &str)]| match meaning(&problem(422, "No", errors), 10) {
        Meaning::Refused(named) => named,
        other => panic!("{other:?}"),
    };
    assert_eq!(named(&[("3.customer_id", "invalid"), ("0.value", "too long"), ("3.value", "")]), [0, 3]);
    assert_eq!(
        named(&[(".customer_create", "in use"), ("id", "error.path.missing"), ("10.id", "")]),
        [0_usize; 0]
    );
}

#[test]
fn words_are_whole_but_bounded() {
    let words = describe(&problem(422, "Update failed.", &[("0.id", "invalid"), ("1.id", "invalid")]));
    assert_eq!(words, "422 · Update failed. · 0.id: invalid; 1.id: invalid");
    assert_eq!(describe(&problem(504, "", &[])), "504");
    let repeats_a_value = problem(403, "Value secret not permitted", &[("0.value", "secret")]);
    assert_eq!(brief(&repeats_a_value), "403");
    assert_eq!(headline(&repeats_a_value), "403 Value secret not permitted");
    assert!(describe(&answered(502, Body::Unreadable("é".repeat(4_000)))).len() <= WORDS_MAX);
}

#[test]
fn sizes_are_learnt_downwards_and_only_from_requests_that_should_have_fitted() {
    assert_eq!(learn_size(30, None), Some(10));
    assert_eq!(learn_size(30, Some(10)), None);
    assert_eq!(learn_size(10, Some(10)), Some(5));
    assert_eq!(learn_size(7, None), Some(3));
    assert_eq!(learn_size(1, Some(1)), Some(1));
}

#[test]
fn pauses_double_up_to_the_longest_and_keep_at_least_half() {
    let pause = |n, random| backoff(n, Duration::from_millis(500), Duration::from_secs(20), random);
    assert_eq!(pause(1, 0.0), Duration::from_millis(250));
    assert_eq!(pause(3, 1.0), Duration::from_secs(2));
    assert_eq!(pause(40, 1.0), Duration::from_secs(20));
}

#[test]
fn the_breaker_trips_on_failures_in_a_row_and_on_nothing_but_rejections() {
    let mut breaker = Breaker::new(6, 3);
    (0..23).for_each(|_| breaker.failed());
    assert_eq!(breaker.tripped(), None);
    breaker.answered();
    (0..24).for_each(|_| breaker.failed());
    assert!(breaker.tripped().is_some());

    let mut breaker = Breaker::new(6, 3);
    breaker.decided(0, 20);
    assert!(breaker.tripped().is_some());
    breaker.decided(1, 500);
    assert_eq!(breaker.tripped(), None);
}

fn change(value: &str, previous: Option<&str>, observed: Option<&str>) -> PlannedChange {
    let change = Change {
        key: Key::new(1, 1),
        action: Action::Update,
        value: Some(value.to_owned()),
        previous_value: previous.map(str::to_owned),
        value_id: None,
        in_doubt_until: None,
    };
    PlannedChange { change, in_doubt_value: None, observed_value: observed.map(str::to_owned) }
}

/// A change for one customer.
fn change_for(customer_id: i64) -> PlannedChange {
    let mut planned = change("", None, None);
    planned.change.key.customer_id = customer_id;
    planned
}

fn echoes(values: &[&str]) -> Vec<Echo> {
    let echo = |value: &&str| Echo { key: Key::new(1, 1), value: (*value).to_owned(), value_id: Some(9) };
    let other = Echo { key: Key::new(2, 1), value: "other".to_owned(), value_id: None };
    values.iter().map(echo).chain([other]).collect()
}

fn stored(form: Option<&str>) -> Verdict {
    Verdict::Confirmed { value_id: Some(9), stored_value: form.map(str::to_owned) }
}

#[test]
fn an_echo_confirms_or_has_to_be_asked_about() {
    let judged = |previous, seen, values: &[&str]| judge(&change(" b", previous, seen), &echoes(values));
    assert_eq!(judged(None, None, &[" b"]), Some(stored(None)));
    assert_eq!(judged(Some(" b"), None, &[" b"]), Some(stored(None)), "what was sent is what is there");
    assert_eq!(judged(None, None, &["b"]), Some(stored(Some("b"))), "altered");
    assert_eq!(judged(Some("b"), None, &["b"]), None, "what was there before proves nothing");
    assert_eq!(judged(Some("b"), Some("b"), &["b"]), Some(stored(Some("b"))), "met again: kept so");
    let doubted = PlannedChange { in_doubt_value: Some("x".to_owned()), ..change("c", Some("a"), None) };
    assert_eq!(judge(&doubted, &echoes(&["x"])), None, "what was sent before may be what is there");
    assert_eq!(judge(&doubted, &echoes(&["y"])), None, "in whatever form");
    let met_again = PlannedChange { observed_value: Some("y".to_owned()), ..doubted };
    assert_eq!(judge(&met_again, &echoes(&["y"])), Some(stored(Some("y"))));
    assert_eq!(judged(None, None, &[]), None);
    assert_eq!(judged(None, None, &[" b", " b"]), Some(stored(None)));
    assert_eq!(judged(None, None, &[" b", "b"]), None);
}

#[test]
fn reading_back_confirms_only_what_was_sent() {
    let shown = |value, seen, values: &[&str]| judge_read_back(&change(value, None, seen), &echoes(values));
    assert_eq!(shown("b", None, &["b"]), stored(None));
    assert_eq!(shown("", None, &[]), Verdict::Confirmed { value_id: None, stored_value: None });
    assert_eq!(shown("b", Some("x"), &["x"]), stored(Some("x")));
    let seen = |verdict| match verdict {
        Verdict::Unknown { observed_value, .. } => observed_value,
        other => panic!("{other:?}"),
    };
    assert_eq!(seen(shown("b", None, &["x"])), Some("x".to_owned()));
    assert_eq!(seen(shown("b", None, &[])), None);
    assert_eq!(seen(shown("b", Some("x"), &["x", "b"])), None);
}

/// Lets a store that refuses every batch with a bad value sort `n` values. Returns the calls made after the first
/// refusal, and what was rejected.
fn isolate(
    n: i64,
    bad: &BTreeSet<i64>,
    most: usize,
    names: impl Fn(&[PlannedChange]) -> Vec<usize>,
) -> (usize, BTreeSet<i64>) {
    let all: Vec<_> = (0..n).map(change_for).collect();
    let mut isolation = Bisection::new(all.clone(), names(&all), "no".to_owned());
    let (mut calls, mut landed, mut rejected) = (0, BTreeSet::new(), BTreeSet::new());
    loop {
        match isolation.next(most) {
            Step::Send(batch) => {
                calls += 1;
                assert!(!batch.is_empty() && batch.len() <= most && calls < 1_000);
                if batch.iter().any(|c| bad.contains(&c.key().customer_id)) {
                    isolation.refused(names(&batch), "no".to_owned());
                } else {
                    landed.extend(batch.iter().map(|c| c.key().customer_id));
                    isolation.accepted();
                }
            }
            Step::Reject(change, _) => assert!(rejected.insert(change.key().customer_id)),
            Step::Done => break,
        }
    }
    assert_eq!(landed.len() + rejected.len(), n as usize);
    (calls, rejected)
}

#[test]
fn a_bad_value_that_is_named_costs_one_more_call() {
    let bad = BTreeSet::from([17]);
    let rightly =
        |batch: &[PlannedChange]| batch.iter().position(|c| c.key().customer_id == 17).into_iter().collect();
    assert_eq!(isolate(30, &bad, 99, rightly), (1, bad));
}

/// What a store names of a batch that it refuses, given the places of its bad values and its size.
type Naming = fn(&[usize], usize) -> Vec<usize>;

/// How a store may name the bad values of a batch.
const NAMINGS: [(&str, Naming); 7] = [
    ("nothing", |_, _| vec![]),
    ("the first bad one", |bad, _| bad[..1].to_vec()),
    ("every bad one", |bad, _| bad.to_vec()),
    ("the one after it", |bad, size| vec![(bad[0] + 1) % size]),
    ("the one before it", |bad, size| vec![(bad[0] + size - 1) % size]),
    ("always the first of the batch", |_, _| vec![0]),
    ("half of the batch without it", |bad, size| {
        (0..size).filter(|i| !bad.contains(i)).take(size / 2).collect()
    }),
];

/// The calls to sort `n` values of which these are bad, for a store that names so.
fn calls(n: i64, bad: &BTreeSet<i64>, naming: Naming) -> usize {
    let names = |batch: &[PlannedChange]| {
        let is_bad = |i: &usize| bad.contains(&batch[*i].key().customer_id);
        let at: Vec<_> = (0..batch.len()).filter(is_bad).collect();
        if at.is_empty() { vec![] } else { naming(&at, batch.len()) }
    };
    let (calls, rejected) = isolate(n, bad, usize::MAX, names);
    assert_eq!(rejected, *bad);
    calls
}

fn promised(n: i64) -> usize {
    (n as f64).log2().ceil() as usize + 2
}

#[test]
fn promise_6_one_bad_value_costs_no_more_than_promised_whatever_is_named() {
    for n in 1..=64 {
        for (name, naming) in NAMINGS {
            for bad in 0..n {
                let calls = calls(n, &BTreeSet::from([bad]), naming);
                assert!(calls <= promised(n), "{calls} calls for {bad} of {n}, named: {name}");
                if n > 1 && matches!(name, "the first bad one" | "every bad one") {
                    assert_eq!(calls, 1, "{bad} of {n}, named: {name}");
                }
            }
        }
    }
}

#[test]
fn promise_6_two_bad_values_cost_no_more_than_twice_one() {
    for n in (2..=32).chain([50, 64]) {
        for (name, naming) in NAMINGS {
            for first in 0..n {
                for second in first + 1..n {
                    let calls = calls(n, &BTreeSet::from([first, second]), naming);
                    assert!(
                        calls <= 2 * promised(n),
                        "{calls} calls for {first} and {second} of {n}, named: {name}"
                    );
                }
            }
        }
    }
}

#[test]
fn promise_6_a_half_that_lands_spares_calls() {
    // The last of 64: six halves land, and nothing is left to be sent.
    assert_eq!(calls(64, &BTreeSet::from([63]), NAMINGS[0].1), 6);
    // The first of 64: six halves are refused, and what they left behind lands in one call.
    assert_eq!(calls(64, &BTreeSet::from([0]), NAMINGS[0].1), 7);
}

proptest! {
    #[test]
    fn exactly_the_bad_values_are_rejected_whatever_the_store_names(
        n in 1_i64..40,
        bad in prop::collection::btree_set(0_i64..40, 1..8),
        most in 1_usize..40,
        wrong in prop::collection::vec(0_usize..40, 0..4),
    ) {
        let bad: BTreeSet<i64> = bad.into_iter().map(|b| b % n).collect();
        let names = |batch: &[PlannedChange]| {
            let mut named: Vec<_> = wrong.iter().map(|i| i % batch.len()).collect();
            named.sort_unstable();
            named.dedup();
            named
        };
        prop_assert_eq!(isolate(n, &bad, most, names).1, bad);
    }
}
