//! `attrsync rejected`: the values that the store rejected, with its reasons; requeueing and acknowledging them.

use std::collections::BTreeMap;
use std::io;
use std::str::FromStr;
use std::time::Duration;

use super::context::Context;
use super::exit::Exit;
use super::failure::Failure;
use super::known_store::{KnownStore, known_store};
use super::view::console::Console;
use super::view::document;
use super::view::rejected::Standing;
use super::{desired, view, wiring};
use crate::config::AuditConfig;
use crate::engine::requeue::{self, Edited};
use crate::ledger::audit::{AuditLog, Rejection, Rejections};
use crate::record::{Filter, Key, KeyScope};
use chrono::Utc;

/// The most requeued values that are looked up in the source.
const LOOKED_UP_MAX: i64 = 1000;

/// How long the lock of another session on the ledger is waited for.
const LOCK_WAIT: Duration = Duration::from_secs(30);

/// What `--help` adds.
const EXAMPLES: &str = "\
A rejected value is not sent again until it changes in the source. Requeue it
when the cause was in the store. Acknowledge it when you know of it: it is still
rejected and listed, but no longer makes `attrsync sync` exit with 3. That ends
when the value changes, or is requeued.

A KEY is CUSTOMER or CUSTOMER:ATTRIBUTE, with the attribute's id or name.

Examples:
  attrsync rejected                               list them
  attrsync rejected --retry                       requeue all of them
  attrsync rejected --retry 12 5000:3             of 12, and one of 5000
  attrsync rejected --accept 5000:lifetime_value  acknowledge one

Exit codes: 0 listed or done, 1 nothing is rejected for any of the keys, 5
another run holds this store.";

/// Arguments of `rejected`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Show at most this many values
    #[arg(long, value_name = "COUNT", default_value_t = 1000)]
    #[arg(value_parser = clap::value_parser!(i64).range(1..=100_000))]
    limit: i64,
    /// Requeue values, so that the next sync sends them; all if no key is given
    #[arg(long, value_name = "KEY", num_args = 0.., conflicts_with = "limit")]
    retry: Option<Vec<KeyArg>>,
    /// Acknowledge values: still rejected, still listed, but no longer exit code 3
    #[arg(long, value_name = "KEY", num_args = 1.., conflicts_with_all = ["limit", "retry"])]
    accept: Option<Vec<KeyArg>>,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// A key on the command line: `12`, `12:3` or `12:loyalty_tier`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct KeyArg {
    customer_id: i64,
    attribute: Option<String>,
}

impl FromStr for KeyArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (customer, attribute) = match text.split_once(':') {
            None => (text, None),
            Some((customer, attribute)) => (customer, Some(attribute.to_owned())),
        };
        let is_id = |text: &str| text.parse().is_ok_and(|id: i64| id > 0);
        let fits = |text: &String| is_id(text) || !text.is_empty() && text.parse::<i64>().is_err();
        match customer.parse() {
            Ok(customer_id) if is_id(customer) && attribute.as_ref().is_none_or(fits) => {
                Ok(Self { customer_id, attribute })
            }
            _ => Err("write CUSTOMER or CUSTOMER:ATTRIBUTE, such as 12, 12:3 or 12:loyalty_tier".to_owned()),
        }
    }
}

