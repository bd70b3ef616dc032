//! `attrsync apply`: sends the plan of an earlier run, as far as it still holds.

use super::context::Context;
use super::exit::Exit;
use super::failure::Failure;
use super::runs::run_number;
use super::sync::{OutcomeArgs, push};
use super::wiring;
use crate::config::Config;
use crate::engine::{self, Options, Ports};
use crate::record::RunKind;

/// What `--help` adds.
const EXAMPLES: &str = "\
Source and ledger are compared anew. What has changed since the plan was made is
a conflict. A plan with conflicts is refused before the first write call.
Changes that are not in the plan are left to the next sync.

Examples:
  attrsync plan --save                 prints the number of the run: 12
  attrsync apply 12                    sends what run 12 has planned
  attrsync apply 12 --skip-conflicts   without what has changed since

Exit codes: 0 done, 1 failed, stopped, or refused because of conflicts, 3
finished but values are rejected (and not acknowledged), invalid or unknown, 5
another run holds this store, 64 wrong usage or configuration.";

/// Arguments of `apply`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The run that has the plan: a saved one, or one that a guard blocked
    #[arg(value_name = "RUN", value_parser = run_number)]
    run: i64,
    /// Send the rest if some changes conflict with the source or the ledger of now
    #[arg(long)]
    skip_conflicts: bool,
    #[command(flatten)]
    pub(super) outcome: OutcomeArgs,
    #[command(flatten)]
    transport: wiring::TransportPolicy,
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<Exit, Failure> {
    let run = async |ports: Ports<'_>, config: &Config, stop| {
        let (guard, missing) = (config.guard.clone(), config.missing.clone());
        let options = Options { guard, missing, ..Options::default() };
        engine::apply(ports, &config.push, &options, args.run, args.skip_conflicts, stop).await
    };
    push(context, RunKind::Apply, args.transport, &args.outcome, run).await
}
