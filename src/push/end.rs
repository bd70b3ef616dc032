//! How a run ends.

use crate::record::{Counts, RunStatus};

/// How a run ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// The status of the run.
    pub status: RunStatus,
    /// Why it ended early, for a person.
    pub message: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
}

impl End {
    pub(super) const fn succeeded() -> Self {
        Self { status: RunStatus::Succeeded, message: None, hint: None }
    }

    /// Returns the end of a run that was asked to stop.
    pub(crate) fn stopped(message: impl Into<String>) -> Self {
        let hint = "run `attrsync sync` again: it plans anew and continues".to_owned();
        Self { status: RunStatus::Stopped, message: Some(message.into()), hint: Some(hint) }
    }

    pub(super) fn failed(message: String, hint: &str) -> Self {
        Self { status: RunStatus::Failed, message: Some(message), hint: Some(hint.to_owned()) }
    }

    /// Returns the end by the run's counts: a run succeeds only if every change is accounted for and the store equals
    /// the source.
    #[must_use]
    pub fn checked(self, counts: &Counts) -> Self {
        if self.status != RunStatus::Succeeded {
            return self;
        }
        if !counts.balance() || counts.deferred > 0 {
            let message = format!(
                "the counts do not balance: {} planned, {} confirmed, {} rejected, {} unknown, {} deferred",
                counts.planned, counts.confirmed, counts.rejected, counts.unknown, counts.deferred
            );
            return Self::failed(
                message,
                "this is a fault of attrsync; run `attrsync sync` again, and report it",
            );
        }
        let status = if counts.need_attention() > 0 { RunStatus::Partial } else { RunStatus::Succeeded };
        Self { status, ..self }
    }
}
