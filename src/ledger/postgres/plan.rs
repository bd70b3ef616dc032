//! A run's plan: its pages are saved by COPY, and read back with their entries.

use sqlx::{Acquire, PgConnection};
use tokio::sync::OwnedMutexGuard;

use super::copy;
use super::session::failed;
use super::writer::check_fence;
use crate::ledger::Result;
use crate::ledger::kept_plan::saved_plan;
use crate::ledger::sql::Fence;
use crate::ledger::statements::planned;

/// The entries are found key by key: `lateral … offset 0` asks for the nested loop that the writer's session has only
/// then.
pub(super) const PLANNED: &str = planned!(
    "lateral (
        select value, belief, observed_value from entries
        where store_id = $1 and customer_id = c.customer_id and attribute_id = c.attribute_id
        offset 0
    ) e on true"
);

pub(super) const SAVED_CHANGES: &str = saved_plan!(
    "lateral (
        select value, belief from entries
        where store_id = $1 and customer_id = c.customer_id and attribute_id = c.attribute_id
        offset 0
    ) e on true"
);

/// Adds rows to the plan that [`copy`] has encoded.
pub(super) async fn save_plan(
    mut connection: OwnedMutexGuard<PgConnection>,
    fence: Fence,
    changes: Option<Vec<u8>>,
    invalid: Option<Vec<u8>>,
) -> Result<()> {
    let doing = failed("save the plan");
    let mut transaction = connection.begin().await.map_err(doing)?;
    // A page need not be on the disk before the next one is made: the plan counts only once it is sealed, and what
    // makes the seal durable makes all pages durable, because the log is written in order.
    sqlx::raw_sql("set local synchronous_commit = off").execute(&mut *transaction).await.map_err(doing)?;
    if let Err(lost) = check_fence(&mut transaction, fence, " for share").await {
        transaction.rollback().await.map_err(doing)?;
        return Err(lost);
    }
    for (statement, rows) in [(copy::CHANGES, changes), (copy::INVALID_ROWS, invalid)] {
        if let Some(rows) = rows {
            copy_in(&mut transaction, statement, &rows).await.map_err(doing)?;
        }
    }
    transaction.commit().await.map_err(doing)
}

async fn copy_in(connection: &mut PgConnection, statement: &str, rows: &[u8]) -> Result<(), sqlx::Error> {
    let mut copy = connection.copy_in_raw(statement).await?;
    copy.send(rows).await?;
    copy.finish().await.map(|_| ())
}
