//! `attrsync completions` and `attrsync man`: files for shells and packagers.

use clap_complete::Shell;

use super::context::Context;
use super::exit::Exit;
use super::failure::Failure;

/// Arguments of `completions`.
#[derive(Debug, clap::Args)]
pub(super) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

pub(super) fn completions(
    context: &Context,
    args: &CompletionsArgs,
    mut program: clap::Command,
) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut program, "attrsync", &mut script);
    context.console.out(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}

pub(super) fn man(context: &Context, program: &clap::Command) -> Result<Exit, Failure> {
    context.console.out(&page(program)?)?;
    Ok(Exit::Done)
}

/// Returns one page for the program and all its commands, because separate pages would have to be installed.
pub(super) fn page(program: &clap::Command) -> std::io::Result<String> {
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
        // Without their headings, the options belong to the section of the command.
        let options = String::from_utf8_lossy(&options);
        let lines = options.lines().filter(|line| !line.starts_with(".SH "));
        page.extend(lines.flat_map(|line| [line, "\n"]).flat_map(str::bytes));
    }
    man.render_extra_section(&mut page)?;
    man.render_version_section(&mut page)?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}
