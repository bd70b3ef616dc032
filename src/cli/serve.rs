//! `attrsync serve`: syncs that start by themselves.

mod check;
mod sync_files;

use super::config_files::ConfigFiles;
use super::context::Context;
use super::exit::Exit;
use super::failure::Failure;

/// What `--help` adds.
const EXAMPLES: &str = "\
The times are those of [schedule] in each configuration. --check reads the
configurations and nothing else.

Examples:
  attrsync serve --check                             the next times of sync.toml
  attrsync serve --check --config-dir /etc/attrsync  those of a whole folder

Exit codes: 0 all configurations can be used, 64 one cannot, or two are for one
store or have one name.";

/// Arguments of `serve`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(flatten)]
    files: ConfigFiles,
    /// Print the next ten times of each sync and what is wrong with a configuration, and start nothing
    #[arg(long, required = true)]
    check: bool,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<Exit, Failure> {
    check::run(&context.console, &args.files.paths(context)?)
}
