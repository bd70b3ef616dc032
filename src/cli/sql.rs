//! `attrsync sql`: read-only SQL over the ledger.

use super::failure::Failure;
use super::{Common, Exit, view, wiring};

/// Arguments of `sql`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// One statement that reads; the tables are stores, runs, changes, outcomes, requests, entries, invalid_rows
    #[arg(allow_hyphen_values = true)]
    query: String,
    /// Print JSON: an array of objects
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    /// Print CSV
    #[arg(long)]
    csv: bool,
}

pub(super) async fn run(common: &Common, args: &Args) -> Result<Exit, Failure> {
    let config = wiring::config(&common.config)?;
    let audit = wiring::existing_audit(&config).await?;
    let table = audit.sql(&args.query).await?;
    if args.json {
        view::json(&view::table::objects(&table))?;
    } else if args.csv {
        view::out(&view::table::csv(&table))?;
    } else {
        view::out(&view::table::answer(&table))?;
        if table.rows.is_empty() {
            view::note("no rows");
        }
    }
    if table.truncated {
        view::note(&format!(
            "only the first {} rows are shown; ask for less with where or limit",
            table.rows.len()
        ));
    }
    Ok(Exit::Done)
}
