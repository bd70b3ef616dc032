//! Which file was opened: a ledger that is deleted or replaced under a run must not be written any more.
//!
//! The open connection would go on writing a file that no later run finds, and what it holds would be forgotten.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::failure::Failure;

/// The identity of the file, which stays when it is renamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OpenFile {
    device: u64,
    inode: u64,
}

impl OpenFile {
    /// The file that is at `path` now.
    pub(super) fn at(path: &Path) -> io::Result<Self> {
        let metadata = fs::metadata(path)?;
        Ok(Self { device: metadata.dev(), inode: metadata.ino() })
    }

    /// Fails where another file, or none, is at `path`.
    pub(super) fn prove_at(self, path: &Path) -> Result<(), Failure> {
        if Self::at(path).is_ok_and(|now| now == self) {
            return Ok(());
        }
        Err(Failure::Moved(format!(
            "the ledger {} was moved or deleted under the run: put it back, with its -wal file, and start again",
            path.display()
        )))
    }
}
