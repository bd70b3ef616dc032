//! What is looked at from outside: the store's state and its log of requests, against the source and the ledger.

use std::collections::BTreeMap;

use attrsync::record::Key;
use attrsync::sandbox::Logged;

use super::books::{Books, Run};
use super::life::Life;

/// What holds at every moment, whatever has just happened; nothing runs now.
pub(super) fn always(life: &Life<'_>) {
    the_limits_held(life);
    let Some(books) = life.books() else {
        assert_eq!(life.written(), 0, "something was sent before there was a ledger");
        return;
    };
    nothing_is_claimed(life, &books);
    nothing_left_in_silence(life, &books);
    the_entries_are_a_fold(&books);
    books.runs.iter().for_each(the_books_balance);
}

/// What holds after a run that says it is through: the store is the source.
pub(super) fn landed(life: &Life<'_>) {
    let books = life.books().expect("a ledger");
    let (store, bad) = (held(life), life.bad());
    for (key, wanted) in &life.desired {
        let (value, belief) = books.entries.get(key).unwrap_or_else(|| panic!("no entry for {key}"));
        assert_eq!(value, wanted, "promise 5: the entry of {key}");
        if bad.contains(key) {
            assert_eq!(belief, "rejected", "promise 6: {key}");
            assert_ne!(store.get(key), Some(wanted), "promise 6: {key}");
        } else {
            assert_eq!(
                store.get(key),
                Some(wanted),
                "promise 5: {key} in the store ({belief} in the ledger)"
            );
            assert_eq!(belief, "confirmed", "promise 5: {key}");
        }
    }
    let open: Vec<_> = books.runs.iter().filter(|run| !run.finished).map(|run| run.id).collect();
    assert!(open.is_empty(), "promise 7: runs {open:?} were never closed");
}

/// Of the calls since `from`, those whose answers the newest run did not write down.
pub(super) fn unfinished(life: &Life<'_>, from: usize) -> usize {
    let Some(books) = life.books() else { return 0 };
    let newest = books.runs.last().map(|run| run.id);
    let answered = books.requests.iter().filter(|request| Some(request.run_id) == newest && request.answered);
    life.written().saturating_sub(from + answered.count())
}

/// Promise 2.
fn the_limits_held(life: &Life<'_>) {
    let tally = life.world.store().tally();
    assert!(tally.max_in_flight <= 3 && tally.over_in_flight == 0, "promise 2: {tally:?}");
    assert!(tally.max_customers <= 10 && tally.over_size == 0, "promise 2: {tally:?}");
}

/// Promise 3: what the ledger calls confirmed is in the store, and came of a call that was applied and answered.
fn nothing_is_claimed(life: &Life<'_>, books: &Books) {
    let store = held(life);
    for (key, (value, belief)) in &books.entries {
        if belief == "confirmed" {
            assert_eq!(store.get(key), Some(value), "promise 3: {key} is confirmed");
        }
    }
    let log = life.world.writes();
    let log: BTreeMap<&str, &Logged> = log.iter().map(|write| (write.request_id.as_str(), write)).collect();
    for request in &books.requests {
        let Some(id) = &request.store_request_id else {
            assert_eq!(request.confirmed, 0, "promise 3: a call without an answer confirmed something");
            continue;
        };
        let write = log.get(id.as_str()).unwrap_or_else(|| panic!("the store never saw the call {id}"));
        assert_eq!(request.status, write.status, "the answer of {write:?}");
        assert!(
            request.confirmed == 0 || (write.applied && write.status == Some(200)),
            "promise 3: confirmed by {write:?}"
        );
    }
}

/// Promise 4: every call that the store saw has its row, and every value that the store holds its entry.
fn nothing_left_in_silence(life: &Life<'_>, books: &Books) {
    let (seen, known) = (life.written(), books.requests.len());
    assert!(seen <= known, "promise 4: the store saw {seen} calls, the ledger knows of {known}");
    for (key, value) in held(life) {
        let (known, belief) =
            books.entries.get(&key).unwrap_or_else(|| panic!("promise 4: no entry for {key}"));
        assert!(belief != "confirmed" || *known == value, "promise 4: the store holds {value} for {key}");
    }
}

fn the_entries_are_a_fold(books: &Books) {
    let belief = |outcome: &str| match outcome {
        "confirmed" | "rejected" => outcome.to_owned(),
        _ => "unconfirmed".to_owned(),
    };
    for (key, (value, outcome)) in &books.fold {
        let folded = (value.clone(), belief(outcome));
        assert_eq!(
            books.entries.get(key),
            Some(&folded),
            "the entry of {key}, whose last change is {outcome}"
        );
    }
    assert_eq!(books.entries.len(), books.fold.len(), "entries that no change accounts for");
}

/// Promise 7, for runs that go on or were killed too.
fn the_books_balance(run: &Run) {
    let [planned, confirmed, rejected, unknown, deferred, _] = run.told;
    assert_eq!(
        planned,
        confirmed + rejected + unknown + deferred,
        "promise 7: run {} ({})",
        run.id,
        run.status
    );
    if run.sealed {
        assert_eq!(run.told, run.counted, "promise 7: run {} ({}) and its rows", run.id, run.status);
    } else {
        assert_eq!(run.told, [0; 6], "promise 7: run {} ({}) was never sealed", run.id, run.status);
    }
    let closed = !matches!(run.status.as_str(), "planning" | "running");
    assert_eq!(run.finished, closed, "run {} is {}", run.id, run.status);
    if run.status == "succeeded" {
        assert_eq!(planned, confirmed, "promise 7: run {}", run.id);
    }
}

fn held(life: &Life<'_>) -> BTreeMap<Key, String> {
    let store = life.world.store();
    store.values().map(|(key, value)| (key, value.to_owned())).collect()
}
