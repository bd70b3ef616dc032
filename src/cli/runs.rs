//! `attrsync runs`: all runs, or one with its requests, failures and invalid rows.

use serde_json::json;

use super::failure::Failure;
use super::{Common, Exit, view, wiring};
use crate::ledger::audit::AuditLog;

/// Arguments of `runs`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only this run, with its requests and failures
    #[arg(value_name = "ID", value_parser = clap::value_parser!(i64).range(1..))]
    run: Option<i64>,
    /// At most so many lines of each kind
    #[arg(long, value_name = "COUNT", default_value_t = 20, value_parser = clap::value_parser!(i64).range(1..=100_000))]
    limit: i64,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(common: &Common, args: &Args) -> Result<Exit, Failure> {
    let config = wiring::config(&common.config)?;
    let audit = wiring::existing_audit(&config).await?;
    match args.run {
        Some(run) => one(&audit, run, args).await,
        None => all(&audit, args).await,
    }
}

async fn all(audit: &AuditLog, args: &Args) -> Result<Exit, Failure> {
    let runs = audit.runs(args.limit).await?;
    if args.json {
        view::json(&json!({ "runs": runs }))?;
    } else if runs.is_empty() {
        view::note("no runs yet: `attrsync sync` makes the first");
    } else if audit.stores().await?.len() > 1 {
        view::out(&view::audit::runs_of_stores(&runs)?)?;
    } else {
        view::out(&view::audit::runs(&runs)?)?;
    }
    Ok(Exit::Done)
}

async fn one(audit: &AuditLog, id: i64, args: &Args) -> Result<Exit, Failure> {
    let Some(run) = audit.run(id).await? else {
        return Err(Failure::new(format!("there is no run {id}")).hint("`attrsync runs` lists them"));
    };
    let requests = audit.requests(id, args.limit).await?;
    let failures = audit.failures(id, args.limit).await?;
    let invalid = audit.invalid_rows(id, args.limit).await?;
    if args.json {
        view::json(&json!({
            "run": run, "requests": requests, "failures": failures, "invalid_rows": invalid,
        }))?;
    } else {
        view::out(&view::audit::run(&run, &requests, &failures, &invalid)?)?;
    }
    Ok(Exit::Done)
}