impl KeyArg {
    fn scope(&self, store: &KnownStore) -> Result<KeyScope, Failure> {
        let attribute_id = self.attribute.as_deref().map(|text| store.attribute_id(text)).transpose()?;
        Ok(KeyScope { customer_id: Some(self.customer_id), attribute_id })
    }
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<Exit, Failure> {
    let config = wiring::audit_config(&context.config)?;
    context.console.begin("reading the ledger");
    match (&args.retry, &args.accept) {
        (Some(keys), _) => requeue(&context.console, &config, keys, args.json).await,
        (_, Some(keys)) => acknowledge(&context.console, &config, keys, args.json).await,
        _ => list(&context.console, &config, args).await,
    }
}

async fn list(console: &Console, config: &AuditConfig, args: &Args) -> Result<Exit, Failure> {
    let audit = wiring::existing_audit(&config.ledger).await?;
    let store = known_store(&audit, config).await?;
    let rejected = audit.rejected(store.id, KeyScope::default(), args.limit).await?;
    let standings = standings(console, config, &audit, &store, &rejected.values).await;
    if args.json {
        print_json(console, &rejected, &standings)?;
    } else if rejected.values.is_empty() {
        console.note("no value is rejected");
    } else {
        console.out(&view::rejected::text(&rejected.values, &standings, &store.names(), console.width()))?;
        let shown = i64::try_from(rejected.values.len()).unwrap_or(i64::MAX);
        if rejected.total > shown {
            console.note(&format!("… and {} more: raise --limit", rejected.total - shown));
        }
        console.hint(
            "they are sent again when they change, or after `attrsync rejected --retry` (all, or the KEYs that you \
             name); `--accept KEY` acknowledges one",
        );
    }
    Ok(Exit::Done)
}

/// Prints the rejected values for programs. Keys are only ever added.
fn print_json(
    console: &Console,
    rejected: &Rejections,
    standings: &BTreeMap<Key, Standing>,
) -> io::Result<()> {
    let mut document = document::on(console);
    document.field("acknowledged", &rejected.acknowledged);
    document.field("exit_code", &0);
    document.field("needs_attention", &(rejected.total > rejected.acknowledged));
    document.begin_list("rejected");
    rejected.values.iter().for_each(|value| document.item(&view::rejected::json(value, standings)));
    document.end_list();
    document.field("total", &rejected.total);
    document.end()
}

/// Looks up whether the source still desires the values. Empty if it cannot be read, which is said.
async fn standings(
    console: &Console,
    config: &AuditConfig,
    audit: &AuditLog,
    store: &KnownStore,
    values: &[Rejection],
) -> BTreeMap<Key, Standing> {
    if values.is_empty() {
        return BTreeMap::new();
    }
    console.begin("looking up the desired values");
    let customers = values.iter().map(|value| value.customer_id).collect();
    let filter = Filter { customers, ..Filter::default() };
    match desired::look_up(config, &filter, &store.attribute_names(), &audit.entries_of(store.id)).await {
        Ok(rows) => view::rejected::standings(values, &rows),
        Err(failure) => {
            let why = failure.whole();
            console.note(&format!("whether the source still desires them was not looked up: {why}"));
            BTreeMap::new()
        }
    }
}

/// The rejected values in the scopes that were asked for.
struct Found {
    audit: AuditLog,
    store: KnownStore,
    scopes: Vec<(KeyScope, Rejections)>,
}

impl Found {
    async fn new(config: &AuditConfig, keys: &[KeyArg]) -> Result<Self, Failure> {
        let audit = wiring::existing_audit(&config.ledger).await?;
        let store = known_store(&audit, config).await?;
        let asked = keys.iter().map(|key| key.scope(&store)).collect::<Result<Vec<_>, _>>()?;
        let mut scopes = Vec::new();
        for scope in requeue::distinct(&asked) {
            scopes.push((scope, audit.rejected(store.id, scope, LOOKED_UP_MAX).await?));
        }
        Ok(Self { audit, store, scopes })
    }

