//! The text of the configuration file.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read as _};
use std::path::Path;

use super::problem::Problem;
use crate::file_kind::other_than_file;

/// A longer file is no configuration.
const BYTES_MAX: u64 = 1 << 20;

/// Reads the file.
pub(super) fn read(path: &Path) -> Result<String, Problem> {
    let metadata = fs::metadata(path).map_err(|error| unreadable(&error))?;
    if let Some(what) = other_than_file(metadata.file_type()) {
        // A path in the configuration is relative to its folder, which a pipe does not have.
        return Err(Problem::new("", format!("it is {what}, not a file")).hint("name a file with --config"));
    }
    if metadata.len() > BYTES_MAX {
        return Err(Problem::new("", "it has more than 1 MiB, so it is no configuration")
            .hint("name another file with --config"));
    }
    let mut text = String::new();
    let file = File::open(path).map_err(|error| unreadable(&error))?;
    file.take(BYTES_MAX).read_to_string(&mut text).map_err(|error| unreadable(&error))?;
    Ok(text)
}

fn unreadable(error: &io::Error) -> Problem {
    match error.kind() {
        ErrorKind::NotFound => Problem::new("", "there is no such file")
            .hint("`attrsync init` writes one, `--config FILE` names another"),
        ErrorKind::InvalidData => Problem::new("", "it is not UTF-8 text"),
        _ => Problem::new("", format!("it cannot be read: {error}")),
    }
}
