//! What follows from an answer: what it teaches is kept, and what is undecided goes on its way.

use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::Instant;

use super::super::existence::{self, Owner};
use super::super::sending::{Begun, Sent, Work, outcome};
use super::super::{End, EngineError};
use super::Push;
use crate::destination::{ReadError, Response};
use crate::ledger::{LearnedSize, RequestEnd};
use crate::record::{ChangeOutcome, PlannedChange, RequestOutcome, Verdict};
use crate::retry::bisection::{Bisection, Step};
use crate::retry::{self, Meaning};

/// Tries for each part of a batch that was split because it kept failing.
const TRIES_OF_A_PART: u32 = 2;

/// Accepted calls after which a store that asked for fewer calls gets one more at a time again.
const ACCEPTED_FOR_A_SLOT: u32 = 20;

/// The first pause after a 429 that names no time.
const LIMITED_PAUSE: Duration = Duration::from_millis(700);

impl Push<'_> {
    /// Decides what comes after an answer that is written down. `last` says that no other call is in flight.
    pub(super) async fn settle(&mut self, sent: Sent, last: bool) -> Result<(), EngineError> {
        let Sent { mut work, request_id, reply, outcomes, took } = sent;
        self.begun_keys.retain(|(id, _)| *id != request_id);
        self.count(&outcomes);
        let items = work.changes.len();
        let meaning = retry::meaning(&reply, items);
        let answer = retry::brief(&reply);
        tracing::debug!(
            run = self.run_id,
            request = request_id,
            values = items,
            answer,
            ?took,
            "a call ended"
        );
        work.parent_id = Some(request_id);
        work.calls += 1;
        if matches!(meaning, Meaning::Unknown | Meaning::NotSent) {
            self.breaker.failed();
            self.failed_in_a_row += 1;
        } else {
            self.failed_in_a_row = 0;
        }
        if !matches!(meaning, Meaning::Unknown | Meaning::NotSent | Meaning::Limited(_)) {
            self.breaker.answered();
        }
        match meaning {
            Meaning::Accepted(_) => {
                self.last_took = took;
                let proved = took_all(&work.changes, &outcomes);
                self.accepted(work, proved, request_id).await
            }
            Meaning::TooLarge if items > 1 => self.too_large(work, request_id).await,
            Meaning::TooLarge => self.refused(work, Vec::new(), request_id).await,
            Meaning::Refused(named) => self.refused(work, named, request_id).await,
            Meaning::Fatal(advice) => {
                let verdict = work.stopped();
                if let Some(isolation) = work.isolation.take() {
                    self.give_up(isolation, &verdict, &outcomes, work.in_doubt_until).await?;
                }
                self.stop(&reply, request_id, advice).await
            }
            Meaning::Limited(wait) => self.limited(work, wait).await,
            Meaning::Unknown => {
                work.failures += 1;
                self.failed(work, last).await
            }
            Meaning::NotSent => {
                self.counts.requests -= 1;
                self.pause(work);
                Ok(())
            }
        }
    }

    /// `proved` says that the store took every value of the batch. One that the store passed over may be the bad one of
    /// its set, and then its acceptance says nothing of the rest.
    async fn accepted(&mut self, work: Work, proved: bool, request_id: i64) -> Result<(), EngineError> {
        self.accepted += 1;
        self.accepted_since_limited += 1;
        if self.accepted_since_limited >= ACCEPTED_FOR_A_SLOT && self.slots < self.config.workers {
            self.slots += 1;
            self.accepted_since_limited = 0;
        }
        match work.isolation {
            Some(mut isolation) => {
                if proved {
                    isolation.accepted();
                } else {
                    isolation.lost();
                }
                self.go_on(isolation, work.in_doubt_until, request_id).await
            }
            None => Ok(()),
        }
    }

    /// The store's size is learnt, kept, and the batch goes on in parts that fit.
    async fn too_large(&mut self, work: Work, request_id: i64) -> Result<(), EngineError> {
        if let Some(size) = retry::learn_size(work.changes.len(), self.limit.values) {
            self.limit.values = Some(size);
            let learned = LearnedSize { values_per_request: size, learned_at: (self.ports.now)() };
            self.ports.ledger.learn_size(Some(learned)).await?;
            tracing::info!(
                values_per_request = size,
                "the store takes fewer values a call; noted for this store"
            );
        }
        if let Some(mut isolation) = work.isolation {
            isolation.too_large();
            return self.go_on(isolation, work.in_doubt_until, request_id).await;
        }
        let size =
            self.limit.values.unwrap_or(work.changes.len()).min(work.changes.len().saturating_sub(1)).max(1);
        for part in work.changes.chunks(size) {
            let part = Work {
                in_doubt_until: work.in_doubt_until,
                ..Work::new(part.to_vec(), Some(request_id), work.tries)
            };
            self.waiting.push(part);
        }
        Ok(())
    }

    async fn refused(&mut self, work: Work, named: Vec<usize>, request_id: i64) -> Result<(), EngineError> {
        let isolation = match work.isolation {
            Some(mut isolation) => {
                isolation.refused(named, work.words);
                isolation
            }
            None => Bisection::new(work.changes, named, work.words),
        };
        self.go_on(isolation, work.in_doubt_until, request_id).await
    }

    /// Goes on with an isolation: what it wants to be sent waits for its turn.
    async fn go_on(
        &mut self,
        isolation: Bisection,
        in_doubt_until: Option<DateTime<Utc>>,
        parent_id: i64,
    ) -> Result<(), EngineError> {
        let work = self.isolate(isolation, in_doubt_until, parent_id).await?;
        self.waiting.extend(work);
        Ok(())
    }

    /// Takes an isolation as far as it goes without a call, and gives the batch that it wants to be sent next.
    /// The store may have applied some of it until `in_doubt_until`.
    pub(super) async fn isolate(
        &mut self,
        mut isolation: Bisection,
        in_doubt_until: Option<DateTime<Utc>>,
        parent_id: i64,
    ) -> Result<Option<Work>, EngineError> {
        loop {
            match isolation.next(self.limit.values.unwrap_or(usize::MAX)) {
                Step::Send(changes) => {
                    let work = Work::new(changes, Some(parent_id), self.config.max_attempts);
                    return Ok(Some(Work { isolation: Some(isolation), in_doubt_until, ..work }));
                }
                Step::Reject(change, reason) => {
                    tracing::warn!(key = %change.key(), "the store refused a value; it is set aside (see `attrsync rejected`)");
                    self.gone.refused(change.key());
                    let rejected = outcome(&change, Verdict::Rejected { reason }, in_doubt_until);
                    self.set_aside(vec![rejected]).await?;
                    self.ask_who_is_gone();
                }
                Step::Done => return Ok(None),
            }
        }
    }

    /// Asks, where it is due. The answer is waited for beside everything else, since it may itself have to wait for
    /// the store's leave.
    fn ask_who_is_gone(&mut self) {
        if self.asking.is_some() {
            return;
        }
        let due = self.gone.due();
        if !due.is_empty() {
            self.asking = Some(Box::pin(existence::ask(self.ports.destination, self.config, due)));
        }
    }

    /// That the store could not be asked costs calls, not truth.
    pub(super) fn learn_who_is_gone(&mut self, answer: Result<Vec<Owner>, ReadError>) {
        self.asking = None;
        match answer {
            Ok(gone) => self.gone.learn(gone),
            Err(error) => {
                let answer = retry::headline(&error.0);
                tracing::warn!(answer, "could not ask whether a customer or attribute is gone");
            }
        }
        self.ask_who_is_gone();
    }

    /// The store asks to be called less: all calls wait if it says how long, else this one does, with fewer in flight.
    async fn limited(&mut self, mut work: Work, wait: Option<Duration>) -> Result<(), EngineError> {
        self.breaker.limited();
        self.accepted_since_limited = 0;
        let now = Instant::now();
        let pause = wait.unwrap_or_else(|| {
            self.slots = self.slots.saturating_sub(1).max(1);
            let n = self.breaker.limited_in_a_row();
            retry::backoff(n, LIMITED_PAUSE, self.config.backoff_max, fastrand::f64())
        });
        if wait.is_some() {
            (self.ports.progress)(super::Progress::Waiting(pause));
            self.paused_until = self.paused_until.max(Some(now + pause));
            self.take_back("not sent: the store asked to wait").await?;
        }
        work.ready_at = Some(now + pause);
        self.waiting.push(work);
        Ok(())
    }

    /// Nobody knows whether the batch was applied: it is sent again, and split when its attempts are used up.
    async fn failed(&mut self, mut work: Work, last: bool) -> Result<(), EngineError> {
        if work.failures == 1 {
            work.accepted_before = self.accepted;
        }
        let others_left =
            !last || !self.queue.is_empty() || self.waiting.iter().any(|other| !other.exhausted());
        let its_own_fault = self.accepted > work.accepted_before || !others_left;
        if !work.exhausted() || !its_own_fault {
            self.pause(work);
            return Ok(());
        }
        if let Some(mut isolation) = work.isolation.take() {
            isolation.lost();
            self.go_on(isolation, work.in_doubt_until, work.parent_id.unwrap_or_default()).await?;
        }
        if work.changes.len() == 1 {
            let reason =
                format!("sent {} times without a clear answer; the last: {}", work.calls, work.words);
            let verdict = Verdict::Unknown { reason, observed_value: None };
            return self.set_aside(work.outcomes(&verdict)).await;
        }
        let (left, right) = work.changes.split_at(work.changes.len() / 2);
        for half in [left, right] {
            let half = Work::new(half.to_vec(), work.parent_id, TRIES_OF_A_PART);
            self.waiting.push(Work {
                in_doubt_until: work.in_doubt_until,
                words: work.words.clone(),
                ..half
            });
        }
        Ok(())
    }

    /// Puts a batch off by a jittered pause that grows with its calls.
    fn pause(&mut self, mut work: Work) {
        let pause = retry::backoff(work.calls, self.config.backoff, self.config.backoff_max, fastrand::f64());
        work.ready_at = Some(Instant::now() + pause);
        self.waiting.push(work);
    }

    /// Nothing else can succeed.
    async fn stop(&mut self, reply: &Response, request_id: i64, advice: &str) -> Result<(), EngineError> {
        if !self.ends_in_failure() {
            let answer = retry::headline(reply);
            self.end =
                Some(End::failed(format!("the store answered {answer} to request {request_id}"), advice));
        }
        self.take_back("not sent: the run was stopped").await
    }

    /// Batches that were begun ahead and not sent wait for their turn again.
    async fn take_back(&mut self, why: &str) -> Result<(), EngineError> {
        if let Some(beginning) = self.beginning.take() {
            self.began(beginning.await)?;
        }
        while let Some(Begun { work, request_id, .. }) = self.begun.pop_front() {
            let end = RequestEnd {
                at: (self.ports.now)(),
                outcome: RequestOutcome::NotSent,
                http_status: None,
                store_request_id: None,
                error: Some(why.to_owned()),
            };
            self.ports.ledger.record_outcome(self.run_id, request_id, &end, &[]).await?;
            self.counts.requests -= 1;
            self.begun_keys.retain(|(id, _)| *id != request_id);
            self.waiting.push(Work { parent_id: Some(request_id), ..work });
        }
        Ok(())
    }

    /// Decides what an isolation still holds besides what was just decided.
    async fn give_up(
        &mut self,
        isolation: Bisection,
        verdict: &Verdict,
        recorded: &[ChangeOutcome],
        in_doubt_until: Option<DateTime<Utc>>,
    ) -> Result<(), EngineError> {
        let open = |change: &PlannedChange| !recorded.iter().any(|outcome| outcome.key == change.key());
        let rest = isolation.into_undecided().into_iter().filter(open);
        let outcomes = rest.map(|change| outcome(&change, verdict.clone(), in_doubt_until)).collect();
        self.set_aside(outcomes).await
    }
}

/// Whether the store surely took every value of a batch. A change may have been passed over if it was confirmed because the
/// store showed the same other form twice, or shows no row for an empty value.
fn took_all(changes: &[PlannedChange], outcomes: &[ChangeOutcome]) -> bool {
    let doubtful = |key, value_id: Option<i64>, form: &Option<String>| {
        changes.iter().filter(|change| change.key() == key).any(|change| {
            let met_again = form.is_some() && change.observed_value == *form;
            met_again || (change.value().is_empty() && value_id.is_none())
        })
    };
    outcomes.iter().all(|outcome| match &outcome.verdict {
        Verdict::Confirmed { value_id, stored_value } => !doubtful(outcome.key, *value_id, stored_value),
        Verdict::Rejected { .. } | Verdict::Unknown { .. } | Verdict::Deferred { .. } => false,
    })
}
