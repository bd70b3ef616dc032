//! `attrsync rejected`: the values that the store refused, with its reasons.

use serde_json::json;

use super::failure::Failure;
use super::{Common, Exit, adapters, view};

/// Arguments of `rejected`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// At most so many values
    #[arg(long, value_name = "COUNT", default_value_t = 1000, value_parser = clap::value_parser!(i64).range(1..=100_000))]
    limit: i64,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(common: &Common, args: &Args) -> Result<Exit, Failure> {
    let config = adapters::config(&common.config)?;
    let audit = adapters::existing_audit(&config).await?;
    let store_id = adapters::store_id(&audit, &config).await?;
    let rejected = audit.rejected(store_id, args.limit).await?;
    if args.json {
        view::json(&json!({ "total": rejected.total, "rejected": rejected.values }))?;
    } else if rejected.values.is_empty() {
        view::note("nothing is set aside");
    } else {
        view::out(&view::audit::rejected(&rejected.values)?)?;
        let shown = i64::try_from(rejected.values.len()).unwrap_or(i64::MAX);
        if rejected.total > shown {
            view::note(&format!("… and {} more: raise --limit", rejected.total - shown));
        }
        view::hint("they are sent again when they change, or with `attrsync sync --retry-rejected`");
    }
    Ok(Exit::Done)
}
