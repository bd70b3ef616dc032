//! What is checked from outside: the store's values and its log of requests, against the source and the ledger.
//!
//! `attrsync check --ledger` checks the ledger by itself. The rules here compare it with what it cannot know: the
//! store.

use std::collections::BTreeMap;

use attrsync::record::Key;
use attrsync::sandbox::Logged;

use super::ledger::{Ledger, Run};
use super::life::Life;

/// Checks what holds at every moment while no run is active, and returns the ledger, if there is one.
pub(super) fn always(life: &Life<'_>) -> Option<Ledger> {
    limits_are_kept(life);
    let Some(ledger) = life.ledger() else {
        assert_eq!(life.written(), 0, "something was sent before there was a ledger");
        return None;
    };
    life.world.run(&["check", "--ledger"]).exits(0);
    nothing_is_claimed_that_the_store_did_not_confirm(life, &ledger);
    nothing_is_sent_that_the_ledger_does_not_know(life, &ledger);
    ledger.runs.iter().for_each(the_status_of_a_run_is_true);
    Some(ledger)
}

/// Checks what holds after a run that reports success: the store equals the source.
pub(super) fn landed(life: &Life<'_>, ledger: &Ledger) {
    let (store, bad) = (values(life), life.bad());
    for (key, desired) in &life.desired {
        let (value, belief) = ledger.entries.get(key).unwrap_or_else(|| panic!("no entry for {key}"));
        assert_eq!(value.as_ref(), Some(desired), "promise 5: the entry of {key}");
        if bad.contains(key) {
            assert_eq!(belief, "rejected", "promise 6: {key}");
            assert_ne!(store.get(key), Some(desired), "promise 6: {key}");
        } else {
            let found = store.get(key);
            assert_eq!(found, Some(desired), "promise 5: {key} in the store ({belief} in the ledger)");
            assert_eq!(belief, "confirmed", "promise 5: {key}");
        }
    }
    for (key, (_, belief)) in ledger.entries.iter().filter(|(key, _)| !life.desired.contains_key(key)) {
        // A value that the store never took need not be deleted.
        assert!(belief == "absent" || belief == "rejected", "promise 5: {key} is {belief}, and has no row");
        assert_eq!(store.get(key), None, "promise 5: {key} has no row ({belief} in the ledger)");
    }
    let open: Vec<_> = ledger.runs.iter().filter(|run| !run.finished).map(|run| run.id).collect();
    assert!(open.is_empty(), "promise 7: runs {open:?} were never closed");
}

/// Returns how many requests after the first `from` have no recorded outcome in the newest run.
pub(super) fn without_outcome(life: &Life<'_>, from: usize) -> usize {
    let Some(ledger) = life.ledger() else { return 0 };
    let newest = ledger.runs.last().map(|run| run.id);
    let recorded =
        ledger.requests.iter().filter(|request| Some(request.run_id) == newest && request.responded);
    life.written().saturating_sub(from + recorded.count())
}

/// Promise 2.
fn limits_are_kept(life: &Life<'_>) {
    let tally = life.world.store().tally();
    assert!(tally.max_in_flight <= 3 && tally.over_in_flight == 0, "promise 2: {tally:?}");
    assert!(tally.max_customers <= 10 && tally.over_size == 0, "promise 2: {tally:?}");
}

/// Promise 3: a confirmed value is in the store, and its request was applied and got a response.
fn nothing_is_claimed_that_the_store_did_not_confirm(life: &Life<'_>, ledger: &Ledger) {
    let store = values(life);
    for (key, (value, belief)) in &ledger.entries {
        if belief == "confirmed" {
            assert_eq!(store.get(key), value.as_ref(), "promise 3: {key} is confirmed");
        } else if belief == "absent" {
            assert_eq!(store.get(key), None, "promise 3: {key} is absent");
        }
    }
    let log = life.world.writes();
    let log: BTreeMap<&str, &Logged> = log.iter().map(|write| (write.request_id.as_str(), write)).collect();
    for request in &ledger.requests {
        let Some(id) = &request.store_request_id else {
            assert_eq!(request.confirmed, 0, "promise 3: a request without a response confirmed a value");
            continue;
        };
        let write = log.get(id.as_str()).unwrap_or_else(|| panic!("the store never saw the request {id}"));
        assert_eq!(request.status, write.status, "the status of {write:?}");
        assert!(
            request.confirmed == 0 || (write.applied && matches!(write.status, Some(200 | 204))),
            "promise 3: confirmed by {write:?}"
        );
    }
}

/// Promise 4: each request that the store saw has its row, and each value that the store holds has its entry.
fn nothing_is_sent_that_the_ledger_does_not_know(life: &Life<'_>, ledger: &Ledger) {
    let (seen, known) = (life.written(), ledger.requests.len());
    assert!(seen <= known, "promise 4: the store saw {seen} requests, the ledger knows of {known}");
    for (key, value) in values(life) {
        let (known, belief) =
            ledger.entries.get(&key).unwrap_or_else(|| panic!("promise 4: no entry for {key}"));
        assert!(
            belief != "confirmed" || known.as_ref() == Some(&value),
            "promise 4: the store holds {value} for {key}"
        );
    }
}

/// Promise 7, for runs that are active or were killed too. `check --ledger` compares the counts of the changes.
fn the_status_of_a_run_is_true(run: &Run) {
    let is_closed = !matches!(run.status.as_str(), "planning" | "running");
    assert_eq!(run.finished, is_closed, "run {} is {}", run.id, run.status);
    assert_eq!(run.requests, run.sent, "promise 7: run {} and the rows of its requests", run.id);
    if run.status == "succeeded" {
        assert_eq!(run.planned, run.confirmed, "promise 7: run {}", run.id);
    }
}

fn values(life: &Life<'_>) -> BTreeMap<Key, String> {
    let store = life.world.store();
    store.values().map(|(key, value)| (key, value.to_owned())).collect()
}
