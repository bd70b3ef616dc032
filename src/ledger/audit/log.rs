//! Opening a ledger for reading.

use std::borrow::Cow;
use std::path::PathBuf;

use super::session::Session;
use crate::config::{LedgerConfig, Secret};
use crate::ledger::cells::Cells;
use crate::ledger::postgres::migrate::known_version;
use crate::ledger::postgres::rights::check_writable;
use crate::ledger::sql::{Param, Rows as _, Statement};
use crate::ledger::sqlite::SqliteLedger;
use crate::ledger::{LedgerError, Result, sqlite};

/// A ledger, opened for reading. Needs no lock and takes none.
#[derive(Debug)]
pub struct AuditLog {
    pub(super) location: Location,
    pub(super) session: Session,
}

/// Where a ledger is.
#[derive(Debug)]
pub(super) enum Location {
    Sqlite(PathBuf),
    Postgres(Secret),
}

impl AuditLog {
    /// Opens the ledger; `None` if there is none yet.
    ///
    /// # Errors
    /// [`LedgerError::Version`] if another version of attrsync made it, with what to do.
    pub async fn open(config: &LedgerConfig) -> Result<Option<Self>> {
        let (location, session) = match config {
            LedgerConfig::Sqlite(path) if !path.exists() => return Ok(None),
            LedgerConfig::Sqlite(path) => {
                (Location::Sqlite(path.clone()), Session::open_sqlite(path.clone()).await?)
            }
            LedgerConfig::Postgres(url) => {
                (Location::Postgres(url.clone()), Session::open_postgres(url.expose()).await?)
            }
        };
        let Some(present) = session.version().await? else {
            if let Location::Sqlite(path) = &location {
                sqlite::refuse_incomplete(path)?;
            }
            return Ok(None);
        };
        // Both dialects have migrations of equal numbers.
        let known = i64::from(known_version());
        if present != known {
            return Err(LedgerError::Version { present, known });
        }
        Ok(Some(Self { location, session }))
    }

    /// Checks that a sync could write the ledger, or make it, as far as that can be seen without writing anything.
    ///
    /// # Errors
    /// Why it could not, with what to do.
    pub async fn check_writable(config: &LedgerConfig) -> Result<()> {
        match config {
            LedgerConfig::Sqlite(path) => SqliteLedger::check(path),
            LedgerConfig::Postgres(url) => check_writable(url.expose()).await,
        }
    }

    /// Returns why the ledger may be lost or old, although nothing is wrong with it now.
    #[must_use]
    pub fn caution(config: &LedgerConfig) -> Option<String> {
        match config {
            LedgerConfig::Sqlite(path) => SqliteLedger::caution(path),
            LedgerConfig::Postgres(_) => None,
        }
    }

    /// Returns why what is read of the ledger may be old, although nothing is wrong with it now.
    #[must_use]
    pub fn caution_of_reader(config: &LedgerConfig) -> Option<String> {
        match config {
            LedgerConfig::Sqlite(path) => SqliteLedger::caution_of_reader(path),
            LedgerConfig::Postgres(_) => None,
        }
    }

    /// Returns why the ledger may believe what a store does not hold: an older copy of it was put in its place. Postgres
    /// does not show this. Without a store, all stores count.
    ///
    /// # Errors
    /// The database failed.
    pub async fn older_copy(&self, store_id: Option<i64>) -> Result<Option<String>> {
        let Location::Sqlite(path) = &self.location else { return Ok(None) };
        let read = |row: &mut Cells| Ok((row.int()?, row.int()?));
        let end = self.query(sqlite::END_OF_LEDGER, Vec::new(), read).await?;
        Ok(end.first().and_then(|end| SqliteLedger::older_copy(path, *end, store_id)))
    }

    /// Whether the ledger was known to be an older copy for a store at the end of a run. Postgres does not show this.
    pub(super) fn was_older_copy(&self, store_id: i64, run_id: i64) -> bool {
        match &self.location {
            Location::Sqlite(path) => SqliteLedger::was_older_copy(path, store_id, run_id),
            Location::Postgres(_) => false,
        }
    }

    /// Checks whether the ledger is where it is safe. In Postgres it always is.
    ///
    /// # Errors
    /// Why it is not, with what to do.
    pub fn check_place(config: &LedgerConfig) -> Result<()> {
        match config {
            LedgerConfig::Sqlite(path) => SqliteLedger::check_place(path),
            LedgerConfig::Postgres(_) => Ok(()),
        }
    }

    /// Runs a query and reads each of its rows.
    pub(super) async fn query<T>(
        &self,
        sql: impl Into<Cow<'static, str>>,
        params: Vec<Param>,
        read: impl Fn(&mut Cells) -> Result<T>,
    ) -> Result<Vec<T>> {
        let rows = self.session.rows("run a query", Statement { sql: sql.into(), params }).await?;
        rows.into_iter().map(|row| read(&mut Cells::of(row))).collect()
    }
}
