//! What every command gets besides its own arguments.

use std::path::PathBuf;

use super::view::console::Console;

/// The options and streams that all commands share.
#[derive(Debug, Clone)]
pub(super) struct Context {
    /// The configuration file.
    pub(super) config: PathBuf,
    /// Where to write.
    pub(super) console: Console,
}
