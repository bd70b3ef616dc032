//! Finding the bad values of a refused batch with few calls.
//!
//! A set that was refused holds at least one bad value. A part of it is tested at a time: what the store names is left
//! out first, otherwise half of it is sent. When the part is accepted, the rest is known to hold the bad one without
//! another call; when it is refused, the rest is innocent until tested and waits in a pool.
//!
//! So one bad value among `n` costs one call more where the store names it rightly, and never more than ⌈log₂ n⌉ + 2:
//! halving takes ⌈log₂ n⌉, the pool one, and one is spare. The store's naming is followed only as far as that spare
//! call goes, so that a store that names wrongly costs no more than one that names nothing. Each further bad value
//! costs no more than the first.

use crate::record::PlannedChange;

/// Calls that the naming of a store may waste in the hunt for one bad value.
const SPARE: u32 = 1;

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Send these, then tell what came of it.
    Send(Vec<PlannedChange>),
    /// This value is refused for good, for this reason.
    Reject(PlannedChange, String),
    /// All values are decided, or were handed out.
    Done,
}

/// A refused batch on its way to being sorted into good and bad.
#[derive(Debug)]
pub struct Bisection {
    /// Known to hold a bad value.
    guilty: Vec<PlannedChange>,
    /// The store's words for that.
    reason: String,
    /// Indexes into `guilty` that the store named.
    named: Vec<usize>,
    /// What is left of the calls that may be wasted in this hunt.
    spare: u32,
    /// Nothing is known of these.
    pool: Vec<PlannedChange>,
    /// Out with the store now, taken from `guilty` or from `pool`.
    testing: Vec<PlannedChange>,
}

impl Bisection {
    /// Begins with a batch that was refused.
    #[must_use]
    pub fn new(batch: Vec<PlannedChange>, named: Vec<usize>, reason: String) -> Self {
        Self { guilty: batch, reason, named, spare: SPARE, pool: Vec::new(), testing: Vec::new() }
    }

    /// What to do next. At most `most` values are sent at once.
    pub fn next(&mut self, most: usize) -> Step {
        if self.guilty.is_empty() {
            let count = most.min(self.pool.len());
            self.testing = self.pool.drain(..count).collect();
            return if count == 0 { Step::Done } else { Step::Send(self.testing.clone()) };
        }
        if self.guilty.len() == 1 {
            return match self.guilty.pop() {
                Some(change) => Step::Reject(change, self.reason.clone()),
                None => Step::Done,
            };
        }
        let named = std::mem::take(&mut self.named);
        let count = self.guilty.len();
        if let Some(spare) = self.spare_after_following(named.len()) {
            self.spare = spare;
            self.testing = without(&mut self.guilty, &named);
        } else {
            // What was named goes into the other half, so that this one lands at once where the naming is right.
            self.testing = without(&mut self.guilty, &named);
            self.testing.append(&mut self.guilty);
            self.guilty = self.testing.split_off(count / 2);
        }
        if self.testing.len() > most {
            self.guilty.extend(self.testing.drain(most..));
        }
        Step::Send(self.testing.clone())
    }

    /// What was sent last is accepted, so what is left of the guilty set is bad.
    pub fn accepted(&mut self) {
        self.testing.clear();
    }

    /// What was sent last is refused, so of the rest of its set nothing is known any more.
    pub fn refused(&mut self, named: Vec<usize>, reason: String) {
        if self.guilty.is_empty() {
            // It came from the pool, so another hunt begins.
            self.spare = SPARE;
        }
        self.pool.append(&mut self.guilty);
        self.guilty = std::mem::take(&mut self.testing);
        self.named = named;
        self.reason = reason;
    }

    /// What was sent last is left to somebody else, and proved nothing of the rest.
    pub fn lost(&mut self) -> Vec<PlannedChange> {
        self.pool.append(&mut self.guilty);
        std::mem::take(&mut self.testing)
    }

    /// What was sent last was too large: it goes back, to be sent in smaller parts.
    pub fn too_large(&mut self) {
        if self.guilty.is_empty() {
            self.pool.append(&mut self.testing);
        } else {
            self.guilty.append(&mut self.testing);
        }
        self.named.clear();
    }

    /// Takes out the values that need no call any more, since their customer or attribute is gone.
    pub fn remove(&mut self, gone: impl Fn(&PlannedChange) -> bool) -> Vec<PlannedChange> {
        let before = self.guilty.len();
        let mut removed: Vec<_> = self.guilty.extract_if(.., |change| gone(change)).collect();
        if self.guilty.len() < before {
            // The bad value may be among the removed: nothing is known of the rest.
            self.pool.append(&mut self.guilty);
            self.named.clear();
        }
        removed.extend(self.pool.extract_if(.., |change| gone(change)));
        removed
    }

    /// What is left of the spare calls after `named` values were left out and that proved nothing; `None` where it
    /// must not be tried, or where nothing or everything is named.
    fn spare_after_following(&self, named: usize) -> Option<u32> {
        let count = self.guilty.len();
        let rest = count.checked_sub(named).filter(|rest| named > 0 && *rest > 0)?;
        let gained = halvings(count) - halvings(named.max(rest));
        (self.spare + gained).checked_sub(1)
    }

    /// Everything that is not decided, when the run ends.
    #[must_use]
    pub fn into_undecided(mut self) -> Vec<PlannedChange> {
        self.guilty.append(&mut self.pool);
        self.guilty.append(&mut self.testing);
        self.guilty
    }
}

/// Takes out everything but what stands at these indexes.
fn without(changes: &mut Vec<PlannedChange>, indexes: &[usize]) -> Vec<PlannedChange> {
    let mut index = 0;
    changes.extract_if(.., |_| (!indexes.contains(&index), index += 1).0).collect()
}

/// How often a set of so many has to be halved until one is left: ⌈log₂ count⌉.
const fn halvings(count: usize) -> u32 {
    count.next_power_of_two().trailing_zeros()
}
