//! Why a push made more requests than its plan needs.

use super::batch::Batch;

/// Requests that a plan does not need if nothing fails, by cause. What remains was caused by a size that was learned.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ExtraRequests {
    /// Requests for values that were sent before, because the response failed or the store asked to wait.
    pub repeated: u64,
    /// Requests that carry only values in doubt, which are not sent together with others.
    pub in_doubt: u64,
    /// Requests of bisections.
    pub bisection: u64,
    /// The size that the store was found to accept in this push, in values.
    pub learned_size: Option<usize>,
}

impl ExtraRequests {
    /// Counts a request that was sent, before its batch is changed.
    pub(super) fn count(&mut self, batch: &Batch) {
        if batch.bisection.is_some() {
            self.bisection += 1;
        } else if batch.was_sent || batch.in_doubt_until.is_some() {
            self.repeated += 1;
        } else if batch.changes.iter().all(|planned| planned.change.in_doubt_until.is_some()) {
            self.in_doubt += 1;
        }
    }
}
