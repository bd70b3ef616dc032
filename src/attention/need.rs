//! One reason why a person should look at a store, in words and for programs.

use std::fmt;

use chrono::{DateTime, Utc};

use crate::record::RunStatus;

/// A reason why a person should look at a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attention {
    /// No sync of the store was ever made.
    NeverRan,
    /// The newest sync failed, was stopped, or was interrupted.
    Failing {
        /// The run.
        run_id: i64,
        /// How it ended.
        status: RunStatus,
    },
    /// A guard blocked the newest sync.
    Blocked {
        /// The run.
        run_id: i64,
    },
    /// An older copy is in the ledger's place. It may take values for sent that a later run has replaced.
    OlderLedger,
    /// A scheduled time has passed, and its run did not start.
    Overdue {
        /// The scheduled time.
        since: DateTime<Utc>,
    },
    /// So many scheduled times passed without a run after the last success.
    Missed(i64),
    /// So many desired values are rejected, and no person has acknowledged them.
    Rejected(i64),
    /// Some changes of the newest whole plan may or may not have been applied.
    Unknown {
        /// The run.
        run_id: i64,
        /// How many changes.
        count: i64,
    },
    /// Some rows of the newest whole plan cannot be sent.
    Invalid {
        /// The run.
        run_id: i64,
        /// How many rows.
        count: i64,
    },
    /// So many values were changed by others in the store, and were left as they are.
    Drift(i64),
    /// A change was not confirmed for more than [`UNCONFIRMED_AFTER`](super::UNCONFIRMED_AFTER).
    Unconfirmed {
        /// When the oldest such change was planned or requeued.
        oldest: DateTime<Utc>,
    },
}

impl Attention {
    /// The kinds, in the order of their urgency.
    pub const KINDS: [&'static str; 11] = [
        "failing",
        "blocked",
        "never_ran",
        "older_ledger",
        "overdue",
        "missed",
        "rejected",
        "unknown",
        "invalid",
        "drift",
        "unconfirmed",
    ];

    /// Returns the kind, for programs.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Failing { .. } => "failing",
            Self::Blocked { .. } => "blocked",
            Self::NeverRan => "never_ran",
            Self::OlderLedger => "older_ledger",
            Self::Overdue { .. } => "overdue",
            Self::Missed(_) => "missed",
            Self::Rejected(_) => "rejected",
            Self::Unknown { .. } => "unknown",
            Self::Invalid { .. } => "invalid",
            Self::Drift(_) => "drift",
            Self::Unconfirmed { .. } => "unconfirmed",
        }
    }

    /// Returns how many values, rows or scheduled times it is about; 1 if it is about the store itself.
    #[must_use]
    pub const fn count(&self) -> i64 {
        match self {
            Self::Missed(count)
            | Self::Rejected(count)
            | Self::Unknown { count, .. }
            | Self::Invalid { count, .. }
            | Self::Drift(count) => *count,
            Self::NeverRan
            | Self::Failing { .. }
            | Self::Blocked { .. }
            | Self::OlderLedger
            | Self::Overdue { .. }
            | Self::Unconfirmed { .. } => 1,
        }
    }

    /// Returns what a person can do about it.
    #[must_use]
    pub fn what_to_do(&self) -> String {
        match self {
            Self::NeverRan => "`attrsync check` verifies the set-up, `attrsync sync` makes the first run".to_owned(),
            Self::Failing { run_id, status: RunStatus::Interrupted } => format!(
                "the process of run {run_id} was killed, or could not write its ledger any more (disk, database): its output \
                 says which; the next sync plans anew and needs no help"
            ),
            Self::Failing { run_id, status: RunStatus::Stopped } => {
                format!("`attrsync runs {run_id}` says what stopped it; the next sync continues")
            }
            Self::Failing { run_id, .. } => {
                format!("`attrsync runs {run_id}` says why; `attrsync check` finds what is wrong now")
            }
            Self::Blocked { run_id } => {
                format!(
                    "`attrsync runs {run_id}` shows the limits and the figures; correct the source, or send exactly this plan \
                     with `attrsync apply {run_id}`"
                )
            }
            Self::OlderLedger => {
                "`attrsync sync --full` sends every value once; until then, values that a later run replaced may pass for \
                 sent"
                    .to_owned()
            }
            Self::Overdue { .. } => {
                "check that `attrsync serve` runs, and its log: every wait says its reason there".to_owned()
            }
            Self::Missed(_) => {
                "`attrsync runs` shows the runs before and after; a sync that ends well makes up for it".to_owned()
            }
            Self::Rejected(_) => {
                "`attrsync rejected` lists them with the store's reasons; correct, requeue or acknowledge them".to_owned()
            }
            Self::Unknown { run_id, .. } => {
                format!("the next sync sends them again; `attrsync runs {run_id}` has the last responses")
            }
            Self::Invalid { run_id, .. } => {
                format!("`attrsync runs {run_id}` lists them with the reasons; correct them in the source")
            }
            Self::Drift(_) => {
                "`attrsync reconcile` lists them; [drift] policy says what is done about them".to_owned()
            }
            Self::Unconfirmed { .. } => {
                "`attrsync runs` shows why the syncs did not confirm it".to_owned()
            }
        }
    }
}

/// A few words for a person, without any value.
impl fmt::Display for Attention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.count() == 1 { "" } else { "s" };
        match self {
            Self::NeverRan => f.write_str("no sync was made yet"),
            Self::Failing { run_id, status: RunStatus::Failed } => write!(f, "run {run_id} failed"),
            Self::Failing { run_id, status } => write!(f, "run {run_id} was {status}"),
            Self::Blocked { run_id } => write!(f, "a guard blocked run {run_id}"),
            Self::OlderLedger => f.write_str("the ledger is an older copy"),
            Self::Overdue { since } => write!(f, "overdue since {}", moment(*since)),
            Self::Missed(count) => write!(f, "{count} scheduled time{plural} missed"),
            Self::Rejected(count) => write!(f, "{count} value{plural} rejected"),
            Self::Unknown { count, .. } => write!(f, "{count} change{plural} unknown"),
            Self::Invalid { count, .. } => write!(f, "{count} row{plural} invalid"),
            Self::Drift(count) => write!(f, "{count} value{plural} drifted"),
            Self::Unconfirmed { oldest } => {
                write!(f, "a change has not been confirmed since {}", moment(*oldest))
            }
        }
    }
}

/// `2026-01-02 03:04 UTC`.
fn moment(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M UTC").to_string()
}
