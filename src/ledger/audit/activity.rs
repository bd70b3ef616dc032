//! What the runs of a store did, day by day.

use chrono::{DateTime, NaiveDate, Utc};

use super::log::AuditLog;
use super::session::Session;
use crate::ledger::Result;
use crate::ledger::cells::{Cells, unexpected};
use crate::ledger::sql::Param;

/// The most runs that are read, the newest of the store.
const RUNS_MAX: i64 = 20_000;

/// What the syncs and applies of one store did on one day, in UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DayOfRuns {
    /// The day.
    pub day: NaiveDate,
    /// How many of them started on it.
    pub runs: i64,
    /// How many of them failed, were stopped, blocked or interrupted.
    pub unfinished: i64,
    /// How many values the store confirmed.
    pub confirmed: i64,
    /// How long the longest of them took, in milliseconds.
    pub longest_ms: i64,
}

/// Completes the query. The databases differ in how they take a day of a time, and how they subtract times.
macro_rules! activity {
    ($day:literal, $milliseconds:literal) => {
        concat!(
            "select day, count(*), cast(sum(unfinished) as bigint), cast(sum(confirmed) as bigint),
                coalesce(max(milliseconds), 0)
            from (
                select confirmed, ",
            $day,
            " as day,
                    case when status in ('failed', 'stopped', 'interrupted', 'blocked') then 1 else 0 end as unfinished,
                    case when status <> 'interrupted' then ",
            $milliseconds,
            " end as milliseconds
                from runs
                where store_id = $1 and kind in ('sync', 'apply') and started_at >= $2 order by id desc limit $3
            ) r
            group by day order by day"
        )
    };
}

const IN_SQLITE: &str = activity!(
    "substr(started_at, 1, 10)",
    "cast(round((julianday(finished_at) - julianday(started_at)) * 86400000) as integer)"
);

const IN_POSTGRES: &str = activity!(
    "to_char(started_at at time zone 'UTC', 'YYYY-MM-DD')",
    "cast(extract(epoch from finished_at - started_at) * 1000 as bigint)"
);

impl AuditLog {
    /// What the newest syncs of a store that started at a time or later did, the oldest day first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn activity(&self, store_id: i64, from: DateTime<Utc>) -> Result<Vec<DayOfRuns>> {
        let sql = match &self.session {
            Session::Sqlite(_) => IN_SQLITE,
            Session::Postgres(_) => IN_POSTGRES,
        };
        let params = vec![Param::from(store_id), Param::from(from), Param::from(RUNS_MAX)];
        self.query(sql, params, day_of_runs).await
    }
}

fn day_of_runs(row: &mut Cells) -> Result<DayOfRuns> {
    Ok(DayOfRuns {
        day: row.text()?.parse().map_err(|_| unexpected("a day"))?,
        runs: row.int()?,
        unfinished: row.int()?,
        confirmed: row.int()?,
        longest_ms: row.int()?,
    })
}
