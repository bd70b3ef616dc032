//! The counts of a run, which move with the outcomes of its changes.

use rusqlite::{Row, Transaction, params};

use super::failure::Failure;
use crate::record::{Counts, Outcome, Verdict};

/// How the run's counts move: every outcome takes one from the column of the outcome before and adds it to its own.
#[derive(Debug, Default)]
pub(super) struct Moves {
    pub(super) confirmed: i64,
    pub(super) altered: i64,
    pub(super) rejected: i64,
    pub(super) unknown: i64,
    pub(super) deferred: i64,
    pub(super) requests: i64,
}

impl Moves {
    pub(super) fn add(&mut self, before: Outcome, verdict: &Verdict) {
        match before {
            Outcome::Planned => self.deferred -= 1,
            _ => self.unknown -= 1,
        }
        match verdict {
            Verdict::Confirmed { stored_value, .. } => {
                self.confirmed += 1;
                self.altered += i64::from(stored_value.is_some());
            }
            Verdict::Absent { .. } => self.confirmed += 1,
            Verdict::Rejected { .. } => self.rejected += 1,
            Verdict::Unknown { .. } => self.unknown += 1,
            Verdict::Deferred { .. } => self.deferred += 1,
        }
    }

    pub(super) fn commit(self, transaction: &Transaction<'_>, run_id: i64) -> Result<Counts, Failure> {
        let counts = transaction
            .prepare_cached(
                "update runs set confirmed = confirmed + ?2, altered = altered + ?3, rejected = rejected + ?4,
                                 unknown = unknown + ?5, deferred = deferred + ?6, requests = requests + ?7
                 where id = ?1
                 returning source_rows, no_value, unchanged, still_rejected, acknowledged, invalid, orphans, stored_without_row,
                           pinned, planned, deletes, confirmed, altered, rejected, unknown, deferred, requests",
            )?
            .query_row(
                params![
                    run_id,
                    self.confirmed,
                    self.altered,
                    self.rejected,
                    self.unknown,
                    self.deferred,
                    self.requests
                ],
                counts,
            )?;
        Ok(counts)
    }
}

fn counts(row: &Row<'_>) -> rusqlite::Result<Counts> {
    Ok(Counts {
        source_rows: row.get(0)?,
        no_value: row.get(1)?,
        unchanged: row.get(2)?,
        still_rejected: row.get(3)?,
        acknowledged: row.get(4)?,
        invalid: row.get(5)?,
        orphans: row.get(6)?,
        stored_without_row: row.get(7)?,
        pinned: row.get(8)?,
        planned: row.get(9)?,
        deletes: row.get(10)?,
        confirmed: row.get(11)?,
        altered: row.get(12)?,
        rejected: row.get(13)?,
        unknown: row.get(14)?,
        deferred: row.get(15)?,
        requests: row.get(16)?,
    })
}
