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
    view::out(&page()?)?;
    Ok(Exit::Done)
}

/// One page for the program and all its commands: a reference to pages that are not installed helps nobody.
fn page() -> std::io::Result<String> {
    let program = command();
    let man = clap_mangen::Man::new(program.clone());
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_options_section(&mut page)?;
    for command in program.get_subcommands() {
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        let heading = command.get_name().to_uppercase();
        page.extend(format!(".SH {heading}\n{about}\n").bytes());
        let mut options = Vec::new();
        clap_mangen::Man::new(command.clone().disable_help_flag(true))
            .render_options_section(&mut options)?;
        // What follows belongs to the command's own section.
        let options = String::from_utf8_lossy(&options);
        page.extend(
            options
                .lines()
                .filter(|line| !line.starts_with(".SH "))
                .flat_map(|line| [line, "\n"])
                .flat_map(str::bytes),
        );
    }
    man.render_extra_section(&mut page)?;
    man.render_version_section(&mut page)?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_every_command_with_its_options() {
        let page = page().expect("a page");
        for command in command().get_subcommands() {
            assert!(page.contains(&format!(".SH {}\n", command.get_name().to_uppercase())));
        }
        assert!(page.contains("retry\\-rejected") && !page.contains("attrsync\\-sync(1)"));
    }
}
