//! The commands, one file each. All printing is in the view.
//!
//! Every command returns an exit code, or a [`Failure`] that is shown once, here. Results go to stdout, everything
//! else to stderr. The commands do not import this file.

mod context;
mod config_files;
mod customer_id;
mod desired;
mod exit;
mod failure;
mod open_files;
mod path_arg;
mod plan_file;
mod known_store;
mod locked;
mod notifying;
mod reference;
mod signals;
mod standing;
mod trace;
mod unset_clock;
mod usage;
mod view;
mod wiring;

mod init;
mod check;
mod plan;
mod sync;
mod apply;
mod reconcile;
mod undo;
mod runs;
mod serve;
mod status;
mod explain;
mod rejected;
mod sql;
mod sandbox;
mod demo;
mod shell;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::SystemTime;

use clap::builder::Resettable;
use clap::{ArgAction, CommandFactory, FromArgMatches, Parser, Subcommand};

pub use exit::Exit;

use context::Context;
use failure::Failure;
use view::console::{Console, LogFormat};
use view::paint::ColorWhen;

use crate::failpoint;

/// Keeps the customer attribute values of a BigCommerce store in step with a Postgres table
#[derive(Debug, Parser)]
#[command(name = "attrsync", version, propagate_version = true, after_help = exit::TABLE)]
struct Program {
    #[command(flatten)]
    global: GlobalOptions,
    #[command(subcommand)]
    command: Command,
}

/// The variable that names the configuration file.
const CONFIG_VARIABLE: &str = "ATTRSYNC_CONFIG";

/// The heading of the options that every command takes, in `--help` below the options of the command itself.
const GLOBAL_HEADING: &str = "Common options";

/// The options that every command takes.
#[derive(Debug, clap::Args)]
struct GlobalOptions {
    /// The configuration file; `serve` and `status` take several, each with its own --config
    #[arg(long, global = true, help_heading = GLOBAL_HEADING, value_name = "FILE", default_value = "sync.toml")]
    #[arg(env = CONFIG_VARIABLE, hide_env_values = true, value_parser = path_arg::parser())]
    config: Vec<PathBuf>,
    /// Log more: -v progress, -vv every call, -vvv everything
    #[arg(short, long, global = true, help_heading = GLOBAL_HEADING, action = ArgAction::Count)]
    verbose: u8,
    /// For cron: no notes, hints or progress; check, plan, status and sync report only what needs attention
    #[arg(short, long, global = true, help_heading = GLOBAL_HEADING, conflicts_with = "verbose")]
    quiet: bool,
    /// How log lines, notes, hints and errors are written to stderr
    #[arg(long, global = true, help_heading = GLOBAL_HEADING, value_name = "FORMAT", value_enum)]
    #[arg(default_value_t = LogFormat::Text)]
    log_format: LogFormat,
    /// When to use colours; NO_COLOR turns them off too
    #[arg(long, global = true, help_heading = GLOBAL_HEADING, value_name = "WHEN", value_enum)]
    #[arg(default_value_t = ColorWhen::Auto)]
    color: ColorWhen,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write an annotated sync.toml and print the DDL of the source table
    Init(init::Args),
    /// Verify configuration, source, ledger, token and attributes, and explain what is wrong
    Check(check::Args),
    /// Show what a sync would do, or save it to be applied; without --save it reads only
    Plan(plan::Args),
    /// Plan, then push the changes
    Sync(sync::Args),
    /// Send the plan of an earlier run, as far as it still holds
    Apply(apply::Args),
    /// Read the store's values back: find drift, adopt what the store holds already
    Reconcile(reconcile::Args),
    /// Show how a run can be undone, or send the values from before it
    Undo(undo::Args),
    /// Start syncs on time: with --check, show their next times
    Serve(serve::Args),
    /// List all runs, or show one with its requests and failures
    Runs(runs::Args),
    /// Show for each sync its last run, its next times, and what needs attention: for people and for monitoring
    Status(status::Args),
    /// Show why a customer has a value: the desired value, the ledger's belief, every change
    Explain(explain::Args),
    /// List the values that the store rejected, with reasons; requeue or acknowledge them
    Rejected(rejected::Args),
    /// Query the ledger with read-only SQL
    Sql(sql::Args),
    /// Run the BigCommerce simulator as a server
    Sandbox(sandbox::Args),
    /// Show all of the above on this machine, with no set-up
    Demo(demo::Args),
    /// Print the completion script of a shell
    Completions(shell::CompletionsArgs),
    /// Print the manual page
    #[command(after_help = shell::MAN)]
    Man,
}

