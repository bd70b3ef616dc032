//! Removes what was planned and is not sent, once for both databases.

use chrono::{DateTime, Utc};

use super::Result;
use super::cells::Cells;
use super::row_digest::row_digest;
use super::sql::{Fence, Sql, statement};
use super::statements::*;
use crate::record::PLAN_VALID_FOR;

/// The oldest run before `$2` that has ended and left changes that it planned and never sent. A run removes them before
/// its own plan is complete, so none is older than the newest complete plan. A saved plan is kept if it was complete after the
/// time `$3`, and the plan of a blocked run until a later sync of all rows has a complete plan.
const UNSENT_PLAN: &str = "
    select id, is_sealed from (
        select id, case when planned_at is null then 0 else 1 end as is_sealed from runs
        where store_id = $1 and id < $2 and finished_at is not null and plan_removed_at is null
            and kind in ('sync', 'plan', 'apply', 'undo') and status not in ('saved', 'blocked')
            and (deferred > 0 or planned_at is null)
            and id >= coalesce((
                select n.id from runs n
                where n.store_id = $1 and n.id < $2 and n.kind in ('sync', 'plan', 'apply', 'undo')
                    and n.planned_at is not null
                order by n.id desc limit 1
            ), 0)
        union all
        select id, 1 from runs k
        where store_id = $1 and id < $2 and status in ('saved', 'blocked') and plan_removed_at is null and deferred > 0
            and (status = 'blocked' or planned_at <= $3)
            and (status = 'saved' or exists (
                select 1 from runs n
                where n.store_id = $1 and n.id > k.id and n.id < $2 and n.kind = 'sync' and n.filtered = 0
                    and n.planned_at is not null
            ))
    ) unsent
    order by id limit 1";

/// The change from which on a run has `$2` + 1 unsent changes. They are sent in key order, so the unsent ones are last.
const UNSENT_FROM: &str = "
    select customer_id, attribute_id from changes where run_id = $1 and outcome = 'planned'
    order by customer_id desc, attribute_id desc limit 1 offset $2";

const REMOVE_UNSENT: &str = "
    delete from changes
    where run_id = $1 and (customer_id, attribute_id) >= ($2, $3) and outcome = 'planned'";

const PLAN_REMOVED: &str =
    "update runs set plan_removed_at = $2, row_digest = row_digest || $3 where id = $1";

pub(super) async fn discard_plan(session: &dyn Sql, fence: Fence) -> Result<()> {
    let steps =
        vec![statement!(DISCARD_CHANGES, fence.run_id), statement!(DISCARD_INVALID_ROWS, fence.run_id)];
    session.write("discard the plan", Some(fence), steps).await.map(drop)
}

pub(super) async fn remove_deletes(session: &dyn Sql, fence: Fence) -> Result<()> {
    let steps = vec![statement!(REMOVE_DELETES, fence.run_id)];
    session.write("remove the deletes of the plan", Some(fence), steps).await.map(drop)
}

/// The most changes that are removed in one transaction.
const REMOVED_AT_ONCE: i64 = 10_000;

pub(super) async fn remove_unsent(session: &dyn Sql, fence: Fence, at: DateTime<Utc>) -> Result<bool> {
    let doing = "look for plans that were never sent";
    let unsent = session
        .rows(doing, statement!(UNSENT_PLAN, fence.store_id, fence.run_id, at - PLAN_VALID_FOR))
        .await?;
    let Some(mut run) = unsent.into_iter().next().map(Cells::of) else { return Ok(false) };
    let (run_id, is_sealed) = (run.int()?, run.int()? == 1);
    let first = session.rows(doing, statement!(UNSENT_FROM, run_id, REMOVED_AT_ONCE - 1)).await?;
    let steps = match first.into_iter().next().map(Cells::of) {
        Some(mut first) => vec![statement!(REMOVE_UNSENT, run_id, first.int()?, first.int()?)],
        None => {
            let mut steps = vec![
                statement!(REMOVE_UNSENT, run_id, i64::MIN, i64::MIN),
                statement!(PLAN_REMOVED, run_id, at, row_digest!(run_id, at).as_str()),
            ];
            steps.extend((!is_sealed).then(|| statement!(DISCARD_INVALID_ROWS, run_id)));
            steps
        }
    };
    session.write("remove a plan that was never sent", Some(fence), steps).await?;
    Ok(true)
}
