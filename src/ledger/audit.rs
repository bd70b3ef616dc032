//! The read side of a ledger, for commands and people, over both databases.
//!
//! Every query is written once: SQLite and Postgres take the same text with `$1` parameters, which therefore appear in
//! rising order. An [`AuditLog`] has one session, which is read-only, and asks all its queries there.

mod ad_hoc;
mod queries;
mod rows;
mod session;
mod verify;

use std::path::PathBuf;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::postgres::migrate::{known_version, makeable};
use super::{
    EntryPages, LearnedSize, LedgerError, LedgerReader, Result, TIMEOUTS, TimeOut, postgres, sqlite, unclear,
};
use crate::config::{LedgerConfig, Secret};
use crate::record::{Filter, KnownAttribute};

pub use ad_hoc::{TABLE_ROWS_MAX, Table};
pub use rows::{
    BeliefEditRow, EntryHistory, EntryState, FailedChange, PastChange, PastInvalidRow, Rejection, Rejections,
    RequestRow, RunRow, StoreRow,
};
pub use session::Value;
pub use verify::Verification;

use session::Session;

/// A ledger, opened for reading. Needs no lock and takes none.
#[derive(Debug)]
pub struct AuditLog {
    location: Location,
    session: Session,
}

/// Where a ledger is.
#[derive(Debug)]
enum Location {
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
            LedgerConfig::Sqlite(path) if path.is_dir() => {
                return Err(LedgerError::Unusable(format!(
                    "the ledger {0} is a folder: name a file in it in [ledger] url, as in sqlite:{0}/ledger.db",
                    path.display()
                )));
            }
            LedgerConfig::Sqlite(path) => {
                (Location::Sqlite(path.clone()), Session::open_sqlite(path.clone()).await?)
            }
            LedgerConfig::Postgres(url) => {
                (Location::Postgres(url.clone()), Session::open_postgres(url.expose()).await?)
            }
        };
        let Some(present) = session.version().await? else {
            if let Location::Sqlite(path) = &location {
                sqlite::refuse_foreign(path)?;
            }
            return Ok(None);
        };
        // Both dialects have migrations of equal numbers.
        check_version(present, i64::from(known_version()))?;
        Ok(Some(Self { location, session }))
    }

    /// Checks whether a ledger could be made, as far as that can be seen without making anything.
    ///
    /// # Errors
    /// Why it could not, with what to do.
    pub async fn makeable(config: &LedgerConfig) -> Result<()> {
        match config {
            LedgerConfig::Sqlite(path) => sqlite::makeable(path),
            LedgerConfig::Postgres(url) => makeable(url.expose()).await,
        }
    }

    /// What the ledger knows of one store, for a plan.
    #[must_use]
    pub fn entries_of(&self, store_id: i64) -> StoreReader<'_> {
        StoreReader { audit: self, store_id }
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

/// One store of the ledger, read without its lock. Queries use the session of the [`AuditLog`]; each stream of
/// entries has a session of its own.
#[derive(Debug)]
pub struct StoreReader<'a> {
    audit: &'a AuditLog,
    store_id: i64,
}

#[async_trait]
impl LedgerReader for StoreReader<'_> {
    async fn known_attributes(&self) -> Result<Vec<KnownAttribute>> {
        let sql = "select attribute_id, name, type, gone_run_id from attributes where store_id = $1
            order by attribute_id";
        self.audit
            .query(sql, vec![Value::Int(self.store_id)], |row| {
                let (id, name, kind) = (row.int()?, row.text()?, row.text()?);
                Ok(KnownAttribute { id, name, kind, gone: row.maybe_int()?.is_some() })
            })
            .await
    }

    async fn missing_customers(&self, limit: usize) -> Result<Vec<i64>> {
        let sql = "select customer_id from missing_customers where store_id = $1
            order by asked_run_id, customer_id limit $2";
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.audit.query(sql, vec![Value::Int(self.store_id), Value::Int(limit)], |row| row.int()).await
    }

    async fn learned_size(&self) -> Result<Option<LearnedSize>> {
        let sql = "select values_per_request, values_per_request_learned_at from stores
            where id = $1 and values_per_request is not null and values_per_request_learned_at is not null";
        let sizes = self.audit.query(sql, vec![Value::Int(self.store_id)], |row| {
            let (size, learned_at) = (row.int()?, row.time()?);
            Ok(LearnedSize { values_per_request: usize::try_from(size).unwrap_or(usize::MAX), learned_at })
        });
        Ok(sizes.await?.pop())
    }

    async fn has_unclear(&self, since: DateTime<Utc>) -> Result<bool> {
        Ok(!self.audit.session.rows(unclear(since), vec![Value::Int(self.store_id)]).await?.is_empty())
    }

    async fn timeouts(&self) -> Result<Vec<TimeOut>> {
        self.audit
            .query(TIMEOUTS, vec![Value::Int(self.store_id)], |row| {
                let (millis, last_ended, open) = (row.int()?, row.maybe_time()?, row.int()?);
                Ok(TimeOut::of(millis, last_ended.filter(|_| open == 0)))
            })
            .await
    }

    async fn entries(&self, filter: &Filter) -> Result<Box<dyn EntryPages>> {
        match &self.audit.location {
            Location::Sqlite(path) => sqlite::scan(path, self.store_id, filter),
            Location::Postgres(url) => postgres::scan(url.expose(), self.store_id, filter),
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
