//! The lock beside the file: one writer per ledger. It ends with the process, however the process ends.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OpenFlags, OptionalExtension};
use rustix::fs::{Access, access};

use super::stamp;
use crate::ledger::{LedgerError, Result};

/// The lock, until it is dropped. Its file stays, because removing it would let two runs lock two files of one name.
#[derive(Debug)]
pub(super) struct FileLock(#[allow(dead_code, reason = "has the lock, is never read")] File);

impl FileLock {
    /// Takes the lock of the ledger at `path`, without waiting. However the path is spelled, the lock is the same.
    pub(super) fn take(path: &Path) -> Result<Self> {
        let lock_path = beside(&resolved(path).map_err(|error| unusable(path, &error))?, ".lock");
        let file = private(OpenOptions::new().write(true).create(true).truncate(false))
            .open(&lock_path)
            .map_err(|error| unusable(path, &error))?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => Err(LedgerError::Locked { holder: holder(path) }),
            Err(TryLockError::Error(error)) => Err(LedgerError::Unusable(format!(
                "the ledger's lock {} cannot be taken ({error}); put the ledger on a disk whose file system has locks",
                lock_path.display()
            ))),
        }
    }
}

/// Whether a process holds the lock of the ledger at `path`. The check itself shares the lock for a moment.
pub(crate) fn is_locked(path: &Path) -> bool {
    let file = resolved(path).and_then(|path| File::open(beside(&path, ".lock")));
    file.is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

/// Creates the ledger's file if there is none, readable by this user only. Returns whether it did.
pub(super) fn create(path: &Path) -> Result<bool> {
    match private(OpenOptions::new().write(true).create_new(true)).open(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(unusable(path, &error)),
    }
}

/// Checks whether the ledger could be created at `path`, and creates nothing.
///
/// # Errors
/// Why it could not, with what to do.
pub(crate) fn makeable(path: &Path) -> Result<()> {
    let resolved = resolved(path).map_err(|error| unusable(path, &error))?;
    access(folder(&resolved), Access::WRITE_OK | Access::EXEC_OK)
        .map_err(|error| unusable(path, &error.into()))
}

/// The error of a path that cannot be opened, with what to do.
fn unusable(path: &Path, error: &io::Error) -> LedgerError {
    let folder = folder(path);
    LedgerError::Unusable(match error.kind() {
        io::ErrorKind::NotFound => format!(
            "the ledger {} has no folder to be in: create {}, or change `url` in [ledger]",
            path.display(),
            folder.display()
        ),
        io::ErrorKind::NotADirectory => format!(
            "the ledger {} cannot be there, because {} is not a folder: change `url` in [ledger]",
            path.display(),
            folder.display()
        ),
        _ => format!(
            "the ledger {} cannot be written ({error}): let this user write to {}, or change `url` in [ledger]",
            path.display(),
            folder.display()
        ),
    })
}

/// The run that holds the lock, as far as the ledger knows.
fn holder(path: &Path) -> String {
    match newest_open_run(path) {
        Ok(Some((id, kind, started_at))) => {
            let started = stamp::parse(&started_at).map_or(started_at, for_people);
            format!("run {id} ({kind}), started {started}")
        }
        Ok(None) | Err(_) => "a run that is just starting".to_owned(),
    }
}

fn for_people(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

fn newest_open_run(path: &Path) -> rusqlite::Result<Option<(i64, String, String)>> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    connection
        .query_row(
            "select id, kind, started_at from runs where status in ('planning', 'running')
             order by id desc limit 1",
            [],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )
        .optional()
}

/// The path without symbolic links: two names of one ledger must not have two locks.
fn resolved(path: &Path) -> io::Result<PathBuf> {
    match (fs::canonicalize(path), path.file_name()) {
        // The file does not exist yet.
        (Err(error), Some(name)) if error.kind() == io::ErrorKind::NotFound => {
            Ok(fs::canonicalize(folder(path))?.join(name))
        }
        (resolved, _) => resolved,
    }
}

/// The folder that the file is in.
fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// The path with something added to its last part.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// The ledger holds customers' values, so only this user may read it.
#[cfg(unix)]
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    use std::os::unix::fs::OpenOptionsExt;
    options.mode(0o600)
}

#[cfg(not(unix))]
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    options
}
