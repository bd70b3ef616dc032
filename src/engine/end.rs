//! How a run ends.

use crate::record::{Counts, RunStatus};
use crate::retry::UNWELL;

/// How a run ends, before its books are looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct End {
    pub(super) status: RunStatus,
    pub(super) message: Option<String>,
    pub(super) hint: Option<String>,
}

impl End {
    pub(super) const fn finished() -> Self {
        Self { status: RunStatus::Succeeded, message: None, hint: None }
    }

    pub(super) fn stopped(message: &str) -> Self {
        let hint = "run `attrsync sync` again: it plans anew and goes on".to_owned();
        Self { status: RunStatus::Stopped, message: Some(message.to_owned()), hint: Some(hint) }
    }

    pub(super) fn failed(message: String, hint: &str) -> Self {
        Self { status: RunStatus::Failed, message: Some(message), hint: Some(hint.to_owned()) }
    }

    /// A run whose every call failed, with values that are not known to fail: the store is to blame.
    pub(super) fn unheard(calls: i64) -> Self {
        let calls = if calls == 1 { "its one call".to_owned() } else { format!("any of {calls} calls") };
        Self::failed(format!("the store gave no clear answer to {calls}"), UNWELL)
    }

    /// A run that went through is a success only if every change is accounted for and the store is the source.
    pub(super) fn checked(self, counts: &Counts) -> Self {
        if self.status != RunStatus::Succeeded {
            return self;
        }
        if !counts.balance() || counts.deferred > 0 {
            let message = format!(
                "the books do not balance: {} planned, {} confirmed, {} rejected, {} unknown, {} deferred",
                counts.planned, counts.confirmed, counts.rejected, counts.unknown, counts.deferred
            );
            return Self::failed(
                message,
                "this is a fault of attrsync; run `attrsync sync` again, and report it",
            );
        }
        let open = counts.rejected + counts.still_rejected + counts.invalid + counts.unknown;
        let status = if open > 0 { RunStatus::Partial } else { RunStatus::Succeeded };
        Self { status, ..self }
    }
}