/// Runs the command that the arguments name and returns the exit code of the process.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> Exit {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let Program { global, command } = match parse(&arguments) {
        Ok(program) => program,
        Err(error) => return usage::show(&error, &arguments),
    };
    let console = Console::new(global.color, global.log_format, global.quiet, command.wants_json());
    trace::start(&console, global.verbose.max(command.least_verbosity()));
    if let Err(problem) = failpoint::check() {
        return Failure::usage(problem).show(&console);
    }
    if let Err(failure) = open_files::allow_enough().and_then(|()| unset_clock::check(SystemTime::now())) {
        return failure.show(&console);
    }
    // One thread is enough: streams of rows are decoded on threads of their own, and a response is handled at once on
    // the thread that reads it.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Failure::from(error).show(&console),
    };
    if global.config.len() > 1 && !command.takes_several_configs() {
        let problem = "--config names several files, and this command takes one: `attrsync serve` and `attrsync status` take several";
        return Failure::usage(problem).show(&console);
    }
    let context = Context::new(global.config, console);
    let exit = runtime.block_on(async {
        let _signals = match command.listens_to_signals() {
            true => None,
            false => Some(signals::stop_at_once(&context.console)?),
        };
        dispatch(&context, &command).await
    });
    let exit = exit.unwrap_or_else(|failure| failure.show(&context.console));
    // A task that waits for a dead network must not keep the process alive.
    runtime.shutdown_background();
    exit
}

/// Returns the command line reference as Markdown.
#[must_use]
pub fn reference() -> String {
    reference::markdown(Program::command(), GLOBAL_HEADING)
}

async fn dispatch(context: &Context, command: &Command) -> Result<Exit, Failure> {
    match command {
        Command::Init(args) => init::run(context, args),
        Command::Check(args) => check::run(context, args).await,
        Command::Plan(args) => plan::run(context, args).await,
        Command::Sync(args) => sync::run(context, args).await,
        Command::Apply(args) => apply::run(context, args).await,
        Command::Reconcile(args) => reconcile::run(context, args).await,
        Command::Undo(args) => undo::run(context, args).await,
        Command::Serve(args) => serve::run(context, args).await,
        Command::Runs(args) => runs::run(context, args).await,
        Command::Status(args) => status::run(context, args).await,
        Command::Explain(args) => explain::run(context, args).await,
        Command::Rejected(args) => rejected::run(context, args).await,
        Command::Sql(args) => sql::run(context, args).await,
        Command::Sandbox(args) => sandbox::run(context, args).await,
        Command::Demo(args) => {
            demo::run(context, args, &|step| Box::pin(perform(&context.console, step))).await
        }
        Command::Completions(args) => shell::completions(context, args, Program::command()),
        Command::Man => shell::man(context, &Program::command()),
    }
}

/// Runs a command of the demo in this process.
async fn perform(console: &Console, arguments: Vec<OsString>) -> Result<Exit, Failure> {
    let program = parse(&arguments).map_err(Failure::usage)?;
    let context = Context::new(program.global.config, console.clone());
    dispatch(&context, &program.command).await
}

fn parse(arguments: &[OsString]) -> Result<Program, clap::Error> {
    // An empty variable is as good as none.
    let is_empty = std::env::var_os(CONFIG_VARIABLE).is_some_and(|path| path.is_empty());
    let parser = Program::command().mut_arg("config", |option| match is_empty {
        true => option.env(Resettable::Reset),
        false => option,
    });
    let matches = parser.try_get_matches_from(arguments)?;
    Program::from_arg_matches(&matches)
}

