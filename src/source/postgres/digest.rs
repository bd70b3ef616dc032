//! The digest of all rows, computed by the server: with parallel workers where it can, and without sending a row.

use super::columns::Columns;
use super::failure::malformed;
use super::session::{Snapshot, text};
use super::{LOCK_WAIT, PostgresSource, sql};
use crate::record::{AttributeNames, Filter, SourceDigest};
use crate::source::{Digested, SourceError};

impl PostgresSource {
    /// Computes the digest in a snapshot of its own, with the settings and the expressions of the read.
    pub(super) async fn digest_of_all(
        &self,
        names: &AttributeNames,
    ) -> Result<Option<Digested>, SourceError> {
        let (mut snapshot, columns) = self.open(LOCK_WAIT.0).await?;
        // A server without the function, or a table that lacks rows of the snapshot, leads to another digest or to an
        // error. Both lead to a read, which finds the cause.
        let able = snapshot.rows(sql::can_digest()).await?;
        if able.first().map(|row| text(row, 0)).transpose()?.as_deref() != Some("true") {
            snapshot.close().await?;
            return Ok(None);
        }
        let query = self.query(&mut snapshot, &columns, &Filter::default(), names).await?;
        let row_security = snapshot.row_security(&query.all()).await?;
        let found = snapshot.rows(query.digest()).await?;
        let found = found.first().ok_or_else(|| malformed("the digest"))?;
        let rows = format!("{}:{}", text(found, 0)?, text(found, 1)?);
        let digest = SourceDigest::new(rows, &self.made_by(&snapshot, &columns));
        snapshot.close().await?;
        Ok(Some(Digested { digest, row_security }))
    }

    /// Names what decides which rows there are and how their values are written.
    pub(super) fn made_by(&self, snapshot: &Snapshot, columns: &Columns) -> String {
        let version = snapshot.connection.server_version_num();
        format!("{}\n{:?}\n{:?}\n{version:?}", self.relation, self.columns, columns.described())
    }
}
