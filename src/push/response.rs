//! What follows from a response: what it teaches is kept, and every change gets an outcome or is sent again.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::batch::{Batch, Intent, ReadBack};
use super::commit::{PAUSED, STOPPED};
use super::{Action, End, EndedRequest, Notice, Now, Push};
use crate::destination::{ReadError, Response};
use crate::record::{Key, PlannedChange, RequestEnd, RequestMethod, RequestOutcome, Verdict, WaitReason};
use crate::retry::bisection::{Bisection, Step};
use crate::retry::{self, Meaning, words};

/// Requests for each part of a batch that was split because it kept failing.
const ATTEMPTS_OF_A_PART: u32 = 2;

impl Push {
    /// Handles a response: has its outcome committed, and chooses what happens to its batch.
    pub(super) fn response_read(
        &mut self,
        request_id: i64,
        response: &Response,
        took: Duration,
        now: Now,
        actions: &mut Vec<Action>,
    ) {
        let Some(index) = self.in_flight.iter().position(|intent| intent.request_id == request_id) else {
            return;
        };
        let Intent { mut batch, in_doubt_until, .. } = self.in_flight.remove(index);
        let values = batch.changes.len();
        actions.push(Action::Notify(Notice::RequestEnded(EndedRequest {
            request_id,
            method: batch.method(),
            first_request_id: *batch.first_request.get_or_insert(request_id),
            attempt: batch.attempts + 1,
            values,
            response: response.brief(),
            class: response.class(),
            took,
        })));
        let mut meaning = match batch.method() {
            RequestMethod::Put => retry::meaning(response, values),
            RequestMethod::Delete => retry::meaning_of_delete(response, values),
        };
        if let Meaning::TooLarge { by_the_store } = meaning
            && !self.is_too_large(&mut batch, by_the_store, now)
        {
            meaning = Meaning::InDoubt;
        }
        batch.last_request = Some(request_id);
        if meaning.outcome() != RequestOutcome::NotSent {
            self.extra.count(&batch);
            batch.was_sent = true;
        }
        batch.attempts += 1;
        self.count_failures(&meaning, response, now);
        if !matches!(meaning, Meaning::Accepted(_)) {
            batch.last_error = response.describe();
            batch.last_brief = response.brief();
        }
        let end = request_end(response, meaning.outcome(), &batch, now);
        match meaning {
            Meaning::Accepted(echoes) => {
                self.pace.accepted(took);
                let read_back = ReadBack::new(request_id, batch, end, in_doubt_until);
                self.accepted(read_back, echoes, &[], now, actions);
            }
            Meaning::Partial { echoes, errors } => {
                let read_back = ReadBack::new(request_id, batch, end, in_doubt_until);
                self.accepted(read_back, echoes, errors, now, actions);
            }
            Meaning::Unreadable => {
                let read_back = ReadBack::new(request_id, batch, end, in_doubt_until);
                self.accepted(ReadBack { is_sent_again: true, ..read_back }, &[], &[], now, actions);
            }
            Meaning::Fatal(advice) => {
                let outcomes = batch.outcomes(&batch.last_verdict("the run was stopped"), now);
                self.record_outcome(request_id, end, outcomes, &batch, actions);
                self.give_bisection_last_outcome(&mut batch, now, actions);
                let message = format!("the store responded {} to request {request_id}", response);
                self.stop(End::failed(message, advice), now, actions);
            }
            meaning => {
                self.record_outcome(request_id, end, Vec::new(), &batch, actions);
                let asked_wait = retry::asked_wait(response);
                self.not_accepted(batch, meaning, asked_wait, in_doubt_until, now, actions);
            }
        }
    }

    /// Decides what happens to a batch that the store did not accept.
    fn not_accepted(
        &mut self,
        mut batch: Batch,
        meaning: Meaning<'_>,
        asked_wait: Option<Duration>,
        in_doubt_until: DateTime<Utc>,
        now: Now,
        actions: &mut Vec<Action>,
    ) {
        match meaning {
            Meaning::TooLarge { .. } => self.too_large(batch, now, actions),
            Meaning::Refused(named) => self.refused(batch, named, now, actions),
            Meaning::Filtered(status) => {
                if self.filtered.is_empty() {
                    actions.push(Action::CheckReads);
                }
                self.filtered.push((batch, status));
            }
            Meaning::Limited(wait) => {
                let pause = self.pace.limited(self.breaker.limited_in_a_row(), wait, now);
                if self.pace.is_paused(now) {
                    self.withdraw_all(PAUSED, now, actions);
                }
                batch.wait_until(now.elapsed + pause, WaitReason::Limited);
                self.waiting.push(batch);
            }
            Meaning::InDoubt => {
                batch.in_doubt_until = batch.in_doubt_until.max(Some(in_doubt_until));
                self.in_doubt(batch, asked_wait, now, actions);
            }
            Meaning::NotSent => self.retry(batch, None, now),
            Meaning::CannotBeSent(hint) => {
                let message = format!("{}; nothing more was sent", batch.last_error);
                self.waiting.push(batch);
                self.stop(End::failed(message, hint), now, actions);
            }
            // They are handled by the caller.
            Meaning::Accepted(_) | Meaning::Partial { .. } | Meaning::Unreadable | Meaning::Fatal(_) => {}
        }
    }

