//! What a push waits for while nothing is under way.

use super::event::Wait;
use super::{Action, Notice, Now, Push};
use crate::record::WaitReason;

impl Push {
    /// Tells subscribers when a wait begins, changes or ends. A wait that the store asks for lasts no longer than
    /// `give_up_after`.
    pub(super) fn tell_wait(&mut self, now: Now, actions: &mut Vec<Action>) {
        let mut wait = self.wait(now);
        if let (Some(wait), Some(end)) = (&mut wait, self.breaker.end_of_waiting())
            && wait.reason == WaitReason::Limited
        {
            wait.until = wait.until.min(end);
        }
        if wait != self.told_wait {
            self.told_wait.clone_from(&wait);
            actions.push(Action::Notify(Notice::Waiting(wait)));
        }
    }

    /// Why the run has to stop, if it only waits because the store asks for it, and `give_up_after` is over.
    pub(super) fn tripped_by_wait(&self, now: Now) -> Option<(String, &'static str)> {
        let wait = self.wait(now).filter(|wait| wait.reason == WaitReason::Limited)?;
        self.breaker.tripped_by_wait(wait.until.saturating_sub(now.elapsed), now.elapsed)
    }

    fn wait(&self, now: Now) -> Option<Wait> {
        let is_busy = !self.is_idle() || self.chosen.is_some() || self.deleted.is_checking();
        if is_busy || self.end.is_some() || self.concluded {
            return None;
        }
        if let Some(until) = self.canary.pause_ends_at() {
            return Some(Wait { reason: WaitReason::ReadBack, until, response: String::new() });
        }
        if let Some((until, reason)) = self.pace.paused(now) {
            let failed =
                self.waiting.iter().find(|batch| reason == WaitReason::Backoff && batch.waits_for == reason);
            let response = failed.map(|batch| batch.last_brief.clone()).unwrap_or_default();
            return Some(Wait { reason, until, response });
        }
        let later = self.waiting.iter().filter(|batch| !batch.is_ready(now));
        let next = later.min_by_key(|batch| batch.ready_at)?;
        let (reason, response) = (next.waits_for, next.last_brief.clone());
        next.ready_at.map(|until| Wait { reason, until, response })
    }
}
