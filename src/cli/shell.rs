//! `attrsync completions` and `attrsync man`: what packagers and shells ask for.

use clap_complete::Shell;

use super::failure::Failure;
use super::{Exit, command, view};

/// Arguments of `completions`.
#[derive(Debug, clap::Args)]
pub(super) struct CompletionsArgs {
    /// The shell to complete in
    #[arg(value_enum)]
    shell: Shell,
}

pub(super) fn completions(args: &CompletionsArgs) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command(), "attrsync", &mut script);
    view::out(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}

pub(super) fn man() -> Result<Exit, Failure> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command()).render(&mut page)?;
    view::out(&String::from_utf8_lossy(&page))?;
    Ok(Exit::Done)
}