    fn count_failures(&mut self, meaning: &Meaning<'_>, response: &Response, now: Now) {
        match meaning {
            Meaning::InDoubt | Meaning::NotSent | Meaning::CannotBeSent(_) => {
                self.failed(response.named(), now)
            }
            Meaning::Limited(_) => {
                self.breaker.limited(response.named(), now.elapsed);
                self.failed_in_a_row = 0;
            }
            // Whether it is a failure is seen when the values are read back.
            Meaning::Unreadable => {}
            _ => self.responded(),
        }
    }

    pub(super) fn failed(&mut self, response: String, now: Now) {
        self.breaker.failed(response, now.elapsed);
        self.failed_in_a_row += 1;
        // While nothing succeeds, all requests pause, however many batches wait.
        let failed = self.failed_in_a_row.saturating_sub(self.config.workers);
        if failed > 0 {
            let pause = self.pace.backoff(u32::try_from(failed).unwrap_or(u32::MAX));
            self.pace.pause(now.elapsed + pause, WaitReason::Backoff);
        }
    }

    pub(super) fn responded(&mut self) {
        self.breaker.responded();
        self.failed_in_a_row = 0;
    }

    pub(super) fn refused(
        &mut self,
        mut batch: Batch,
        named: Vec<usize>,
        now: Now,
        actions: &mut Vec<Action>,
    ) {
        let reason = words::without_positions(&batch.last_error);
        let bisection = match batch.bisection.take() {
            Some(mut bisection) => {
                bisection.refused(named, reason);
                bisection
            }
            None => Bisection::new(std::mem::take(&mut batch.changes), named, reason),
        };
        self.continue_bisection(bisection, &batch, now, actions);
    }

    pub(super) fn continue_bisection(
        &mut self,
        bisection: Bisection,
        batch: &Batch,
        now: Now,
        actions: &mut Vec<Action>,
    ) {
        let next = self.bisect(bisection, batch, now, actions);
        self.waiting.extend(next);
    }

    /// Takes a bisection as far as it goes without a request, and returns the batch to be sent next. `batch` is the one
    /// whose response led here.
    pub(super) fn bisect(
        &mut self,
        mut bisection: Bisection,
        batch: &Batch,
        now: Now,
        actions: &mut Vec<Action>,
    ) -> Option<Batch> {
        loop {
            match bisection.next(self.sizing(batch.method()).limit.values.unwrap_or(usize::MAX)) {
                Step::Send(changes) => {
                    let part = batch.part(changes, self.config.max_attempts);
                    return Some(Batch { bisection: Some(bisection), ..part });
                }
                Step::Reject(planned, _) if self.may_be_blocked_as_any(batch) => {
                    if !bisection.postpone(planned) {
                        self.stop_blocked(batch, now, actions);
                        let rest = batch.part(Vec::new(), self.config.max_attempts);
                        return Some(Batch { bisection: Some(bisection), ..rest });
                    }
                }
                Step::Reject(planned, reason) => {
                    actions.push(Action::Notify(Notice::Rejected(planned.change.key)));
                    self.deleted.rejected(planned.change.key);
                    let verdict = Verdict::Rejected { reason };
                    let outcome = planned.outcome(verdict, batch.in_doubt_until, now);
                    self.record_unsent(vec![outcome], actions);
                    self.check_existence(actions);
                }
                Step::Done => return None,
            }
        }
    }

    /// Sends a batch again whose last request may have been applied, and splits it when its attempts are used up.
    /// `asked_wait` is how long the store asks to wait before.
    pub(super) fn in_doubt(
        &mut self,
        mut batch: Batch,
        asked_wait: Option<Duration>,
        now: Now,
        actions: &mut Vec<Action>,
    ) {
        batch.times_in_doubt += 1;
        let accepted_before = *batch.accepted_before.get_or_insert(self.accepted);
        let others_left = !self.in_flight.is_empty()
            || !self.ahead.is_empty()
            || !self.recording.is_empty()
            || (!self.plan.is_empty() && self.canary.lets_others_follow())
            || self.waiting.iter().any(|other| !other.is_exhausted());
        let others_succeed = self.accepted > accepted_before;
        // While nothing succeeds, the store is more likely the cause than a value, unless the value failed in an earlier
        // run as well. Its parts may succeed.
        let is_single = batch.changes.len() == 1;
        let repeats = batch.changes.iter().all(PlannedChange::repeats);
        let is_to_blame = others_succeed || (!others_left && (repeats || !is_single));
        if !batch.is_exhausted() || !is_to_blame {
            return self.retry(batch, asked_wait, now);
        }
        if let Some(mut bisection) = batch.bisection.take() {
            // The bisection continues without this part. The part itself is split or given its outcome below.
            bisection.inconclusive();
            self.continue_bisection(bisection, &batch, now, actions);
        }
        if let [planned] = batch.changes.as_slice() {
            let (times, error) = (batch.in_doubt_before + batch.times_in_doubt, &batch.last_error);
            let reason = format!("sent {times} times without a clear response; the last: {error}");
            let verdict = Verdict::Unknown { reason, observed_value: None };
            let outcome = planned.outcome(verdict, batch.in_doubt_until, now);
            return self.record_unsent(vec![outcome], actions);
        }
        let (left, right) = batch.changes.split_at(batch.changes.len() / 2);
        for half in [left, right] {
            let in_doubt_before = batch.in_doubt_before + batch.times_in_doubt;
            let part = batch.part(half.to_vec(), ATTEMPTS_OF_A_PART);
            self.waiting.push(Batch { in_doubt_before, ..part });
        }
    }

