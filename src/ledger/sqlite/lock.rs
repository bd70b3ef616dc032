//! The lock beside the file: one writer per ledger. It ends with the process, however the process ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OpenFlags, OptionalExtension};

use super::paths::{LOCK, beside};
use super::place::resolve;
use super::rights::unusable;
use super::stamp;
use crate::ledger::{LedgerError, Result};

/// The lock, until it is dropped. Its file stays, because removing it would let two runs lock two files of one name.
#[derive(Debug)]
pub(super) struct FileLock(#[allow(dead_code, reason = "has the lock, is never read")] File);

impl FileLock {
    /// Takes the lock of the ledger at `path`, without waiting. The path has no symbolic links.
    pub(super) fn take(path: &Path) -> Result<Self> {
        let lock_path = beside(path, LOCK);
        let file = private(OpenOptions::new().write(true).create(true).truncate(false))
            .open(&lock_path)
            .map_err(|error| unusable(&lock_path, &error))?;
        match file.try_lock() {
            Ok(()) => {
                // Every user who may read the ledger has to see that a run is active. A lock of another user keeps its mode.
                let readers = std::fs::metadata(path).map(|ledger| ledger.permissions());
                let _ = readers.and_then(|readers| file.set_permissions(readers));
                Ok(Self(file))
            }
            Err(TryLockError::WouldBlock) => Err(LedgerError::Locked { holder: holder(path) }),
            Err(TryLockError::Error(error)) => Err(LedgerError::Unusable(format!(
                "the ledger's lock {} cannot be taken ({error}); put the ledger on a disk whose file system has locks",
                lock_path.display()
            ))),
        }
    }
}

/// Whether a process holds the lock of the ledger at `path`, or may hold it: a lock that this user may not read shows
/// nothing. The check itself shares the lock for a moment.
pub(crate) fn is_locked(path: &Path) -> bool {
    let Ok(lock_path) = resolve(path).map(|path| beside(&path, LOCK)) else { return false };
    // Opening a pipe would wait for ever.
    let file = lock_path.is_file().then(|| File::open(lock_path));
    match file {
        Some(Ok(file)) => matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)),
        Some(Err(error)) => error.kind() == io::ErrorKind::PermissionDenied,
        None => false,
    }
}

/// Creates the ledger's file if there is none, readable by this user only. Returns whether it did.
pub(super) fn create(path: &Path) -> Result<bool> {
    match private(OpenOptions::new().write(true).create_new(true)).open(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(unusable(path, &error)),
    }
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

/// The ledger holds customers' values, so only this user may read it.
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    options.mode(0o600)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn every_user_who_may_read_the_ledger_may_see_its_lock() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().canonicalize().expect("its path").join("ledger.db");
        assert!(create(&path).expect("a new file"));
        let mode = |path: &Path| std::fs::metadata(path).expect("a file").permissions().mode() & 0o777;
        drop(FileLock::take(&path).expect("the lock"));
        assert_eq!(mode(&beside(&path, LOCK)), 0o600);
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).expect("readers");
        let _lock = FileLock::take(&path).expect("the lock");
        assert_eq!(mode(&beside(&path, LOCK)), 0o644);
        assert!(is_locked(&path));
    }
}
