//! The files of an open ledger. If one of them is removed or replaced under a run, nothing more may be sent: the run
//! would go on writing a file that no later run finds.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use super::failure::Failure;
use super::paths::{LOCK, SHM, WAL, beside};
use crate::ledger::LedgerError;

/// The identity of a file; it stays when the file is renamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    fn of(path: &Path) -> io::Result<Self> {
        let metadata = fs::metadata(path)?;
        Ok(Self { device: metadata.dev(), inode: metadata.ino() })
    }
}

/// Shows whether a file was written into: its length and time change with every write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    identity: Identity,
    length: u64,
    modified: SystemTime,
}

impl Stamp {
    /// Returns the stamp of the file that is at `path` now.
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let metadata = fs::metadata(path)?;
        let identity = Identity { device: metadata.dev(), inode: metadata.ino() };
        Ok(Self { identity, length: metadata.len(), modified: metadata.modified()? })
    }
}

/// What the files were after the last commit of this process.
#[derive(Debug, Clone, Copy)]
struct Written {
    database: Stamp,
    wal_length: u64,
}

/// The files of an open ledger.
#[derive(Debug)]
pub(super) struct OpenFiles {
    path: PathBuf,
    identities: Vec<(PathBuf, Identity)>,
    written: Mutex<Option<Written>>,
}

impl OpenFiles {
    /// Remembers the files of the ledger at `path`, which is open and locked.
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let paths = ["", WAL, SHM, LOCK].map(|suffix| beside(path, suffix));
        let identities = paths.into_iter().map(|path| Identity::of(&path).map(|identity| (path, identity)));
        let identities = identities.collect::<io::Result<_>>()?;
        let files = Self { path: path.to_owned(), identities, written: Mutex::default() };
        files.remember();
        Ok(files)
    }

    /// Remembers what the files are after a commit, which may have moved earlier commits into the database.
    pub(super) fn remember(&self) {
        *self.written.lock().unwrap_or_else(PoisonError::into_inner) = self.look().ok();
    }

    /// Whether no other program has written into the database or cut off its `-wal`. Another program's commits may make the
    /// `-wal` longer.
    pub(super) fn are_as_written(&self) -> bool {
        let written = *self.written.lock().unwrap_or_else(PoisonError::into_inner);
        self.look().is_ok_and(|now| {
            written.is_some_and(|then| now.database == then.database && now.wal_length >= then.wal_length)
        })
    }

    fn look(&self) -> io::Result<Written> {
        let wal_length = fs::metadata(beside(&self.path, WAL))?.len();
        Ok(Written { database: Stamp::of(&self.path)?, wal_length })
    }

    /// Fails if one of the files was removed, replaced or overwritten.
    pub(super) fn check(&self) -> Result<(), Failure> {
        for (path, identity) in &self.identities {
            if Identity::of(path).ok() != Some(*identity) {
                let what_to_do = match *path == self.path {
                    true => "put it back, with its -wal file, and start again",
                    false => "let nothing touch the files of a ledger in use, and start again",
                };
                return Err(changed(path, "moved, deleted or replaced", what_to_do));
            }
        }
        if self.are_as_written() {
            return Ok(());
        }
        let what_to_do = "verify it with `attrsync check --ledger`; if a copy was put in its place, run \
                          `attrsync sync --full` once";
        Err(changed(&self.path, "overwritten by another program", what_to_do))
    }
}

fn changed(path: &Path, how: &str, what_to_do: &str) -> Failure {
    Failure::Ledger(LedgerError::Unusable(format!(
        "the ledger's file {} was {how} under the run, which sends nothing more: {what_to_do}",
        path.display()
    )))
}
