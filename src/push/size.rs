//! What a request may carry, as the store's responses show it.
//!
//! A gateway may refuse a request for its size that the store would accept, and a size once learned makes many nights
//! longer. So a refusal counts only with evidence: the store says so itself of a request larger than any that it
//! accepted lately, or several requests are refused with none as large accepted in between. Without evidence the request
//! is in doubt and is sent again. A learned size is kept for later runs once a request of it was accepted.

use super::batch::Batch;
use super::{Action, Notice, Now, Push};
use crate::record::{DatedSize, RequestSizes};
use crate::retry;

/// Refusals in a row that show the size of a request to be too large, if the store does not say so itself.
const REFUSALS: u32 = 2;

/// The same for a request no larger than one that was accepted lately.
const REFUSALS_AGAINST_EVIDENCE: u32 = 4;

/// What this run knows of the size of requests.
#[derive(Debug, Default)]
pub(super) struct Sizes {
    /// What the ledger keeps.
    kept: RequestSizes,
    /// The largest request that was accepted in this run.
    accepted: usize,
    /// Refusals for the size in a row, without an accepted request as large as one of them.
    refusals: u32,
    /// The smallest request among them.
    refused: usize,
    /// A learned size that no accepted request has proved yet.
    unproved: Option<DatedSize>,
}

impl Sizes {
    pub(super) fn new(kept: RequestSizes) -> Self {
        Self { kept, ..Self::default() }
    }
}

impl Push {
    /// Whether a request of so many values that was refused for its size is too large.
    pub(super) fn is_too_large(&mut self, values: usize, by_the_store: bool, now: Now) -> bool {
        if values <= 1 {
            return false;
        }
        if self.limit.values.is_some_and(|known| values > known) {
            return true;
        }
        let sizes = &mut self.sizes;
        sizes.refused = if sizes.refusals == 0 { values } else { sizes.refused.min(values) };
        sizes.refusals += 1;
        let is_news = values > sizes.accepted.max(sizes.kept.accepted_lately(now.utc));
        let needed = match (is_news, by_the_store) {
            (true, true) => 1,
            (true, false) => REFUSALS,
            (false, _) => REFUSALS_AGAINST_EVIDENCE,
        };
        sizes.refusals >= needed
    }

    /// Learns the size that the store accepts, and sends the batch in parts that fit.
    pub(super) fn too_large(&mut self, mut batch: Batch, now: Now, actions: &mut Vec<Action>) {
        let values = batch.changes.len();
        if let Some(size) = retry::learn_size(values, self.limit.values) {
            self.limit.values = Some(size);
            self.sizes.refusals = 0;
            self.sizes.unproved = Some(DatedSize { values: size, at: now.utc });
            actions.push(Action::Notify(Notice::SizeLearned(size)));
        }
        if let Some(mut bisection) = batch.bisection.take() {
            bisection.put_back();
            return self.continue_bisection(bisection, &batch, now, actions);
        }
        let size = self.limit.values.unwrap_or(values).min(values - 1).max(1);
        for part in batch.changes.chunks(size) {
            self.waiting.push(batch.part(part.to_vec(), batch.max_in_doubt));
        }
    }

    /// Takes note of the size of an accepted request, and has what it proves kept.
    pub(super) fn size_accepted(&mut self, values: usize, now: Now, actions: &mut Vec<Action>) {
        let sizes = &mut self.sizes;
        sizes.accepted = sizes.accepted.max(values);
        if values >= sizes.refused {
            sizes.refusals = 0;
        }
        let learned = sizes.unproved.take_if(|learned| values <= learned.values);
        sizes.kept.learned = learned.or(sizes.kept.learned);
        if sizes.kept.accept(values, now.utc) || learned.is_some() {
            let sizes = sizes.kept;
            let token = self.token();
            self.uncommitted.push((token, Vec::new()));
            actions.push(Action::KeepSizes { token, sizes });
        }
    }
}
