//! The counts of the last run that finished a plan of all rows, once for both databases.

use super::Result;
use super::cells::Cells;
use super::sql::{Rows, statement};
use crate::record::Counts;

/// The newest run of store `$1` that had a plan of all rows and came to its end. The condition is that of the index
/// `finished_plans`.
const LAST_FINISHED: &str = "
    select source_rows, no_value, unchanged, still_rejected, acknowledged, invalid, orphans, stored_without_row, pinned, planned,
        deletes, confirmed, altered, rejected, unknown, deferred, requests
    from runs
    where store_id = $1 and kind in ('sync', 'apply') and filtered = 0 and status in ('succeeded', 'partial')
    order by id desc limit 1";

pub(super) async fn last_finished(session: &dyn Rows, store_id: i64) -> Result<Option<Counts>> {
    let rows = session.rows("read the last finished run", statement!(LAST_FINISHED, store_id)).await?;
    rows.into_iter().next().map(|row| Cells::of(row).counts()).transpose()
}
