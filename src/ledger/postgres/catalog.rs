//! What is known of the store itself: the attributes that it defines, customers that it has no more, and the size that it
//! takes.

use chrono::{DateTime, Utc};
use sqlx::AssertSqlSafe;

use super::session::failed;
use super::{Held, fenced, text};
use crate::ledger::{LearnedSize, Refused, Result, TIMEOUTS, TimeOut, unclear};
use crate::record::KnownAttribute;

impl Held {
    pub(super) async fn read_attributes(&self) -> Result<Vec<KnownAttribute>> {
        let rows: Vec<(i64, String, String, bool)> = sqlx::query_as(
            "select attribute_id, name, type, gone_run_id is not null from attributes where store_id = $1
            order by attribute_id",
        )
        .bind(self.store_id)
        .fetch_all(&mut *self.writer().await?)
        .await
        .map_err(failed("read its attributes"))?;
        let known = rows.into_iter().map(|(id, name, kind, gone)| KnownAttribute { id, name, kind, gone });
        Ok(known.collect())
    }

    /// The two parts of the statement see the same rows, and touch none twice: what is listed is not gone.
    pub(super) async fn write_attributes(
        &self,
        run_id: i64,
        listed: &[KnownAttribute],
        at: DateTime<Utc>,
    ) -> Result<()> {
        let mut writer = self.writer().await?;
        let noted = sqlx::query(fenced!(
            ", gone as (
                update attributes set gone_run_id = coalesce(gone_run_id, $2) from fence
                where store_id = fence.id and not attribute_id = any($4::bigint[])
            ),
            noted as (
                insert into attributes (store_id, attribute_id, name, type, seen_at)
                select fence.id, l.attribute_id, l.name, l.type, $3
                from fence, unnest($4::bigint[], $5::text[], $6::text[]) as l (attribute_id, name, type)
                on conflict (store_id, attribute_id) do update set
                    name = excluded.name, type = excluded.type, seen_at = excluded.seen_at, gone_run_id = null
            )
            select id from fence"
        ))
        .bind(self.store_id)
        .bind(run_id)
        .bind(at)
        .bind(listed.iter().map(|known| known.id).collect::<Vec<_>>())
        .bind(listed.iter().map(|known| text(&known.name)).collect::<Vec<_>>())
        .bind(listed.iter().map(|known| text(&known.kind)).collect::<Vec<_>>())
        .fetch_optional(&mut *writer)
        .await
        .map_err(failed("note the attributes"))?;
        self.proven(&mut writer, noted.map_or(0, |_| 1)).await
    }

    pub(super) async fn read_missing(&self, limit: usize) -> Result<Vec<i64>> {
        sqlx::query_scalar(
            "select customer_id from missing_customers where store_id = $1
            order by asked_run_id, customer_id limit $2",
        )
        .bind(self.store_id)
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(&mut *self.writer().await?)
        .await
        .map_err(failed("read its missing customers"))
    }

    pub(super) async fn write_customers(&self, run_id: i64, missing: &[i64], back: &[i64]) -> Result<()> {
        let mut writer = self.writer().await?;
        let noted = sqlx::query(fenced!(
            ", noted as (
                insert into missing_customers (store_id, customer_id, found_run_id, asked_run_id)
                select fence.id, m.customer_id, $2, $2 from fence, unnest($3::bigint[]) as m (customer_id)
                on conflict (store_id, customer_id) do update set asked_run_id = excluded.asked_run_id
            ),
            forgotten as (
                delete from missing_customers using fence
                where store_id = fence.id and customer_id = any($4::bigint[])
            )
            select id from fence"
        ))
        .bind(self.store_id)
        .bind(run_id)
        .bind(missing)
        .bind(back)
        .fetch_optional(&mut *writer)
        .await
        .map_err(failed("note the customers"))?;
        self.proven(&mut writer, noted.map_or(0, |_| 1)).await
    }

    pub(super) async fn read_size(&self) -> Result<Option<LearnedSize>> {
        let row: Option<(i64, DateTime<Utc>)> = sqlx::query_as(
            "select values_per_request, values_per_request_learned_at from stores
            where id = $1 and values_per_request is not null and values_per_request_learned_at is not null",
        )
        .bind(self.store_id)
        .fetch_optional(&mut *self.writer().await?)
        .await
        .map_err(failed("read the learnt size"))?;
        Ok(row.and_then(|(size, learned_at)| {
            Some(LearnedSize { values_per_request: usize::try_from(size).ok()?, learned_at })
        }))
    }

    pub(super) async fn write_size(&self, size: Option<LearnedSize>) -> Result<()> {
        sqlx::query(
            "update stores set values_per_request = $2, values_per_request_learned_at = $3 where id = $1",
        )
        .bind(self.store_id)
        .bind(size.map(|size| i64::try_from(size.values_per_request).unwrap_or(i64::MAX)))
        .bind(size.map(|size| size.learned_at))
        .execute(&mut *self.writer().await?)
        .await
        .map(|_| ())
        .map_err(failed("keep the learnt size"))
    }

    pub(super) async fn look_for_unclear(&self, since: DateTime<Utc>) -> Result<bool> {
        let found = sqlx::query(AssertSqlSafe(unclear(since)))
            .bind(self.store_id)
            .fetch_optional(&mut *self.writer().await?)
            .await
            .map_err(failed("look for unanswered requests"))?;
        Ok(found.is_some())
    }

    pub(super) async fn read_timeouts(&self) -> Result<Vec<TimeOut>> {
        let rows: Vec<(i64, Option<DateTime<Utc>>, i64)> = sqlx::query_as(TIMEOUTS)
            .bind(self.store_id)
            .fetch_all(&mut *self.writer().await?)
            .await
            .map_err(failed("read its time-outs"))?;
        let timeouts = rows.into_iter();
        Ok(timeouts.map(|(millis, ended, open)| TimeOut::of(millis, ended.filter(|_| open == 0))).collect())
    }

    pub(super) async fn read_unasked(&self, limit: usize) -> Result<Vec<Refused>> {
        let rows: Vec<(i64, i64)> = sqlx::query_as(
            "select r.id, u.customer_id
            from stores s
            join runs r on r.store_id = s.id and r.id >= coalesce(s.asked_run_id, 0) and r.rejected > 0
                and (r.id is distinct from s.asked_run_id or s.asked_customer_id is not null)
            cross join lateral (
                select distinct c.customer_id from changes c
                where c.run_id = r.id and c.outcome = 'rejected'
                    and c.customer_id > case r.id when s.asked_run_id then s.asked_customer_id else $2 end
                order by c.customer_id limit $3
            ) u
            where s.id = $1 order by r.id, u.customer_id limit $3",
        )
        .bind(self.store_id)
        .bind(i64::MIN)
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(&mut *self.writer().await?)
        .await
        .map_err(failed("read the refused customers"))?;
        Ok(rows.into_iter().map(|(run_id, customer_id)| Refused { run_id, customer_id }).collect())
    }

    pub(super) async fn write_asked(&self, run_id: i64, of: i64, through: Option<i64>) -> Result<()> {
        let mut writer = self.writer().await?;
        let noted = sqlx::query(
            "update stores set asked_run_id = $3, asked_customer_id = $4 where id = $1 and owner_run_id = $2",
        )
        .bind(self.store_id)
        .bind(run_id)
        .bind(of)
        .bind(through)
        .execute(&mut *writer)
        .await
        .map_err(failed("note who was asked about"))?;
        self.proven(&mut writer, noted.rows_affected()).await
    }
}
