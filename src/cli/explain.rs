//! `attrsync explain`: why a customer has a value: the desired value, the ledger's belief, every change.

use chrono::Utc;
use serde_json::json;

use super::context::Context;
use super::exit::Exit;
use super::failure::Failure;
use super::view::explain::DesiredRow;
use super::{view, wiring};
use crate::config::AuditConfig;
use crate::ledger::LedgerReader as _;
use crate::ledger::audit::AuditLog;
use crate::record::Filter;
use crate::source::Source as _;
use crate::waits::Waits;

/// The most rows of one customer that are read from the source.
const ROWS_MAX: usize = 1000;

/// What `--help` adds.
const EXAMPLES: &str = "\
Examples:
  attrsync explain 5000                 all values of customer 5000
  attrsync explain 5000 lifetime_value  one of them, by the attribute's name or id";

/// Arguments of `explain`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The store's id of the customer
    #[arg(value_parser = clap::value_parser!(i64).range(1..))]
    customer: i64,
    /// Show only this attribute; `attrsync check` lists ids and names
    #[arg(value_name = "ID|NAME")]
    attribute: Option<String>,
    /// Show at most this many changes
    #[arg(long, value_name = "COUNT", default_value_t = 100)]
    #[arg(value_parser = clap::value_parser!(i64).range(1..=100_000))]
    limit: i64,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<Exit, Failure> {
    let console = &context.console;
    let config = wiring::audit_config(&context.config)?;
    let audit = wiring::existing_audit(&config.ledger).await?;
    let store_id = wiring::known_store(&audit, &config).await?.id;
    let attribute = match &args.attribute {
        Some(name) => Some(attribute_id(&audit, store_id, name).await?),
        None => None,
    };
    let known = audit.explain(store_id, args.customer, attribute, args.limit).await?;
    // A source that cannot be read does not prevent the ledger's part of the explanation.
    let desired = match desired(&config, args.customer, attribute).await {
        Ok(rows) => Some(rows),
        Err(failure) => {
            console.note(&format!("the desired values were not looked up: {}", failure.whole()));
            None
        }
    };
    if args.json {
        console.json(&json!({ "customer_id": args.customer, "desired": desired, "ledger": known }))?;
    } else if known.is_empty() && desired.as_ref().is_none_or(Vec::is_empty) {
        let who = match desired {
            Some(_) => "neither the source nor the ledger knows a value",
            None => "the ledger knows no value",
        };
        let of = attribute.map(|id| format!(" of attribute {id}")).unwrap_or_default();
        console.note(&format!("{who}{of} of customer {}", args.customer));
    } else {
        let text =
            view::explain::text(Utc::now(), args.customer, desired.as_deref(), &known, console.paint());
        console.out(&text)?;
    }
    Ok(Exit::Done)
}

/// Returns the id of the attribute that `name` names: an id, or a name that the ledger knows.
async fn attribute_id(audit: &AuditLog, store_id: i64, name: &str) -> Result<i64, Failure> {
    if let Ok(id) = name.parse() {
        return Ok(id);
    }
    let known = audit.entries_of(store_id).attributes().await?;
    known.iter().find(|known| known.name == name).map(|known| known.id).ok_or_else(|| {
        let names: Vec<_> = known.iter().map(|known| known.name.as_str()).collect();
        Failure::new(format!("the ledger knows no attribute named {name}")).hint(if names.is_empty() {
            "it knows none yet".to_owned()
        } else {
            format!("it knows {}", names.join(", "))
        })
    })
}

async fn desired(
    config: &AuditConfig,
    customer: i64,
    attribute: Option<i64>,
) -> Result<Vec<DesiredRow>, Failure> {
    let source = config.source.as_ref().map_err(Failure::usage)?;
    let filter = Filter { customers: [customer].into(), attributes: attribute.into_iter().collect() };
    let mut pages = wiring::source(source, &Waits::default())?.read(&filter).await?;
    let mut rows = Vec::new();
    while let Some(page) = pages.next().await? {
        for index in 0..page.len().min(ROWS_MAX.saturating_sub(rows.len())) {
            let row = page.row(index);
            rows.push(DesiredRow {
                attribute_id: row.attribute_id,
                value: row.value.map(str::to_owned),
                problem: row.problem.map(str::to_owned),
            });
        }
    }
    Ok(rows)
}
