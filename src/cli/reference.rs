//! The command line reference, as Markdown.

use std::fmt::Write as _;

use clap::{Arg, Command};

/// Renders the program and its commands. `shared` is the heading of the options that every command takes.
pub(super) fn markdown(mut program: Command, shared: &str) -> String {
    program.build();
    let about = program.get_about().map(ToString::to_string).unwrap_or_default();
    let mut text = format!("# Command line reference\n\n{about}.\n\n| command | what it does |\n|---|---|\n");
    let commands = || program.get_subcommands().filter(|command| command.get_name() != "help");
    for command in commands() {
        let name = command.get_name();
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        let _ = writeln!(text, "| [`attrsync {name}`](#attrsync-{name}) | {} |", about.replace('|', "\\|"));
    }
    text += &block(program.get_after_help().map(ToString::to_string));
    let _ = write!(text, "\n## {shared}\n\nEvery command takes these options.\n\n");
    text += &arguments(&program, |argument| argument.get_help_heading() == Some(shared));
    for command in commands() {
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        let _ = write!(text, "\n## attrsync {}\n\n{about}.\n", command.get_name());
        text += &block(Some(command.clone().render_usage().to_string()));
        let own = arguments(command, |argument| argument.get_help_heading() != Some(shared));
        if !own.is_empty() {
            let _ = write!(text, "\n{own}");
        }
        text += &block(command.get_after_help().map(ToString::to_string));
    }
    text
}

/// A block of text that is shown as it is.
fn block(text: Option<String>) -> String {
    text.map_or(String::new(), |text| format!("\n```text\n{}\n```\n", text.trim_end()))
}

/// A list of the arguments that `belongs` takes.
fn arguments(command: &Command, belongs: impl Fn(&Arg) -> bool) -> String {
    let own = |argument: &&Arg| {
        !argument.is_hide_set()
            && !matches!(argument.get_id().as_str(), "help" | "version")
            && belongs(argument)
    };
    command.get_arguments().filter(own).map(item).collect()
}

/// ``- `--limit <COUNT>`: Show at most this many values (default `20`)``.
fn item(argument: &Arg) -> String {
    let short = argument.get_short().filter(|_| argument.get_long().is_some());
    let short = short.map_or(String::new(), |short| format!("-{short}, "));
    let takes_value = argument.get_action().takes_values();
    let mut text = format!(
        "- `{short}{argument}`: {}",
        argument.get_help().map(ToString::to_string).unwrap_or_default()
    );
    if takes_value {
        let code = |text: std::borrow::Cow<'_, str>| format!("`{text}`");
        let values: Vec<String> =
            argument.get_possible_values().iter().map(|value| code(value.get_name().into())).collect();
        let default = argument.get_default_values().iter().map(|value| value.to_string_lossy());
        let default =
            default.filter(|value| !value.is_empty()).map(|value| format!("default {}", code(value)));
        let values = (!values.is_empty()).then(|| values.join(", "));
        let variable =
            argument.get_env().map(|name| format!("or the variable {}", code(name.to_string_lossy())));
        let notes: Vec<String> = values.into_iter().chain(default).chain(variable).collect();
        if !notes.is_empty() {
            let _ = write!(text, " ({})", notes.join("; "));
        }
    }
    text + "\n"
}
