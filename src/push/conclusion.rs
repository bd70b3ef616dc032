//! The last outcomes of a run.

use super::{Action, End, Now, Push};
use crate::record::{Key, RunStatus};

impl Push {
    /// Returns the key that waits to be sent again, if nothing else is left of the plan.
    pub(super) fn only_left(&self) -> Option<Key> {
        let under_way = self.recording.len() + self.ahead.len() + self.in_flight.len() + self.finding.len();
        let is_all =
            self.plan.is_empty() && self.chosen.is_none() && under_way + self.reading_back.len() == 0;
        match self.waiting.as_slice() {
            [batch] if is_all && batch.bisection.is_none() => match batch.changes.as_slice() {
                [only] => Some(only.key()),
                _ => None,
            },
            _ => None,
        }
    }

    /// Gives what waits its last outcome, then ends. What was never sent stays `planned`: deferred, in a closed run.
    pub(super) fn conclude(&mut self, now: Now, actions: &mut Vec<Action>) {
        if !self.concluded {
            self.concluded = true;
            self.waiting.extend(self.chosen.take());
            if self.counts.deferred == 0 && self.waiting.is_empty() {
                // The plan is through: a stop stopped nothing, and a failure does not matter if no value is unknown.
                let all_responded = self.counts.unknown == 0;
                self.end.take_if(|end| end.status == RunStatus::Stopped || all_responded);
            }
            for mut batch in std::mem::take(&mut self.waiting) {
                if batch.last_request.is_none() {
                    continue;
                }
                let verdict = batch.last_verdict("the run ended before it could be sent again");
                if let Some(bisection) = batch.bisection.take() {
                    batch.changes = bisection.into_remaining();
                }
                let outcomes = batch.outcomes(&verdict, now);
                self.record_unsent(outcomes, actions);
            }
        }
        if self.uncommitted.is_empty() {
            let end = self.end.take().or_else(|| self.unread.take());
            actions.push(Action::End(end.unwrap_or_else(End::succeeded)));
        }
    }
}
