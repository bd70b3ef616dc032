//! Runs: opening and closing them, and their counts.

use chrono::{DateTime, Utc};
use sqlx::Row;

use super::session::failed;
use super::{Held, fenced, text};
use crate::ledger::{NewRun, Result};
use crate::record::{Counts, RunStatus};

impl Held {
    /// Closes the run that a crash left open, and hands the store over.
    pub(super) async fn open(&self, run: &NewRun) -> Result<i64> {
        sqlx::query_scalar(
            "with cut_off as (
                update runs set status = 'interrupted', finished_at = $4
                from stores s
                where s.id = $1 and runs.id = s.owner_run_id and runs.finished_at is null
            ),
            opened as (
                insert into runs (store_id, kind, trigger, status, started_at, version, request_timeout_ms)
                values ($1, $2, $3, 'planning', $4, $5, $6)
                returning id
            )
            update stores set owner_run_id = opened.id from opened where stores.id = $1 returning opened.id",
        )
        .bind(self.store_id)
        .bind(run.kind)
        .bind(run.trigger.as_str())
        .bind(run.started_at)
        .bind(env!("CARGO_PKG_VERSION"))
        .bind(run.request_timeout_ms())
        .fetch_one(&mut *self.writer().await?)
        .await
        .map_err(failed("open a run"))
    }

    pub(super) async fn doubt(&self, run_id: i64) -> Result<()> {
        let mut writer = self.writer().await?;
        let noted = sqlx::query(fenced!(
            ", doubted as (
                update entries set belief = 'unconfirmed' from fence
                where store_id = fence.id and belief <> 'unconfirmed'
            )
            update runs set distrusted = 1 from fence where runs.id = $2"
        ))
        .bind(self.store_id)
        .bind(run_id)
        .execute(&mut *writer)
        .await
        .map_err(failed("distrust its entries"))?;
        self.proven(&mut writer, noted.rows_affected()).await
    }

    pub(super) async fn read_counts(&self, run_id: i64) -> Result<Counts> {
        let doing = failed("read the run's counts");
        let row = sqlx::query(
            "select source_rows, no_value, unchanged, still_rejected, invalid, orphans, planned, confirmed, altered, rejected,
                unknown, deferred, requests, released
            from runs where id = $1",
        )
        .bind(run_id)
        .fetch_one(&mut *self.writer().await?)
        .await
        .map_err(doing)?;
        counts(&row).map_err(doing)
    }

    pub(super) async fn close(
        &self,
        run_id: i64,
        status: RunStatus,
        message: Option<&str>,
        at: DateTime<Utc>,
    ) -> Result<()> {
        let mut writer = self.writer().await?;
        let closed = sqlx::query(
            "with given_up as (
                update stores set owner_run_id = null where id = $1 and owner_run_id = $2 returning id
            )
            update runs set status = $3, message = $4, finished_at = $5 from given_up where runs.id = $2",
        )
        .bind(self.store_id)
        .bind(run_id)
        .bind(status.as_str())
        .bind(message.map(text))
        .bind(at)
        .execute(&mut *writer)
        .await
        .map_err(failed("close the run"))?;
        self.proven(&mut writer, closed.rows_affected()).await
    }
}

fn counts(row: &sqlx::postgres::PgRow) -> Result<Counts, sqlx::Error> {
    Ok(Counts {
        source_rows: row.try_get("source_rows")?,
        no_value: row.try_get("no_value")?,
        unchanged: row.try_get("unchanged")?,
        still_rejected: row.try_get("still_rejected")?,
        invalid: row.try_get("invalid")?,
        orphans: row.try_get("orphans")?,
        planned: row.try_get("planned")?,
        confirmed: row.try_get("confirmed")?,
        altered: row.try_get("altered")?,
        rejected: row.try_get("rejected")?,
        unknown: row.try_get("unknown")?,
        deferred: row.try_get("deferred")?,
        requests: row.try_get("requests")?,
        released: row.try_get("released")?,
    })
}