impl Command {
    /// How much it logs at least. The log of `serve` has a line for each run.
    const fn least_verbosity(&self) -> u8 {
        match self {
            Self::Serve(_) => 1,
            _ => 0,
        }
    }

    /// Whether it reads every configuration file that is named.
    const fn takes_several_configs(&self) -> bool {
        matches!(self, Self::Serve(_) | Self::Status(_))
    }

    /// Whether the command decides itself what a signal does. Those that print a text are so short that none matters.
    fn listens_to_signals(&self) -> bool {
        match self {
            Self::Sync(_) | Self::Apply(_) | Self::Reconcile(_) | Self::Serve(_) => true,
            Self::Sandbox(_) | Self::Demo(_) => true,
            Self::Init(_) | Self::Completions(_) | Self::Man => true,
            Self::Undo(args) => args.sends(),
            Self::Check(_) | Self::Plan(_) | Self::Runs(_) => false,
            Self::Explain(_) | Self::Rejected(_) | Self::Sql(_) | Self::Status(_) => false,
        }
    }

    /// Whether the result is to be one JSON document.
    fn wants_json(&self) -> bool {
        match self {
            Self::Check(args) => args.json,
            Self::Plan(args) => args.json,
            Self::Sync(args) => args.outcome.json,
            Self::Apply(args) => args.outcome.json,
            Self::Reconcile(args) => args.json,
            Self::Undo(args) => args.outcome.json,
            Self::Runs(args) => args.json,
            Self::Status(args) => args.json,
            Self::Explain(args) => args.json,
            Self::Rejected(args) => args.json,
            Self::Sql(args) => args.json,
            Self::Init(_)
            | Self::Serve(_)
            | Self::Sandbox(_)
            | Self::Demo(_)
            | Self::Completions(_)
            | Self::Man => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Program::command().debug_assert();
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
            let arguments: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            let error = parse(&arguments).expect_err(line);
            assert_eq!(usage::exit_of(&error), exit, "{line}");
        }
    }

    #[test]
    fn every_step_of_the_demo_is_a_command() {
        for step in demo::steps() {
            let arguments: Vec<OsString> = ["attrsync"].iter().chain(step).map(OsString::from).collect();
            assert!(parse(&arguments).is_ok(), "{step:?}");
        }
    }

    #[test]
    fn the_manual_page_has_every_command_with_its_options() {
        let program = Program::command();
        let page = shell::page(&program).expect("a page");
        for command in program.get_subcommands() {
            assert!(page.contains(&format!(".SH {}\n", command.get_name().to_uppercase())));
        }
        assert!(page.contains("retry\\-rejected") && !page.contains("attrsync\\-sync(1)"));
        for heading in ["EXIT STATUS", "ENVIRONMENT", "FILES", "EXAMPLES"] {
            assert!(page.contains(&format!(".SH \"{heading}\"\n")), "{heading}");
        }
        assert!(page.contains("\\fB64\\fR\nwrong usage") && !page.contains("EXTRA"), "{page}");
        for request in page.lines().filter(|line| line.starts_with('.')) {
            let known = [".SH", ".TP", ".TH", ".IP", ".PP", ".nf", ".fi", ".RS", ".RE", ".ie", ".el", ".br"];
            assert!(known.iter().any(|name| request.starts_with(name)), "not escaped: {request}");
        }
    }

    #[test]
    fn every_command_has_an_example_in_its_help() {
        let program = Program::command();
        for command in program.get_subcommands() {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("\nExample") || help.starts_with("Example"), "{}", command.get_name());
            assert!(help.contains("\n  attrsync "), "{}", command.get_name());
            let long = help.lines().find(|line| line.chars().count() > 80);
            assert_eq!(long, None, "{}: wider than a terminal", command.get_name());
        }
    }

    #[test]
    fn every_option_has_a_help_text() {
        let program = Program::command();
        for command in program.get_subcommands() {
            for argument in command.get_arguments() {
                assert!(argument.get_help().is_some(), "{} {argument}", command.get_name());
            }
        }
    }
}
