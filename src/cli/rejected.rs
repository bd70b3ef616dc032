//! `attrsync rejected`: the values that the store rejected, with its reasons, and requeueing them.

use std::str::FromStr;

use chrono::Utc;
use serde_json::json;

use super::context::Context;
use super::exit::Exit;
use super::failure::Failure;
use super::view::console::Console;
use super::{view, wiring};
use crate::config::AuditConfig;
use crate::engine::requeue;
use crate::record::KeyScope;

/// What `--help` adds.
const EXAMPLES: &str = "\
A rejected value is not sent again until it changes in the source. Requeue it when the cause was in the store.

Examples:
  attrsync rejected --retry             requeue all of them
  attrsync rejected --retry 12 5000:3   those of customer 12, and attribute 3 of customer 5000";

/// Arguments of `rejected`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Show at most this many values
    #[arg(long, value_name = "COUNT", default_value_t = 1000)]
    #[arg(value_parser = clap::value_parser!(i64).range(1..=100_000))]
    limit: i64,
    /// Requeue values, so that the next sync sends them: CUSTOMER or CUSTOMER:ATTRIBUTE_ID; all if no key is given
    #[arg(long, value_name = "KEY", num_args = 0.., conflicts_with = "limit")]
    retry: Option<Vec<KeyArg>>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// A key on the command line: `12` or `12:3`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct KeyArg(KeyScope);

impl FromStr for KeyArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let id = |text: &str| text.parse().ok().filter(|id: &i64| *id > 0);
        let (customer_id, attribute_id) = match text.split_once(':') {
            None => (id(text), None),
            Some((customer, attribute)) => match id(attribute) {
                None => (None, None),
                attribute => (id(customer), attribute),
            },
        };
        if customer_id.is_none() {
            return Err("write CUSTOMER or CUSTOMER:ATTRIBUTE_ID, such as 12 or 12:3".to_owned());
        }
        Ok(Self(KeyScope { customer_id, attribute_id }))
    }
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<Exit, Failure> {
    let config = wiring::audit_config(&context.config)?;
    match &args.retry {
        Some(keys) => retry(&context.console, &config, keys, args.json).await,
        None => list(&context.console, &config, args).await,
    }
}

async fn list(console: &Console, config: &AuditConfig, args: &Args) -> Result<Exit, Failure> {
    let audit = wiring::existing_audit(&config.ledger).await?;
    let store_id = wiring::known_store(&audit, config).await?.id;
    let rejected = audit.rejected(store_id, args.limit).await?;
    if args.json {
        console.json(&json!({ "total": rejected.total, "rejected": rejected.values }))?;
    } else if rejected.values.is_empty() {
        console.note("no value is rejected");
    } else {
        console.out(&view::audit::rejected(&rejected.values)?)?;
        let shown = i64::try_from(rejected.values.len()).unwrap_or(i64::MAX);
        if rejected.total > shown {
            console.note(&format!("… and {} more: raise --limit", rejected.total - shown));
        }
        console.hint(
            "they are sent again when they change, or after `attrsync rejected --retry` (all, or the KEYs \
             that you name)",
        );
    }
    Ok(Exit::Done)
}

/// Requeues values under the store's lock. Exits with 1 if there was none to requeue.
async fn retry(
    console: &Console,
    config: &AuditConfig,
    keys: &[KeyArg],
    json: bool,
) -> Result<Exit, Failure> {
    // Opening the ledger for writing would make it, or add the store to it.
    let store = wiring::known_store(&wiring::existing_audit(&config.ledger).await?, config).await?;
    let locked = wiring::ledger(&config.ledger, &store.name).await?;
    let scopes: Vec<KeyScope> = keys.iter().map(|key| key.0).collect();
    let done = requeue::by_hand(&*locked.ledger, &scopes, Utc::now()).await?;
    let total: i64 = done.counts.iter().map(|(_, count)| count).sum();
    if json {
        let keys = done.counts.iter().map(|(scope, count)| {
            json!({ "customer_id": scope.customer_id, "attribute_id": scope.attribute_id, "requeued": count })
        });
        let keys = keys.collect::<Vec<_>>();
        console.json(&json!({ "run_id": done.run_id, "requeued": total, "keys": keys }))?;
    } else {
        console.out(&view::audit::requeued(done.run_id, total))?;
    }
    for (scope, _) in done.counts.iter().filter(|(_, count)| *count == 0) {
        console.note(&view::audit::nothing_rejected(*scope));
    }
    if total == 0 {
        console.hint("`attrsync rejected` lists the rejected values");
        return Ok(Exit::Failed);
    }
    console.hint("the next `attrsync sync` sends them again");
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_a_customer_or_one_of_its_values() {
        let key =
            |customer_id, attribute_id| KeyArg(KeyScope { customer_id: Some(customer_id), attribute_id });
        assert_eq!("12".parse(), Ok(key(12, None)));
        assert_eq!("12:3".parse(), Ok(key(12, Some(3))));
        for wrong in ["", ":", "12:", ":3", "0", "12:0", "-1", "a", "12/3", "1:2:3"] {
            assert!(wrong.parse::<KeyArg>().is_err(), "{wrong}");
        }
    }
}
