//! Scheduled times: which of them a store's ledger accounts for, and how.

use chrono::{DateTime, Utc};

/// The most times that [`Claimed::finished`] lists.
pub const FINISHED_TIMES_MAX: i64 = 1_000;

/// What the ledger knows of a store's scheduled times.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Claimed {
    /// Every scheduled time up to this one is accounted for: by a run that ended other than interrupted, or as missed.
    /// `None` if no scheduler has served the store yet.
    pub until: Option<DateTime<Utc>>,
    /// The time of the newest scheduled run if that run was interrupted or never closed, and the time was not recorded as
    /// missed since. Read without the store's lock, the run may still be active.
    pub interrupted: Option<DateTime<Utc>>,
    /// Times after `until` whose run has ended, in order, at most [`FINISHED_TIMES_MAX`]. There are some only after the
    /// clock was set back.
    pub finished: Vec<DateTime<Utc>>,
    /// When the newest run that ended other than interrupted started and ended.
    pub last_run: Option<(DateTime<Utc>, DateTime<Utc>)>,
}

/// Scheduled times that get no run of their own.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct MissedTimes {
    /// The first of them.
    pub first: DateTime<Utc>,
    /// The last of them; the first if there is only one.
    pub last: DateTime<Utc>,
    /// How many there are.
    pub times: i64,
    /// Why they have no run, for a person.
    pub reason: String,
}

/// The scheduled time that a run is for, and what is recorded with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduledRun {
    /// The scheduled time.
    pub scheduled_for: DateTime<Utc>,
    /// The times that the run stands for besides.
    pub missed: Option<MissedTimes>,
    /// The time up to which every scheduled time is accounted for once the run has ended.
    pub until: DateTime<Utc>,
}
