//! Wrong usage: the parser's message, and a hint where a person guessed a name that other tools have.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::exit::Exit;
use super::view::console::{Console, FailureReport, LogFormat};
use super::view::paint::ColorWhen;
use crate::record::RunStatus;

/// Names that people know of other tools, each with the command that does it here.
const GUESSES: &[(&[&str], &str)] = &[
    (
        &["--dry-run", "--dryrun", "-n", "--noop", "--preview", "--simulate", "dry-run", "diff", "preview"],
        "`attrsync plan` is the dry run: it shows what a sync would do and sends nothing",
    ),
    (&["push", "run", "start", "update"], "`attrsync sync` plans and pushes"),
    (&["retry", "requeue", "resend"], "`attrsync rejected --retry` requeues rejected values"),
    (
        &["accept", "ack", "acknowledge", "ignore", "skip"],
        "`attrsync rejected --accept KEY` acknowledges rejected values",
    ),
    (
        &["errors", "failed", "failures"],
        "`attrsync rejected` lists rejected values, `attrsync runs last` all failures",
    ),
    (&["last"], "`attrsync runs last` shows the newest run"),
    (&["health", "monitor"], "`attrsync status` says what needs attention"),
    (&["log", "logs", "history", "audit", "report"], "`attrsync runs` lists all runs"),
    (&["verify", "validate", "test", "doctor", "ping"], "`attrsync check` verifies all that a sync needs"),
    (&["attributes", "list", "ls"], "`attrsync check` lists the store's attributes with their ids"),
    (&["why", "show", "get", "customer"], "`attrsync explain CUSTOMER` shows why a customer has its values"),
    (&["query", "db"], "`attrsync sql QUERY` queries the ledger"),
    (&["setup", "config", "configure", "new"], "`attrsync init` writes an annotated sync.toml"),
    (&["mock", "server", "simulator"], "`attrsync sandbox` runs the simulated store"),
    (&["--json-output", "--output", "--format", "-o"], "--json prints JSON"),
    (
        &["--force", "--all", "--ignore-ledger", "--reset"],
        "`attrsync sync --full` ignores the ledger and sends every value",
    ),
    (
        &["--watch", "--daemon", "--interval", "daemon", "schedule", "cron"],
        "`attrsync serve` runs syncs on time; or start `attrsync sync` from cron or systemd",
    ),
    (
        &["rollback", "revert", "--undo", "--rollback"],
        "`attrsync undo RUN` sends the values that the store held before a run; `attrsync runs` lists the runs",
    ),
    (
        &["--delete", "--prune"],
        "a sync deletes the values of rows that leave if [missing] action = \"delete\"; a value of '' empties it in the store",
    ),
    (&["version"], "`attrsync --version` prints the version"),
];

/// Shows the parser's message and returns the exit code. Programs that asked for JSON get it.
pub(super) fn show(error: &clap::Error, arguments: &[OsString]) -> Exit {
    // If stdout and stderr are closed, the message cannot be shown anywhere.
    let _ = error.print();
    let (exit, hint) = (exit_of(error), hint(error));
    let console = Console::new(ColorWhen::Auto, LogFormat::Text, false, false);
    if let Some(hint) = hint {
        console.remedy(hint);
    }
    if exit == Exit::Usage && arguments.iter().any(|argument| argument == "--json") {
        let text = error.to_string();
        let message = text.lines().next().unwrap_or_default();
        let message = message.strip_prefix("error: ").unwrap_or(message);
        let report = FailureReport { status: RunStatus::Failed, exit, message, hint };
        let _ = console.json(&report.json(None));
    }
    exit
}

/// Returns what a person most likely looked for.
fn hint(error: &clap::Error) -> Option<&'static str> {
    let kind = match error.kind() {
        ErrorKind::UnknownArgument => ContextKind::InvalidArg,
        ErrorKind::InvalidSubcommand => ContextKind::InvalidSubcommand,
        _ => return None,
    };
    let Some(ContextValue::String(guess)) = error.get(kind) else { return None };
    let guess = guess.split('=').next().unwrap_or_default().to_lowercase().replace('_', "-");
    GUESSES.iter().find(|(names, _)| names.contains(&guess.as_str())).map(|(_, hint)| *hint)
}

/// Returns the exit code for a message of the parser. The parser's own code for wrong usage is 2, which means pending
/// changes here.
pub(super) fn exit_of(error: &clap::Error) -> Exit {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Exit::Done,
        _ => Exit::Usage,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    use crate::cli::parse;

    #[test]
    fn a_name_that_other_tools_have_is_met_with_the_command_that_does_it() {
        for (line, words) in [
            ("attrsync sync --dry-run", "attrsync plan"),
            ("attrsync sync --dry-run=true", "attrsync plan"),
            ("attrsync sync --dry_run", "attrsync plan"),
            ("attrsync sync -n", "attrsync plan"),
            ("attrsync diff", "attrsync plan"),
            ("attrsync retry", "attrsync rejected --retry"),
            ("attrsync last", "attrsync runs last"),
            ("attrsync health", "attrsync status"),
            ("attrsync log", "attrsync runs"),
            ("attrsync daemon", "cron or systemd"),
            ("attrsync rollback", "attrsync undo RUN"),
            ("attrsync sync --delete", "[missing]"),
        ] {
            let arguments: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            let error = parse(&arguments).expect_err(line);
            assert!(hint(&error).unwrap_or_default().contains(words), "{line}: {:?}", hint(&error));
        }
    }

    #[test]
    fn no_guess_is_a_command() {
        let program = crate::cli::Program::command();
        let names: Vec<&str> = program.get_subcommands().map(clap::Command::get_name).collect();
        let taken = GUESSES.iter().flat_map(|(guesses, _)| *guesses).find(|guess| names.contains(guess));
        assert_eq!(taken, None);
    }
}
