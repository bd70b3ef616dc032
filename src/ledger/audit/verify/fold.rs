//! The fold of one key: its changes and the belief edits that concern it, in order, give its entry.

use chrono::{DateTime, Utc};

use super::edits::Edit;
use crate::ledger::row_digest;
use crate::record::{Action, Belief, Change, EditKind, IN_DOUBT_MAX, Key, Outcome, RequestOutcome};

/// A change of the key, with the request that carried it last.
#[derive(Debug, Clone)]
pub(super) struct PastChange {
    pub(super) run_id: i64,
    /// Whether the run's plan was complete.
    pub(super) sealed: bool,
    pub(super) action: Action,
    pub(super) outcome: Outcome,
    pub(super) value: Option<String>,
    pub(super) previous_value: Option<String>,
    pub(super) previous_in_doubt: bool,
    pub(super) source_value: Option<String>,
    pub(super) observed_value: Option<String>,
    pub(super) value_id: Option<i64>,
    pub(super) reason: Option<String>,
    pub(super) request_id: Option<i64>,
    /// The request that carried it last; `None` if there is no such request.
    pub(super) request: Option<SentIn>,
    pub(super) decided_at: Option<DateTime<Utc>>,
    pub(super) in_doubt_until: Option<DateTime<Utc>>,
    pub(super) row_digest: i64,
}

/// A request that carried a change.
#[derive(Debug, Clone, Copy)]
pub(super) struct SentIn {
    pub(super) run_id: i64,
    pub(super) outcome: RequestOutcome,
    pub(super) sent_at: DateTime<Utc>,
}

/// An entry, as it is and as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Believed {
    pub(super) run_id: i64,
    pub(super) belief: Belief,
    pub(super) value: Option<String>,
    pub(super) stored_value: Option<String>,
    pub(super) observed_value: Option<String>,
    pub(super) value_id: Option<i64>,
    pub(super) acknowledged: bool,
    pub(super) reason: Option<String>,
    pub(super) updated_at: DateTime<Utc>,
    pub(super) in_doubt_until: Option<DateTime<Utc>>,
}

/// The state of one key while its history is read.
#[derive(Debug)]
pub(super) struct Fold {
    pub(super) key: Key,
    pub(super) entry: Option<Believed>,
    /// The newest run whose changes and edits were applied.
    pub(super) run_id: i64,
    /// When the last request for the key was sent, if it has no outcome. How long it is in doubt is not recorded: the
    /// entry's `in_doubt_until` is then the latest that it may be.
    open_since: Option<DateTime<Utc>>,
    /// The newest run in which a run without the lock made the entry unconfirmed. When in that run is not known.
    pub(super) marked_in: i64,
    pub(super) flaws: Vec<String>,
}

impl Fold {
    pub(super) const fn new(key: Key) -> Self {
        Self { key, entry: None, run_id: 0, open_since: None, marked_in: 0, flaws: Vec::new() }
    }

    /// The newest run so far.
    pub(super) const fn run_id(&self) -> i64 {
        self.run_id
    }

