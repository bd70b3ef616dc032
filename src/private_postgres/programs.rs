//! Finds the programs of a Postgres server on this machine.

use std::fs;
use std::path::{Path, PathBuf};

use super::error::ServerError;

/// The programs that a server needs.
const NEEDED: [&str; 3] = ["initdb", "pg_ctl", "postgres"];

/// The environment variable that names the folder of the programs. Nothing else is searched if it is set.
const VARIABLE: &str = "ATTRSYNC_PG_BIN";

/// Folders in which package managers install versions side by side.
const PARENTS: [&str; 3] = ["/usr/lib/postgresql", "/opt/homebrew/opt", "/usr/local/opt"];

/// Returns the folder that has `initdb`, `pg_ctl` and `postgres`: the one that `ATTRSYNC_PG_BIN` names, otherwise the
/// first one of `PATH`, otherwise the newest version that is installed in a usual place. `scripts/postgres` searches
/// the same places.
///
/// # Errors
///
/// [`ServerError::NoPrograms`] if there is none, or if the named folder lacks one of them.
pub fn find() -> Result<PathBuf, ServerError> {
    if let Some(named) = std::env::var_os(VARIABLE).map(PathBuf::from) {
        return if is_complete(&named) { Ok(named) } else { Err(ServerError::NoPrograms(Some(named))) };
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let candidates = std::env::split_paths(&path).chain(PARENTS.into_iter().flat_map(versions));
    candidates.into_iter().find(|folder| is_complete(folder)).ok_or(ServerError::NoPrograms(None))
}

fn is_complete(folder: &Path) -> bool {
    NEEDED.iter().all(|program| folder.join(program).is_file())
}

/// The `bin` folders of the versions below `parent`, the newest first.
fn versions(parent: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    let mut found: Vec<(u32, PathBuf)> = entries
        .filter_map(|entry| {
            let name = entry.file_name();
            let name = name.to_str()?;
            let version = name.strip_prefix("postgresql").unwrap_or(name).trim_start_matches('@');
            Some((version.parse().unwrap_or(0), entry.path().join("bin")))
        })
        .collect();
    found.sort();
    found.into_iter().rev().map(|(_, folder)| folder).collect()
}
