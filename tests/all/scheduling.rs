//! Simulated years of nights: several schedulers over one ledger, killed and restarted, with clocks that are set.
//! Promise 13: every scheduled time ends as exactly one finished run, or as a recorded reason why not.
//!
//! The scheduler and the claims in the ledger are those of the program. Runs take time and do nothing.

mod check;
mod world;

use check::Flaw;
use world::{Bug, World};

/// How many years are lived, ten unless `ATTRSYNC_YEARS` says otherwise.
fn years() -> u64 {
    std::env::var("ATTRSYNC_YEARS").ok().and_then(|years| years.parse().ok()).unwrap_or(10)
}

fn live(seed: u64, bug: Bug) -> Result<(), Flaw> {
    let mut world = World::draw(seed, bug);
    world.live();
    check::check(&world)
}

#[test]
fn promise_13_every_scheduled_time_of_a_year_is_accounted_for_once() {
    for seed in 0..years() {
        if let Err(flaw) = live(seed, Bug::None) {
            panic!("the year of seed {seed}: {flaw}");
        }
    }
}

#[test]
fn promise_13_a_time_that_is_claimed_outside_the_lock_is_caught() {
    assert!((0..50).any(|seed| live(seed, Bug::ClaimedOutsideTheLock).is_err()));
}

#[test]
fn promise_13_a_time_whose_interrupted_run_is_not_repeated_is_caught() {
    assert!((0..50).any(|seed| live(seed, Bug::InterruptedNotRepeated).is_err()));
}