    /// Sends a batch again after a jittered pause that grows with its attempts, or a longer one that the store asks for.
    fn retry(&mut self, mut batch: Batch, asked_wait: Option<Duration>, now: Now) {
        let backoff = self.pace.backoff(batch.attempts);
        match asked_wait.filter(|wait| *wait > backoff) {
            Some(wait) => batch.wait_until(now.elapsed + wait, WaitReason::Limited),
            None => batch.wait_until(now.elapsed + backoff, WaitReason::Backoff),
        }
        self.waiting.push(batch);
    }

    /// Ends the run because nothing else can succeed.
    pub(super) fn stop(&mut self, end: End, now: Now, actions: &mut Vec<Action>) {
        if !self.ends_in_failure() {
            self.end = Some(end);
        }
        self.withdraw_all(STOPPED, now, actions);
    }

    /// Gives the changes of a stopped bisection their last outcome, apart from those of the batch itself.
    fn give_bisection_last_outcome(&mut self, batch: &mut Batch, now: Now, actions: &mut Vec<Action>) {
        let Some(bisection) = batch.bisection.take() else { return };
        let sent: Vec<Key> = batch.changes.iter().map(|planned| planned.change.key).collect();
        let rest =
            bisection.into_remaining().into_iter().filter(|planned| !sent.contains(&planned.change.key));
        let rest = batch.part(rest.collect(), 0);
        let outcomes = rest.outcomes(&rest.last_verdict("the run was stopped"), now);
        self.record_unsent(outcomes, actions);
    }

    /// Whether the refusal of a batch may concern every write, because none was accepted since it began.
    fn may_be_blocked_as_any(&self, batch: &Batch) -> bool {
        batch.is_blocked && batch.accepted_before.is_none_or(|before| self.accepted <= before)
    }

    /// Ends the run because something before the store refuses writes, and none was accepted that shows another cause.
    fn stop_blocked(&mut self, batch: &Batch, now: Now, actions: &mut Vec<Action>) {
        let message = format!(
            "something before the store responded {} to every call since, while reads succeed",
            batch.last_brief
        );
        let hint = "ask those who run the proxies and firewalls on the way to let this machine make PUT and DELETE requests to the API, and check \
                    [store] api_url";
        self.stop(End::failed(message, hint), now, actions);
    }

    /// Decides what happens to batches that something before the store refused: while reads succeed it is about their
    /// content, else the token or the address is to blame.
    pub(super) fn reads_checked(
        &mut self,
        result: Result<(), ReadError>,
        now: Now,
        actions: &mut Vec<Action>,
    ) {
        self.check_end(now);
        for (mut batch, status) in std::mem::take(&mut self.filtered) {
            match &result {
                Ok(()) => {
                    batch.last_error = format!("refused by something before the store: {}", batch.last_error);
                    batch.is_blocked = retry::concerns_writes(status);
                    // For a batch of one value, it is enough that others were accepted before.
                    let is_single = batch.changes.len() == 1 && batch.bisection.is_none();
                    batch.accepted_before.get_or_insert(if is_single { 0 } else { self.accepted });
                    self.refused(batch, Vec::new(), now, actions);
                }
                // The read was ended, and shows nothing.
                Err(_) if self.end.is_some() => self.waiting.push(batch),
                Err(error) => {
                    let message = format!("the store responded {status}, and a read failed too: {error}");
                    self.stop(End::failed(message, retry::advice(status)), now, actions);
                    self.waiting.push(batch);
                }
            }
        }
    }
}

fn request_end(response: &Response, outcome: RequestOutcome, batch: &Batch, now: Now) -> RequestEnd {
    let (http_status, store_request_id) = match response {
        Response::Received(received) => (Some(received.status), received.request_id.clone()),
        Response::Lost { .. } | Response::NotSent { .. } => (None, None),
    };
    let error = (outcome != RequestOutcome::Accepted).then(|| batch.last_error.clone());
    RequestEnd { at: now.utc, outcome, http_status, store_request_id, error }
}
