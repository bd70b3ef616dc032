//! `attrsync explain`: why a customer has a value: the desired value, the ledger's belief, every change.

use chrono::Utc;
use serde_json::json;

use super::context::Context;
use super::customer_id::{CustomerArg, customer};
use super::exit::Exit;
use super::failure::Failure;
use super::known_store::known_store;
use super::view::text::attribute_name;
use super::{desired, view, wiring};
use crate::ledger::EmailReader;
use crate::record::{EmailCustomer, Filter, number_digits};

/// What `--help` adds.
const EXAMPLES: &str = "\
Examples:
  attrsync explain 5000                 all values of customer 5000
  attrsync explain 5000 lifetime_value  one of them, by name or id
  attrsync explain jane@example.com     a customer whom the source names so";

/// Arguments of `explain`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The store's id of the customer, or the e-mail address if the source
    /// names customers so
    #[arg(value_name = "ID|EMAIL", value_parser = customer)]
    customer: CustomerArg,
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
    let reader = audit.entries_of(store.id);
    let customer = customer_of(args.customer, &reader).await?;
    let known = audit.explain(store.id, customer, attribute, args.limit).await?;
    console.begin("looking up the desired values");
    // A source that cannot be read does not prevent the ledger's part of the explanation.
    let filter = Filter { customers: [customer].into(), attributes: attribute.into_iter().collect() };
    let desired = match desired::look_up(&config, &filter, &store.attribute_names(), &reader).await {
        Ok(rows) => Some(rows),
        Err(failure) => {
            console.note(&format!("the desired values were not looked up: {}", failure.whole()));
            None
        }
    };
    if args.json {
        console
            .json(&json!({ "exit_code": 0, "customer_id": customer, "desired": desired, "ledger": known }))?;
    } else if known.is_empty() && desired.as_ref().is_none_or(Vec::is_empty) {
        let who = match desired {
            Some(_) => "neither the source nor the ledger knows a value",
            None => "the ledger knows no value",
        };
        let of = attribute
            .map(|id| format!(" of attribute {}", attribute_name(id, &store.names())))
            .unwrap_or_default();
        console.note(&format!("{who}{of} of customer {customer}"));
    } else {
        let names = store.names();
        let desired = desired.as_deref();
        let text = view::explain::text(Utc::now(), customer, desired, &known, &names, console.paint());
        console.out(&text)?;
        if known.unlisted() > 0 {
            console.note(&format!("… and {} older lines: raise --limit", known.unlisted()));
        }
    }
    Ok(Exit::Done)
}

/// Returns the id of the customer. The ledger knows the ids of addresses that a run has looked up.
async fn customer_of(customer: CustomerArg, ledger: &dyn EmailReader) -> Result<i64, Failure> {
    let hash = match customer {
        CustomerArg::Id(id) => return Ok(id),
        CustomerArg::Email(hash) => hash,
    };
    let digits = number_digits(hash.number());
    let known = ledger.emails_after(&digits, 1_000).await?;
    match known.into_iter().find(|known| known.hash == hash) {
        Some(EmailCustomer { customer_id: Some(id), .. }) => Ok(id),
        Some(EmailCustomer { resolved_at, .. }) => Err(Failure::new(format!(
            "the store had no customer with this e-mail address when it was looked up at {}",
            resolved_at.format("%Y-%m-%d %H:%M:%S UTC")
        ))
        .hint("`attrsync sync` looks it up again once a day; its rows are invalid until then")),
        None => Err(Failure::new("the ledger does not know this e-mail address").hint(
            "a sync looks up the addresses of a source that names customers by [source.columns] email",
        )),
    }
}
