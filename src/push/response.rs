//! What follows from a response: what it teaches is kept, and every change gets an outcome or is sent again.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::batch::{Batch, Intent, ReadBack};
use super::commit::{LIMITED, STOPPED};
use super::{Action, End, Notice, Now, Push};
use crate::destination::{Echo, ReadError, Response};
use crate::record::{
    ChangeOutcome, Key, LearnedSize, PlannedChange, RequestEnd, RequestOutcome, Verdict, WaitReason,
};
use crate::retry::bisection::{Bisection, Step};
use crate::retry::{self, Meaning, echo, words};

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
        actions.push(Action::Notify(Notice::RequestEnded {
            request_id,
            values,
            response: response.brief(),
            took,
        }));
        let mut meaning = retry::meaning(response, values);
        if meaning == Meaning::TooLarge && values <= self.largest_accepted.max(1) {
            // The store accepts requests of this size: something between here and the store refused this one.
            meaning = Meaning::InDoubt;
        }
        batch.last_request = Some(request_id);
        batch.attempts += 1;
        self.count_failures(&meaning);
        if !matches!(meaning, Meaning::Accepted(_)) {
            batch.last_error = response.describe();
            batch.last_brief = response.brief();
        }
        let end = request_end(response, meaning.outcome(), &batch, now);
        match meaning {
            Meaning::Accepted(echoes) => {
                self.pace.accepted(took);
                self.accepted(request_id, batch, end, Some(echoes), in_doubt_until, now, actions);
            }
            Meaning::Unreadable => {
                self.accepted(request_id, batch, end, None, in_doubt_until, now, actions);
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
                self.not_accepted(batch, meaning, in_doubt_until, now, actions);
            }
        }
    }

    /// Decides what happens to a batch that the store did not accept.
    fn not_accepted(
        &mut self,
        mut batch: Batch,
        meaning: Meaning<'_>,
        in_doubt_until: DateTime<Utc>,
        now: Now,
        actions: &mut Vec<Action>,
    ) {
        match meaning {
            Meaning::TooLarge => self.too_large(batch, now, actions),
            Meaning::Refused(named) => self.refused(batch, named, now, actions),
            Meaning::Filtered(status) => {
                if self.filtered.is_empty() {
                    actions.push(Action::CheckReads);
                }
                self.filtered.push((batch, status));
            }
            Meaning::Limited(wait) => {
                self.breaker.limited();
                let pause = self.pace.limited(self.breaker.limited_in_a_row(), wait, now);
                if wait.is_some() {
                    self.withdraw_all(LIMITED, now, actions);
                }
                batch.wait_until(now.elapsed + pause, WaitReason::Limited);
                self.waiting.push(batch);
            }
            Meaning::InDoubt => {
                batch.in_doubt_until = batch.in_doubt_until.max(Some(in_doubt_until));
                self.in_doubt(batch, now, actions);
            }
            Meaning::NotSent => self.retry(batch, now),
            // They are handled by the caller.
            Meaning::Accepted(_) | Meaning::Unreadable | Meaning::Fatal(_) => {}
        }
    }

    fn count_failures(&mut self, meaning: &Meaning<'_>) {
        match meaning {
            Meaning::InDoubt | Meaning::NotSent => self.failed(),
            Meaning::Limited(_) => self.failed_in_a_row = 0,
            // Whether it is a failure is seen when the values are read back.
            Meaning::Unreadable => {}
            _ => self.responded(),
        }
    }

    fn failed(&mut self) {
        self.breaker.failed();
        self.failed_in_a_row += 1;
    }

    fn responded(&mut self) {
        self.breaker.responded();
        self.failed_in_a_row = 0;
    }

    /// Confirms by echo; what the echoes leave open is read from the store. `echoes` is `None` if the response could
    /// not be read.
    #[allow(clippy::too_many_arguments, reason = "each is a part of the response")]
    fn accepted(
        &mut self,
        request_id: i64,
        batch: Batch,
        end: RequestEnd,
        echoes: Option<&[Echo]>,
        in_doubt_until: DateTime<Utc>,
        now: Now,
        actions: &mut Vec<Action>,
    ) {
        let (mut outcomes, mut open) = (Vec::new(), Vec::new());
        for planned in &batch.changes {
            match echo::verdict(planned, echoes.unwrap_or_default()) {
                Some(verdict) => outcomes.push(planned.outcome(verdict, batch.in_doubt_until, now)),
                None => open.push(planned.clone()),
            }
        }
        let unreadable_until = echoes.is_none().then_some(in_doubt_until);
        let keys: Vec<Key> = open.iter().map(|planned| planned.change.key).collect();
        let read_back = ReadBack { request_id, batch, end, outcomes, open, unreadable_until };
        if keys.is_empty() {
            self.finish_accepted(read_back, now, actions);
        } else {
            self.reading_back.push(read_back);
            actions.push(Action::ReadBack { request_id, keys });
        }
    }

    /// Takes the store's values of the keys that a response left open.
    pub(super) fn read_back(
        &mut self,
        request_id: i64,
        values: Result<Vec<Echo>, ReadError>,
        now: Now,
        actions: &mut Vec<Action>,
    ) {
        let Some(index) = self.reading_back.iter().position(|read| read.request_id == request_id) else {
            return;
        };
        let mut read_back = self.reading_back.remove(index);
        for planned in std::mem::take(&mut read_back.open) {
            let verdict = match &values {
                Ok(values) => echo::read_back_verdict(&planned, values),
                Err(error) => {
                    let reason = format!("the response left it out, and reading it back failed: {error}");
                    Verdict::Unknown { reason, observed_value: None }
                }
            };
            let is_confirmed = matches!(verdict, Verdict::Confirmed { .. });
            if read_back.unreadable_until.is_some() && !is_confirmed {
                read_back.open.push(planned);
            } else {
                read_back.outcomes.push(planned.outcome(verdict, read_back.batch.in_doubt_until, now));
            }
        }
        self.finish_accepted(read_back, now, actions);
    }

    /// Has the outcomes of an accepted request committed. Changes that neither an unreadable response nor a read proved
    /// are in doubt.
    fn finish_accepted(&mut self, read_back: ReadBack, now: Now, actions: &mut Vec<Action>) {
        let ReadBack { request_id, mut batch, mut end, outcomes, open, unreadable_until } = read_back;
        if open.is_empty() {
            self.responded();
            end.outcome = RequestOutcome::Accepted;
            self.accepted += 1;
            self.largest_accepted = self.largest_accepted.max(batch.changes.len());
            let proved = proves_all(&batch.changes, &outcomes);
            self.record_outcome(request_id, end, outcomes, &batch, actions);
            if let Some(mut bisection) = batch.bisection.take() {
                if proved {
                    bisection.accepted()
                } else {
                    bisection.inconclusive()
                }
                self.continue_bisection(bisection, &batch, now, actions);
            }
            return;
        }
        self.failed();
        self.record_outcome(request_id, end, outcomes, &batch, actions);
        batch.in_doubt_until = batch.in_doubt_until.max(unreadable_until);
        batch.changes = open;
        self.in_doubt(batch, now, actions);
    }

    /// Learns the size that the store accepts, and sends the batch in parts that fit.
    fn too_large(&mut self, mut batch: Batch, now: Now, actions: &mut Vec<Action>) {
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

    fn refused(&mut self, mut batch: Batch, named: Vec<usize>, now: Now, actions: &mut Vec<Action>) {
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

    fn continue_bisection(
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
            match bisection.next(self.limit.values.unwrap_or(usize::MAX)) {
                Step::Send(changes) => {
                    let part = batch.part(changes, self.config.max_attempts);
                    return Some(Batch { bisection: Some(bisection), ..part });
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
    fn in_doubt(&mut self, mut batch: Batch, now: Now, actions: &mut Vec<Action>) {
        batch.times_in_doubt += 1;
        if batch.times_in_doubt == 1 {
            batch.accepted_before = self.accepted;
        }
        let others_left = !self.in_flight.is_empty()
            || !self.ahead.is_empty()
            || !self.recording.is_empty()
            || !self.plan.is_empty()
            || self.waiting.iter().any(|other| !other.is_exhausted());
        let others_succeed = self.accepted > batch.accepted_before || !others_left;
        if !batch.is_exhausted() || !others_succeed {
            return self.retry(batch, now);
        }
        if let Some(mut bisection) = batch.bisection.take() {
            // The bisection continues without this part. The part itself is split or given its outcome below.
            bisection.inconclusive();
            self.continue_bisection(bisection, &batch, now, actions);
        }
        if let [planned] = batch.changes.as_slice() {
            let (attempts, error) = (batch.attempts, &batch.last_error);
            let reason = format!("sent {attempts} times without a clear response; the last: {error}");
            let verdict = Verdict::Unknown { reason, observed_value: None };
            let outcome = planned.outcome(verdict, batch.in_doubt_until, now);
            return self.record_unsent(vec![outcome], actions);
        }
        let (left, right) = batch.changes.split_at(batch.changes.len() / 2);
        for half in [left, right] {
            self.waiting.push(batch.part(half.to_vec(), ATTEMPTS_OF_A_PART));
        }
    }

    /// Sends a batch again after a jittered pause that grows with its attempts.
    fn retry(&mut self, mut batch: Batch, now: Now) {
        batch.wait_until(now.elapsed + self.pace.backoff(batch.attempts), WaitReason::Backoff);
        self.waiting.push(batch);
    }

    /// Ends the run because nothing else can succeed.
    fn stop(&mut self, end: End, now: Now, actions: &mut Vec<Action>) {
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

    /// Decides what happens to batches that something before the store refused: while reads succeed it is about their
    /// content, else the token or the address is to blame.
    pub(super) fn reads_checked(
        &mut self,
        result: Result<(), ReadError>,
        now: Now,
        actions: &mut Vec<Action>,
    ) {
        for (mut batch, status) in std::mem::take(&mut self.filtered) {
            match &result {
                Ok(()) => {
                    batch.last_error = format!("refused by something before the store: {}", batch.last_error);
                    self.refused(batch, Vec::new(), now, actions);
                }
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

/// Whether the store surely applied every value of a batch. It may have skipped a value that is confirmed because the
/// store showed the same other value twice, or because it shows no row for an empty value.
fn proves_all(changes: &[PlannedChange], outcomes: &[ChangeOutcome]) -> bool {
    let may_be_skipped = |key, value_id: Option<i64>, stored: &Option<String>| {
        changes.iter().filter(|planned| planned.change.key == key).any(|planned| {
            let observed_again = stored.is_some() && planned.observed_value == *stored;
            observed_again || (planned.change.value.as_deref() == Some("") && value_id.is_none())
        })
    };
    outcomes.iter().all(|outcome| match &outcome.verdict {
        Verdict::Confirmed { value_id, stored_value } => {
            !may_be_skipped(outcome.key, *value_id, stored_value)
        }
        Verdict::Rejected { .. } | Verdict::Unknown { .. } | Verdict::Deferred { .. } => false,
    })
}
