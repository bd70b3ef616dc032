//! The scheduled times of stores, read without their locks.

use super::log::{AuditLog, Location};
use crate::ledger::cells::{Cells, unexpected};
use crate::ledger::cold::claimed_of;
use crate::ledger::sql::Param;
use crate::ledger::statements::claimed;
use crate::ledger::{Result, cold, postgres};
use crate::record::{Claimed, MissedTimes, RunStatus, StoreName};

/// What the ledger knows of the scheduled times of one store.
#[derive(Debug, Clone)]
pub struct StoreClaims {
    /// The store's id in the ledger.
    pub store_id: i64,
    /// The store.
    pub name: StoreName,
    /// Its scheduled times. While the store is locked, an interrupted time may be that of the active run.
    pub claimed: Claimed,
    /// Whether a process holds the store's lock; `None` for a SQLite ledger, whose one lock is for all stores.
    pub is_locked: Option<bool>,
    /// The newest run, with its status as recorded.
    pub newest_run: Option<(i64, RunStatus)>,
}

/// Selects the columns of [`StoreClaims`]. `$locked` says whether the lock of store `s` is taken.
macro_rules! claims {
    ($locked:literal) => {
        concat!(
            "select s.id, s.api_url, s.hash, ",
            claimed!(),
            ", ",
            $locked,
            ", (
                    select r.scheduled_for from runs r
                    where r.store_id = s.id and r.scheduled_for > s.scheduled_until and r.finished_at is not null
                        and r.status <> 'interrupted'
                    order by r.scheduled_for limit 1
                ), (select max(r.id) from runs r where r.store_id = s.id),
                (select r.status from runs r where r.store_id = s.id order by r.id desc limit 1)
            from stores s order by s.id"
        )
    };
}

const IN_SQLITE: &str = claims!("null");

const IN_POSTGRES: &str = claims!(
    "case when s.id in (
        select l.objid::bigint from pg_locks l
        where l.locktype = 'advisory' and l.granted and l.objsubid = 2 and l.classid::bigint = $1
            and l.database = (select oid from pg_database where datname = current_database())
    ) then 1 else 0 end"
);

/// The columns of [`MissedTimes`].
macro_rules! missed_times {
    ($rest:literal) => {
        concat!("select first_time, last_time, times, reason from missed_times ", $rest)
    };
}

impl AuditLog {
    /// What is known of the scheduled times of all stores, in the order of their ids.
    ///
    /// # Errors
    /// The database failed.
    pub async fn claims(&self) -> Result<Vec<StoreClaims>> {
        let (sql, params) = match self.location {
            Location::Sqlite(_) => (IN_SQLITE, Vec::new()),
            Location::Postgres(_) => {
                (IN_POSTGRES, vec![Param::from(i64::from(postgres::session::LOCK_CLASS))])
            }
        };
        let mut claims = self.query(sql, params, store_claims).await?;
        // Only after the clock was set back does a store have such times.
        for StoreClaims { store_id, claimed, .. } in
            claims.iter_mut().filter(|claims| !claims.claimed.finished.is_empty())
        {
            claimed.finished = cold::claimed(&self.session, *store_id).await?.finished;
        }
        Ok(claims)
    }

    /// The scheduled times that a run stands for besides its own.
    ///
    /// # Errors
    /// The database failed.
    pub async fn missed_by(&self, run_id: i64) -> Result<Option<MissedTimes>> {
        let sql = missed_times!("where run_id = $1");
        Ok(self.query(sql, vec![Param::from(run_id)], missed_row).await?.pop())
    }

    /// The newest scheduled times of a store without a run, newest first, at most `limit` rows of them.
    ///
    /// # Errors
    /// The database failed.
    pub async fn missed_times(&self, store_id: i64, limit: i64) -> Result<Vec<MissedTimes>> {
        let sql = missed_times!("where store_id = $1 order by last_time desc limit $2");
        self.query(sql, vec![Param::from(store_id), Param::from(limit)], missed_row).await
    }
}

fn store_claims(row: &mut Cells) -> Result<StoreClaims> {
    let (store_id, api_url, hash) = (row.int()?, row.text()?, row.text()?);
    let claimed = claimed_of(row)?;
    let is_locked = row.maybe_int()?.map(|locked| locked == 1);
    let claimed = Claimed { finished: row.maybe_time()?.into_iter().collect(), ..claimed };
    let newest_run = match (row.maybe_int()?, row.maybe_text()?) {
        (Some(id), Some(status)) => {
            Some((id, RunStatus::from_word(&status).ok_or_else(|| unexpected("the status of a run"))?))
        }
        _ => None,
    };
    Ok(StoreClaims { store_id, name: StoreName { api_url, hash }, claimed, is_locked, newest_run })
}

fn missed_row(row: &mut Cells) -> Result<MissedTimes> {
    Ok(MissedTimes { first: row.time()?, last: row.time()?, times: row.int()?, reason: row.text()? })
}
