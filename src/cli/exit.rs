//! The exit codes, and the code of a run.

use std::process::ExitCode;

use crate::engine::Report;
use crate::record::RunStatus;

/// The exit code of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done: the store has what the table desires, apart from acknowledged values. A value whose row has left the
    /// table is kept.
    Done = 0,
    /// Failed or stopped: unreachable, access refused, circuit breaker, a signal, or deferred values.
    Failed = 1,
    /// `plan --detailed-exitcode`: changes are pending.
    Pending = 2,
    /// Finished, but values are rejected, invalid or unknown, or drifted and were left as they are.
    Partial = 3,
    /// A guard blocked the run before its first write call.
    Blocked = 4,
    /// Another run holds this store.
    Busy = 5,
    /// Wrong usage or configuration.
    Usage = 64,
}

/// The exit codes for `--help`.
pub(super) const TABLE: &str = "\
Exit codes:
   0  done: the store has what the table desires, apart from acknowledged values
   1  failed or stopped: unreachable, access refused, a signal, deferred values
   2  plan --detailed-exitcode: changes are pending
   3  finished, but values are rejected, invalid or unknown, or drift was left
   4  a guard blocked the run before its first write call
   5  another run holds this store
  64  wrong usage or configuration";

impl Exit {
    /// The exit code for a run. If several apply, the most urgent one wins.
    #[must_use]
    pub fn of_run(report: &Report) -> Self {
        let counts = &report.counts;
        let ended_early = !matches!(report.status, RunStatus::Succeeded | RunStatus::Partial);
        if report.status == RunStatus::Blocked {
            Self::Blocked
        } else if ended_early || counts.deferred > 0 || !counts.balance() {
            Self::Failed
        } else if counts.need_attention() > 0 {
            Self::Partial
        } else {
            Self::Done
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Course;
    use crate::record::Counts;

    fn exit(status: RunStatus, counts: Counts) -> u8 {
        Exit::of_run(&Report {
            run_id: 1,
            status,
            counts,
            by_digest: false,
            requests_without_ledger: 0,
            message: None,
            hint: None,
            warnings: Vec::new(),
            exceeded: Vec::new(),
            course: Course::default(),
        }) as u8
    }

    #[test]
    fn each_end_of_a_run_has_one_code() {
        let none = Counts::default();
        let planned = |counts: Counts| Counts { planned: 1, ..counts };
        for (status, counts, code) in [
            (RunStatus::Succeeded, none, 0),
            (RunStatus::Succeeded, planned(Counts { confirmed: 1, altered: 1, ..none }), 0),
            (RunStatus::Succeeded, Counts { orphans: 4, ..none }, 0),
            (RunStatus::Partial, planned(Counts { rejected: 1, ..none }), 3),
            (RunStatus::Partial, planned(Counts { unknown: 1, ..none }), 3),
            (RunStatus::Partial, Counts { still_rejected: 1, ..none }, 3),
            (RunStatus::Succeeded, Counts { still_rejected: 2, acknowledged: 2, ..none }, 0),
            (RunStatus::Partial, Counts { still_rejected: 2, acknowledged: 1, ..none }, 3),
            (RunStatus::Partial, Counts { invalid: 1, ..none }, 3),
            (RunStatus::Partial, planned(Counts { deferred: 1, still_rejected: 1, ..none }), 1),
            (RunStatus::Succeeded, planned(none), 1),
            (RunStatus::Stopped, none, 1),
            (RunStatus::Failed, Counts { invalid: 1, ..none }, 1),
            (RunStatus::Blocked, planned(Counts { deferred: 1, invalid: 1, ..none }), 4),
        ] {
            assert_eq!(exit(status, counts), code, "{status} {counts:?}");
        }
    }

    #[test]
    fn the_table_names_every_code() {
        for exit in
            [Exit::Done, Exit::Failed, Exit::Pending, Exit::Partial, Exit::Blocked, Exit::Busy, Exit::Usage]
        {
            assert!(TABLE.contains(&format!("\n{:>4}  ", exit as u8)), "{exit:?}");
        }
    }
}
