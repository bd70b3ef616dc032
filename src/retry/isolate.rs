//! Finding the bad values of a refused batch with few calls.
//!
//! A set that was refused holds at least one bad value. A part of it is tested at a time: what the store names is left
//! out first, otherwise half of it is sent. When the part is accepted, the rest is known to be bad without another
//! call; when it is refused, the rest is innocent until tested and waits in a pool. So one bad value among `n` costs
//! about log₂ n calls more, or one where the store names it rightly.

use crate::record::Change;

/// How often in a row the store's naming is followed before it is no longer believed.
const NAMES_FOLLOWED: u32 = 3;

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Send these, then tell what came of it.
    Send(Vec<Change>),
    /// This value is refused for good, for this reason.
    Reject(Change, String),
    /// All values are decided, or were handed out.
    Done,
}

/// A refused batch on its way to being sorted into good and bad.
#[derive(Debug)]
pub struct Isolation {
    /// Known to hold a bad value.
    guilty: Vec<Change>,
    /// The store's words for that.
    reason: String,
    /// Indexes into `guilty` that the store named.
    named: Vec<usize>,
    followed: u32,
    /// Nothing is known of these.
    pool: Vec<Change>,
    /// Out with the store now, taken from `guilty` or from `pool`.
    testing: Vec<Change>,
}

impl Isolation {
    /// Begins with a batch that was refused.
    #[must_use]
    pub fn new(batch: Vec<Change>, named: Vec<usize>, reason: String) -> Self {
        Self { guilty: batch, reason, named, followed: 0, pool: Vec::new(), testing: Vec::new() }
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
        let follow = !named.is_empty() && named.len() < self.guilty.len() && self.followed < NAMES_FOLLOWED;
        if follow {
            self.followed += 1;
            let mut index = 0;
            self.testing = self.guilty.extract_if(.., |_| (!named.contains(&index), index += 1).0).collect();
        } else {
            self.testing = self.guilty.drain(..self.guilty.len() / 2).collect();
        }
        if self.testing.len() > most {
            self.guilty.extend(self.testing.drain(most..));
        }
        Step::Send(self.testing.clone())
    }

    /// What was sent last is accepted, so what is left of the guilty set is bad.
    pub fn accepted(&mut self) {
        self.testing.clear();
        self.followed = 0;
    }

    /// What was sent last is refused, so of the rest of its set nothing is known any more.
    pub fn refused(&mut self, named: Vec<usize>, reason: String) {
        self.pool.append(&mut self.guilty);
        self.guilty = std::mem::take(&mut self.testing);
        self.named = named;
        self.reason = reason;
    }

    /// What was sent last is left to somebody else, and proved nothing of the rest.
    pub fn lost(&mut self) -> Vec<Change> {
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
    pub fn remove(&mut self, gone: impl Fn(&Change) -> bool) -> Vec<Change> {
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

    /// Everything that is not decided, when the run ends.
    #[must_use]
    pub fn into_undecided(mut self) -> Vec<Change> {
        self.guilty.append(&mut self.pool);
        self.guilty.append(&mut self.testing);
        self.guilty
    }
}
