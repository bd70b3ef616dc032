//! Why scheduled times have no run of their own, for a person.

use chrono::{DateTime, Utc};

use crate::record::Claimed;

/// Why the times from `first` to `last` passed without a run, as far as the ledger tells.
pub(super) fn of_passed(claimed: &Claimed, first: DateTime<Utc>, last: DateTime<Utc>) -> &'static str {
    match claimed.last_run {
        Some((started_at, ended_at)) if started_at <= first && ended_at >= last => {
            "the run before was still going"
        }
        Some((started_at, ended_at)) if started_at <= last && ended_at >= first => {
            "the run before was still going, or the machine or serve was not running"
        }
        _ => "the machine or serve was not running",
    }
}

/// Why the time of an interrupted run has no second one.
pub(super) const INTERRUPTED: &str =
    "its run was interrupted, and a later time came before it could be run again";
