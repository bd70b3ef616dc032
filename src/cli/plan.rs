//! `attrsync plan`: what a sync would do. Reads only, takes no lock.

use super::failure::Failure;
use super::{Common, Exit, view, wiring};
use crate::config::Config;
use crate::engine::{self, Forecast, Options};
use crate::ledger::LedgerReader;
use crate::ledger::audit::AuditLog;

/// How many changes and invalid rows are shown.
const SAMPLE: usize = 20;

/// Arguments of `plan`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    keys: Keys,
    /// Plan for the values too that the store refused before
    #[arg(long)]
    retry_rejected: bool,
    /// Plan as if the ledger were not to be believed
    #[arg(long)]
    distrust: bool,
    #[command(flatten)]
    reach: wiring::Reach,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Exit with 2 when changes are pending
    #[arg(long)]
    detailed_exitcode: bool,
}

/// Which keys a run is about.
#[derive(Debug, clap::Args)]
pub(super) struct Keys {
    /// Only this customer; may be given several times
    #[arg(long = "customer", value_name = "ID", value_parser = clap::value_parser!(i64).range(1..))]
    customers: Vec<i64>,
    /// Only this attribute; may be given several times
    #[arg(long = "attribute", value_name = "ID|NAME")]
    attributes: Vec<String>,
}

impl Keys {
    /// The engine's options for these keys. What reads as a number is an id, anything else a name.
    pub(super) fn options(&self, retry_rejected: bool, distrust: bool) -> Options {
        let mut options = Options { retry_rejected, distrust, ..Options::default() };
        options.filter.customers.extend(&self.customers);
        for attribute in &self.attributes {
            match attribute.parse::<i64>() {
                Ok(id) => drop(options.filter.attributes.insert(id)),
                Err(_) => options.attribute_names.push(attribute.clone()),
            }
        }
        options
    }
}

pub(super) async fn run(common: &Common, args: &Args) -> Result<Exit, Failure> {
    let config = wiring::config_to_send(&common.config, args.reach)?;
    let options = args.keys.options(args.retry_rejected, args.distrust);
    let forecast = forecast(&config, &options).await?;
    let workers = config.push.workers;
    if args.json {
        view::json(&view::plan::json(&forecast, workers))?;
    } else {
        view::out(&view::plan::text(&forecast, workers, view::paint()))?;
    }
    let pending = args.detailed_exitcode && forecast.counts.planned > 0;
    Ok(if pending { Exit::Pending } else { Exit::Done })
}

/// What a sync with these options would do.
pub(super) async fn forecast(config: &Config, options: &Options) -> Result<Forecast, Failure> {
    let source = wiring::source(config)?;
    let store = wiring::store(config)?;
    let audit = wiring::audit(config).await?;
    let entries = match &audit {
        Some(audit) => entries(audit, config).await?,
        None => None,
    };
    if entries.is_none() {
        view::note("no ledger of this store yet: everything is new");
    }
    Ok(engine::plan(&source, entries.as_deref(), &store, &config.push, options, SAMPLE).await?)
}

async fn entries(audit: &AuditLog, config: &Config) -> Result<Option<Box<dyn LedgerReader>>, Failure> {
    let store_id = audit.store_id(&config.store.name).await?;
    Ok(store_id.map(|store_id| Box::new(audit.entries_of(store_id)) as Box<dyn LedgerReader>))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_go_by_id_or_name() {
        let keys = Keys { customers: vec![7, 7], attributes: vec!["3".into(), "loyalty tier".into()] };
        let options = keys.options(true, false);
        assert_eq!(options.filter.customers, [7].into());
        assert_eq!(options.filter.attributes, [3].into());
        assert_eq!(options.attribute_names, ["loyalty tier"]);
        assert!(options.retry_rejected && !options.distrust);
    }
}
