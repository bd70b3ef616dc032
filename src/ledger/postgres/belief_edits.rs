//! Giving back what was set aside.

use chrono::{DateTime, Utc};

use super::session::failed;
use super::{Held, fenced, lost, text};
use crate::ledger::Result;
use crate::record::{KeyScope, News};

impl Held {
    pub(super) async fn give_back_by_hand(
        &self,
        run_id: i64,
        whose: KeyScope,
        at: DateTime<Utc>,
    ) -> Result<i64> {
        let mut writer = self.writer().await?;
        let [first, last, lowest, highest] = whose.bounds();
        let released: Option<i64> = sqlx::query_scalar(fenced!(
            ", freed as (
                update entries e set belief = 'unconfirmed', run_id = $2,
                    reason = 'released by hand; set aside before: ' || coalesce(e.reason, 'for no reason told')
                from fence
                where e.store_id = fence.id and e.belief = 'rejected' and e.customer_id between $3 and $4
                    and e.attribute_id between $5 and $6
                returning e.customer_id, e.attribute_id, e.value, e.stored_value, e.value_id, e.reason
            ),
            told as (
                insert into changes (run_id, customer_id, attribute_id, action, value, previous_value, value_id,
                    outcome, reason, decided_at)
                select $2, customer_id, attribute_id, 'release', value, stored_value, value_id, 'deferred', reason, $7
                from freed
            )
            update runs set status = 'running', planned_at = coalesce(planned_at, $7), planned = planned + n.released,
                deferred = deferred + n.released
            from fence, (select count(*) as released from freed) n
            where runs.id = $2
            returning n.released"
        ))
        .bind(self.store_id)
        .bind(run_id)
        .bind(first)
        .bind(last)
        .bind(lowest)
        .bind(highest)
        .bind(at)
        .fetch_optional(&mut *writer)
        .await
        .map_err(failed("release values"))?;
        match released {
            Some(released) => Ok(released),
            None => Err(lost(&mut writer, self.store_id).await),
        }
    }

    pub(super) async fn give_back(
        &self,
        run_id: i64,
        whose: KeyScope,
        news: News,
        reason: &str,
        at: DateTime<Utc>,
    ) -> Result<i64> {
        let mut writer = self.writer().await?;
        let [first, last, lowest, highest] = whose.bounds();
        let entries: Option<i64> = sqlx::query_scalar(match news {
            News::Changed | News::Back => RELEASE_REJECTED,
            News::Gone => FORGET,
        })
        .bind(self.store_id)
        .bind(run_id)
        .bind(first)
        .bind(last)
        .bind(lowest)
        .bind(highest)
        .bind(text(reason))
        .bind(whose.customer_id)
        .bind(whose.attribute_id)
        .bind(news.as_str())
        .bind(at)
        .fetch_optional(&mut *writer)
        .await
        .map_err(failed("release values"))?;
        match entries {
            Some(entries) => Ok(entries),
            None => Err(lost(&mut writer, self.store_id).await),
        }
    }
}

const RELEASE_REJECTED: &str = fenced!(
    ", freed as (
        update entries e set belief = 'unconfirmed', reason = $7 from fence
        where e.store_id = fence.id and e.belief = 'rejected' and e.customer_id between $3 and $4
            and e.attribute_id between $5 and $6
        returning 1
    ),
    told as (
        insert into releases (run_id, customer_id, attribute_id, news, entries, reason, released_at)
        select $2, $8, $9, $10, (select count(*) from freed), $7, $11 from fence
        returning entries
    )
    update runs set released = released + told.entries from fence, told where runs.id = $2 returning told.entries"
);

const FORGET: &str = fenced!(
    ", freed as (
        update entries e set belief = 'unconfirmed', reason = $7, value_id = null, stored_value = null,
            observed_value = null
        from fence
        where e.store_id = fence.id and e.customer_id between $3 and $4 and e.attribute_id between $5 and $6
        returning 1
    )
    insert into releases (run_id, customer_id, attribute_id, news, entries, reason, released_at)
    select $2, $8, $9, $10, (select count(*) from freed), $7, $11 from fence
    returning entries"
);