    /// Applies the edits that concern the key, up to the changes of the next run.
    pub(super) fn edit<'a>(&mut self, edits: impl Iterator<Item = &'a Edit>) {
        let Some(entry) = &mut self.entry else { return };
        for edit in edits {
            match edit.kind {
                EditKind::Unpin => continue,
                EditKind::LostLock => {
                    self.marked_in = edit.run_id;
                    continue;
                }
                EditKind::Requeue if entry.belief != Belief::Rejected => continue,
                EditKind::Acknowledge => {
                    if entry.belief == Belief::Rejected && !entry.acknowledged {
                        edit.met.set(edit.met.get() + 1);
                        entry.acknowledged = true;
                    }
                    continue;
                }
                EditKind::Requeue | EditKind::Invalidate | EditKind::Canary => {}
                // These are rows of the history.
                EditKind::Adopt
                | EditKind::Drift
                | EditKind::Accept
                | EditKind::Report
                | EditKind::Return => continue,
                EditKind::Clear => {
                    (entry.value_id, entry.stored_value, entry.observed_value) = (None, None, None);
                }
            }
            edit.met.set(edit.met.get() + 1);
            if entry.belief != Belief::Absent {
                entry.belief = Belief::Unconfirmed;
            }
            entry.acknowledged = false;
            entry.reason = Some(edit.reason.clone());
            entry.in_doubt_until = entry.in_doubt_until.max(edit.in_doubt_until);
        }
    }

    /// Applies a change and checks it against what was known before.
    pub(super) fn change(&mut self, change: &PastChange) {
        self.run_id = change.run_id;
        if change.row_digest != change.expected_digest(self.key) {
            self.flaw(change, "one of its columns was edited: it does not have the row_digest");
        }
        if !change.sealed {
            if change.outcome != Outcome::Planned || change.request_id.is_some() {
                self.flaw(change, "it is past planning, but the run's plan was never complete");
            }
            return;
        }
        self.check_plan(change);
        self.check_outcome(change);
        let was_sent = change.request_id.is_some();
        let is_absent = change.is_absent();
        if !was_sent && change.outcome != Outcome::Rejected && !is_absent {
            // Nothing was sent, so the entry is as it was.
            return;
        }
        let before = self.entry.take();
        let value = change.value.clone();
        let known = before.as_ref().and_then(Believed::last_known).map(str::to_owned);
        let was_confirmed = before.as_ref().is_some_and(|entry| entry.belief == Belief::Confirmed);
        let same = before.as_ref().is_some_and(|entry| entry.value == value);
        let mut entry = Believed {
            run_id: change.run_id,
            belief: Belief::Unconfirmed,
            acknowledged: false,
            stored_value: known.filter(|known| !was_confirmed || value.as_ref() != Some(known)),
            observed_value: before.as_ref().filter(|_| same).and_then(|entry| entry.observed_value.clone()),
            value_id: change.value_id.or(before.as_ref().and_then(|entry| entry.value_id)),
            reason: change.reason.clone(),
            updated_at: change
                .decided_at
                .or(change.request.map(|request| request.sent_at))
                .unwrap_or_default(),
            in_doubt_until: before.and_then(|entry| entry.in_doubt_until),
            value,
        };
        match change.outcome {
            Outcome::Confirmed => {
                entry.belief = Belief::Confirmed;
                (entry.stored_value, entry.observed_value) = (change.observed_value.clone(), None);
                if is_absent {
                    (entry.belief, entry.value_id) = (Belief::Absent, None);
                }
            }
            Outcome::Rejected => entry.belief = Belief::Rejected,
            Outcome::Unknown => entry.observed_value.clone_from(&change.observed_value),
            Outcome::Planned | Outcome::Sending | Outcome::Deferred => {}
        }
        if change.outcome == Outcome::Sending {
            self.open_since = Some(entry.updated_at);
            entry.in_doubt_until = entry.in_doubt_until.max(Some(entry.updated_at + IN_DOUBT_MAX));
        } else if was_sent {
            self.open_since = None;
            entry.in_doubt_until = change.in_doubt_until;
        }
        if change.outcome == Outcome::Confirmed && change.run_id > self.marked_in {
            self.marked_in = 0;
        }
        self.entry = Some(entry);
    }

    const fn is_marked(&self) -> bool {
        self.marked_in > 0
    }

    /// Checks what the plan took from the entry.
    fn check_plan(&mut self, change: &PastChange) {
        if self.is_marked() {
            return;
        }
        let known = self.entry.as_ref().and_then(Believed::last_known).map(str::to_owned);
        let value_id = self.entry.as_ref().and_then(|entry| entry.value_id);
        if change.previous_value != known {
            let problem = format!(
                "its previous_value is {}, expected {}",
                shown(&change.previous_value),
                shown(&known)
            );
            self.flaw(change, &problem);
        }
        let in_doubt = self.entry.as_ref().is_some_and(|entry| entry.belief == Belief::Unconfirmed);
        if change.previous_in_doubt != in_doubt {
            let problem = format!("its previous_in_doubt is {}", i64::from(change.previous_in_doubt));
            self.flaw(change, &problem);
        }
        // The id of a deleted value may have been read after the plan was made.
        let may_have_other_id = change.outcome == Outcome::Confirmed
            || (change.action == Action::Delete && change.request_id.is_some());
        if !may_have_other_id && change.value_id != value_id {
            let problem =
                format!("its value_id is {}, expected {}", number(change.value_id), number(value_id));
            self.flaw(change, &problem);
        }
        let action = match change.value {
            None => Action::Delete,
            Some(_) if known.is_some() || value_id.is_some() => Action::Update,
            Some(_) => Action::Create,
        };
        if change.action != action {
            self.flaw(change, &format!("its action is {}, expected {action}", change.action));
        }
    }

    /// Checks that the columns of an outcome fit together.
    fn check_outcome(&mut self, change: &PastChange) {
        let outcome = change.outcome;
        let is_open = matches!(outcome, Outcome::Planned | Outcome::Sending);
        let has_reason = matches!(outcome, Outcome::Rejected | Outcome::Unknown | Outcome::Deferred);
        let is_absent = change.is_absent();
        let may_observe = matches!(outcome, Outcome::Confirmed | Outcome::Unknown);
        let problem = if change.decided_at.is_some() == is_open {
            format!("it is {outcome}, and {} decided_at", if is_open { "has a" } else { "has no" })
        } else if change.reason.is_some() != has_reason && !is_absent {
            format!("it is {outcome}, and {} reason", if has_reason { "has no" } else { "has a" })
        } else if change.observed_value.is_some() && !may_observe {
            format!("it is {outcome}, and has an observed_value")
        } else {
            match (change.request_id, &change.request) {
                (None, _) if matches!(outcome, Outcome::Sending | Outcome::Confirmed) && !is_absent => {
                    format!("it is {outcome}, and names no request")
                }
                (Some(id), _) if outcome == Outcome::Planned => {
                    format!("it is planned, and names request {id}")
                }
                (Some(id), None) => format!("it names request {id}, which is not there"),
                (Some(id), Some(SentIn { run_id, .. })) if *run_id != change.run_id => {
                    format!("it names request {id}, which is of run {run_id}")
                }
                (Some(id), Some(SentIn { outcome: request, .. }))
                    if outcome == Outcome::Confirmed
                        && !matches!(request, RequestOutcome::Accepted | RequestOutcome::InDoubt) =>
                {
                    format!("it is confirmed by request {id}, which is {request}")
                }
                _ => return,
            }
        };
        self.flaw(change, &problem);
    }

    /// Compares the entry with what follows from the history.
    pub(super) fn end(mut self, found: Option<Believed>) -> Vec<String> {
        let (key, expected) = (self.key, self.entry.take());
        match (found, expected) {
            (None, None) => {}
            (Some(found), None) => self.flaws.push(format!(
                "{key}: the entry is {} and refers to run {}, which has no change of it that was sent or rejected",
                found.belief, found.run_id
            )),
            (None, Some(expected)) => self.flaws.push(format!(
                "{key}: sent or rejected in run {}, but there is no entry",
                expected.run_id
            )),
            (Some(found), Some(expected)) => {
                for (column, is, should) in self.differences(&found, &expected) {
                    self.flaws.push(format!("{key}: the entry's {column} is {is}, expected {should}"));
                }
            }
        }
        self.flaws
    }

    fn differences(&self, is: &Believed, should: &Believed) -> Vec<(&'static str, String, String)> {
        let mut found = vec![
            ("run_id", is.run_id.to_string(), should.run_id.to_string()),
            ("value", shown(&is.value), shown(&should.value)),
            ("value_id", number(is.value_id), number(should.value_id)),
            ("reason", shown(&is.reason), shown(&should.reason)),
        ];
        if !self.is_marked() {
            found.push(("stored_value", shown(&is.stored_value), shown(&should.stored_value)));
            found.push(("observed_value", shown(&is.observed_value), shown(&should.observed_value)));
            found.push(("acknowledged", is.acknowledged.to_string(), should.acknowledged.to_string()));
            found.push(("updated_at", is.updated_at.to_rfc3339(), should.updated_at.to_rfc3339()));
        }
        if !self.is_marked() || is.belief != Belief::Unconfirmed {
            found.push(("belief", is.belief.to_string(), should.belief.to_string()));
        }
        match self.open_since {
            None => found.push(("in_doubt_until", time(is.in_doubt_until), time(should.in_doubt_until))),
            // A later rejection without a request leaves the time as it is.
            Some(sent_at)
                if is
                    .in_doubt_until
                    .is_some_and(|until| until > sent_at && Some(until) <= should.in_doubt_until) => {}
            Some(_) => {
                let latest = format!("a time before {}", time(should.in_doubt_until));
                found.push(("in_doubt_until", time(is.in_doubt_until), latest));
            }
        }
        found.retain(|(_, is, should)| is != should);
        found
    }

    fn flaw(&mut self, change: &PastChange, problem: &str) {
        self.flaws.push(format!("{}: the change of run {}: {problem}", self.key, change.run_id));
    }
}

