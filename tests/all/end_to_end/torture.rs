//! The crash harness: the built program is killed, cut off and starved at every named point and at random moments, on real
//! databases. After each fault comes one plain run, without help, and the promises 2 to 7 are checked from outside.
//!
//! As a test it goes once through everything. `scripts/torture` lets it go on for as long as it is told.

#![allow(clippy::print_stdout, reason = "the harness prints its table")]

mod books;
mod disk;
mod faults;
mod life;
mod proofs;
mod proxy;
mod tally;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use self::faults::{Fault, Struck};
use self::life::{Life, Servers};
use self::tally::Tally;
use super::world::Books;

/// How many faults befall one store.
const ROUNDS: u32 = 20;

/// How often a fault is tried that comes too late for its run.
const TRIES: u32 = 10;

/// After so many lives that broke a promise nothing new is learnt.
const FAILURES_MAX: usize = 5;

#[test]
fn promises_2_to_7_hold_through_every_fault_on_a_file() {
    torture(Books::File);
}

#[test]
fn promises_2_to_7_hold_through_every_fault_on_postgres() {
    torture(Books::Postgres);
}

#[cfg(feature = "failpoints")]
#[test]
fn a_fail_point_that_there_is_not_is_wrong_usage() {
    let world = super::world::World::new(Books::File);
    let output = world.program(&["sync"]).env("ATTRSYNC_FAILPOINT", "nowhere").output();
    let output = output.expect("the program runs");
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(64), "{told}");
    assert!(attrsync::failpoint::NAMES.iter().all(|name| told.contains(name)), "{told}");
    assert_eq!(world.store().tally().requests, 0);
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn torture(books: Books) {
    let seed = number("ATTRSYNC_TORTURE_SEED").unwrap_or(1);
    let servers = Servers::start(books);
    let mut tally = Tally::default();
    match number("ATTRSYNC_TORTURE_MINUTES") {
        None => once(books, &servers, seed, &mut tally),
        Some(minutes) => {
            let deadline = Instant::now() + Duration::from_secs(60 * minutes);
            // One life is led in any case: that of a seed that failed.
            for seed in seed.. {
                by_chance(books, &servers, seed, &mut tally);
                if Instant::now() > deadline || tally.failures.len() >= FAILURES_MAX {
                    break;
                }
            }
        }
    }
    println!("\n{books:?}, seed {seed}\n\n{tally}");
    assert!(tally.failures.is_empty(), "a promise was broken:\n{}", tally.failures.join("\n"));
}

/// Every fault once, each fail-point at an early arrival.
fn once(books: Books, servers: &Servers, seed: u64, tally: &mut Tally) {
    live(books, servers, seed, Duration::from_secs(1), tally, |life, tally, now| {
        for fault in Fault::all(books) {
            if !life.allows(fault) {
                println!("{} is not possible here: no disk may be mounted", fault.name());
                continue;
            }
            let arrivals = if fault == Fault::Point("migrating") { 2 } else { 1 };
            for arrival in 1..=arrivals {
                *now = fault.name();
                let mut tries = if matches!(fault, Fault::Point(_)) { 0..1 } else { 0..TRIES };
                let struck = tries.any(|_| round(life, fault, arrival, tally));
                assert!(struck, "it never struck");
            }
        }
    });
}

/// A life of random faults.
fn by_chance(books: Books, servers: &Servers, seed: u64, tally: &mut Tally) {
    live(books, servers, seed, Duration::from_secs(2), tally, |life, tally, now| {
        let all: Vec<_> = Fault::all(books).into_iter().filter(|fault| life.allows(*fault)).collect();
        let (points, others): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|fault| matches!(fault, Fault::Point(_)));
        for _ in 0..ROUNDS {
            // As many fail-points as all else together.
            let among = if !points.is_empty() && life.rng.bool() { &points } else { &others };
            let fault = among[life.rng.usize(..among.len())];
            let arrival = life.rng.u32(1..=fault.arrivals());
            *now = fault.name();
            round(life, fault, arrival, tally);
        }
    });
    println!("seed {seed}: {} faults survived so far", tally.survived());
}

/// Leads a life to its end. One in which a promise was broken leaves its folder.
fn live(
    books: Books,
    servers: &Servers,
    seed: u64,
    request_timeout: Duration,
    tally: &mut Tally,
    lead: impl FnOnce(&mut Life<'_>, &mut Tally, &mut String),
) {
    let mut life = Life::new(seed, books, servers, request_timeout);
    let mut now = "the first run".to_owned();
    let led = catch_unwind(AssertUnwindSafe(|| {
        life.edit(1.0);
        recover(&mut life, None, tally);
        lead(&mut life, tally, &mut now);
        "the last look".clone_into(&mut now);
        the_last_look(&mut life, tally);
    }));
    tally.stored(&life);
    match led {
        Ok(()) => life.leave(),
        Err(panic) => {
            let why = format!("seed {seed}, {books:?}, {now}: {}", words(&*panic));
            servers.mend();
            let folder = life.keep(&why);
            println!("FAILED {why}\n  left in {}", folder.display());
            tally.failures.push(why);
        }
    }
}

/// The source changes, a fault strikes a run, and a plain run puts it right. Tells whether the fault struck.
fn round(life: &mut Life<'_>, fault: Fault, arrival: u32, tally: &mut Tally) -> bool {
    if fault.wants_new_ledger() {
        tally.stored(life);
        life.begin_anew();
    }
    let share = [0.02, 0.2, 0.7][life.rng.usize(..3)];
    life.edit(if fault.wants_much() { 0.7 } else { share });
    let struck = fault.strike(life, arrival);
    life.heal();
    proofs::always(life);
    let Struck::Hit { resent } = struck else {
        recover(life, None, tally);
        return false;
    };
    if let Some(resent) = resent {
        assert!(resent <= 3, "promise 5: {resent} calls had left and are sent again");
        tally.resent(resent);
    }
    // A copy that comes late must not overtake what is wanted by then.
    let overtaken = fault == Fault::KillUnanswered && life.rng.u8(..3) > 0;
    if overtaken || life.rng.u8(..4) == 0 {
        life.edit(if overtaken { 0.5 } else { 0.02 });
    }
    recover(life, Some(fault), tally);
    if overtaken {
        life.wait_for_the_late();
        proofs::landed(life);
    }
    tally.count(fault);
    true
}

/// One plain run, no help.
fn recover(life: &mut Life<'_>, after: Option<Fault>, tally: &mut Tally) {
    let run = life.sync();
    let (since, began) = (run.since, run.began);
    let ended = run.end();
    let code = if life.bad().is_empty() { 0 } else { 3 };
    assert_eq!(ended.code, Some(code), "promise 5: the plain run: {ended:#?}");
    proofs::always(life);
    proofs::landed(life);
    let books = life.books().expect("a ledger");
    let waited = books.runs.last().expect("a run").started_at - since;
    if let Some(fault) = after {
        // The lock itself is waited for no longer than a second, else the run would have ended with 5; the rest is what
        // a busy machine takes to start a program.
        assert!(waited.num_milliseconds() < 5_000, "promise 5: the next run was kept waiting for {waited}");
        tally.waited(waited, fault);
    } else {
        life.usual = began.elapsed();
    }
}

/// Nothing is sent for what has not changed, and nothing that was late has changed the store.
fn the_last_look(life: &mut Life<'_>, tally: &mut Tally) {
    life.wait_for_the_late();
    let before = life.written();
    recover(life, None, tally);
    assert_eq!(life.written(), before, "promise 1: calls were made for nothing");
}

/// What a panic said.
fn words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no words")
}
