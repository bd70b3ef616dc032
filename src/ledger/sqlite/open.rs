//! Opening the file: the lock, the connection's settings, the migrations, and the store's row.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, TransactionBehavior, params};

use super::failure::Failure;
use super::file::OpenFiles;
use super::kind::{self, Kind};
use super::lock::{self, FileLock};
use super::note::{LedgerEnd, Note, OlderCopy};
use super::paths::is_half_made;
use super::reader::{self, Reader};
use super::{place, rights};
use crate::failpoint;
use crate::ledger::row_digest::new_store;
use crate::ledger::{LEDGER_REPLACED, LedgerError, Result, tables};
use crate::record::StoreName;

mod embedded {
    refinery::embed_migrations!("migrations/sqlite");
}

/// The record of the migrations that were applied.
const RECORD: &str = "refinery_schema_history";

/// How long a writer waits for another program that locks the database, such as an SQL prompt.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// With these settings a commit is one fsync of the WAL, which survives a power cut.
const SETTINGS: &str = "
    pragma journal_mode = wal;
    pragma synchronous = full;
    pragma foreign_keys = on;
    pragma journal_size_limit = 67108864;
    pragma cache_size = -8192;";

/// The newest run, and the number that was drawn for the ledger: it is in the file's header, which every copy of the file
/// has too.
pub(in crate::ledger) const END_OF_LEDGER: &str =
    "select (select coalesce(max(id), 0) from runs), user_version from pragma_user_version";

/// What else opening a ledger makes.
#[derive(Debug)]
pub(super) struct Opened {
    /// The path without symbolic links.
    pub(super) path: PathBuf,
    /// The files, which must stay in their places.
    pub(super) files: Arc<OpenFiles>,
    /// The store's row.
    pub(super) store_id: i64,
    /// Whether the file was created.
    pub(super) created: bool,
}

/// Takes the lock, opens or creates the file, migrates its tables, and finds or inserts the store's row.
pub(super) fn open(path: &Path, store: &StoreName) -> Result<(FileLock, Connection, Arc<OpenFiles>, Opened)> {
    let path = &writable(path)?;
    let lock = FileLock::take(path)?;
    failpoint::reach("locked");
    let created = lock::create(path)?;
    let mut connection = connect(path).map_err(|error| open_error(path, error))?;
    migrate(&mut connection)?;
    failpoint::reach("migrated");
    let store_id = store_row(&mut connection, store)
        .map_err(|error| Failure::from(error).into_error("find the store's row"))?;
    note_ledger(path, &connection, store_id)
        .map_err(|error| Failure::from(error).into_error("read its newest run"))?;
    let files = OpenFiles::of(path)
        .map_err(|error| LedgerError::Database { doing: "look at its files", source: error.into() })?;
    let files = Arc::new(files);
    if let Some(caution) = place::caution(path) {
        tracing::warn!("{caution}");
    }
    let opened = Opened { path: path.clone(), files: Arc::clone(&files), store_id, created };
    Ok((lock, connection, files, opened))
}

/// Returns the path without symbolic links, if a ledger is safe there and this user may write or make it. Writes
/// nothing: not even a lock comes to lie beside the file of another program.
pub(super) fn writable(path: &Path) -> Result<PathBuf> {
    let path = place::resolve(path)?;
    place::refuse_unsafe(&path)?;
    if rights::readable(&path).is_err() {
        // Who may not read the file needs other rights than a reader: a copy would be a second ledger, which grows old.
        rights::writable(&path)?;
    }
    kind::refuse_foreign(&path)?;
    rights::writable(&path)?;
    refuse_incomplete(&path)?;
    Ok(path)
}

/// Fails if the ledger lacks a table that its migrations have made, or the record of them.
pub(crate) fn refuse_incomplete(path: &Path) -> Result<()> {
    // What is half made has no tables when it is undone, and cannot be read before.
    if !path.metadata().is_ok_and(|metadata| metadata.len() > 0) || is_half_made(path) {
        return Ok(());
    }
    let reader = Reader::open(path)?;
    let missing =
        missing_table(&reader).map_err(|error| Failure::from(error).into_error("look for its tables"))?;
    match missing {
        Some(table) => Err(LedgerError::Unusable(format!(
            "the ledger {} lacks its table {table}: restore a backup of the ledger",
            path.display()
        ))),
        None => Ok(()),
    }
}

