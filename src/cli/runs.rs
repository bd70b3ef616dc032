//! `attrsync runs`: all runs, or one with its requests, failures, belief edits and invalid rows.

use std::str::FromStr;

use serde_json::json;

use super::context::Context;
use super::exit::Exit;
use super::failure::Failure;
use super::view::console::Console;
use super::{view, wiring};
use crate::ledger::audit::AuditLog;

/// What `--help` adds.
const EXAMPLES: &str = "\
Examples:
  attrsync runs               the newest runs, newest first
  attrsync runs --wide        with all counts and messages
  attrsync runs last          the newest run with its requests, failures, belief edits and invalid rows
  attrsync runs 12 --json     run 12, as JSON

The column open counts what did not land: rejected and not acknowledged, unknown, deferred and invalid.";

/// Arguments of `runs`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Show only this run, in detail: a run's number, or `last`
    #[arg(value_name = "ID", conflicts_with = "wide")]
    run: Option<RunArg>,
    /// List the runs with all counts and messages; wider than most terminals
    #[arg(long)]
    wide: bool,
    /// Show at most this many lines of each kind
    #[arg(long, value_name = "COUNT", default_value_t = 20)]
    #[arg(value_parser = clap::value_parser!(i64).range(1..=100_000))]
    limit: i64,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// A run on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RunArg {
    Id(i64),
    Last,
}

impl FromStr for RunArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(id) if id > 0 => Ok(Self::Id(id)),
            _ if text == "last" => Ok(Self::Last),
            _ => Err(format!("'{text}' is no run id: write a number, such as 12, or last")),
        }
    }
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<Exit, Failure> {
    let config = wiring::audit_config(&context.config)?;
    let audit = wiring::existing_audit(&config.ledger).await?;
    match args.run {
        Some(RunArg::Id(id)) => one(&context.console, &audit, id, args).await,
        Some(RunArg::Last) => match audit.runs(1).await?.first() {
            Some(run) => one(&context.console, &audit, run.id, args).await,
            None => Err(Failure::new("there is no run yet").hint("`attrsync sync` makes the first")),
        },
        None => all(&context.console, &audit, args).await,
    }
}

async fn all(console: &Console, audit: &AuditLog, args: &Args) -> Result<Exit, Failure> {
    let runs = audit.runs(args.limit).await?;
    if args.json {
        console.json(&json!({ "exit_code": 0, "runs": runs }))?;
    } else if runs.is_empty() {
        console.note("no runs yet: `attrsync sync` makes the first");
    } else {
        let stores = audit.stores().await?;
        console.out(&match (args.wide, stores.len()) {
            (false, _) => view::audit::runs_in_brief(&runs, &stores),
            (true, 1) => view::audit::runs(&runs)?,
            (true, _) => view::audit::runs_of_stores(&runs)?,
        })?;
    }
    Ok(Exit::Done)
}

async fn one(console: &Console, audit: &AuditLog, id: i64, args: &Args) -> Result<Exit, Failure> {
    let Some(run) = audit.run(id).await? else {
        return Err(Failure::new(format!("there is no run {id}")).hint("`attrsync runs` lists them"));
    };
    let requests = audit.requests(id, args.limit).await?;
    let failures = audit.failures(id, args.limit).await?;
    let edits = audit.belief_edits(id, args.limit).await?;
    let waits = audit.waits(id).await?;
    let invalid = audit.invalid_rows(id, args.limit).await?;
    if args.json {
        console.json(&json!({
            "exit_code": 0, "run": run, "requests": requests, "failures": failures, "belief_edits": edits,
            "invalid_rows": invalid, "waits": waits,
        }))?;
    } else {
        console.out(&view::audit::run(&run, &requests, &failures, &edits, &invalid, &waits)?)?;
    }
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_named_by_its_number_or_as_the_last() {
        assert_eq!("12".parse(), Ok(RunArg::Id(12)));
        assert_eq!("last".parse(), Ok(RunArg::Last));
        for wrong in ["", "0", "-1", "x", "Last", "1.5"] {
            let message = wrong.parse::<RunArg>().expect_err(wrong);
            assert!(message.contains("is no run id: write a number, such as 12, or last"), "{message}");
        }
    }
}
