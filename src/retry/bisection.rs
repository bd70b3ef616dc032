//! Finding the bad values of a refused batch with few requests.
//!
//! A set that was refused holds at least one bad value. One part of it is sent at a time: the set without the values
//! that the store named, else half of it. If the part is accepted, the rest holds the bad value. If it is refused, the
//! part holds a bad value, and nothing is known of the rest, which waits in a pool.
//!
//! One bad value among `n` costs one request more if the store names it rightly, and never more than ⌈log₂ n⌉ + 3:
//! halving takes ⌈log₂ n⌉, the pool one, a wrong name one, and one confirms a value that was only inferred to be bad.
//! The store's names are followed only as far as that one spare request goes. Each further bad value costs no more than
//! the first.
//!
//! A value is rejected only when it was refused twice, the second time alone, or when the store named it and then
//! accepted the rest without it. So a refusal that passes rejects no value.

use crate::record::PlannedChange;

/// Requests that wrong names may waste in the search for one bad value.
const SPARE: u32 = 1;

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Send these, then report the result.
    Send(Vec<PlannedChange>),
    /// Reject this value for this reason.
    Reject(PlannedChange, String),
    /// Nothing is left: every value has a result or was taken out.
    Done,
}

/// A refused batch that is being sorted into good and bad values.
#[derive(Debug)]
pub struct Bisection {
    /// A set that holds at least one bad value.
    bad_set: Vec<PlannedChange>,
    /// The store's words for its refusal.
    reason: String,
    /// Indexes into `bad_set` that the store named.
    named: Vec<usize>,
    /// Whether the last value in `bad_set` has to be refused once more: the set is known to hold a bad value only because
    /// another part of its batch was accepted and the store did not name it, or it is a batch of one value.
    inferred: bool,
    /// Whether the set that was sent last is the one without the named values.
    follows_names: bool,
    /// How many requests may still be wasted in this search.
    spare: u32,
    /// Values of which nothing is known.
    pool: Vec<PlannedChange>,
    /// The set that was sent last, taken from `bad_set` or from `pool`.
    testing: Vec<PlannedChange>,
    /// Whether a value to be rejected was taken back.
    postponed: bool,
}

impl Bisection {
    /// Returns the bisection of a batch that was refused.
    #[must_use]
    pub const fn new(batch: Vec<PlannedChange>, named: Vec<usize>, reason: String) -> Self {
        Self {
            // A single value was refused once only, in this batch. A part of a batch was refused in the batch as well.
            inferred: batch.len() == 1,
            bad_set: batch,
            reason,
            named,
            follows_names: false,
            spare: SPARE,
            pool: Vec::new(),
            testing: Vec::new(),
            postponed: false,
        }
    }

    /// Returns what to do next. At most `most` values are sent at once.
    pub fn next(&mut self, most: usize) -> Step {
        if self.bad_set.is_empty() {
            let count = most.min(self.pool.len());
            self.testing = self.pool.drain(..count).collect();
            return if count == 0 { Step::Done } else { Step::Send(self.testing.clone()) };
        }
        if self.bad_set.len() == 1 {
            if self.inferred {
                // A refusal that passed by itself must reject no value, so the value is sent alone once.
                self.inferred = false;
                self.testing = std::mem::take(&mut self.bad_set);
                return Step::Send(self.testing.clone());
            }
            return match self.bad_set.pop() {
                Some(change) => Step::Reject(change, self.reason.clone()),
                None => Step::Done,
            };
        }
        let named = std::mem::take(&mut self.named);
        let count = self.bad_set.len();
        self.follows_names = false;
        if let Some(spare) = self.spare_after_following(named.len()) {
            self.spare = spare;
            self.follows_names = true;
            self.testing = without(&mut self.bad_set, &named);
        } else {
            // The named values go into the other half, so that this half is accepted at once if the names are right.
            self.testing = without(&mut self.bad_set, &named);
            self.testing.append(&mut self.bad_set);
            self.bad_set = self.testing.split_off(count / 2);
        }
        if self.testing.len() > most {
            self.follows_names = false;
            self.bad_set.extend(self.testing.drain(most..));
        }
        Step::Send(self.testing.clone())
    }

    /// The set that was sent last was accepted. If it was a part of `bad_set`, what is left there holds a bad value.
    pub fn accepted(&mut self) {
        self.testing.clear();
        self.inferred = !self.follows_names;
    }

    /// The set that was sent last was refused, so nothing is known of the rest of its set.
    pub fn refused(&mut self, named: Vec<usize>, reason: String) {
        if self.bad_set.is_empty() {
            // It came from the pool, so another search begins.
            self.spare = SPARE;
        }
        self.pool.append(&mut self.bad_set);
        self.bad_set = std::mem::take(&mut self.testing);
        self.named = named;
        self.inferred = false;
        self.reason = reason;
    }

    /// The set that was sent last proved nothing of the rest. Its own values are no part of the bisection any more.
    pub fn inconclusive(&mut self) {
        self.pool.append(&mut self.bad_set);
        self.testing.clear();
    }

    /// The set that was sent last is put back, to be sent in smaller parts.
    pub fn put_back(&mut self) {
        if self.bad_set.is_empty() {
            self.pool.append(&mut self.testing);
        } else {
            self.bad_set.append(&mut self.testing);
        }
        self.named.clear();
    }

    /// Takes a value back that [`next`](Self::next) gave to be rejected, and sends the others first. Returns `false` if
    /// there are none, or if a value was taken back before.
    pub fn postpone(&mut self, change: PlannedChange) -> bool {
        let may_tell = !self.pool.is_empty() && !std::mem::replace(&mut self.postponed, true);
        self.pool.push(change);
        may_tell
    }

    /// Takes out the values that need not be sent, because their customer or attribute is deleted.
    pub fn remove(&mut self, deleted: impl Fn(&PlannedChange) -> bool) -> Vec<PlannedChange> {
        let before = self.bad_set.len();
        let mut removed: Vec<_> = self.bad_set.extract_if(.., |change| deleted(change)).collect();
        if self.bad_set.len() < before {
            // The bad value may be among the removed ones: nothing is known of the rest.
            self.pool.append(&mut self.bad_set);
            self.named.clear();
        }
        removed.extend(self.pool.extract_if(.., |change| deleted(change)));
        removed
    }

    /// Returns how many spare requests are left if the set without the `named` values is sent and refused. Returns
    /// `None` if the names must not be followed, because there are none, they name everything, or no request is spare.
    fn spare_after_following(&self, named: usize) -> Option<u32> {
        let count = self.bad_set.len();
        let rest = count.checked_sub(named).filter(|rest| named > 0 && *rest > 0)?;
        let gained = halvings(count) - halvings(named.max(rest));
        (self.spare + gained).checked_sub(1)
    }

    /// Returns everything that has no result yet, when the run ends.
    #[must_use]
    pub fn into_remaining(mut self) -> Vec<PlannedChange> {
        self.bad_set.append(&mut self.pool);
        self.bad_set.append(&mut self.testing);
        self.bad_set
    }
}

/// Takes out everything but the values at these indexes.
fn without(changes: &mut Vec<PlannedChange>, indexes: &[usize]) -> Vec<PlannedChange> {
    let mut index = 0;
    changes.extract_if(.., |_| (!indexes.contains(&index), index += 1).0).collect()
}

/// How often a set of so many values has to be halved until one is left: ⌈log₂ count⌉.
const fn halvings(count: usize) -> u32 {
    count.next_power_of_two().trailing_zeros()
}
