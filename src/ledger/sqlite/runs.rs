//! Runs: opening and closing them, who owns the store, their counts, and what is known of the store itself.

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

use super::failure::Failure;
use super::stamp;
use crate::ledger::{LearnedSize, NewRun, TIMEOUTS, TimeOut, unclear};
use crate::record::{Counts, RunStatus};

/// Fails unless `run_id` owns the store. A store that nobody owns was last the newest run's.
pub(super) fn check_fence(transaction: &Transaction<'_>, store_id: i64, run_id: i64) -> Result<(), Failure> {
    let owner: Option<i64> = transaction
        .prepare_cached("select owner_run_id from stores where id = ?1")?
        .query_row([store_id], |row| row.get(0))?;
    if owner == Some(run_id) {
        return Ok(());
    }
    let newest = "select coalesce(max(id), 0) from runs where store_id = ?1";
    let owner = match owner {
        Some(owner) => owner,
        None => transaction.query_row(newest, [store_id], |row| row.get(0))?,
    };
    Err(Failure::Lost { owner })
}

/// Opens a run, closes the one that a crash left open, and hands the store over.
pub(super) fn open(transaction: &Transaction<'_>, store_id: i64, run: &NewRun) -> Result<i64, Failure> {
    let started_at = stamp::text(run.started_at);
    transaction.execute(
        "update runs set status = ?3, finished_at = ?2
         where id = (select owner_run_id from stores where id = ?1) and finished_at is null",
        params![store_id, started_at, RunStatus::Interrupted.as_str()],
    )?;
    let run_id = transaction.query_row(
        "insert into runs (store_id, kind, trigger, status, started_at, version, request_timeout_ms)
         values (?1, ?2, ?3, ?4, ?5, ?6, ?7) returning id",
        params![
            store_id,
            run.kind,
            run.trigger.as_str(),
            RunStatus::Planning.as_str(),
            started_at,
            env!("CARGO_PKG_VERSION"),
            run.request_timeout_ms(),
        ],
        |row| row.get(0),
    )?;
    transaction.execute("update stores set owner_run_id = ?2 where id = ?1", [store_id, run_id])?;
    Ok(run_id)
}

/// Ends the run and gives up the store.
pub(super) fn close(
    transaction: &Transaction<'_>,
    store_id: i64,
    run_id: i64,
    status: RunStatus,
    message: Option<&str>,
    at: DateTime<Utc>,
) -> Result<(), Failure> {
    check_fence(transaction, store_id, run_id)?;
    transaction.execute(
        "update runs set status = ?2, message = ?3, finished_at = ?4 where id = ?1",
        params![run_id, status.as_str(), message, stamp::text(at)],
    )?;
    transaction.execute("update stores set owner_run_id = null where id = ?1", [store_id])?;
    Ok(())
}

/// Makes every entry unconfirmed.
pub(super) fn distrust(transaction: &Transaction<'_>, store_id: i64, run_id: i64) -> Result<(), Failure> {
    check_fence(transaction, store_id, run_id)?;
    transaction.execute(
        "update entries set belief = 'unconfirmed' where store_id = ?1 and belief <> 'unconfirmed'",
        [store_id],
    )?;
    transaction.execute("update runs set distrusted = 1 where id = ?1", [run_id])?;
    Ok(())
}

/// The run's counts as they stand.
pub(super) fn counts(connection: &Connection, run_id: i64) -> Result<Counts, Failure> {
    let counts = connection
        .prepare_cached(
            "select source_rows, no_value, unchanged, still_rejected, invalid, orphans, planned, confirmed, altered,
                    rejected, unknown, deferred, requests, released
             from runs where id = ?1",
        )?
        .query_row([run_id], read_counts)
        .optional()?;
    counts.ok_or_else(|| Failure::Wrong(format!("there is no run {run_id}")))
}

fn read_counts(row: &Row<'_>) -> rusqlite::Result<Counts> {
    Ok(Counts {
        source_rows: row.get(0)?,
        no_value: row.get(1)?,
        unchanged: row.get(2)?,
        still_rejected: row.get(3)?,
        invalid: row.get(4)?,
        orphans: row.get(5)?,
        planned: row.get(6)?,
        confirmed: row.get(7)?,
        altered: row.get(8)?,
        rejected: row.get(9)?,
        unknown: row.get(10)?,
        deferred: row.get(11)?,
        requests: row.get(12)?,
        released: row.get(13)?,
    })
}

/// Whether something may still arrive that was sent since then.
pub(super) fn has_unclear(
    connection: &Connection,
    store_id: i64,
    since: DateTime<Utc>,
) -> Result<bool, Failure> {
    Ok(connection.prepare(&unclear(since))?.exists([store_id])?)
}

/// How long the store's runs waited for answers.
pub(super) fn timeouts(connection: &Connection, store_id: i64) -> Result<Vec<TimeOut>, Failure> {
    let mut statement = connection.prepare_cached(TIMEOUTS)?;
    let mut rows = statement.query([store_id])?;
    let mut timeouts = Vec::new();
    while let Some(row) = rows.next()? {
        let (millis, last_ended, open): (i64, Option<String>, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let ended_at = last_ended.filter(|_| open == 0).as_deref().map(stamp::parse).transpose()?;
        timeouts.push(TimeOut::of(millis, ended_at));
    }
    Ok(timeouts)
}

/// The size that the store was found to accept.
pub(super) fn learned_size(connection: &Connection, store_id: i64) -> Result<Option<LearnedSize>, Failure> {
    let (values, learned_at): (Option<i64>, Option<String>) = connection.query_row(
        "select values_per_request, values_per_request_learned_at from stores where id = ?1",
        [store_id],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    let (Some(values), Some(learned_at)) = (values, learned_at) else { return Ok(None) };
    let values_per_request = usize::try_from(values)
        .map_err(|_| Failure::Wrong(format!("{values} values a request make no sense")))?;
    Ok(Some(LearnedSize { values_per_request, learned_at: stamp::parse(&learned_at)? }))
}

/// Keeps or forgets the size that the store accepts.
pub(super) fn learn_size(
    transaction: &Transaction<'_>,
    store_id: i64,
    size: Option<LearnedSize>,
) -> Result<(), Failure> {
    let values = size.map(|size| i64::try_from(size.values_per_request).unwrap_or(i64::MAX));
    transaction.execute(
        "update stores set values_per_request = ?2, values_per_request_learned_at = ?3 where id = ?1",
        params![store_id, values, size.map(|size| stamp::text(size.learned_at))],
    )?;
    Ok(())
}
