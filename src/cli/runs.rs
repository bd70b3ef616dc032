//! `attrsync runs`: all runs, or one with its requests, failures, belief edits and invalid rows.

use std::io;
use std::str::FromStr;

use serde::Serialize;

use super::context::Context;
use super::exit::Exit;
use super::failure::Failure;
use super::view::audit::RunLists;
use super::view::console::Console;
use super::view::document::{self, Document};
use super::{view, wiring};
use crate::ledger::audit::{AuditLog, RunList};
use crate::record::RunKind;

/// What `--help` adds.
const EXAMPLES: &str = "\
Examples:
  attrsync runs            the newest runs, newest first
  attrsync runs --wide     with all counts and messages
  attrsync runs last       the newest run with its requests and failures
  attrsync runs 12 --json  run 12, as JSON

The column open counts what did not land: rejected and not acknowledged,
unknown, deferred and invalid.";

/// The most runs that are held at a time for JSON.
const PAGE: i64 = 1_000;

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

/// Reads the number of a run that a command names.
pub(super) fn run_number(text: &str) -> Result<i64, String> {
    let id = text.parse().ok().filter(|id| *id > 0);
    id.ok_or_else(|| "write the number of a run, such as 12; `attrsync runs` lists them".to_owned())
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<Exit, Failure> {
    let config = wiring::audit_config(&context.config)?;
    context.console.begin("reading the ledger");
    let audit = wiring::existing_audit(&config.ledger).await?;
    match args.run {
        Some(RunArg::Id(id)) => one(&context.console, &audit, id, args).await,
        Some(RunArg::Last) => match audit.runs(None, 1).await?.first() {
            Some(run) => one(&context.console, &audit, run.id, args).await,
            None => Err(Failure::new("there is no run yet").hint("`attrsync sync` makes the first")),
        },
        None => all(&context.console, &audit, args).await,
    }
}

async fn all(console: &Console, audit: &AuditLog, args: &Args) -> Result<Exit, Failure> {
    if args.json {
        return all_as_json(console, audit, args.limit).await;
    }
    let runs = audit.runs(None, args.limit).await?;
    if runs.is_empty() {
        console.note("no runs yet: `attrsync sync` makes the first");
    } else {
        let stores = audit.stores().await?;
        console.out(&match (args.wide, stores.len()) {
            (false, _) => view::audit::runs_in_brief(&runs, &stores, console.width()),
            (true, 1) => view::audit::runs(&runs)?,
            (true, _) => view::audit::runs_of_stores(&runs)?,
        })?;
        let more = audit.runs_total().await? - i64::try_from(runs.len()).unwrap_or(i64::MAX);
        if more > 0 {
            console.note(&format!("… and {more} more: raise --limit"));
        }
    }
    Ok(Exit::Done)
}

async fn all_as_json(console: &Console, audit: &AuditLog, limit: i64) -> Result<Exit, Failure> {
    let mut document = document::on(console);
    document.field("exit_code", &0);
    document.begin_list("runs");
    let (mut left, mut before) = (limit, None);
    while left > 0 {
        let page = audit.runs(before, left.min(PAGE)).await?;
        page.iter().for_each(|run| document.item(run));
        let Some(last) = page.last() else { break };
        (left, before) = (left - PAGE, Some(last.id));
    }
    document.end_list();
    document.field("runs_total", &audit.runs_total().await?);
    document.end()?;
    Ok(Exit::Done)
}

async fn one(console: &Console, audit: &AuditLog, id: i64, args: &Args) -> Result<Exit, Failure> {
    let Some(run) = audit.run(id).await? else {
        return Err(Failure::new(format!("there is no run {id}")).hint("`attrsync runs` lists them"));
    };
    let failures = || RunList::failures_of(&run);
    let (waits, totals) = (audit.waits(id).await?, audit.run_totals(id, failures()).await?);
    let missed = audit.missed_by(id).await?;
    let applied_by = audit.runs_of_run(id, RunKind::Apply).await?;
    let undone_by = audit.runs_of_run(id, RunKind::Undo).await?;
    if args.json {
        let mut document = document::on(console);
        document.field("applied_by", &applied_by);
        document = add(document, audit, "belief_edits", RunList::BELIEF_EDITS, id, args.limit).await?;
        document.field("belief_edits_total", &totals.belief_edits);
        document.field("exit_code", &0);
        document = add(document, audit, "failures", failures(), id, args.limit).await?;
        document.field("failures_removed", &totals.removed);
        document.field("failures_total", &(totals.failures + totals.removed));
        document = add(document, audit, "invalid_rows", RunList::INVALID_ROWS, id, args.limit).await?;
        document.field("invalid_rows_total", &totals.invalid_rows);
        document.field("missed_times", &missed);
        document = add(document, audit, "requests", RunList::REQUESTS, id, args.limit).await?;
        document.field("requests_total", &totals.requests);
        document.field("run", &run);
        document.field("undone_by", &undone_by);
        document.field("waits", &waits);
        document.end()?;
        return Ok(Exit::Done);
    }
    let lists = RunLists {
        requests: audit.list(RunList::REQUESTS, id, args.limit).await?,
        failures: audit.list(failures(), id, args.limit).await?,
        edits: audit.list(RunList::BELIEF_EDITS, id, args.limit).await?,
        invalid: audit.list(RunList::INVALID_ROWS, id, args.limit).await?,
        waits,
        missed,
        applied_by,
        undone_by,
        totals,
    };
    let stores = audit.stores().await?.len();
    console.out(&view::audit::run(&run, stores, &lists, console.width())?)?;
    Ok(Exit::Done)
}

/// Prints a list of a run as its rows are read.
async fn add<T: Serialize + 'static, P: FnMut(&str) -> io::Result<bool> + Send + 'static>(
    mut document: Document<P>,
    audit: &AuditLog,
    name: &str,
    list: RunList<T>,
    run_id: i64,
    limit: i64,
) -> Result<Document<P>, Failure> {
    document.begin_list(name);
    let mut document = audit.each(list, run_id, limit, document, |document, row| document.item(&row)).await?;
    document.end_list();
    Ok(document)
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
            assert!(run_number(wrong).is_err(), "{wrong}");
        }
        assert_eq!((run_number("12"), run_number("last").is_err()), (Ok(12), true));
    }
}
