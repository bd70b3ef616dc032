//! The identity of the opened file. A ledger that is deleted or replaced under a run must not be written any more:
//! the open connection would go on writing a file that no later run finds.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::failure::Failure;
use crate::ledger::LedgerError;

/// The identity of a file; it stays when the file is renamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OpenFile {
    device: u64,
    inode: u64,
}

impl OpenFile {
    /// Returns the identity of the file that is at `path` now.
    pub(super) fn at(path: &Path) -> io::Result<Self> {
        let metadata = fs::metadata(path)?;
        Ok(Self { device: metadata.dev(), inode: metadata.ino() })
    }

    /// Fails if another file, or none, is at `path`.
    pub(super) fn check_at(self, path: &Path) -> Result<(), Failure> {
        if Self::at(path).is_ok_and(|now| now == self) {
            return Ok(());
        }
        Err(Failure::Ledger(LedgerError::Unusable(format!(
            "the ledger {} was moved or deleted under the run: put it back, with its -wal file, and start again",
            path.display()
        ))))
    }
}
