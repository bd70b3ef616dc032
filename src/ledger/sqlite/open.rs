//! Opening the file: the lock, the connection's settings, the migrations, and the store's row.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, TransactionBehavior, params};

use super::failure::Failure;
use super::file::OpenFile;
use super::lock::{self, FileLock};
use crate::failpoint;
use crate::ledger::{LedgerError, Result};
use crate::record::StoreName;

mod embedded {
    refinery::embed_migrations!("migrations/sqlite");
}

/// How long a writer waits for another program that locks the database, such as an SQL prompt.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// With these settings a commit is one fsync of the WAL, which survives a power cut.
const SETTINGS: &str = "
    pragma journal_mode = wal;
    pragma synchronous = full;
    pragma foreign_keys = on;
    pragma journal_size_limit = 67108864;
    pragma cache_size = -8192;";

/// What else opening a ledger makes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Opened {
    /// The identity of the file.
    pub(super) file: OpenFile,
    /// The store's row.
    pub(super) store_id: i64,
    /// Whether the file was created.
    pub(super) created: bool,
}

/// Takes the lock, opens or creates the file, migrates its tables, and finds or inserts the store's row.
pub(super) fn open(path: &Path, store: &StoreName) -> Result<(FileLock, Connection, Opened)> {
    let lock = FileLock::take(path)?;
    failpoint::reach("locked");
    let created = lock::create(path)?;
    let mut connection = connect(path).map_err(|error| open_error(path, error))?;
    let file = OpenFile::at(path)
        .map_err(|error| LedgerError::Database { doing: "look at its file", source: error.into() })?;
    migrate(path, &mut connection)?;
    failpoint::reach("migrated");
    let store_id = store_row(&mut connection, store)
        .map_err(|error| Failure::from(error).into_error("find the store's row"))?;
    Ok((lock, connection, Opened { file, store_id, created }))
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(64);
    connection.execute_batch(SETTINGS)?;
    // Reads the file's header, which a file of another kind does not have.
    connection.query_row("select count(*) from sqlite_schema", [], |_| Ok(()))?;
    Ok(connection)
}

/// The error of a file that SQLite cannot open.
fn open_error(path: &Path, error: rusqlite::Error) -> LedgerError {
    let path = path.display();
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => LedgerError::Unusable(format!(
            "{path} is not a SQLite database: move that file away, or change `url` in [ledger]"
        )),
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
            LedgerError::Unusable(format!(
                "the ledger {path} cannot be written ({error}): let this user write to it and to its folder, \
                 or change `url` in [ledger]"
            ))
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => LedgerError::Unusable(format!(
            "the ledger {path} is in use by another program: end that program's transaction and try again"
        )),
        _ => Failure::from(error).into_error("open its file"),
    }
}

/// Applies the migrations that the file lacks; refuses a file of a newer build, or of another program.
fn migrate(path: &Path, connection: &mut Connection) -> Result<()> {
    // Grouped, a migration and its record are one transaction. Otherwise a kill between the two would leave tables that
    // the next run could not create again.
    let runner = embedded::migrations::runner().set_grouped(true);
    let known = runner.get_migrations().iter().map(|migration| i64::from(migration.version())).max();
    let found = version(connection).map_err(|error| Failure::from(error).into_error("read its version"))?;
    match found {
        Version::Foreign => return Err(foreign(path)),
        Version::Of(found) if Some(found) > known => {
            return Err(LedgerError::Version(format!(
                "the ledger {} is of version {found}, newer than the version {} that this attrsync knows: \
                 use the attrsync that wrote it, or a newer one",
                path.display(),
                known.unwrap_or_default()
            )));
        }
        Version::Of(_) => {}
    }
    #[cfg(feature = "failpoints")]
    reach_in_commits(connection, true);
    let applied = runner.run(connection);
    #[cfg(feature = "failpoints")]
    reach_in_commits(connection, false);
    applied
        .map(drop)
        .map_err(|error| LedgerError::Database { doing: "migrate its tables", source: error.into() })
}

/// The fail-point inside of a migration, which refinery commits by itself.
#[cfg(feature = "failpoints")]
fn reach_in_commits(connection: &Connection, on: bool) {
    let hook = || {
        failpoint::reach("migrating");
        false
    };
    // If the hook cannot be set, the point is not reached, which the crash tests find.
    let _ = connection.commit_hook(on.then_some(hook));
}

/// The version of the tables in the file.
enum Version {
    /// Tables, but no record of our migrations.
    Foreign,
    /// Our tables of this version; 0 for an empty file.
    Of(i64),
}

/// Fails if the file is of another program.
pub(crate) fn refuse_foreign(path: &Path) -> Result<()> {
    let failed = |error| Failure::from(error).into_error("read its version");
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    match version(&connection).map_err(failed)? {
        Version::Foreign => Err(foreign(path)),
        Version::Of(_) => Ok(()),
    }
}

fn foreign(path: &Path) -> LedgerError {
    LedgerError::Unusable(format!(
        "{} is a SQLite database of another program: change `url` in [ledger]",
        path.display()
    ))
}

fn version(connection: &Connection) -> rusqlite::Result<Version> {
    let (tables, ours): (i64, bool) = connection.query_row(
        "select count(*), coalesce(max(name = 'refinery_schema_history'), 0) from sqlite_schema
         where type = 'table'",
        [],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    if !ours {
        return Ok(if tables == 0 { Version::Of(0) } else { Version::Foreign });
    }
    let sql = "select coalesce(max(version), 0) from refinery_schema_history";
    connection.query_row(sql, [], |row| row.get(0)).map(Version::Of)
}

fn store_row(connection: &mut Connection, store: &StoreName) -> rusqlite::Result<i64> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found = transaction
        .query_row(
            "select id from stores where api_url = ?1 and hash = ?2",
            params![store.api_url, store.hash],
            |row| row.get(0),
        )
        .optional()?;
    let id = match found {
        Some(id) => id,
        None => transaction.query_row(
            "insert into stores (api_url, hash) values (?1, ?2) returning id",
            params![store.api_url, store.hash],
            |row| row.get(0),
        )?,
    };
    transaction.commit()?;
    Ok(id)
}
