//! A batch of changes on its way through a push.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::Now;
use crate::record::{
    Action, ChangeOutcome, IN_DOUBT_MAX, PlannedChange, RequestEnd, RequestMethod, Verdict, WaitReason,
};
use crate::retry::bisection::Bisection;

/// Changes to be sent in one request, and what was tried before.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) changes: Vec<PlannedChange>,
    /// The first request of these changes that was sent, also as a part of a larger batch.
    pub(super) first_request: Option<i64>,
    /// The last request with an intent for these changes. `None`: they are still `planned`.
    pub(super) last_request: Option<i64>,
    /// Requests so far, refused or failed.
    pub(super) attempts: u32,
    /// Whether one of them left this machine.
    pub(super) was_sent: bool,
    /// Requests so far that are in doubt.
    pub(super) times_in_doubt: u32,
    /// Requests in doubt of the batches that this one is a part of.
    pub(super) in_doubt_before: u32,
    /// How many requests may be in doubt before the batch is split.
    pub(super) max_in_doubt: u32,
    /// Until when a request of this run for these changes may still be applied.
    pub(super) in_doubt_until: Option<DateTime<Utc>>,
    /// How many requests had been accepted when this batch, or the one that it is a part of, first failed.
    pub(super) accepted_before: Option<u64>,
    /// The bisection that these changes are a part of.
    pub(super) bisection: Option<Bisection>,
    /// The batch is not sent before this time.
    pub(super) ready_at: Option<Duration>,
    /// Whether something before the store refused it last, in a way that may concern every write.
    pub(super) is_blocked: bool,
    /// Whether its values to be deleted were found under other ids than those that were deleted first.
    pub(super) has_other_ids: bool,
    /// Whether a response refused it for its size.
    pub(super) refused_for_size: bool,
    /// Why it is not sent before.
    pub(super) waits_for: WaitReason,
    /// What the last response said.
    pub(super) last_error: String,
    /// The same without the store's words, for logs.
    pub(super) last_brief: String,
}

/// A batch whose intent is being committed.
#[derive(Debug)]
pub(super) struct Recording {
    pub(super) token: u64,
    pub(super) batch: Batch,
    pub(super) recorded_at: Duration,
    pub(super) in_doubt_until: DateTime<Utc>,
}

/// A batch whose intent is committed.
#[derive(Debug)]
pub(super) struct Intent {
    pub(super) request_id: i64,
    pub(super) batch: Batch,
    /// When the intent was given to the ledger.
    pub(super) recorded_at: Duration,
    /// When the ledger had committed it.
    pub(super) committed_at: Duration,
    pub(super) in_doubt_until: DateTime<Utc>,
}

/// A batch of deletes whose ids are being read from the store.
#[derive(Debug)]
pub(super) struct Finding {
    pub(super) token: u64,
    pub(super) batch: Batch,
}

/// A batch whose response left some values open, which are being read from the store.
#[derive(Debug)]
pub(super) struct ReadBack {
    pub(super) request_id: i64,
    pub(super) batch: Batch,
    pub(super) end: RequestEnd,
    /// What the response proved.
    pub(super) outcomes: Vec<ChangeOutcome>,
    /// What it left open.
    pub(super) open: Vec<PlannedChange>,
    /// The store's words, if the response has errors that name no item.
    pub(super) refusal: Option<String>,
    /// Until when the request may still be applied.
    pub(super) in_doubt_until: DateTime<Utc>,
    /// Whether what is left open, and is not there when it is read back, is sent again: the response could not be read,
    /// or has errors that may pass.
    pub(super) is_sent_again: bool,
}

impl ReadBack {
    /// A response of which nothing was believed yet.
    pub(super) const fn new(
        request_id: i64,
        batch: Batch,
        end: RequestEnd,
        in_doubt_until: DateTime<Utc>,
    ) -> Self {
        Self {
            request_id,
            batch,
            end,
            outcomes: Vec::new(),
            open: Vec::new(),
            refusal: None,
            in_doubt_until,
            is_sent_again: false,
        }
    }
}

