//! What the responses of a run show of the size of requests.
//!
//! A gateway may refuse a request for its size that the store would accept, and a size once learned makes many nights
//! longer. So a refusal counts only with evidence: the store says so itself of a request larger than any that it
//! accepted lately, or several requests are refused with none as large accepted in between. A gateway has to refuse the
//! same batch twice besides. Without evidence the request is in doubt and is sent again. A learned size is kept for later
//! runs once a request of it was accepted.

use super::Now;
use crate::plan::batch::Limit;
use crate::record::{DatedSize, RequestSizes};

/// Refusals in a row that show the size of a request to be too large, if the store does not say so itself.
const REFUSALS: u32 = 2;

/// The same for a request no larger than one that was accepted lately.
const REFUSALS_AGAINST_EVIDENCE: u32 = 4;

/// What is known of the size of requests of one method.
#[derive(Debug)]
pub(super) struct Sizing {
    /// The most that one request may carry.
    pub(super) limit: Limit,
    pub(super) sizes: Sizes,
}

impl Sizing {
    pub(super) fn new(limit: Limit, kept: RequestSizes) -> Self {
        Self { limit, sizes: Sizes::new(kept) }
    }
}

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
    /// Requests of one value that were refused for their size, since a request was accepted.
    single_refusals: u32,
}

impl Sizes {
    pub(super) fn new(kept: RequestSizes) -> Self {
        Self { kept, ..Self::default() }
    }

    /// Takes note of a request that was refused for its size. Returns whether there is evidence that it is too large.
    pub(super) fn is_shown_too_large(&mut self, values: usize, by_the_store: bool, now: Now) -> bool {
        self.refused = if self.refusals == 0 { values } else { self.refused.min(values) };
        self.refusals += 1;
        let is_largest = values > self.accepted.max(self.kept.accepted_lately(now.utc));
        let needed = match (is_largest, by_the_store) {
            (true, true) => 1,
            (true, false) => REFUSALS,
            (false, _) => REFUSALS_AGAINST_EVIDENCE,
        };
        self.refusals >= needed
    }

    /// Takes note of a request of one value that was refused for its size.
    pub(super) const fn single_refused(&mut self) {
        self.single_refusals += 1;
    }

    /// How many requests of one value were refused for their size, since a request was accepted.
    pub(super) const fn single_refusals(&self) -> u32 {
        self.single_refusals
    }

    /// Takes note of a learned size.
    pub(super) fn learned(&mut self, size: usize, now: Now) {
        self.refusals = 0;
        self.unproved = Some(DatedSize { values: size, at: now.utc });
    }

    /// Takes note of an accepted request. Returns what is known now if the ledger has to keep it.
    pub(super) fn accepted(&mut self, values: usize, now: Now) -> Option<RequestSizes> {
        self.accepted = self.accepted.max(values);
        self.single_refusals = 0;
        if values >= self.refused {
            self.refusals = 0;
        }
        let learned = self.unproved.take_if(|learned| values <= learned.values);
        self.kept.learned = learned.or(self.kept.learned);
        let is_to_keep = self.kept.accept(values, now.utc);
        (is_to_keep || learned.is_some()).then_some(self.kept)
    }
}
