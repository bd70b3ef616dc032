//! The tables are those that the migrations make, and nothing else acts on them.

mod parts;
mod postgres;
mod sqlite;

use super::log::AuditLog;
use super::session::Session;
use crate::ledger::Result;
use crate::ledger::cells::Cells;
use crate::ledger::sql::{Rows as _, statement};

/// What to do about tables that were altered, besides what each sentence says.
pub(crate) const ADVICE: &str = "undo what was done to the tables of the ledger, or restore the newest backup and run \
    `attrsync sync --full` once";

const APPLIED: &str = "select version, name, checksum from refinery_schema_history order by version";

impl AuditLog {
    /// Returns what is missing in the tables, was altered, or acts on them beside attrsync: a sentence each, with what to
    /// do.
    ///
    /// # Errors
    /// The database failed.
    pub async fn altered_tables(&self) -> Result<Vec<String>> {
        let session = &self.session;
        let (mut altered, known) = match session {
            Session::Sqlite(_) => {
                (sqlite::altered(session).await?, crate::ledger::sqlite::known_migrations())
            }
            Session::Postgres(_) => {
                (postgres::altered(session).await?, crate::ledger::postgres::migrate::known_migrations())
            }
        };
        altered.extend(altered_record(session, &known).await?);
        Ok(altered)
    }

    /// Returns why the ledger's tables are less safe than they should be, although they are complete.
    ///
    /// # Errors
    /// The database failed.
    pub async fn unsafe_tables(&self) -> Result<Vec<String>> {
        match &self.session {
            Session::Sqlite(_) => Ok(Vec::new()),
            Session::Postgres(_) => postgres::unlogged(&self.session).await,
        }
    }
}

/// Compares the record of the migrations with the migrations of this attrsync.
async fn altered_record(session: &Session, known: &[(i64, String, String)]) -> Result<Option<String>> {
    let applied = session.rows("read its migrations", statement!(APPLIED)).await?;
    let applied = applied.into_iter().map(|row| {
        let mut row = Cells::of(row);
        Ok((row.int()?, row.maybe_text()?.unwrap_or_default(), row.maybe_text()?.unwrap_or_default()))
    });
    let applied: Vec<_> = applied.collect::<Result<_>>()?;
    Ok(known.iter().find(|migration| !applied.contains(migration)).map(|(version, name, checksum)| {
        format!(
            "the record of the migrations was altered: in refinery_schema_history, version {version} has the name {name} \
             and the checksum {checksum}; write them there, or install the attrsync that made the ledger"
        )
    }))
}
