//! `attrsync demo`: the main commands on this machine, with a private Postgres and the simulator.

mod environment;
mod steps;

use std::ffi::OsString;
use std::path::PathBuf;

use self::environment::Environment;
use self::steps::Perform;
use super::context::Context;
use super::exit::Exit;
use super::failure::Failure;
use super::{path_arg, signals};

/// The status site of the demo takes a free port.
const ANY_PORT: &str = "127.0.0.1:0";

/// What `--help` adds.
const EXAMPLES: &str = "\
It needs the programs of PostgreSQL 14 or later, whose folder ATTRSYNC_PG_BIN
names.

Examples:
  attrsync demo          makes the folder attrsync-demo and shows the commands
  attrsync demo --serve  goes on with it: `cd attrsync-demo && attrsync check`
                         in another terminal";

/// Arguments of `demo`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The folder that the demo makes and leaves behind
    #[arg(long, default_value = "attrsync-demo", value_parser = path_arg::parser())]
    dir: PathBuf,
    /// Start database and simulator of an earlier demo again, show its status site,
    /// and wait for Ctrl-C
    #[arg(long)]
    serve: bool,
}

pub(super) async fn run(context: &Context, args: &Args, perform: &Perform<'_>) -> Result<Exit, Failure> {
    // A signal drops the future of the demo, which stops its servers.
    tokio::select! {
        done = run_or_serve(context, args, perform) => done,
        ended = signals::wait_for_end() => {
            ended?;
            if args.serve {
                return Ok(Exit::Done);
            }
            context.console.note("stopped; remove the folder before the next demo");
            Ok(Exit::Failed)
        }
    }
}

async fn run_or_serve(context: &Context, args: &Args, perform: &Perform<'_>) -> Result<Exit, Failure> {
    if args.serve {
        let environment = Environment::restart(&args.dir).await?;
        steps::show_access(&context.console, &environment)?;
        let config = environment.folder().join("sync.toml");
        let mut arguments: Vec<OsString> =
            ["attrsync", "serve", "--address", ANY_PORT, "--config"].map(OsString::from).into();
        arguments.push(config.into());
        return perform(arguments).await;
    }
    let environment = Environment::create(&args.dir).await?;
    steps::run(&context.console, &environment, perform).await?;
    Ok(Exit::Done)
}

/// The command lines of all steps.
#[cfg(test)]
pub(super) fn steps() -> impl Iterator<Item = &'static [&'static str]> {
    steps::STEPS.iter().map(|step| step.command)
}
