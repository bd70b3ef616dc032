//! `attrsync runs`: all runs, or one with its requests, failures, belief edits and invalid rows.

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
  attrsync runs             the newest runs, newest first
  attrsync runs 12 --json   run 12 with its requests, failures, belief edits and invalid rows";

/// Arguments of `runs`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Show only this run, in detail
    #[arg(value_name = "ID", value_parser = clap::value_parser!(i64).range(1..))]
    run: Option<i64>,
    /// Show at most this many lines of each kind
    #[arg(long, value_name = "COUNT", default_value_t = 20)]
    #[arg(value_parser = clap::value_parser!(i64).range(1..=100_000))]
    limit: i64,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<Exit, Failure> {
    let config = wiring::audit_config(&context.config)?;
    let audit = wiring::existing_audit(&config.ledger).await?;
    match args.run {
        Some(run) => one(&context.console, &audit, run, args).await,
        None => all(&context.console, &audit, args).await,
    }
}

async fn all(console: &Console, audit: &AuditLog, args: &Args) -> Result<Exit, Failure> {
    let runs = audit.runs(args.limit).await?;
    if args.json {
        console.json(&json!({ "runs": runs }))?;
    } else if runs.is_empty() {
        console.note("no runs yet: `attrsync sync` makes the first");
    } else if audit.stores().await?.len() > 1 {
        console.out(&view::audit::runs_of_stores(&runs)?)?;
    } else {
        console.out(&view::audit::runs(&runs)?)?;
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
            "run": run, "requests": requests, "failures": failures, "belief_edits": edits, "invalid_rows": invalid,
            "waits": waits,
        }))?;
    } else {
        console.out(&view::audit::run(&run, &requests, &failures, &edits, &invalid, &waits)?)?;
    }
    Ok(Exit::Done)
}