impl PastChange {
    /// Whether it is a delete after which a read showed no value.
    const fn is_absent(&self) -> bool {
        matches!((self.action, self.outcome), (Action::Delete, Outcome::Confirmed))
    }

    /// Returns what its `row_digest` should be.
    pub(super) fn expected_digest(&self, key: Key) -> i64 {
        let planned = row_digest::plan_of(
            self.run_id,
            &Change {
                key,
                action: self.action,
                value: self.value.clone(),
                previous_value: self.previous_value.clone(),
                previous_in_doubt: self.previous_in_doubt,
                source_value: self.source_value.clone(),
                value_id: None,
                in_doubt_until: None,
            },
        );
        let outcome = self.decided_at.map(|at| {
            let (reason, observed_value) = (self.reason.as_deref(), self.observed_value.as_deref());
            row_digest::outcome(self.outcome, reason, observed_value, at, self.in_doubt_until)
        });
        let summands = [self.request_id, self.value_id, outcome];
        summands.into_iter().flatten().fold(planned, i64::wrapping_add)
    }
}

impl Believed {
    /// What the store was last known to hold.
    fn last_known(&self) -> Option<&str> {
        match self.belief {
            Belief::Confirmed => self.stored_value.as_deref().or(self.value.as_deref()),
            Belief::Unconfirmed | Belief::Rejected | Belief::Absent => self.stored_value.as_deref(),
        }
    }
}

fn number(value: Option<i64>) -> String {
    value.map_or("NULL".to_owned(), |value| value.to_string())
}

fn time(at: Option<DateTime<Utc>>) -> String {
    at.map_or("NULL".to_owned(), |at| at.to_rfc3339())
}

fn shown(text: &Option<String>) -> String {
    text.as_deref().map_or("NULL".to_owned(), quoted)
}

fn quoted(text: &str) -> String {
    format!("\"{text}\"")
}
