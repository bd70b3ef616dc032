//! `attrsync sql`: read-only SQL over the ledger.

use super::context::Context;
use super::exit::Exit;
use super::failure::Failure;
use super::{view, wiring};

/// What `--help` adds.
const TABLES: &str = "\
Tables:
  stores              one row per store: address, hash, learned size of a request
  runs                one row per run, with its counts
  requests            every write call, with its outcome
  changes             the plan of every run, with the outcome of each change
  outcomes            a view: changes as their runs left them
  entries             what attrsync knows of each value in the store
  belief_edits        what changed beliefs without a request: full syncs, requeues, store changes
  attributes          the store's attributes when they were last listed
  rejected_customers  customers to check: a value of theirs was rejected
  waits               how long each run waited, by reason
  invalid_rows        rows of the source that cannot be sent

Examples:
  attrsync sql \"select id, status, confirmed, rejected from runs order by id desc limit 5\"
  attrsync sql --csv \"select customer_id, value, reason from entries where belief = 'rejected'\"";

/// Arguments of `sql`.
#[derive(Debug, clap::Args)]
#[command(after_help = TABLES)]
pub(super) struct Args {
    /// One statement that reads
    #[arg(allow_hyphen_values = true)]
    query: String,
    /// Print JSON: an array of objects
    #[arg(long, conflicts_with = "csv")]
    pub(super) json: bool,
    /// Print CSV
    #[arg(long)]
    csv: bool,
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<Exit, Failure> {
    let console = &context.console;
    let config = wiring::audit_config(&context.config)?;
    let audit = wiring::existing_audit(&config.ledger).await?;
    let table = audit.sql(&args.query).await?;
    if args.json {
        console.json(&view::table::objects(&table))?;
    } else if args.csv {
        console.out(&view::table::csv(&table))?;
    } else {
        console.out(&view::table::text(&table))?;
        if table.rows.is_empty() {
            console.note("no rows");
        }
    }
    if table.truncated {
        let shown = table.rows.len();
        console.note(&format!("only the first {shown} rows are shown; narrow the query with where or limit"));
    }
    Ok(Exit::Done)
}
