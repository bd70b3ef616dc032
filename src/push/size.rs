//! What a request may carry, as the store's responses show it.

use super::batch::Batch;
use super::{Action, Notice, Now, Push};
use crate::record::LearnedSize;
use crate::retry;

impl Push {
    /// Learns the size that the store accepts, and sends the batch in parts that fit.
    pub(super) fn too_large(&mut self, mut batch: Batch, now: Now, actions: &mut Vec<Action>) {
        let values = batch.changes.len();
        if let Some(size) = retry::learn_size(values, self.limit.values) {
            self.limit.values = Some(size);
            let token = self.token();
            let learned = LearnedSize { values_per_request: size, learned_at: now.utc };
            self.uncommitted.push((token, Vec::new()));
            actions.push(Action::LearnSize { token, size: learned });
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
}
