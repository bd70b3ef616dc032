//! A connection that reads, also for a user who may do no more than read the file.

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::failure::Failure;
use super::file::Stamp;
use super::paths::{folder, has_newer_commits, is_half_made};
use super::rights;
use crate::ledger::{LedgerError, Result};

/// How long a reader waits for a program that locks the whole database.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection that reads.
#[derive(Debug)]
pub(in crate::ledger) struct Reader {
    connection: Connection,
    /// The file, if it is read without locks. It must not change meanwhile.
    unlocked: Option<(PathBuf, Stamp)>,
}

impl Reader {
    /// Opens the ledger at `path`.
    ///
    /// To read a database with a `-wal`, SQLite writes into a file beside it. If this user may not, and no commit is in
    /// the `-wal`, the file alone is read, without locks.
    ///
    /// # Errors
    /// Why this user cannot read it, with what to do.
    pub(in crate::ledger) fn open(path: &Path) -> Result<Self> {
        let stamp = Stamp::of(path).map_err(|error| rights::unusable(path, &error))?;
        match connect(path) {
            Ok(connection) => Ok(Self { connection, unlocked: None }),
            Err(error) if !needs_to_write(&error) => Err(open_error(path, error)),
            Err(_) if is_half_made(path) => Err(LedgerError::Unusable(format!(
                "a run was cut off while it made the ledger {}: the next `attrsync sync` mends it",
                path.display()
            ))),
            Err(_) if has_newer_commits(path) => Err(unreadable(path)),
            Err(_) => match connect_immutable(path) {
                Ok(connection) => Ok(Self { connection, unlocked: Some((path.to_owned(), stamp)) }),
                Err(error) => Err(open_error(path, error)),
            },
        }
    }

    /// Fails if the file has changed while it was read without locks: what was read may be wrong.
    pub(in crate::ledger) fn check(&self) -> Result<()> {
        match &self.unlocked {
            Some((path, stamp)) if Stamp::of(path).ok() != Some(*stamp) || has_newer_commits(path) => {
                Err(LedgerError::Unusable(format!(
                    "the ledger {} was changed by a run while it was read: run this again",
                    path.display()
                )))
            }
            _ => Ok(()),
        }
    }
}

impl Deref for Reader {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    // Only the first query opens the files beside the database.
    connection.query_row("select count(*) from sqlite_schema", [], |_| Ok(()))?;
    Ok(connection)
}

/// Opens the file alone: without its `-wal`, without locks, and without making a file.
pub(super) fn connect_immutable(path: &Path) -> rusqlite::Result<Connection> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    let name = path.to_string_lossy();
    let escaped = name.replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    Connection::open_with_flags(format!("file:{escaped}?immutable=1"), flags)
}

/// The error of a file that SQLite cannot open.
pub(super) fn open_error(path: &Path, error: rusqlite::Error) -> LedgerError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => LedgerError::Unusable(format!(
            "the ledger {} is in use by another program: end that program's transaction and try again",
            path.display()
        )),
        _ => Failure::from(error).into_error("open its file"),
    }
}

fn needs_to_write(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied)
    )
}

/// The error of a ledger that this user may read, but whose newest commits are not in the file.
fn unreadable(path: &Path) -> LedgerError {
    LedgerError::Unusable(format!(
        "the newest commits of the ledger {0} are in {0}-wal, and SQLite can read them only for a user who may write to \
         {1}. Run this as the ledger's owner; or, while no run is active, copy both files into a folder of yours and name \
         the copy in [ledger] url",
        path.display(),
        folder(path).display()
    ))
}
