use std::collections::BTreeSet;

use proptest::prelude::*;

use super::bisection::{Bisection, Step};
use super::echo::{read_back_verdict, verdict};
use super::*;
use crate::destination::HttpResponse;
use crate::record::{Action, Change, Key, PlannedChange, Verdict};

fn problem(status: u16, title: &str, errors: &[(&str, &str)]) -> Response {
    let errors = errors.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    received(status, Body::Problem { title: title.to_owned(), errors })
}

fn received(status: u16, body: Body) -> Response {
    Response::Received(HttpResponse { status, request_id: None, wait: None, body })
}

fn html(status: u16) -> Response {
    received(status, Body::Unreadable("<html>".to_owned()))
}

#[test]
fn every_response_has_its_meaning() {
    for status in [200, 201, 207] {
        assert_eq!(meaning(&received(status, Body::Echoes(vec![])), 1), Meaning::Accepted(&[]));
    }
    for status in [200, 202, 204] {
        assert_eq!(meaning(&html(status), 1), Meaning::Unreadable, "{status}");
    }
    assert_eq!(meaning(&html(413), 30), Meaning::TooLarge { by_the_store: false });
    assert_eq!(meaning(&problem(413, "Too large", &[]), 30), Meaning::TooLarge { by_the_store: true });
    assert_eq!(meaning(&problem(414, "Too long", &[]), 30), Meaning::TooLarge { by_the_store: true });
    for title in [
        "Max batch size allowed is 10",
        "Too many items in the request, at most 10 are allowed",
        "array must have at most 10 elements",
        "The request exceeds the limit of 10 records",
        "You may only update 10 attribute values at a time",
        "Batch limit exceeded",
    ] {
        for status in [400, 422] {
            assert_eq!(meaning(&problem(status, title, &[]), 30), Meaning::TooLarge { by_the_store: true });
        }
    }
    let in_errors = [("body", "error.array.max: must contain at most 10 items")];
    assert_eq!(
        meaning(&problem(422, "Invalid", &in_errors), 30),
        Meaning::TooLarge { by_the_store: true },
        "the words may stand in the errors"
    );
    assert_eq!(meaning(&problem(422, "must be at most 255 characters", &[]), 30), Meaning::Refused(vec![]));
    let of_an_item = [("3.value", "must have at most 10 items")];
    assert_eq!(meaning(&problem(422, "Invalid", &of_an_item), 30), Meaning::Refused(vec![3]));
    for status in [400, 422] {
        assert_eq!(meaning(&problem(status, "Invalid", &[]), 30), Meaning::Refused(vec![]));
        assert_eq!(meaning(&html(status), 30), Meaning::InDoubt, "no body of this API: {status}");
    }
    for status in [301, 302, 307, 403, 404, 405, 406, 415, 501, 505] {
        assert_eq!(meaning(&html(status), 1), Meaning::Filtered(status));
    }
    assert_eq!(meaning(&received(302, Body::Redirect { to: String::new() }), 1), Meaning::Filtered(302));
    for status in [401, 507] {
        assert!(matches!(meaning(&html(status), 1), Meaning::Fatal(_)), "{status}");
    }
    for status in [401, 403, 404, 405, 406, 410, 415, 451, 501, 505] {
        assert!(matches!(meaning(&problem(status, "No", &[]), 1), Meaning::Fatal(_)), "{status}");
    }
    assert_eq!(meaning(&html(429), 1), Meaning::Limited(None));
    for status in [408, 409, 410, 423, 444, 451, 499, 500, 502, 503, 504, 599] {
        assert_eq!(meaning(&html(status), 1), Meaning::InDoubt, "{status}");
    }
    for status in [408, 409, 423] {
        assert_eq!(meaning(&problem(status, "Wait", &[]), 1), Meaning::InDoubt, "{status}");
    }
    assert_eq!(meaning(&Response::Lost { reason: String::new() }, 1), Meaning::InDoubt);
    assert_eq!(meaning(&Response::not_sent(""), 1), Meaning::NotSent);
    let lasting = Response::NotSent { reason: String::new(), hint: "check the clock", may_pass: false };
    assert_eq!(meaning(&lasting, 1), Meaning::CannotBeSent("check the clock"));
}

