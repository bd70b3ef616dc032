//! What follows from a refusal for the size of a request, and from an accepted one.

use super::batch::Batch;
use super::sizes::Sizing;
use super::{Action, Notice, Now, Push};
use crate::record::RequestMethod;
use crate::retry;

impl Push {
    /// What is known of the size of requests of this method.
    pub(super) const fn sizing(&mut self, method: RequestMethod) -> &mut Sizing {
        match method {
            RequestMethod::Put => &mut self.upserts,
            RequestMethod::Delete => &mut self.deletes,
        }
    }

    /// Whether a batch that was refused for its size is too large. A gateway has to refuse the same batch again: if it
    /// fails for a moment, it refuses each of the requests in flight.
    pub(super) fn is_too_large(&mut self, batch: &mut Batch, by_the_store: bool, now: Now) -> bool {
        let values = batch.changes.len();
        let Sizing { limit, sizes } = self.sizing(batch.method());
        if values == 1 {
            sizes.single_refused();
            return false;
        }
        let is_again = std::mem::replace(&mut batch.refused_for_size, true);
        let is_larger_than_known = limit.values.is_some_and(|known| values > known);
        let mut is_shown =
            || sizes.is_shown_too_large(values, by_the_store, now) && (by_the_store || is_again);
        is_larger_than_known || is_shown()
    }

    /// Why the run has to stop, if even requests of one value are refused for their size, and what to do about it.
    pub(super) fn tripped_by_size(&self) -> Option<(String, &'static str)> {
        let refusals = self.upserts.sizes.single_refusals().max(self.deletes.sizes.single_refusals());
        let last = self.breaker.last_response();
        (refusals >= self.config.max_attempts).then(|| {
            (
                format!("{refusals} calls of one value were refused for their size; the last response: {last}"),
                "something before the store refuses calls of any size: ask those who run the proxies and firewalls on the way to \
                 let request bodies of some KiB pass; then run `attrsync sync`",
            )
        })
    }

    /// Learns the size that the store accepts, and sends the batch in parts that fit.
    pub(super) fn too_large(&mut self, mut batch: Batch, now: Now, actions: &mut Vec<Action>) {
        let (values, method) = (batch.changes.len(), batch.method());
        let Sizing { limit, sizes } = self.sizing(method);
        if let Some(size) = retry::learn_size(values, limit.values) {
            limit.values = Some(size);
            sizes.learned(size, now);
            if method == RequestMethod::Put {
                self.deletes.limit.values = self.deletes.limit.values.min(Some(size));
                self.extra.learned_size = Some(size);
                actions.push(Action::Notify(Notice::SizeLearned(size)));
            }
        }
        if let Some(mut bisection) = batch.bisection.take() {
            bisection.put_back();
            return self.continue_bisection(bisection, &batch, now, actions);
        }
        let size = self.sizing(method).limit.values.unwrap_or(values).min(values - 1).max(1);
        for part in batch.changes.chunks(size) {
            self.waiting.push(batch.part(part.to_vec(), batch.max_in_doubt));
        }
    }

    /// Takes note of the size of an accepted request, and has what it proves of requests that write values kept.
    pub(super) fn size_accepted(&mut self, batch: &Batch, now: Now, actions: &mut Vec<Action>) {
        let proved = self.sizing(batch.method()).sizes.accepted(batch.changes.len(), now);
        if let Some(sizes) = proved.filter(|_| batch.method() == RequestMethod::Put) {
            let token = self.token();
            self.uncommitted.push((token, Vec::new()));
            actions.push(Action::KeepSizes { token, sizes });
        }
    }
}
