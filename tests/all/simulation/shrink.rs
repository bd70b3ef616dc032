//! Shortens a failing story: leaves parts out and plays the rest again, as long as the same promise breaks.

use super::story::{Push, Step, Store, Story, Sync};
use super::world::play;

/// The most attempts to shorten one story.
const TRIES: usize = 1_500;

/// Returns a failing story, shortened, and the message of the promise that it breaks.
pub(super) fn shrunk(story: &Story, broken: String) -> (Story, String) {
    let mut shrinking =
        Shrinking { story: story.clone(), promise: promise(&broken).to_owned(), broken, tries: TRIES };
    loop {
        let before = shrinking.tries;
        let shorter = shrinking.drop_steps() | shrinking.simplify_syncs() | shrinking.simplify_the_rest();
        if !shorter || shrinking.tries == 0 || shrinking.tries == before {
            return (shrinking.story, shrinking.broken);
        }
    }
}

/// Returns the part of a message that names the promise.
fn promise(broken: &str) -> &str {
    broken.split([':', ',']).next().unwrap_or(broken)
}

struct Shrinking {
    story: Story,
    promise: String,
    broken: String,
    tries: usize,
}

impl Shrinking {
    /// Replaces the story with `shorter` if that one breaks the same promise.
    fn take(&mut self, shorter: Story) -> bool {
        if self.tries == 0 || shorter == self.story {
            return false;
        }
        self.tries -= 1;
        match play(&shorter) {
            Err(broken) if promise(&broken) == self.promise => {
                (self.story, self.broken) = (shorter, broken);
                true
            }
            _ => false,
        }
    }

    /// Leaves out sequences of steps, long ones first.
    fn drop_steps(&mut self) -> bool {
        let mut shorter = false;
        let mut stretch = self.story.steps.len();
        while stretch > 0 {
            let mut at = 0;
            while at < self.story.steps.len() {
                let mut story = self.story.clone();
                story.steps.drain(at..(at + stretch).min(story.steps.len()));
                if self.take(story) {
                    shorter = true;
                } else {
                    at += stretch;
                }
            }
            stretch /= 2;
        }
        shorter
    }

    fn simplify_syncs(&mut self) -> bool {
        let mut shorter = false;
        for at in 0..self.story.steps.len() {
            while self.simplify_sync(at) {
                shorter = true;
            }
        }
        shorter
    }

    /// Leaves out one part of a sync, if the promise still breaks without it.
    fn simplify_sync(&mut self, at: usize) -> bool {
        let Some(Step::Sync(sync)) = self.story.steps.get(at) else { return false };
        let simpler = simpler(sync);
        simpler.into_iter().any(|sync| {
            let mut story = self.story.clone();
            story.steps[at] = Step::Sync(Box::new(sync));
            self.take(story)
        })
    }

    /// Uses the default settings of the store and the push, and shorter pauses, if the promise still breaks.
    fn simplify_the_rest(&mut self) -> bool {
        let Story { store, push, steps, .. } = self.story.clone();
        let mut stories = vec![
            Story { store: Store::default(), push: Push::default(), ..self.story.clone() },
            Story { store: Store::default(), ..self.story.clone() },
            Story { push: Push::default(), ..self.story.clone() },
        ];
        let mut with_store = |change: fn(&mut Store)| {
            let mut changed = store.clone();
            change(&mut changed);
            stories.push(Story { store: changed, ..self.story.clone() });
        };
        with_store(|store| store.latency_ms = 0);
        with_store(|store| store.jitter = 0.0);
        with_store(|store| store.max_per_request = None);
        with_store(|store| store.quota = None);
        with_store(|store| (store.counts_items, store.size_by_422) = (false, false));
        with_store(|store| (store.blame, store.names_all) = (Default::default(), false));
        with_store(|store| store.applies_before_bad = false);
        with_store(|store| store.trims = false);
        with_store(|store| store.shortens_numbers = false);
        with_store(|store| store.drops_empty = false);
        for push in [
            Push { workers: None, ..push.clone() },
            Push { max_attempts: None, ..push.clone() },
            Push { keeps_third: false, ..push.clone() },
            Push { values_per_request: None, ..push },
        ] {
            stories.push(Story { push, ..self.story.clone() });
        }
        for (at, step) in steps.into_iter().enumerate() {
            if let Step::Pause(seconds @ 2..) = step {
                let mut story = self.story.clone();
                story.steps[at] = Step::Pause(seconds / 2);
                stories.push(story);
            }
        }
        // Only the first success counts, because each of these stories is made from the present one.
        stories.into_iter().any(|story| self.take(story))
    }
}

/// Returns all syncs that have one part less.
fn simpler(sync: &Sync) -> Vec<Sync> {
    let mut all = vec![Sync::default()];
    let mut with = |change: &dyn Fn(&mut Sync)| {
        let mut changed = sync.clone();
        change(&mut changed);
        if changed != *sync {
            all.push(changed);
        }
    };
    with(&|sync| sync.writes.clear());
    with(&|sync| sync.reads.clear());
    with(&|sync| sync.during.clear());
    with(&|sync| sync.killed_ms = None);
    with(&|sync| sync.stopped_ms = None);
    with(&|sync| sync.ledger_fails_from = None);
    with(&|sync| sync.conflict = false);
    with(&|sync| sync.full = false);
    with(&|sync| sync.retry_rejected = false);
    with(&|sync| sync.undoes = None);
    with(&|sync| sync.ignores_pins = false);
    with(&|sync| sync.seizes = false);
    with(&|sync| sync.skips_conflicts = false);
    for nth in sync.writes.keys() {
        with(&|sync| drop(sync.writes.remove(nth)));
    }
    for nth in sync.reads.keys() {
        with(&|sync| drop(sync.reads.remove(nth)));
    }
    for at in 0..sync.during.len() {
        with(&|sync| drop(sync.during.remove(at)));
    }
    for (at, (_, step)) in sync.during.iter().enumerate() {
        if let Step::Sync(second) = step {
            for simple in simpler(second) {
                with(&|sync| sync.during[at].1 = Step::Sync(Box::new(simple.clone())));
            }
        }
    }
    all
}