/// Returns the first table that is missing. An older version may not have every table yet.
fn missing_table(connection: &Connection) -> rusqlite::Result<Option<String>> {
    let mut names = connection.prepare("select name from sqlite_schema where type in ('table', 'view')")?;
    let there: HashSet<String> = names.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    if there.iter().all(|name| name == RECORD) {
        return Ok(None);
    }
    if !there.contains(RECORD) {
        return Ok(Some(RECORD.to_owned()));
    }
    let runner = embedded::migrations::runner();
    let known = runner.get_migrations().iter().map(|migration| i64::from(migration.version())).max();
    let sql = "select max(version) from refinery_schema_history";
    match connection.query_row(sql, [], |row| row.get::<_, Option<i64>>(0))? {
        None => Ok(Some(format!("{RECORD}'s rows"))),
        present if present != known => Ok(None),
        _ => Ok(tables::names(runner.get_migrations()).into_iter().find(|name| !there.contains(name))),
    }
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(64);
    // Reads the file's header, which a file of another kind does not have.
    if kind::of(&connection)? == Kind::Empty {
        // Before the WAL is used, so that the file itself says whose it is.
        connection.pragma_update(None, "application_id", kind::APPLICATION_ID)?;
    }
    connection.execute_batch(SETTINGS)?;
    Ok(connection)
}

/// The error of a file that SQLite cannot open.
fn open_error(path: &Path, error: rusqlite::Error) -> LedgerError {
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => kind::no_database(path),
        _ => reader::open_error(path, error),
    }
}

/// Applies the migrations that the file lacks; refuses a file of a newer build.
fn migrate(connection: &mut Connection) -> Result<()> {
    // Grouped, a migration and its record are one transaction. Otherwise a kill between the two would leave tables that
    // the next run could not create again.
    let runner = embedded::migrations::runner().set_grouped(true);
    let known = runner.get_migrations().iter().map(|migration| i64::from(migration.version())).max();
    let known = known.unwrap_or_default();
    let present = version(connection).map_err(|error| Failure::from(error).into_error("read its version"))?;
    if present > known {
        return Err(LedgerError::Version { present, known });
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

/// The migrations that this build applies: version, name and checksum of each.
pub(crate) fn known_migrations() -> Vec<(i64, String, String)> {
    tables::recorded(embedded::migrations::runner().get_migrations())
}

/// An empty ledger in memory, for comparing its tables with those of a file.
pub(crate) fn in_memory() -> Result<Connection> {
    const DOING: &str = "make its tables in memory";
    let mut connection =
        Connection::open_in_memory().map_err(|error| Failure::from(error).into_error(DOING))?;
    embedded::migrations::runner()
        .run(&mut connection)
        .map_err(|error| LedgerError::Database { doing: DOING, source: error.into() })?;
    Ok(connection)
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

/// The version of the tables in the file; 0 if there are none.
fn version(connection: &Connection) -> rusqlite::Result<i64> {
    if kind::of(connection)? == Kind::Empty {
        return Ok(0);
    }
    let sql = "select coalesce(max(version), 0) from refinery_schema_history";
    connection.query_row(sql, [], |row| row.get(0))
}

/// Notes which ledger it is. Warns if it lacks a run that was noted beside it: it is new, or an older copy.
fn note_ledger(path: &Path, connection: &Connection, store_id: i64) -> rusqlite::Result<()> {
    let end: LedgerEnd = connection.query_row(END_OF_LEDGER, [], |row| {
        Ok(LedgerEnd { newest_run: row.get(0)?, ledger_id: row.get(1)? })
    })?;
    let ledger_id = match end.ledger_id {
        0 => draw_id(connection)?,
        known => known,
    };
    let note = Note::read(path);
    if end.newest_run == 0 && note.newest_run > 0 {
        tracing::warn!(
            target: LEDGER_REPLACED,
            "the ledger {} is new, but run {} was made here: the ledger before it is lost, with what it knew. Every value \
             is sent again",
            path.display(),
            note.newest_run
        );
        Note { ledger_id, ..Note::default() }.write(path);
        return Ok(());
    }
    if let Some(warning) = note.older_copy(path, end, Some(store_id)) {
        tracing::warn!(target: LEDGER_REPLACED, "{warning}");
    }
    if note.is_ahead_of(end) {
        let older = Some(OlderCopy::found(end.newest_run));
        Note { newest_run: end.newest_run, ledger_id, older }.write(path);
    } else if note.ledger_id != ledger_id {
        Note { ledger_id, ..note }.write(path);
    }
    Ok(())
}

/// Gives the ledger a number by which it is known again. A copy has the same; another ledger in its place does not.
fn draw_id(connection: &Connection) -> rusqlite::Result<i64> {
    let id = fastrand::i32(1..);
    connection.pragma_update(None, "user_version", id)?;
    Ok(id.into())
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
            "insert into stores (api_url, hash, row_digest) values (?1, ?2, ?3) returning id",
            params![store.api_url, store.hash, new_store(store)],
            |row| row.get(0),
        )?,
    };
    transaction.commit()?;
    Ok(id)
}
