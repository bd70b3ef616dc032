//! `attrsync rejected`: the values that the store refused, with its reasons; and giving them back to the next sync.

use std::str::FromStr;

use chrono::Utc;
use serde_json::json;

use super::failure::Failure;
use super::{Common, Exit, view, wiring};
use crate::config::Config;
use crate::engine::requeue;
use crate::record::KeyScope;

/// Arguments of `rejected`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// At most so many values
    #[arg(long, value_name = "COUNT", default_value_t = 1000, value_parser = clap::value_parser!(i64).range(1..=100_000))]
    limit: i64,
    /// Give values back, so that the next sync sends them again: those of a CUSTOMER, one as CUSTOMER:ATTRIBUTE_ID, or all
    #[arg(long, value_name = "KEY", num_args = 0.., conflicts_with = "limit")]
    retry: Option<Vec<Given>>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// A key as it is given: `12` or `12:3`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Given(KeyScope);

impl FromStr for Given {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let id = |text: &str| text.parse().ok().filter(|id: &i64| *id > 0);
        let (customer, attribute) = match text.split_once(':') {
            None => (id(text), None),
            Some((customer, attribute)) => match id(attribute) {
                None => (None, None),
                attribute => (id(customer), attribute),
            },
        };
        if customer.is_none() {
            return Err("write CUSTOMER or CUSTOMER:ATTRIBUTE_ID, such as 12 or 12:3".to_owned());
        }
        Ok(Self(KeyScope { customer_id: customer, attribute_id: attribute }))
    }
}

pub(super) async fn run(common: &Common, args: &Args) -> Result<Exit, Failure> {
    let config = wiring::config(&common.config)?;
    match &args.retry {
        Some(keys) => retry(&config, keys, args.json).await,
        None => list(&config, args).await,
    }
}

async fn list(config: &Config, args: &Args) -> Result<Exit, Failure> {
    let audit = wiring::existing_audit(config).await?;
    let store_id = wiring::store_id(&audit, config).await?;
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
        view::hint(
            "they are sent again when they change, or after `attrsync rejected --retry` (all, or the KEYs that it is given)",
        );
    }
    Ok(Exit::Done)
}

/// Gives values back under the store's lock. Exits with 1 where there was none to give back.
async fn retry(config: &Config, keys: &[Given], json: bool) -> Result<Exit, Failure> {
    // A ledger that is not there is not made for this.
    let audit = wiring::existing_audit(config).await?;
    wiring::store_id(&audit, config).await?;
    drop(audit);
    let held = wiring::ledger(config).await?;
    let wanted: Vec<KeyScope> = keys.iter().map(|given| given.0).collect();
    let done = requeue::by_hand(&*held.ledger, &wanted, Utc::now()).await?;
    let released: i64 = done.counts.iter().map(|(_, count)| count).sum();
    if json {
        let keys = done.counts.iter().map(|(whose, count)| {
            json!({ "customer_id": whose.customer_id, "attribute_id": whose.attribute_id, "released": count })
        });
        view::json(
            &json!({ "run_id": done.run_id, "released": released, "keys": keys.collect::<Vec<_>>() }),
        )?;
    } else {
        view::out(&view::audit::released(done.run_id, released))?;
    }
    for (whose, _) in done.counts.iter().filter(|(_, count)| *count == 0) {
        view::note(&view::audit::nothing_aside(*whose));
    }
    if released == 0 {
        view::hint("`attrsync rejected` lists what is set aside");
        return Ok(Exit::Failed);
    }
    view::hint("the next `attrsync sync` sends them again");
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_a_customer_or_one_of_its_values() {
        let whose =
            |customer_id, attribute_id| Given(KeyScope { customer_id: Some(customer_id), attribute_id });
        assert_eq!("12".parse(), Ok(whose(12, None)));
        assert_eq!("12:3".parse(), Ok(whose(12, Some(3))));
        for wrong in ["", ":", "12:", ":3", "0", "12:0", "-1", "a", "12/3", "1:2:3"] {
            assert!(wrong.parse::<Given>().is_err(), "{wrong}");
        }
    }
}
