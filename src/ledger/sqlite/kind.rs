//! Whose file it is: a ledger, a new file, or the file of another program, which must stay as it is.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::failure::Failure;
use super::paths::has_newer_commits;
use super::place::refuse_other_kinds;
use super::{reader, rights};
use crate::ledger::{LedgerError, Result};

/// What the header of a ledger's file says: "attr".
pub(super) const APPLICATION_ID: i32 = 0x6174_7472;

/// Whose file it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// It has no tables.
    Empty,
    /// A ledger.
    Ours,
    /// Another program's.
    Foreign,
}

/// Looks into a database. A ledger that was copied as SQL has lost its application id, so the record of its first
/// migration counts too.
pub(super) fn of(connection: &Connection) -> rusqlite::Result<Kind> {
    let id = application_id(connection)?;
    let (tables, migrated): (i64, bool) = connection.query_row(
        "select count(*), coalesce(max(name = 'refinery_schema_history'), 0) from sqlite_schema",
        [],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    Ok(match (id, tables) {
        (0 | APPLICATION_ID, 0) => Kind::Empty,
        (APPLICATION_ID, _) => Kind::Ours,
        (0, _) if migrated && has_first_migration(connection)? => Kind::Ours,
        _ => Kind::Foreign,
    })
}

fn application_id(connection: &Connection) -> rusqlite::Result<i32> {
    connection.query_row("pragma application_id", [], |row| row.get(0))
}

fn has_first_migration(connection: &Connection) -> rusqlite::Result<bool> {
    let sql = "select count(*) from refinery_schema_history where name = 'ledger'";
    connection.query_row(sql, [], |row| row.get(0))
}

/// Fails if the file at `path` is of another program, is no file, or cannot be read. Leaves that file, and what is beside
/// it, as it is.
pub(crate) fn refuse_foreign(path: &Path) -> Result<()> {
    refuse_other_kinds(path)?;
    if !path.metadata().is_ok_and(|metadata| metadata.len() > 0) {
        return Ok(());
    }
    rights::readable(path)?;
    match look(path) {
        Ok(Kind::Empty | Kind::Ours) => Ok(()),
        Ok(Kind::Foreign) => Err(LedgerError::Unusable(format!(
            "{} is a SQLite database of another program: change `url` in [ledger]",
            path.display()
        ))),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::NotADatabase) => Err(no_database(path)),
        Err(error) => Err(Failure::from(error).into_error("open its file")),
    }
}

/// Looks without making files or taking locks. The header names a ledger, and is read as bytes: after a checkpoint that
/// was cut off, the file cannot be read without its `-wal`. The tables of another program may be in its `-wal` only.
fn look(path: &Path) -> rusqlite::Result<Kind> {
    if header_id(path) == Some(APPLICATION_ID) {
        return Ok(Kind::Ours);
    }
    match of(&reader::connect_immutable(path)?)? {
        Kind::Empty if has_newer_commits(path) => {
            of(&Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?)
        }
        kind => Ok(kind),
    }
}

/// The application id in a database's header (<https://www.sqlite.org/fileformat2.html>, 1.3).
fn header_id(path: &Path) -> Option<i32> {
    let mut header = [0; 72];
    File::open(path).ok()?.read_exact(&mut header).ok()?;
    let id: [u8; 4] = header[68..].try_into().ok()?;
    header.starts_with(b"SQLite format 3\0").then(|| i32::from_be_bytes(id))
}

/// The error of a file that is no database.
pub(super) fn no_database(path: &Path) -> LedgerError {
    LedgerError::Unusable(format!(
        "{} is not a SQLite database: move that file away, or change `url` in [ledger]",
        path.display()
    ))
}
