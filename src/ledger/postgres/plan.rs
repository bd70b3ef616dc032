//! A run's plan: saved by COPY, sealed, read back in pages.

use chrono::{DateTime, Utc};
use sqlx::{Acquire, AssertSqlSafe, PgConnection, Row};

use super::session::failed;
use super::{Held, copy, fenced, lost};
use crate::ledger::Result;
use crate::record::{Action, Change, Counts, InvalidRow, Key};

impl Held {
    pub(super) async fn save(&self, run_id: i64, changes: &[Change], invalid: &[InvalidRow]) -> Result<()> {
        let doing = failed("save the plan");
        // Made before the session is waited for, so that the page before it can be copied meanwhile.
        let changes = (!changes.is_empty()).then(|| copy::changes(run_id, changes));
        let invalid = (!invalid.is_empty()).then(|| copy::invalid_rows(run_id, invalid));
        let mut writer = self.writer().await?;
        let mut transaction = writer.begin().await.map_err(doing)?;
        // A page need not be on the disk before the next is made: the plan counts only once it is sealed, and the log is
        // written in order, so what makes the seal durable makes all pages durable, whichever session they were saved over.
        //
        // KeyScope the store is, is looked at without a lock: nobody must wait for a session that fell silent in mid-page, and a page
        // of a run that is being taken over counts for nothing.
        let owned = sqlx::raw_sql(AssertSqlSafe(format!(
            "set local synchronous_commit = off;
            select 1 from stores where id = {} and owner_run_id = {run_id}",
            self.store_id
        )))
        .fetch_optional(&mut *transaction)
        .await
        .map_err(doing)?;
        if owned.is_none() {
            transaction.rollback().await.map_err(doing)?;
            return Err(lost(&mut writer, self.store_id).await);
        }
        for (statement, rows) in [(copy::CHANGES, changes), (copy::INVALID_ROWS, invalid)] {
            if let Some(rows) = rows {
                copy_in(&mut transaction, statement, &rows).await.map_err(doing)?;
            }
        }
        transaction.commit().await.map_err(doing)
    }

    pub(super) async fn discard(&self, run_id: i64) -> Result<()> {
        let mut writer = self.writer().await?;
        let owned = sqlx::query(fenced!(
            ", changed as (delete from changes using fence where run_id = $2),
            invalid as (delete from invalid_rows using fence where run_id = $2)
            select id from fence"
        ))
        .bind(self.store_id)
        .bind(run_id)
        .fetch_optional(&mut *writer)
        .await
        .map_err(failed("discard the plan"))?;
        self.proven(&mut writer, owned.map_or(0, |_| 1)).await
    }

    pub(super) async fn seal(&self, run_id: i64, counts: &Counts, at: DateTime<Utc>) -> Result<()> {
        let mut writer = self.writer().await?;
        let sealed = sqlx::query(fenced!(
            "update runs set status = 'running', planned_at = $3, source_rows = $4, no_value = $5, unchanged = $6,
                still_rejected = $7, invalid = $8, orphans = $9, planned = $10, deferred = $10
            from fence where runs.id = $2"
        ))
        .bind(self.store_id)
        .bind(run_id)
        .bind(at)
        .bind(counts.source_rows)
        .bind(counts.no_value)
        .bind(counts.unchanged)
        .bind(counts.still_rejected)
        .bind(counts.invalid)
        .bind(counts.orphans)
        .bind(counts.planned)
        .execute(&mut *writer)
        .await
        .map_err(failed("complete the plan"))?;
        self.proven(&mut writer, sealed.rows_affected()).await
    }

    pub(super) async fn read_planned(
        &self,
        run_id: i64,
        late: bool,
        after: Option<Key>,
        limit: usize,
    ) -> Result<Vec<Change>> {
        let doing = failed("read the plan");
        let after = after.unwrap_or(Key::new(i64::MIN, i64::MIN));
        let rows = sqlx::query(
            "select c.customer_id, c.attribute_id, c.action, c.value, c.previous_value, c.value_id, c.in_doubt_until,
                case when e.value = c.value then e.observed_value end as observed_value,
                case when e.belief <> 'confirmed' then e.value end as in_doubt_value
            from changes c
            left join lateral (
                select value, belief, observed_value from entries
                where store_id = $1 and customer_id = c.customer_id and attribute_id = c.attribute_id
                offset 0
            ) e on true
            where c.run_id = $2 and (c.customer_id, c.attribute_id) > ($4, $5) and c.outcome = 'planned'
                and (c.in_doubt_until is not null) = $3
            order by c.customer_id, c.attribute_id
            limit $6",
        )
        .bind(self.store_id)
        .bind(run_id)
        .bind(late)
        .bind(after.customer_id)
        .bind(after.attribute_id)
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(&mut *self.writer().await?)
        .await
        .map_err(doing)?;
        rows.iter().map(change).collect::<Result<_, sqlx::Error>>().map_err(doing)
    }
}

fn change(row: &sqlx::postgres::PgRow) -> Result<Change, sqlx::Error> {
    let action: &str = row.try_get("action")?;
    Ok(Change {
        key: Key::new(row.try_get("customer_id")?, row.try_get("attribute_id")?),
        action: Action::from_word(action)
            .ok_or_else(|| sqlx::Error::Decode(format!("unknown action {action}").into()))?,
        value: row.try_get("value")?,
        previous_value: row.try_get("previous_value")?,
        value_id: row.try_get("value_id")?,
        in_doubt_value: row.try_get("in_doubt_value")?,
        observed_value: row.try_get("observed_value")?,
        in_doubt_until: row.try_get("in_doubt_until")?,
    })
}

async fn copy_in(connection: &mut PgConnection, statement: &str, rows: &[u8]) -> Result<(), sqlx::Error> {
    let mut copy = connection.copy_in_raw(statement).await?;
    copy.send(rows).await?;
    copy.finish().await.map(|_| ())
}
