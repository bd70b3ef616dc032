//! `attrsync explain`: why a customer has a value: desired, believed, every attempt.

use serde_json::json;

use super::failure::Failure;
use super::{Common, Exit, view, wiring};
use crate::config::Config;
use crate::ledger::LedgerReader as _;
use crate::ledger::audit::AuditLog;
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
    /// Only the attribute of this id or name; `attrsync check` lists them
    #[arg(value_name = "ID|NAME")]
    attribute: Option<String>,
    /// At most so many attempts
    #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(i64).range(1..=100_000))]
    limit: i64,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(common: &Common, args: &Args) -> Result<Exit, Failure> {
    let config = wiring::config(&common.config)?;
    let audit = wiring::existing_audit(&config).await?;
    let store_id = wiring::store_id(&audit, &config).await?;
    let attribute = match &args.attribute {
        Some(named) => Some(attribute(&audit, store_id, named).await?),
        None => None,
    };
    let known = audit.explain(store_id, args.customer, attribute, args.limit).await?;
    // The ledger is worth showing while the source is away.
    let desired = match desired(&config, args.customer, attribute).await {
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
        let nobody = match desired {
            Some(_) => "neither the source nor the ledger knows a value",
            None => "the ledger knows no value",
        };
        let of = attribute.map(|id| format!(" of attribute {id}")).unwrap_or_default();
        view::note(&format!("{nobody}{of} of customer {}", args.customer));
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

/// The attribute's id. A name is looked up among those that the store was last found to have.
async fn attribute(audit: &AuditLog, store_id: i64, named: &str) -> Result<i64, Failure> {
    if let Ok(id) = named.parse() {
        return Ok(id);
    }
    let known = audit.entries_of(store_id).attributes().await?;
    known.iter().find(|known| known.name == named).map(|known| known.id).ok_or_else(|| {
        let names: Vec<_> = known.iter().map(|known| known.name.as_str()).collect();
        Failure::new(format!("the ledger knows no attribute named {named}")).hint(if names.is_empty() {
            "it knows none yet".to_owned()
        } else {
            format!("it knows {}", names.join(", "))
        })
    })
}

async fn desired(config: &Config, customer: i64, attribute: Option<i64>) -> Result<Vec<Desired>, Failure> {
    let filter = Filter { customers: [customer].into(), attributes: attribute.into_iter().collect() };
    let mut pages = wiring::source(config)?.read(&filter).await?;
    let mut rows = Vec::new();
    while let Some(page) = pages.next().await? {
        for index in 0..page.len().min(ROWS.saturating_sub(rows.len())) {
            let row = page.row(index);
            rows.push(Desired { attribute_id: row.attribute_id, value: row.value.map(str::to_owned) });
        }
    }
    Ok(rows)
}