#[test]
fn a_store_cannot_ask_for_more_than_five_minutes() {
    let body = Body::Unreadable(String::new());
    let wait = Some(Duration::from_secs(86_400));
    let response = Response::Received(HttpResponse { status: 429, request_id: None, wait, body });
    assert_eq!(meaning(&response, 1), Meaning::Limited(Some(Duration::from_secs(300))));
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
fn sizes_are_learned_downwards_and_only_from_requests_that_should_have_fitted() {
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

fn planned(value: &str, previous: Option<&str>, observed: Option<&str>) -> PlannedChange {
    PlannedChange {
        change: Change {
            key: Key::new(1, 1),
            action: Action::Update,
            value: Some(value.to_owned()),
            previous_value: previous.map(str::to_owned),
            previous_in_doubt: false,
            source_value: None,
            value_id: None,
            in_doubt_until: None,
        },
        is_in_doubt: false,
        in_doubt_value: None,
        observed_value: observed.map(str::to_owned),
    }
}

fn echoes(values: &[&str]) -> Vec<Echo> {
    let echo = |value: &&str| Echo { key: Key::new(1, 1), value: (*value).to_owned(), value_id: Some(9) };
    let other = Echo { key: Key::new(2, 1), value: "other".to_owned(), value_id: None };
    values.iter().map(echo).chain([other]).collect()
}

fn confirmed(form: Option<&str>) -> Verdict {
    Verdict::Confirmed { value_id: Some(9), stored_value: form.map(str::to_owned) }
}

#[test]
fn an_echo_confirms_or_the_value_is_read_back() {
    let by_echo =
        |previous, observed, values: &[&str]| verdict(&planned(" b", previous, observed), &echoes(values));
    assert_eq!(by_echo(None, None, &[" b"]), Some(confirmed(None)));
    assert_eq!(by_echo(Some(" b"), None, &[" b"]), Some(confirmed(None)), "the store holds what was sent");
    assert_eq!(by_echo(None, None, &["b"]), Some(confirmed(Some("b"))), "altered");
    assert_eq!(by_echo(Some("b"), None, &["b"]), None, "what the store held before proves nothing");
    assert_eq!(by_echo(None, None, &[""]), None, "nothing is no form of a value");
    assert_eq!(by_echo(None, Some(""), &[""]), Some(confirmed(Some(""))), "observed again: kept so");
    assert_eq!(verdict(&planned("  ", None, None), &echoes(&[""])), Some(confirmed(Some(""))), "trimmed");
    assert_eq!(by_echo(Some("b"), Some("b"), &["b"]), Some(confirmed(Some("b"))), "observed again: kept so");
    assert_eq!(
        by_echo(Some("a"), Some("a"), &["a"]),
        None,
        "the value from before is no form of the new one"
    );
    let in_doubt = PlannedChange {
        is_in_doubt: true,
        in_doubt_value: Some("x".to_owned()),
        ..planned("c", Some("a"), None)
    };
    assert_eq!(verdict(&in_doubt, &echoes(&["x"])), None, "the store may hold what was sent before");
    assert_eq!(verdict(&in_doubt, &echoes(&["y"])), None, "in any form");
    let observed_again = PlannedChange { observed_value: Some("y".to_owned()), ..in_doubt };
    assert_eq!(verdict(&observed_again, &echoes(&["y"])), Some(confirmed(Some("y"))));
    assert_eq!(by_echo(None, None, &[]), None);
    assert_eq!(by_echo(None, None, &[" b", " b"]), Some(confirmed(None)));
    assert_eq!(by_echo(None, None, &[" b", "b"]), None);
}

#[test]
fn reading_back_confirms_only_what_was_sent() {
    let read = |value, observed, values: &[&str]| {
        read_back_verdict(&planned(value, None, observed), &echoes(values))
    };
    assert_eq!(read("b", None, &["b"]), confirmed(None));
    assert_eq!(read("", None, &[]), Verdict::Confirmed { value_id: None, stored_value: None });
    assert_eq!(read("b", Some("x"), &["x"]), confirmed(Some("x")));
    let observed = |verdict| match verdict {
        Verdict::Unknown { observed_value, .. } => observed_value,
        other => panic!("{other:?}"),
    };
    assert_eq!(observed(read("b", None, &["x"])), Some("x".to_owned()));
    assert_eq!(observed(read("b", None, &[])), None);
    assert_eq!(observed(read("b", Some("x"), &["x", "b"])), None);
}

#[test]
fn promise_3_the_value_from_before_confirms_nothing_however_often_it_is_shown() {
    let read = |sent, shown| read_back_verdict(&planned(sent, Some(shown), Some(shown)), &echoes(&[shown]));
    for (sent, shown) in [("new", "old"), ("gold plus", "gold"), ("5", "-5"), ("", "old"), ("10", "1.0")] {
        assert!(matches!(read(sent, shown), Verdict::Unknown { .. }), "{sent:?} sent, {shown:?} shown");
    }
    for (sent, shown) in [(" b ", "b"), ("1.0", "1"), ("a  b", "a b"), ("Gold", "gold")] {
        assert_eq!(read(sent, shown), confirmed(Some(shown)), "the store keeps {sent:?} as {shown:?}");
    }
}

fn with_customer(customer_id: i64) -> PlannedChange {
    let mut planned = planned("", None, None);
    planned.change.key = Key::new(customer_id, 1);
    planned
}

/// Sorts `n` values with a store that refuses every batch with a bad value. Returns the requests made after the first
/// refusal, and the rejected values.
fn bisect(
    n: i64,
    bad: &BTreeSet<i64>,
    most: usize,
    names: impl Fn(&[PlannedChange]) -> Vec<usize>,
) -> (usize, BTreeSet<i64>) {
    let all: Vec<_> = (0..n).map(with_customer).collect();
    let mut bisection = Bisection::new(all.clone(), names(&all), "no".to_owned());
    let (mut requests, mut landed, mut rejected) = (0, BTreeSet::new(), BTreeSet::new());
    loop {
        match bisection.next(most) {
            Step::Send(batch) => {
                requests += 1;
                assert!(!batch.is_empty() && batch.len() <= most && requests < 1_000);
                if batch.iter().any(|c| bad.contains(&c.key().customer_id)) {
                    bisection.refused(names(&batch), "no".to_owned());
                } else {
                    landed.extend(batch.iter().map(|c| c.key().customer_id));
                    bisection.accepted();
                }
            }
            Step::Reject(change, _) => assert!(rejected.insert(change.key().customer_id)),
            Step::Done => break,
        }
    }
    assert_eq!(landed.len() + rejected.len(), n as usize);
    (requests, rejected)
}

#[test]
fn a_bad_value_that_is_named_costs_one_more_call() {
    let bad = BTreeSet::from([17]);
    let rightly =
        |batch: &[PlannedChange]| batch.iter().position(|c| c.key().customer_id == 17).into_iter().collect();
    assert_eq!(bisect(30, &bad, 99, rightly), (1, bad));
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

/// The requests to sort `n` values of which these are bad, for a store that names so.
fn requests(n: i64, bad: &BTreeSet<i64>, naming: Naming) -> usize {
    let names = |batch: &[PlannedChange]| {
        let is_bad = |i: &usize| bad.contains(&batch[*i].key().customer_id);
        let at: Vec<_> = (0..batch.len()).filter(is_bad).collect();
        if at.is_empty() { vec![] } else { naming(&at, batch.len()) }
    };
    let (requests, rejected) = bisect(n, bad, usize::MAX, names);
    assert_eq!(rejected, *bad);
    requests
}

fn promised(n: i64) -> usize {
    (n as f64).log2().ceil() as usize + 3
}

#[test]
fn promise_6_one_bad_value_costs_no_more_than_promised_whatever_is_named() {
    for n in 1..=64 {
        for (name, naming) in NAMINGS {
            for bad in 0..n {
                let requests = requests(n, &BTreeSet::from([bad]), naming);
                assert!(requests <= promised(n), "{requests} requests for {bad} of {n}, named: {name}");
                if n > 1 && matches!(name, "the first bad one" | "every bad one") {
                    assert_eq!(requests, 1, "{bad} of {n}, named: {name}");
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
                    let requests = requests(n, &BTreeSet::from([first, second]), naming);
                    assert!(
                        requests <= 2 * promised(n),
                        "{requests} requests for {first} and {second} of {n}, named: {name}"
                    );
                }
            }
        }
    }
}

#[test]
fn promise_6_an_accepted_half_spares_requests() {
    // The last of 64: six halves are accepted, and what is left is sent alone once.
    assert_eq!(requests(64, &BTreeSet::from([63]), NAMINGS[0].1), 7);
    // The first of 64: six halves are refused, the last of them alone, and the rest is accepted in one request.
    assert_eq!(requests(64, &BTreeSet::from([0]), NAMINGS[0].1), 7);
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
        prop_assert_eq!(bisect(n, &bad, most, names).1, bad);
    }
}
