//! Simulates the lives of stores under paused time, with the memory ledger and the sandbox in one process. Each life is
//! drawn from a seed: tables, edits, faults, crashes and changes by others. After every sync a naive oracle checks what
//! the ledger claims. At the end all faults stop, and the store must then equal the source.
//!
//! `ATTRSYNC_SEED=n` plays the story of one seed and prints it; `ATTRSYNC_SEEDS=n` plays the stories of the first n
//! seeds. A story that breaks a promise is shortened and printed as a test for `simulation/kept.rs`. See
//! `docs/operations/reliability.md`.

#![allow(clippy::print_stdout, reason = "one story is printed on request")]

mod story;
mod draw;
mod guarded;
mod quiet;
mod added;
mod oracle;
mod watched;
mod world;
mod shrink;
mod kept;

use std::sync::atomic::{AtomicU64, Ordering};

use self::shrink::shrunk;
use self::story::Story;
use self::world::play;

const SEEDS: u64 = 2_000;

/// The number of failing stories that are shortened. Only the seeds of the others are printed.
const SHRUNK: usize = 3;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Returns a failing story, shortened, as the text of a test for `kept.rs`.
fn to_keep(seed: u64, broken: &str) -> String {
    let (story, broken) = shrunk(&Story::drawn(seed), broken.to_owned());
    format!("#[test]\nfn seed_{seed}() {{\n    // {broken}\n    holds(r#\"{story}\"#);\n}}\n")
}

#[test]
fn lives_keep_the_promises() {
    if let Some(seed) = number("ATTRSYNC_SEED") {
        let story = Story::drawn(seed);
        println!("{story}");
        match play(&story) {
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
        seeds.filter_map(|seed| Some((seed, play(&Story::drawn(seed)).err()?))).collect::<Vec<_>>()
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
fn a_story_has_the_same_end_each_time_it_is_played() {
    for seed in [3, 17, 2_026] {
        let story = Story::drawn(seed);
        assert_eq!(play(&story), play(&story), "seed {seed}");
    }
}

#[test]
fn a_story_is_the_same_after_writing_and_reading_it() {
    for seed in 0..100 {
        let story = Story::drawn(seed);
        assert_eq!(story.to_string().parse::<Story>().expect("a story"), story, "seed {seed}");
    }
}
