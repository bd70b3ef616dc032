//! `attrsync serve --check`: the next times of each sync, and what is wrong with a configuration.

use std::path::PathBuf;

use super::sync_files::SyncFiles;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::view::console::Console;
use crate::cli::view::schedule;
use crate::clock::{Clock as _, SystemClock};

/// Prints the next times of each sync that can be used.
///
/// # Errors
/// What is wrong with the other configurations.
pub(super) fn run(console: &Console, paths: &[PathBuf]) -> Result<Exit, Failure> {
    let files = SyncFiles::read(paths);
    let now = SystemClock.now();
    let texts: Vec<String> =
        files.syncs.iter().map(|sync| schedule::text(&sync.config, &sync.path, now)).collect();
    console.out(&texts.join("\n"))?;
    for waiting in files.waiting_for_each_other() {
        console.warning(&waiting);
    }
    let problems = files.problems();
    if problems.is_empty() { Ok(Exit::Done) } else { Err(Failure::usage(problems.join("\n"))) }
}
