//! Removes what was planned and is not sent, once for both databases.

use chrono::{DateTime, Utc};

use super::Result;
use super::cells::Cells;
use super::row_digest::row_digest;
use super::sql::{Fence, Sql, statement};
use super::statements::*;

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
    let unsent = session.rows(doing, statement!(UNSENT_PLAN, fence.store_id, fence.run_id)).await?;
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
