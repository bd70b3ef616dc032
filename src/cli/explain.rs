//! `attrsync explain`: why a customer has a value: the desired value, the ledger's belief, every change.

use chrono::Utc;
use serde_json::json;

use super::context::Context;
use super::customer_id::customer_id;
use super::exit::Exit;
use super::failure::Failure;
use super::known_store::known_store;
use super::view::text::attribute_name;
use super::{desired, view, wiring};
use crate::record::Filter;

/// What `--help` adds.
const EXAMPLES: &str = "\
Examples:
  attrsync explain 5000                 all values of customer 5000
  attrsync explain 5000 lifetime_value  one of them, by name or id";

/// Arguments of `explain`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The store's id of the customer
    #[arg(value_parser = customer_id)]
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
    pub(super) json: bool,
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<Exit, Failure> {
    let console = &context.console;
    let config = wiring::audit_config(&context.config)?;
    console.begin("reading the ledger");
    let audit = wiring::existing_audit(&config.ledger).await?;
    let store = known_store(&audit, &config).await?;
    let attribute = args.attribute.as_deref().map(|name| store.attribute_id(name)).transpose()?;
    let known = audit.explain(store.id, args.customer, attribute, args.limit).await?;
    console.begin("looking up the desired values");
    // A source that cannot be read does not prevent the ledger's part of the explanation.
    let filter = Filter { customers: [args.customer].into(), attributes: attribute.into_iter().collect() };
    let desired = match desired::look_up(&config, &filter, &store.attribute_names()).await {
        Ok(rows) => Some(rows),
        Err(failure) => {
            console.note(&format!("the desired values were not looked up: {}", failure.whole()));
            None
        }
    };
    if args.json {
        console.json(
            &json!({ "exit_code": 0, "customer_id": args.customer, "desired": desired, "ledger": known }),
        )?;
    } else if known.is_empty() && desired.as_ref().is_none_or(Vec::is_empty) {
        let who = match desired {
            Some(_) => "neither the source nor the ledger knows a value",
            None => "the ledger knows no value",
        };
        let of = attribute
            .map(|id| format!(" of attribute {}", attribute_name(id, &store.names())))
            .unwrap_or_default();
        console.note(&format!("{who}{of} of customer {}", args.customer));
    } else {
        let names = store.names();
        let desired = desired.as_deref();
        let text = view::explain::text(Utc::now(), args.customer, desired, &known, &names, console.paint());
        console.out(&text)?;
        if known.unlisted() > 0 {
            console.note(&format!("… and {} older lines: raise --limit", known.unlisted()));
        }
    }
    Ok(Exit::Done)
}
