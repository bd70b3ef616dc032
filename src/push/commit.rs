//! What is committed: intents before requests are sent, outcomes after them, and intents that are withdrawn.

use super::batch::{Batch, Intent, Recording};
use super::{Action, End, INTENT_VALID, Now, Push};
use crate::record::{Change, ChangeOutcome, NewRequest, RecordedIntent, RequestEnd, RequestOutcome, Verdict};

/// Why requests are not sent in a pause: the store asked to wait, or nothing succeeds.
pub(super) const PAUSED: &str = "not sent: the run pauses";
/// Why requests are not sent after a failure.
pub(super) const STOPPED: &str = "not sent: the run was stopped";

/// Intents in a row that the ledger may take too long for. More of them end the run, if they last.
const SLOW_COMMITS_ALLOWED: u32 = 5;

impl Push {
    /// Has the intent of the chosen batch committed.
    pub(super) fn record_intent(&mut self, now: Now, actions: &mut Vec<Action>) {
        let Some(batch) = self.chosen.take() else { return };
        if self.end.is_some() || self.pace.is_paused(now) {
            self.waiting.push(batch);
            return;
        }
        let token = self.token();
        let in_doubt_until = now.utc + self.config.in_doubt_window();
        let (parent_id, attempt) = (batch.last_request, batch.attempts + 1);
        let method = batch.method();
        let request = NewRequest { method, parent_id, attempt, at: now.utc, in_doubt_until };
        let changes: Vec<Change> = batch.changes.iter().map(|planned| planned.change.clone()).collect();
        actions.push(Action::RecordIntent { token, request, changes });
        self.recording.push(Recording { token, batch, recorded_at: now.elapsed, in_doubt_until });
    }

    pub(super) fn intent_recorded(
        &mut self,
        token: u64,
        intent: RecordedIntent,
        now: Now,
        actions: &mut Vec<Action>,
    ) {
        let Some(index) = self.recording.iter().position(|recording| recording.token == token) else {
            return;
        };
        let Recording { batch, recorded_at, in_doubt_until, .. } = self.recording.remove(index);
        self.counts = intent.counts;
        if now.elapsed.saturating_sub(recorded_at) <= INTENT_VALID {
            self.slow_commits.0 = 0;
        }
        let request_id = intent.request_id;
        let intent = Intent { request_id, batch, recorded_at, committed_at: now.elapsed, in_doubt_until };
        if self.pace.is_paused(now) {
            self.withdraw(intent, PAUSED, now, actions);
        } else if self.ends_in_failure() {
            self.withdraw(intent, STOPPED, now, actions);
        } else {
            self.ahead.push_back(intent);
        }
    }

    /// Says why an intent has expired before its request could be sent. A ledger that takes too long for every intent
    /// ends the run in time: the store has no part in it.
    pub(super) fn why_expired(&mut self, intent: &Intent, now: Now) -> &'static str {
        if intent.committed_at.saturating_sub(intent.recorded_at) <= INTENT_VALID {
            return "not sent: no slot was free within five seconds of its intent";
        }
        let (count, first) = self.slow_commits;
        self.slow_commits = (count + 1, if count == 0 { now.elapsed } else { first });
        let lasted = now.elapsed.saturating_sub(self.slow_commits.1);
        if count >= SLOW_COMMITS_ALLOWED && lasted >= self.config.give_up_after {
            let message = format!(
                "stopped because the ledger took more than five seconds to record each of {} intents in a row; the \
                 store was not asked",
                count + 1
            );
            let hint = "look at the database of [ledger] url: its load, its locks, its disk; then run `attrsync sync`";
            self.end.get_or_insert_with(|| End::failed(message, hint));
        }
        "not sent: the ledger took more than five seconds to record its intent"
    }

    /// Takes back a request that could not leave in time.
    pub(super) fn intent_expired(&mut self, request_id: i64, now: Now, actions: &mut Vec<Action>) {
        if let Some(index) = self.in_flight.iter().position(|intent| intent.request_id == request_id) {
            let intent = self.in_flight.remove(index);
            self.withdraw(intent, "not sent: its intent had expired before it could leave", now, actions);
        }
    }

    /// Records that a request was not sent. Its batch waits for its turn again.
    pub(super) fn withdraw(&mut self, intent: Intent, why: &str, now: Now, actions: &mut Vec<Action>) {
        let Intent { request_id, mut batch, .. } = intent;
        let (outcome, error) = (RequestOutcome::NotSent, Some(why.to_owned()));
        let end = RequestEnd { at: now.utc, outcome, http_status: None, store_request_id: None, error };
        self.record_outcome(request_id, end, Vec::new(), &batch, actions);
        batch.last_request = Some(request_id);
        self.waiting.push(batch);
    }

    pub(super) fn withdraw_all(&mut self, why: &str, now: Now, actions: &mut Vec<Action>) {
        while let Some(intent) = self.ahead.pop_front() {
            self.withdraw(intent, why, now, actions);
        }
    }

    /// Has the end of a request committed, with the outcomes of those of its changes that have one.
    pub(super) fn record_outcome(
        &mut self,
        request_id: i64,
        end: RequestEnd,
        outcomes: Vec<ChangeOutcome>,
        batch: &Batch,
        actions: &mut Vec<Action>,
    ) {
        for ChangeOutcome { key, verdict, .. } in &outcomes {
            if let Verdict::Confirmed { .. } = verdict {
                self.deleted.confirmed(*key);
            }
        }
        self.canary.recorded(&outcomes, batch);
        let token = self.token();
        self.uncommitted.push((token, batch.changes.iter().map(|planned| planned.change.key).collect()));
        actions.push(Action::RecordOutcome { token, request_id, end, outcomes });
    }

    /// Has outcomes committed that no request led to.
    pub(super) fn record_unsent(&mut self, outcomes: Vec<ChangeOutcome>, actions: &mut Vec<Action>) {
        if outcomes.is_empty() {
            return;
        }
        let token = self.token();
        self.uncommitted.push((token, outcomes.iter().map(|outcome| outcome.key).collect()));
        actions.push(Action::RecordUnsent { token, outcomes });
    }

    pub(super) const fn token(&mut self) -> u64 {
        self.last_token += 1;
        self.last_token
    }
}
