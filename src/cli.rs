//! The commands, a file each; all printing is in the view.
//!
//! Every command returns an [`Exit`], or a [`Failure`] that is shown once, here. Results go to stdout, everything that
//! is said about them to stderr.

mod wiring;
mod exit;
mod failure;
mod signals;
mod trace;
mod view;

mod init;
mod check;
mod plan;
mod sync;
mod runs;
mod explain;
mod rejected;
mod sql;
mod sandbox;
mod demo;
mod shell;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{ArgAction, CommandFactory, FromArgMatches, Parser, Subcommand};

pub use exit::Exit;
use failure::Failure;

use crate::failpoint;

/// Keeps the customer attribute values of a BigCommerce store in step with a Postgres table.
#[derive(Debug, Parser)]
#[command(name = "attrsync", version, propagate_version = true, after_help = exit::TABLE)]
struct Program {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

/// Where `--help` shows what every command takes: below the options of the command itself.
const COMMON: &str = "Common options";

/// What every command takes.
#[derive(Debug, clap::Args)]
struct Common {
    /// The configuration file
    #[arg(long, global = true, help_heading = COMMON, value_name = "FILE", default_value = "sync.toml")]
    config: PathBuf,
    /// Say more: -v what is being done, -vv every call, -vvv everything
    #[arg(short, long, global = true, help_heading = COMMON, action = ArgAction::Count)]
    verbose: u8,
    /// Say less: results and errors only
    #[arg(short, long, global = true, help_heading = COMMON, conflicts_with = "verbose")]
    quiet: bool,
    /// How log lines, hints and errors are written to stderr
    #[arg(long, global = true, help_heading = COMMON, value_name = "FORMAT", value_enum, default_value_t = trace::Format::Text)]
    log_format: trace::Format,
    /// When to use colours; NO_COLOR turns them off too
    #[arg(long, global = true, help_heading = COMMON, value_name = "WHEN", value_enum, default_value_t = view::When::Auto)]
    color: view::When,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write an annotated sync.toml and print the table's DDL
    Init(init::Args),
    /// Prove configuration, source, ledger, token and attributes; explain what is wrong
    Check(check::Args),
    /// Show what a sync would do: reads only, writes nothing, takes no lock
    Plan(plan::Args),
    /// Plan, then push what changed
    Sync(sync::Args),
    /// The audit: all runs, or one with its requests and failures
    Runs(runs::Args),
    /// Why a customer has a value: desired, believed, every attempt
    Explain(explain::Args),
    /// The values that the store refused, with reasons
    Rejected(rejected::Args),
    /// Ask the ledger in SQL, read-only
    Sql(sql::Args),
    /// Run the BigCommerce simulator as a server
    Sandbox(sandbox::Args),
    /// Show the whole story on this machine, with no set-up
    Demo(demo::Args),
    /// Print the completions of a shell
    Completions(shell::CompletionsArgs),
    /// Print the manual page
    Man,
}

/// Runs the command that the arguments name, to its end, and returns what the process is to exit with.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> Exit {
    let program = match parse(arguments) {
        Ok(program) => program,
        Err(error) => return usage(&error),
    };
    view::start(program.common.color, program.common.log_format, program.common.quiet);
    trace::start(program.common.verbose, program.common.quiet, program.common.log_format);
    if let Err(problem) = failpoint::check() {
        return failure::show(&Failure::usage(problem));
    }
    // One thread: what reads millions of rows has its own, and an answer of the store is handled where it comes in.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failure::show(&Failure::from(error)),
    };
    let exit = runtime
        .block_on(dispatch(&program.common, &program.command))
        .unwrap_or_else(|failure| failure::show(&failure));
    // A task that still waits for a dead network must not keep the process.
    runtime.shutdown_background();
    exit
}

async fn dispatch(common: &Common, command: &Command) -> Result<Exit, Failure> {
    match command {
        Command::Init(args) => init::run(common, args),
        Command::Check(args) => check::run(common, args).await,
        Command::Plan(args) => plan::run(common, args).await,
        Command::Sync(args) => sync::run(common, args).await,
        Command::Runs(args) => runs::run(common, args).await,
        Command::Explain(args) => explain::run(common, args).await,
        Command::Rejected(args) => rejected::run(common, args).await,
        Command::Sql(args) => sql::run(common, args).await,
        Command::Sandbox(args) => sandbox::run(args).await,
        Command::Demo(args) => demo::run(args).await,
        Command::Completions(args) => shell::completions(args),
        Command::Man => shell::man(),
    }
}

/// The program's description for the parser, completions and the manual page.
fn command() -> clap::Command {
    Program::command()
}

fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Program, clap::Error> {
    Program::from_arg_matches(&command().try_get_matches_from(arguments)?)
}

/// Shows what the parser has to say. Its own exit code for wrong usage is 2, which means pending changes here.
fn usage(error: &clap::Error) -> Exit {
    // Nobody is left to be told when the terminal is gone.
    let _ = error.print();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Exit::Done,
        _ => Exit::Usage,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        command().debug_assert();
    }

    #[test]
    fn usage_errors_are_not_mistaken_for_pending_changes() {
        for (line, exit) in [
            ("attrsync", Exit::Usage),
            ("attrsync frobnicate", Exit::Usage),
            ("attrsync sync --customer x", Exit::Usage),
            ("attrsync --help", Exit::Done),
            ("attrsync sync --help", Exit::Done),
            ("attrsync --version", Exit::Done),
        ] {
            let error = parse(line.split(' ').map(OsString::from)).expect_err(line);
            let found = match error.kind() {
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Exit::Done,
                _ => Exit::Usage,
            };
            assert_eq!(found, exit, "{line}");
        }
    }
}
