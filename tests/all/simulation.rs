//! Whole lives of a store under paused time, on the memory ledger and the sandbox in process: tables, edits, faults,
//! crashes and meddling, drawn from one seed each. After every sync a naive oracle says what the ledger may claim; at the
//! end everything heals, and the store must be the source.
//!
//! `ATTRSYNC_SEED=n` tells the story of one seed; `ATTRSYNC_SEEDS=n` runs so many. A story that breaks a promise is shrunk
//! and printed as a test for `simulation/kept.rs`. More in `docs/reliability.md`.

#![allow(clippy::print_stdout, reason = "stories are told")]

mod story;
mod draw;
mod oracle;
mod watched;
mod world;
mod shrink;
mod kept;

use std::sync::atomic::{AtomicU64, Ordering};

use self::shrink::shrunk;
use self::story::Story;
use self::world::tell;

const SEEDS: u64 = 2_000;

/// So many failing stories are shrunk; of the others only the seeds are told.
const SHRUNK: usize = 3;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// A failing story as a test to be kept.
fn to_keep(seed: u64, broken: &str) -> String {
    let (story, broken) = shrunk(&Story::drawn(seed), broken.to_owned());
    format!("#[test]\nfn seed_{seed}() {{\n    // {broken}\n    holds(r#\"{story}\"#);\n}}\n")
}

#[test]
fn lives_keep_the_promises() {
    if let Some(seed) = number("ATTRSYNC_SEED") {
        let story = Story::drawn(seed);
        println!("{story}");
        match tell(&story) {
            Ok(ends) => println!("{ends:#?}"),
            Err(broken) => panic!("{broken}\n\n{}", to_keep(seed, &broken)),
        }
        return;
    }
    let seeds = number("ATTRSYNC_SEEDS").unwrap_or(SEEDS);
    let next = AtomicU64::new(0);
    let live = || {
        let seeds =
            std::iter::from_fn(|| Some(next.fetch_add(1, Ordering::Relaxed)).filter(|seed| *seed < seeds));
        seeds.filter_map(|seed| Some((seed, tell(&Story::drawn(seed)).err()?))).collect::<Vec<_>>()
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut failed: Vec<(u64, String)> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(live)).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("a thread that catches panics")).collect()
    });
    failed.sort();
    let stories: Vec<_> = failed.iter().take(SHRUNK).map(|(seed, broken)| to_keep(*seed, broken)).collect();
    let all: Vec<_> = failed.iter().map(|(seed, broken)| format!("seed {seed}: {broken:.160}")).collect();
    assert!(failed.is_empty(), "promises were broken\n{}\n\n{}", all.join("\n"), stories.join("\n"));
}

#[test]
fn a_life_is_the_same_each_time_it_is_lived() {
    for seed in [3, 17, 2_026] {
        let story = Story::drawn(seed);
        assert_eq!(tell(&story), tell(&story), "seed {seed}");
    }
}

#[test]
fn a_story_is_written_down_and_read_again() {
    for seed in 0..100 {
        let story = Story::drawn(seed);
        assert_eq!(story.to_string().parse::<Story>().expect("a story"), story, "seed {seed}");
    }
}
