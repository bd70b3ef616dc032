//! The read side: what commands and people ask of a ledger, over both databases.
//!
//! Every question is written once: SQLite and Postgres take the same text with `$1` parameters, which therefore
//! appear in rising order. Nothing here can write: the sessions are opened read-only.

mod rows;
mod session;
mod verify;
mod queries;
mod ad_hoc;

use std::path::PathBuf;

use async_trait::async_trait;

use super::postgres::migrate::{known_version, makeable};
use super::{CustomerToCheck, EntryPages, LedgerError, LedgerReader, Result, cold, postgres, sqlite};
use crate::record::{LearnedSize};
use crate::config::{LedgerConfig, Secret};
use crate::record::{Filter, KnownAttribute};

pub use super::cells::Value;
pub use ad_hoc::{TABLE_ROWS_MAX, Table};
pub use rows::{
    EntryHistory, EntryState, Failure, HistoryLine, InvalidLine, Learned, Rejection, Rejections, RequestLine,
    RunLine, StoreLine,
};
pub use verify::Proof;

use super::cells::Cells;
use session::Port;

/// A ledger, opened for reading. Needs no lock and takes none.
#[derive(Debug)]
pub struct AuditLog {
    place: Place,
    port: Port,
}

/// Where a ledger is.
#[derive(Debug, Clone)]
enum Place {
    Sqlite(PathBuf),
    Postgres(Secret),
}

impl AuditLog {
    /// Opens the ledger; `None` if there is none yet.
    ///
    /// # Errors
    /// [`LedgerError::Version`] if another version of attrsync has made it, with what to do.
    pub async fn open(config: &LedgerConfig) -> Result<Option<Self>> {
        let (place, port) = match config {
            LedgerConfig::Sqlite(path) if !path.exists() => return Ok(None),
            LedgerConfig::Sqlite(path) if path.is_dir() => {
                return Err(LedgerError::Unusable(format!(
                    "the ledger {0} is a folder: name a file in it in [ledger] url, as in sqlite:{0}/ledger.db",
                    path.display()
                )));
            }
            LedgerConfig::Sqlite(path) => {
                (Place::Sqlite(path.clone()), Port::open_sqlite(path.clone()).await?)
            }
            LedgerConfig::Postgres(url) => {
                (Place::Postgres(url.clone()), Port::open_postgres(url.expose()).await?)
            }
        };
        let Some(present) = port.version().await? else {
            if let Place::Sqlite(path) = &place {
                sqlite::refuse_foreign(path)?;
            }
            return Ok(None);
        };
        // Both dialects have migrations of equal numbers.
        check_version(present, i64::from(known_version()))?;
        Ok(Some(Self { place, port }))
    }

    /// Whether a ledger could be made where there is none, as far as that can be seen without making anything.
    ///
    /// # Errors
    /// Why it could not, with what to do.
    pub async fn makeable(config: &LedgerConfig) -> Result<()> {
        match config {
            LedgerConfig::Sqlite(path) => sqlite::makeable(path),
            LedgerConfig::Postgres(url) => makeable(url.expose()).await,
        }
    }

    /// The entries of one store, in key order.
    #[must_use]
    pub fn entries_of(&self, store_id: i64) -> StoreEntries {
        StoreEntries { place: self.place.clone(), store_id }
    }
}

fn check_version(present: i64, known: i64) -> Result<()> {
    let what_to_do = match present.cmp(&known) {
        std::cmp::Ordering::Equal => return Ok(()),
        std::cmp::Ordering::Less => "run `attrsync sync` once to migrate it",
        std::cmp::Ordering::Greater => "install the newer attrsync that migrated it",
    };
    Err(LedgerError::Version(format!(
        "the ledger has version {present}, this attrsync reads version {known}: {what_to_do}"
    )))
}

/// The entries of one store, read without its lock.
#[derive(Debug)]
pub struct StoreEntries {
    place: Place,
    store_id: i64,
}

impl StoreEntries {
    /// A session of its own.
    async fn port(&self) -> Result<Port> {
        match &self.place {
            Place::Sqlite(path) => Port::open_sqlite(path.clone()).await,
            Place::Postgres(url) => Port::open_postgres(url.expose()).await,
        }
    }
}

#[async_trait]
impl LedgerReader for StoreEntries {
    async fn attributes(&self) -> Result<Vec<KnownAttribute>> {
        cold::attributes(&self.port().await?, self.store_id).await
    }

    async fn customers_to_check(&self, before_run: i64, limit: usize) -> Result<Vec<CustomerToCheck>> {
        cold::customers_to_check(&self.port().await?, self.store_id, before_run, limit).await
    }

    async fn learned_size(&self) -> Result<Option<LearnedSize>> {
        cold::learned_size(&self.port().await?, self.store_id).await
    }

    async fn entries(&self, filter: &Filter) -> Result<Box<dyn EntryPages>> {
        match &self.place {
            Place::Sqlite(path) => sqlite::scan(path, self.store_id, filter),
            Place::Postgres(url) => postgres::scan(url.expose(), self.store_id, filter),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_version_says_what_to_do() {
        assert!(check_version(1, 1).is_ok());
        assert!(check_version(1, 2).unwrap_err().to_string().contains("attrsync sync"));
        assert!(check_version(3, 2).unwrap_err().to_string().contains("install the newer"));
    }
}
