//! What every command gets besides its own arguments.

use std::path::PathBuf;

use super::view::console::Console;

/// The options and streams that all commands share.
#[derive(Debug, Clone)]
pub(super) struct Context {
    /// The configuration file: the first of those that were named.
    pub(super) config: PathBuf,
    /// All configuration files that were named.
    pub(super) configs: Vec<PathBuf>,
    /// Where to write.
    pub(super) console: Console,
}

impl Context {
    /// Makes the context of a command. `configs` are its configuration files, at least one.
    pub(super) fn new(configs: Vec<PathBuf>, console: Console) -> Self {
        Self { config: configs.first().cloned().unwrap_or_default(), configs, console }
    }
}