impl Batch {
    /// Returns a batch of planned changes.
    pub(super) const fn new(changes: Vec<PlannedChange>, max_in_doubt: u32) -> Self {
        Self {
            changes,
            first_request: None,
            last_request: None,
            attempts: 0,
            was_sent: false,
            times_in_doubt: 0,
            in_doubt_before: 0,
            max_in_doubt,
            in_doubt_until: None,
            accepted_before: None,
            bisection: None,
            ready_at: None,
            is_blocked: false,
            has_other_ids: false,
            refused_for_size: false,
            waits_for: WaitReason::Backoff,
            last_error: String::new(),
            last_brief: String::new(),
        }
    }

    /// Returns a batch of some changes of this one, to be sent in its place.
    pub(super) fn part(&self, changes: Vec<PlannedChange>, max_in_doubt: u32) -> Self {
        Self {
            first_request: self.first_request,
            last_request: self.last_request,
            in_doubt_until: self.in_doubt_until,
            accepted_before: self.accepted_before,
            has_other_ids: self.has_other_ids,
            last_error: self.last_error.clone(),
            last_brief: self.last_brief.clone(),
            ..Self::new(changes, max_in_doubt)
        }
    }

    /// Whether its requests write values or delete them. All of its changes do the same.
    pub(super) fn method(&self) -> RequestMethod {
        match self.changes.first().map(|planned| planned.change.action) {
            Some(Action::Delete) => RequestMethod::Delete,
            Some(Action::Create | Action::Update) | None => RequestMethod::Put,
        }
    }

    /// Lets the batch be sent only from this time on.
    pub(super) const fn wait_until(&mut self, at: Duration, why: WaitReason) {
        (self.ready_at, self.waits_for) = (Some(at), why);
    }

    pub(super) fn is_ready(&self, now: Now) -> bool {
        self.ready_at.is_none_or(|at| at <= now.elapsed)
    }

    /// Whether it has been in doubt as often as allowed.
    pub(super) const fn is_exhausted(&self) -> bool {
        self.times_in_doubt >= self.max_in_doubt
    }

    /// How long it has to wait until no older request with another value can be applied. An older request with the same
    /// value does no harm.
    pub(super) fn in_doubt_wait(&self, now: Now) -> Option<Duration> {
        let others = self.changes.iter().filter(|planned| !planned.repeats());
        let until = others.filter_map(|planned| planned.change.in_doubt_until).max()?;
        // The clock may have been set back after the plan was made.
        (until - now.utc).min(IN_DOUBT_MAX).to_std().ok().filter(|wait| !wait.is_zero())
    }

    /// The last verdict on changes that are not sent again: deferred only if no request of theirs can have been
    /// applied.
    pub(super) fn last_verdict(&self, why: &str) -> Verdict {
        let reason = match self.last_error.as_str() {
            "" => why.to_owned(),
            error => format!("{why}; last response: {error}"),
        };
        match self.in_doubt_until {
            Some(_) => Verdict::Unknown { reason, observed_value: None },
            None => Verdict::Deferred { reason },
        }
    }

    /// The same outcome for each of its changes.
    pub(super) fn outcomes(&self, verdict: &Verdict, now: Now) -> Vec<ChangeOutcome> {
        let outcome = |planned: &PlannedChange| planned.outcome(verdict.clone(), self.in_doubt_until, now);
        self.changes.iter().map(outcome).collect()
    }
}

impl PlannedChange {
    /// The outcome of this change. `until` is when the requests of this run can no longer be applied.
    pub(super) fn outcome(&self, verdict: Verdict, until: Option<DateTime<Utc>>, now: Now) -> ChangeOutcome {
        let in_doubt_until = until.max(self.change.in_doubt_until).filter(|until| *until > now.utc);
        ChangeOutcome { key: self.change.key, verdict, in_doubt_until }
    }
}