    /// Returns the scopes with a rejected value for which `counts` is above 0, and says which have none.
    fn to_edit(&self, console: &Console, counts: impl Fn(&Rejections) -> i64, none: &str) -> Vec<KeyScope> {
        let (some, without): (Vec<_>, Vec<_>) =
            self.scopes.iter().partition(|(_, rejections)| counts(rejections) > 0);
        for (scope, _) in without {
            console.note(&format!("{none} {}", view::rejected::scope(*scope, &self.store.names())));
        }
        some.into_iter().map(|(scope, _)| *scope).collect()
    }
}

/// Requeues values under the store's lock.
async fn requeue(
    console: &Console,
    config: &AuditConfig,
    keys: &[KeyArg],
    json: bool,
) -> Result<Exit, Failure> {
    let found = Found::new(config, keys).await?;
    let scopes = found.to_edit(console, |rejections| rejections.total, "nothing is rejected for");
    if scopes.is_empty() {
        return nothing_to_do(match keys {
            [] => "nothing is rejected, so nothing was requeued",
            _ => "nothing is rejected for what was named, so nothing was requeued",
        });
    }
    let values: Vec<Rejection> =
        found.scopes.iter().flat_map(|(_, rejections)| rejections.values.iter().cloned()).collect();
    let standings = standings(console, config, &found.audit, &found.store, &values).await;
    let left: Vec<Key> =
        standings.iter().filter(|(_, s)| **s == Standing::Left).map(|(key, _)| *key).collect();
    console.begin("requeueing values");
    let locked = wiring::ledger(&config.ledger, &found.store.name, LOCK_WAIT).await?;
    let done = requeue::requeue(&*locked.ledger, &scopes, Utc::now()).await?;
    let total = print_edited(console, &done, "requeued", json.then_some(Some(left.len())))?;
    if !left.is_empty() {
        console.note(&view::rejected::left(&left, &found.store.names()));
    }
    if total > i64::try_from(left.len()).unwrap_or(i64::MAX) {
        let which = if standings.is_empty() { "those that the source still desires" } else { "the others" };
        let which = if standings.is_empty() || !left.is_empty() { which } else { "them" };
        console.hint(&format!("the next `attrsync sync` sends {which} again"));
    }
    Ok(Exit::Done)
}

/// Acknowledges values under the store's lock.
async fn acknowledge(
    console: &Console,
    config: &AuditConfig,
    keys: &[KeyArg],
    json: bool,
) -> Result<Exit, Failure> {
    let found = Found::new(config, keys).await?;
    let new = |rejections: &Rejections| rejections.total - rejections.acknowledged;
    let scopes = found.to_edit(console, new, "nothing is rejected, or all of it is acknowledged, for");
    if scopes.is_empty() {
        return nothing_to_do("nothing was acknowledged");
    }
    console.begin("acknowledging values");
    let locked = wiring::ledger(&config.ledger, &found.store.name, LOCK_WAIT).await?;
    let done = requeue::acknowledge(&*locked.ledger, &scopes, Utc::now()).await?;
    print_edited(console, &done, "acknowledged", json.then_some(None))?;
    let left = found.audit.rejected(found.store.id, KeyScope::default(), 1).await?;
    let left = left.total - left.acknowledged;
    console.hint(&match left {
        0 => "no rejected value makes `attrsync sync` exit with 3 any more".to_owned(),
        1 => "1 rejected value is not acknowledged: `attrsync rejected` lists it".to_owned(),
        left => format!("{left} rejected values are not acknowledged: `attrsync rejected` lists them"),
    });
    Ok(Exit::Done)
}

/// Prints what was `done` to how many values, and returns that number. `json`: the number of values that are no longer
/// desired, if it is known, for a JSON document.
fn print_edited(
    console: &Console,
    edited: &Edited,
    done: &str,
    json: Option<Option<usize>>,
) -> io::Result<i64> {
    let total = edited.counts.iter().map(|(_, count)| count).sum();
    match json {
        Some(left) => console.json(&view::rejected::edited_json(edited, done, total, left))?,
        None => console.report(&view::rejected::edited(edited.run_id, done, total), Exit::Done)?,
    }
    Ok(total)
}

fn nothing_to_do(problem: &str) -> Result<Exit, Failure> {
    Err(Failure::new(problem).hint("`attrsync rejected` lists the rejected values"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_a_customer_or_one_of_its_values() {
        let key = |customer_id, attribute: Option<&str>| {
            Ok(KeyArg { customer_id, attribute: attribute.map(str::to_owned) })
        };
        assert_eq!("12".parse(), key(12, None));
        assert_eq!("12:3".parse(), key(12, Some("3")));
        assert_eq!("12:loyalty tier".parse(), key(12, Some("loyalty tier")));
        assert_eq!("12:ratio 1:2".parse(), key(12, Some("ratio 1:2")));
        for wrong in ["", ":", "12:", ":3", "0", "12:0", "12:-3", "-1", "a", "12/3"] {
            assert!(wrong.parse::<KeyArg>().is_err(), "{wrong}");
        }
    }
}
