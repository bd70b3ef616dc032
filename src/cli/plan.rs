//! `attrsync plan`: what a sync would do. It reads only and takes no lock.

use super::context::Context;
use super::customer_id::customer_id;
use super::exit::Exit;
use super::failure::Failure;
use super::view::progress::ProgressDisplay;
use super::{view, wiring};
use crate::clock::SystemClock;
use crate::engine::{self, ForecastPorts, Options};
use crate::ledger::LedgerReader;
use crate::waits::Waits;

/// What `--help` adds.
const EXAMPLES: &str = "\
Examples:
  attrsync plan                       what the next sync would change
  attrsync plan --detailed-exitcode   for scripts: 2 if there are changes
  attrsync plan --customer 12 --json  one customer, as JSON
  attrsync plan --limit 1000000       every change

Exit codes: 0 planned, 1 failed, 64 wrong usage or configuration; with
--detailed-exitcode 2 changes are pending, 4 a guard would block the sync.";

/// Arguments of `plan`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    transport: wiring::TransportPolicy,
    /// Show at most this many changes and invalid rows
    #[arg(long, value_name = "COUNT", default_value_t = 20)]
    #[arg(value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    limit: u32,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
    /// Exit with 2 if changes are pending, and with 4 if a guard would block
    /// the sync
    #[arg(long)]
    detailed_exitcode: bool,
}

/// Which values a run sends.
#[derive(Debug, clap::Args)]
pub(super) struct Selection {
    /// Only this customer; may be given several times
    #[arg(long = "customer", value_name = "ID", value_parser = customer_id)]
    customers: Vec<i64>,
    /// Only this attribute; may be given several times
    #[arg(long = "attribute", value_name = "ID|NAME")]
    attributes: Vec<String>,
    /// Send rejected values too
    #[arg(long)]
    retry_rejected: bool,
    /// Ignore the ledger and send every value: after a restored backup or a database failover
    #[arg(long)]
    full: bool,
}

impl Selection {
    /// The engine's options. An attribute that reads as a number is an id, anything else is a name.
    pub(super) fn options(&self) -> Options {
        let mut options =
            Options { retry_rejected: self.retry_rejected, full: self.full, ..Options::default() };
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

pub(super) async fn run(context: &Context, args: &Args) -> Result<Exit, Failure> {
    let console = &context.console;
    let config = wiring::config_to_send(&context.config, args.transport)?;
    let waits = Waits::default();
    let display = ProgressDisplay::start(console, &waits, &config.ledger);
    let (source, store) = (wiring::source(&config.source, &waits)?, wiring::store(&config, &waits)?);
    console.begin("opening the ledger");
    let audit = wiring::audit(&config.ledger).await?;
    let entries = match &audit {
        Some(audit) => audit.store_id(&config.store.name).await?.map(|store_id| audit.entries_of(store_id)),
        None => None,
    };
    if entries.is_none() {
        console.note("no ledger of this store yet: everything is new");
    }
    console.begin("asking the store for its attributes");
    let progress = |progress| {
        console.begin("reading the source and the ledger");
        display.update(&progress);
    };
    let ports = ForecastPorts {
        source: &source,
        entries: entries.as_ref().map(|entries| entries as &dyn LedgerReader),
        destination: &store,
        clock: &SystemClock,
        progress: &progress,
        waits: &waits,
    };
    let options = Options { guard: config.guard, ..args.selection.options() };
    let forecast = engine::plan(ports, &config.push, &options, args.limit as usize).await?;
    drop(display);
    console.begin("printing the plan");
    let workers = config.push.workers;
    let exit = match args.detailed_exitcode {
        true if !forecast.exceeded.is_empty() => Exit::Blocked,
        true if forecast.counts.planned > 0 => Exit::Pending,
        _ => Exit::Done,
    };
    if args.json {
        console.json(&view::plan::json(&forecast, workers, exit))?;
    } else {
        let text = view::plan::text(&forecast, workers, console.paint());
        console.report_or_warnings(&text, exit, &forecast.warnings)?;
        if console.is_quiet() && exit == Exit::Done {
            view::plan::attention(&forecast.counts).iter().for_each(|line| console.warning(line));
        }
    }
    Ok(exit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_go_by_id_or_name() {
        let selection = Selection {
            customers: vec![7, 7],
            attributes: vec!["3".into(), "loyalty tier".into()],
            retry_rejected: true,
            full: false,
        };
        let options = selection.options();
        assert_eq!(options.filter.customers, [7].into());
        assert_eq!(options.filter.attributes, [3].into());
        assert_eq!(options.attribute_names, ["loyalty tier"]);
        assert!(options.retry_rejected && !options.full);
    }
}
