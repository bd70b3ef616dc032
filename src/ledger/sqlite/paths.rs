//! The names of a ledger's files.

use std::fs;
use std::path::{Path, PathBuf};

/// The lock, beside the database.
pub(super) const LOCK: &str = ".lock";
/// The commits that are not in the database yet.
pub(super) const WAL: &str = "-wal";
/// What all connections share.
pub(super) const SHM: &str = "-shm";

/// The folder that the file is in.
pub(super) fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// The path with something added to its last part.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Whether there are commits that the database does not have yet.
pub(super) fn has_newer_commits(path: &Path) -> bool {
    has_content(path, WAL)
}

/// Whether the process that made the file was cut off: the next one that may write undoes what it began.
pub(super) fn is_half_made(path: &Path) -> bool {
    has_content(path, "-journal")
}

fn has_content(path: &Path, suffix: &str) -> bool {
    fs::metadata(beside(path, suffix)).is_ok_and(|metadata| metadata.len() > 0)
}
