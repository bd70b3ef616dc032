//! The crash harness: the built program is killed, disconnected and starved at every fail-point and at random moments,
//! on real databases. One plain run follows each fault, and the promises 2 to 7 are checked from outside.
//!
//! As a test it produces each fault once. `scripts/torture` produces random faults for a given time.

#![allow(clippy::print_stdout, reason = "the harness prints its table")]

mod disk;
mod faults;
mod ledger;
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
use super::world::LedgerKind;

/// How many faults strike one store.
const ROUNDS: u32 = 20;

/// How often a fault is tried that misses its run.
const TRIES: u32 = 10;

/// How many lives may break a promise before the harness stops.
const FAILURES_MAX: usize = 5;

#[test]
fn promises_2_to_7_hold_through_every_fault_on_a_file() {
    torture(LedgerKind::File);
}

#[test]
fn promises_2_to_7_hold_through_every_fault_on_postgres() {
    torture(LedgerKind::Postgres);
}

#[cfg(feature = "failpoints")]
#[test]
fn an_unknown_fail_point_is_wrong_usage() {
    let world = super::world::World::new(LedgerKind::File);
    let output = world.program(&["sync"]).env("ATTRSYNC_FAILPOINT", "nowhere").output();
    let output = output.expect("the program runs");
    let printed = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(64), "{printed}");
    assert!(attrsync::failpoint::NAMES.iter().all(|name| printed.contains(name)), "{printed}");
    assert_eq!(world.store().tally().requests, 0);
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn torture(kind: LedgerKind) {
    let seed = number("ATTRSYNC_TORTURE_SEED").unwrap_or(1);
    let servers = Servers::start(kind);
    let mut tally = Tally::default();
    match number("ATTRSYNC_TORTURE_MINUTES") {
        None => once(kind, &servers, seed, &mut tally),
        Some(minutes) => {
            let deadline = Instant::now() + Duration::from_secs(60 * minutes);
            // At least one life runs, so that --minutes 0 repeats a seed.
            for seed in seed.. {
                by_chance(kind, &servers, seed, &mut tally);
                if Instant::now() > deadline || tally.failures.len() >= FAILURES_MAX {
                    break;
                }
            }
        }
    }
    println!("\n{kind:?}, seed {seed}\n\n{tally}");
    assert!(tally.failures.is_empty(), "a promise was broken:\n{}", tally.failures.join("\n"));
}

/// Produces every fault once, each fail-point at an early arrival.
fn once(kind: LedgerKind, servers: &Servers, seed: u64, tally: &mut Tally) {
    live(kind, servers, seed, Duration::from_secs(1), tally, |life, tally, now| {
        for fault in Fault::all(kind) {
            if !life.allows(fault) {
                println!("{} is NOT TESTED: this user may not mount a disk", fault.name());
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

/// Runs a life of random faults.
fn by_chance(kind: LedgerKind, servers: &Servers, seed: u64, tally: &mut Tally) {
    live(kind, servers, seed, Duration::from_secs(2), tally, |life, tally, now| {
        let all: Vec<_> = Fault::all(kind).into_iter().filter(|fault| life.allows(*fault)).collect();
        let (points, others): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|fault| matches!(fault, Fault::Point(_)));
        for _ in 0..ROUNDS {
            // As many fail-points as all other faults together.
            let among = if !points.is_empty() && life.rng.bool() { &points } else { &others };
            let fault = among[life.rng.usize(..among.len())];
            let arrival = life.rng.u32(1..=fault.arrivals());
            *now = fault.name();
            round(life, fault, arrival, tally);
        }
    });
    println!("seed {seed}: {} faults survived so far", tally.survived());
}

/// Runs a life to its end. Its folder is kept if a promise was broken.
fn live(
    kind: LedgerKind,
    servers: &Servers,
    seed: u64,
    request_timeout: Duration,
    tally: &mut Tally,
    lead: impl FnOnce(&mut Life<'_>, &mut Tally, &mut String),
) {
    let mut life = Life::new(seed, kind, servers, request_timeout);
    let mut now = "the first run".to_owned();
    let led = catch_unwind(AssertUnwindSafe(|| {
        life.edit(1.0);
        recover(&mut life, None, tally);
        lead(&mut life, tally, &mut now);
        "the last run".clone_into(&mut now);
        last_run(&mut life, tally);
    }));
    tally.stored(&life);
    match led {
        Ok(()) => life.end(),
        Err(panic) => {
            let why = format!("seed {seed}, {kind:?}, {now}: {}", words(&*panic));
            servers.mend();
            let folder = life.keep(&why);
            println!("FAILED {why}\n  left in {}", folder.display());
            tally.failures.push(why);
        }
    }
}

/// Changes the source, strikes a run with a fault, and recovers with a plain run. Returns whether the fault struck.
fn round(life: &mut Life<'_>, fault: Fault, arrival: u32, tally: &mut Tally) -> bool {
    if fault.needs_new_ledger() {
        tally.stored(life);
        life.start_over();
    }
    let share = [0.02, 0.2, 0.7][life.rng.usize(..3)];
    life.edit(if fault.needs_many_requests() { 0.7 } else { share });
    let struck = fault.strike(life, arrival);
    life.heal();
    proofs::always(life);
    let Struck::Hit { resent } = struck else {
        recover(life, None, tally);
        return false;
    };
    if let Some(resent) = resent {
        assert!(resent <= 6, "promise 5: {resent} requests have no outcome and are sent again");
        tally.resent(resent);
    }
    // A delayed request must not overwrite a newer value.
    let is_changed = fault == Fault::KillWithoutResponse && life.rng.u8(..3) > 0;
    if is_changed || life.rng.u8(..4) == 0 {
        life.edit(if is_changed { 0.5 } else { 0.02 });
    }
    recover(life, Some(fault), tally);
    if is_changed {
        life.wait_for_delayed_requests();
        proofs::landed(life, &life.ledger().expect("a ledger"));
    }
    tally.count(fault);
    true
}

/// Runs one plain sync and checks the promises.
fn recover(life: &mut Life<'_>, after: Option<Fault>, tally: &mut Tally) {
    let run = life.sync();
    let (since, began) = (run.since, run.began);
    let ended = run.end();
    let code = if life.bad().is_empty() { 0 } else { 3 };
    assert_eq!(ended.code, Some(code), "promise 5: the plain run: {ended:#?}");
    let ledger = proofs::always(life).expect("a ledger");
    proofs::landed(life, &ledger);
    let waited = ledger.runs.last().expect("a run").started_at - since;
    if let Some(fault) = after {
        // The run waits for the lock for at most a second, otherwise it would have ended with 5. The rest is the time
        // that a busy machine takes to start a program.
        assert!(waited.num_milliseconds() < 5_000, "promise 5: the next run waited for {waited}");
        tally.waited(waited, fault);
    } else {
        life.usual = began.elapsed();
    }
}

/// Asserts that a run without changes sends nothing, and that no delayed request has changed the store.
fn last_run(life: &mut Life<'_>, tally: &mut Tally) {
    life.wait_for_delayed_requests();
    let before = life.written();
    recover(life, None, tally);
    assert_eq!(life.written(), before, "promise 1: requests were sent without a change");
}

/// The message of a panic.
fn words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no words")
}
