//! `attrsync explain`: why a customer has a value: desired, believed, every attempt.

use serde_json::json;

use super::failure::Failure;
use super::{Common, Exit, adapters, view};
use crate::config::Config;
use crate::record::Filter;
use crate::source::Source as _;

/// How many of a customer's rows are looked at in the source.
const ROWS: usize = 1000;

/// Arguments of `explain`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The store's id of the customer
    #[arg(value_parser = clap::value_parser!(i64).range(1..))]
    customer: i64,
    /// Only the attribute of this id; `attrsync check` lists them
    #[arg(value_name = "ATTRIBUTE_ID", value_parser = clap::value_parser!(i64).range(1..))]
    attribute: Option<i64>,
    /// At most so many attempts
    #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(i64).range(1..=100_000))]
    limit: i64,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(common: &Common, args: &Args) -> Result<Exit, Failure> {
    let config = adapters::config(&common.config)?;
    let audit = adapters::existing_audit(&config).await?;
    let store_id = adapters::store_id(&audit, &config).await?;
    let known = audit.explain(store_id, args.customer, args.attribute, args.limit).await?;
    // The ledger is worth showing while the source is away.
    let desired = match desired(&config, args).await {
        Ok(rows) => Some(rows),
        Err(failure) => {
            view::note(&format!("desired values not known: {}", failure.whole()));
            None
        }
    };
    if args.json {
        view::json(&json!({ "customer_id": args.customer, "desired": desired, "ledger": known }))?;
    } else if known.entries.is_empty()
        && known.history.is_empty()
        && known.invalid.is_empty()
        && desired.as_ref().is_none_or(Vec::is_empty)
    {
        view::note(&format!("neither the source nor the ledger knows a value of customer {}", args.customer));
    } else {
        view::out(&view::explain::text(args.customer, desired.as_deref(), &known, view::paint()))?;
    }
    Ok(Exit::Done)
}

/// What the source wants for a key now.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub(super) struct Desired {
    /// The attribute, if the row has one.
    pub(super) attribute_id: Option<i64>,
    /// The value; `None` is NULL.
    pub(super) value: Option<String>,
}

async fn desired(config: &Config, args: &Args) -> Result<Vec<Desired>, Failure> {
    let filter =
        Filter { customers: [args.customer].into(), attributes: args.attribute.into_iter().collect() };
    let mut pages = adapters::source(config)?.read(&filter).await?;
    let mut rows = Vec::new();
    while let Some(page) = pages.next().await? {
        for index in 0..page.len().min(ROWS.saturating_sub(rows.len())) {
            let row = page.row(index);
            rows.push(Desired { attribute_id: row.attribute_id, value: row.value.map(str::to_owned) });
        }
    }
    Ok(rows)
}
