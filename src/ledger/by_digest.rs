//! The digest of the newest run, and the seal of a run that ends by it, once for both databases.

use chrono::{DateTime, Utc};

use super::Result;
use super::cells::{Cells, unexpected};
use super::row_digest::{digest as digest_of, row_digest};
use super::sql::{Fence, Param, Rows, Sql, statement};
use super::statements::{COUNTS_BY_DIGEST, DISCARD_OLD_INVALID_ROWS, KNOWN_DIGEST, SEAL_BY_DIGEST};
use crate::record::{Counts, KnownDigest};

pub(super) async fn known_digest(session: &dyn Rows, fence: Fence) -> Result<Option<KnownDigest>> {
    let statement = statement!(KNOWN_DIGEST, fence.store_id, fence.run_id);
    let rows = session.rows("read the digest of the run before", statement).await?;
    let known = rows.into_iter().next().map(|row| {
        let mut row = Cells::of(row);
        Ok(KnownDigest {
            run_id: row.int()?,
            digest: row.text()?,
            counts: Counts {
                source_rows: row.int()?,
                no_value: row.int()?,
                unchanged: row.int()?,
                still_rejected: row.int()?,
                acknowledged: row.int()?,
                invalid: row.int()?,
                orphans: row.int()?,
                stored_without_row: row.int()?,
                pinned: row.int()?,
                ..Counts::default()
            },
            compared_at: row.time()?,
        })
    });
    known.transpose()
}

pub(super) async fn seal_by_digest(
    session: &dyn Sql,
    fence: Fence,
    same_as: i64,
    at: DateTime<Utc>,
) -> Result<()> {
    let Fence { store_id, run_id } = fence;
    let rows = session.rows("read the run before", statement!(COUNTS_BY_DIGEST, same_as)).await?;
    let mut row = Cells::of(rows.into_iter().next().ok_or_else(|| unexpected("a run"))?);
    let mut cells = vec![Param::from(run_id), Param::from(at)];
    for _ in 0..11 {
        cells.push(row.int()?.into());
    }
    cells.extend([row.maybe_text()?.as_deref().into(), 1.into()]);
    let mut digest = digest_of(&cells);
    if let Some(invalid_rows_of) = row.maybe_int()? {
        digest += &row_digest!(run_id, invalid_rows_of);
    }
    let steps = vec![
        statement!(SEAL_BY_DIGEST, run_id, same_as, at, digest.as_str()),
        statement!(DISCARD_OLD_INVALID_ROWS, store_id, run_id),
    ];
    session.write("complete the plan", Some(fence), steps).await.map(drop)
}
