//! The way back from a run: what each of its changes is undone by, and what is left alone.

mod refusal;
#[cfg(test)]
mod tests;

use std::fmt;

use chrono::{DateTime, Utc};

use crate::record::{Action, Belief, Change, EntryNow, IN_DOUBT_MAX, InvalidRow, Key, SentChange};
use crate::retry::echo;

pub use refusal::undoable;

/// How many conflicts are kept. The others are counted.
pub const CONFLICTS_KEPT: usize = 10_000;

/// What becomes of a change that a run sent, as far as the ledger knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// The store is to hold this value again, unless it holds another one than the ledger believes; `None` for no value.
    Restore(Option<String>),
    /// The store holds the value from before already.
    Done,
    /// It is left alone.
    Conflict(Reason),
}

/// Why a value is left alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// A later run has sent another value.
    ChangedSince(i64),
    /// It is not known what the store held before.
    PreviousUnknown,
    /// The store has refused the value from before.
    Rejected,
    /// The ledger has no entry of the key any more.
    Forgotten,
    /// The store does not define the attribute any more.
    NoAttribute,
    /// The store holds this value, which attrsync did not send.
    Foreign(String),
    /// The store holds no value any more.
    Removed,
    /// The source does not say what it desires.
    SourceAmbiguous(String),
}

/// Says why, for a person, without the value that the store holds.
impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ChangedSince(run_id) => write!(f, "run {run_id} has changed it since"),
            Self::PreviousUnknown => f.write_str("it is not known what the store held before the run"),
            Self::Rejected => f.write_str("the store rejected the value from before"),
            Self::Forgotten => f.write_str("the ledger has no entry of it any more"),
            Self::NoAttribute => f.write_str("the store does not have the attribute any more"),
            Self::Foreign(_) => f.write_str("the store holds this value now, which attrsync did not send"),
            Self::Removed => f.write_str("the store holds no value any more: others have deleted it"),
            Self::SourceAmbiguous(problem) => {
                write!(f, "it is not clear what the source desires, so it cannot be pinned: {problem}")
            }
        }
    }
}

/// A change that is left alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The customer and the attribute.
    pub key: Key,
    /// What the run that is undone had sent; `None` for a delete.
    pub value: Option<String>,
    /// The value from before, as far as it is known; `None` also if it was none.
    pub previous_value: Option<String>,
    /// Why.
    pub reason: Reason,
}

impl Conflict {
    /// The conflict of a change.
    #[must_use]
    pub fn new(sent: &SentChange, reason: Reason) -> Self {
        let Change { key, value, previous_value, .. } = &sent.change;
        Self { key: *key, value: value.clone(), previous_value: previous_value.clone(), reason }
    }

    /// The row by which the ledger keeps it.
    #[must_use]
    pub fn row(&self) -> InvalidRow {
        let value = match &self.reason {
            Reason::Foreign(shown) => Some(shown.clone()),
            _ => self.value.clone(),
        };
        InvalidRow {
            customer_id: Some(self.key.customer_id),
            attribute_id: Some(self.key.attribute_id),
            value,
            reason: self.reason.to_string(),
        }
    }
}

/// Returns the way back from a change, as far as the ledger knows.
#[must_use]
pub fn finding(run_id: i64, sent: &SentChange) -> Finding {
    let SentChange { change, was_sent, entry } = sent;
    if !was_sent {
        return Finding::Done;
    }
    let before = match change.action {
        Action::Create => None,
        Action::Update | Action::Delete => change.previous_value.clone(),
    };
    let is_known = !change.previous_in_doubt && (change.action == Action::Create || before.is_some());
    if is_known && before == change.value {
        return Finding::Done;
    }
    let Some(entry) = entry else { return Finding::Conflict(Reason::Forgotten) };
    if !is_known {
        let is_left = is_as_left(run_id, change, entry);
        return Finding::Conflict(if is_left {
            Reason::PreviousUnknown
        } else {
            Reason::ChangedSince(entry.run_id)
        });
    }
    let has_before = entry.value == before;
    match entry.belief {
        Belief::Confirmed | Belief::Absent if has_before => Finding::Done,
        Belief::Rejected if has_before => Finding::Conflict(Reason::Rejected),
        // An undo that was interrupted has sent it.
        Belief::Unconfirmed if has_before => Finding::Restore(before),
        // The value of others was accepted after the run.
        Belief::Confirmed if entry.stored_value != entry.stored_form => {
            let shown = entry.stored_value.clone().unwrap_or_default();
            Finding::Conflict(Reason::Foreign(shown))
        }
        _ if is_as_left(run_id, change, entry) => Finding::Restore(before),
        _ => Finding::Conflict(Reason::ChangedSince(entry.run_id)),
    }
}

/// Whether an entry is as the run left it. A later run may have sent the same value again: over the same value from before,
/// or over one that was not known.
fn is_as_left(run_id: i64, change: &Change, entry: &EntryNow) -> bool {
    let is_repeated = || {
        let over = &entry.previous_value;
        over.is_none() || *over == change.value || *over == change.previous_value
    };
    entry.value == change.value
        && entry.belief != Belief::Rejected
        && (entry.run_id == run_id || is_repeated())
}

/// Returns why a value is left alone although the ledger knows the way back to `before`: the store shows something else than
/// attrsync has sent.
#[must_use]
pub fn disturbed(change: &Change, entry: &EntryNow, before: Option<&str>, shown: &[&str]) -> Option<Reason> {
    let stored_form = entry.stored_form.as_deref().filter(|_| entry.belief == Belief::Confirmed);
    // An undo that was interrupted may have sent nothing yet.
    let replaced = entry.previous_value.as_deref().filter(|_| entry.value.as_deref() == before);
    let ours = [change.value.as_deref(), entry.value.as_deref(), stored_form, replaced, before];
    let is_ours = |shown: &&&str| ours.iter().flatten().any(|sent| echo::may_show(shown, sent));
    if let Some(foreign) = shown.iter().find(|shown| !is_ours(shown)) {
        return Some(Reason::Foreign((*foreign).to_owned()));
    }
    let is_empty = |value: Option<&str>| value.is_none_or(str::is_empty);
    let ours = [change.value.as_deref(), entry.value.as_deref(), before];
    let may_be_empty = ours.into_iter().any(is_empty);
    (shown.is_empty() && !may_be_empty).then_some(Reason::Removed)
}

/// Returns the change that restores a value, `None` for no value. `source_value` is what the source desires now.
#[must_use]
pub fn restoring(
    key: Key,
    entry: &EntryNow,
    before: Option<String>,
    source_value: Option<String>,
    now: DateTime<Utc>,
) -> Change {
    let previous_value = entry.last_known().map(str::to_owned);
    let action = match &before {
        None => Action::Delete,
        Some(_) if previous_value.is_some() || entry.value_id.is_some() => Action::Update,
        Some(_) => Action::Create,
    };
    // A later time means that the clock was set back.
    let in_doubt_until = entry.in_doubt_until.map(|until| until.min(now + IN_DOUBT_MAX));
    Change {
        key,
        action,
        value: before,
        previous_value,
        previous_in_doubt: entry.belief == Belief::Unconfirmed,
        source_value,
        value_id: entry.value_id,
        in_doubt_until: in_doubt_until.filter(|until| *until > now),
    }
}
