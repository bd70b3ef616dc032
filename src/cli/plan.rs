//! `attrsync plan`: what a sync would do. It reads only and takes no lock, unless the plan is to be saved.

use std::path::PathBuf;

use super::context::Context;
use super::customer_id::{CustomerArg, customer};
use super::exit::Exit;
use super::failure::Failure;
use super::locked::under_lock;
use super::path_arg;
use super::plan_file::PlanFile;
use super::view::console::Console;
use super::view::progress::ProgressDisplay;
use super::{view, wiring};
use crate::clock::SystemClock;
use crate::config::{Config, MissingConfig};
use crate::engine::{self, Forecast, ForecastPorts, Options, PlanOutput, Ports, Progress, Saved};
use crate::ledger::LedgerReader;
use crate::waits::Waits;

/// What `--help` adds.
const EXAMPLES: &str = "\
Examples:
  attrsync plan                       what the next sync would change
  attrsync plan --detailed-exitcode   for scripts: 2 if there are changes
  attrsync plan --customer 12 --json  one customer, as JSON
  attrsync plan --limit 1000000       every change
  attrsync plan --output plan.csv     every change, to a file
  attrsync plan --save                keep it for `attrsync apply`

Exit codes: 0 planned, 1 failed, 5 another run holds this store (with --save),
64 wrong usage or configuration; with --detailed-exitcode 2 changes are pending,
4 a guard would block the sync.";

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
    /// Write every change to this file, as CSV (.csv) or JSON lines (.jsonl); - for JSON lines on stdout
    #[arg(long, value_name = "FILE", value_parser = path_arg::parser())]
    output: Option<PathBuf>,
    /// Keep the plan in the ledger for seven days, so that `attrsync apply` can send it; takes the lock
    #[arg(long, conflicts_with_all = ["full", "retry_rejected", "ignore_pins"])]
    save: bool,
}

/// Of which keys a run sends values.
#[derive(Debug, clap::Args)]
pub(super) struct Keys {
    /// Only this customer; may be given several times. An e-mail address if the source names customers so
    #[arg(long = "customer", value_name = "ID|EMAIL", value_parser = customer)]
    customers: Vec<CustomerArg>,
    /// Only this attribute; may be given several times
    #[arg(long = "attribute", value_name = "ID|NAME")]
    attributes: Vec<String>,
}

/// Which values a run sends.
#[derive(Debug, clap::Args)]
pub(super) struct Selection {
    #[command(flatten)]
    keys: Keys,
    /// Send rejected values too
    #[arg(long)]
    retry_rejected: bool,
    /// Ignore the ledger and send every value: after a restored backup or a database failover
    #[arg(long)]
    full: bool,
    /// End the pins that `attrsync undo` has left, so that the source's values are sent
    #[arg(long)]
    ignore_pins: bool,
}

impl Selection {
    /// The engine's options.
    pub(super) fn options(&self, missing: &MissingConfig) -> Options {
        Options {
            missing: missing.clone(),
            retry_rejected: self.retry_rejected,
            full: self.full,
            ignore_pins: self.ignore_pins,
            ..self.keys.options()
        }
    }
}

impl Keys {
    /// The engine's options. An attribute that reads as a number is an id, anything else is a name.
    pub(super) fn options(&self) -> Options {
        let mut options = Options::default();
        self.customers.iter().for_each(|customer| customer.select(&mut options));
        for attribute in &self.attributes {
            match attribute.parse::<i64>() {
                Ok(id) => drop(options.filter.attributes.insert(id)),
                Err(_) => options.attribute_names.push(attribute.clone()),
            }
        }
        options
    }
}

impl Args {
    fn options(&self, config: &Config) -> Options {
        Options { guard: config.guard.clone(), ..self.selection.options(&config.missing) }
    }
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<Exit, Failure> {
    let console = &context.console;
    let config = wiring::config_to_send(&context.config, args.transport)?;
    let file = args.output.as_deref().map(PlanFile::create).transpose()?;
    if args.json && file.as_ref().is_some_and(PlanFile::is_stdout) {
        return Err(
            Failure::usage("--output - and --json both write to stdout").hint("write one of them to a file")
        );
    }
    let output = file.as_ref().map(|file| file as &dyn PlanOutput);
    let waits = Waits::default();
    let display = ProgressDisplay::start(console, &waits, &config.ledger);
    let made = match args.save {
        true => save(console, &config, args, output, &waits, &display).await?,
        false => {
            Made { forecast: forecast(console, &config, args, output, &waits, &display).await?, run_id: None }
        }
    };
    drop(display);
    console.begin("printing the plan");
    let Made { forecast, run_id } = made;
    let workers = config.push.workers;
    let is_stdout = file.as_ref().is_some_and(PlanFile::is_stdout);
    if let Some(file) = file {
        file.complete(console)?;
    }
    let exit = match args.detailed_exitcode {
        true if !forecast.exceeded.is_empty() => Exit::Blocked,
        true if forecast.counts.planned > 0 => Exit::Pending,
        _ => Exit::Done,
    };
    if is_stdout {
        console.note(&view::plan::summary(&forecast));
    } else if args.json {
        console.json(&view::plan::json(&forecast, workers, exit, run_id))?;
    } else {
        let text = view::plan::text(&forecast, workers, console.paint());
        console.report_or_warnings(&text, exit, &forecast.warnings)?;
        if console.is_quiet() && exit == Exit::Done {
            view::plan::attention(&forecast.counts).iter().for_each(|line| console.warning(line));
        }
    }
    if let Some(run_id) = run_id {
        console.note(&format!("saved as run {run_id}: `attrsync apply {run_id}` sends it within seven days"));
    }
    Ok(exit)
}

/// A plan that was made.
struct Made {
    forecast: Forecast,
    /// The run that has it, if it was saved.
    run_id: Option<i64>,
}

/// Plans, and writes nothing.
async fn forecast(
    console: &Console,
    config: &Config,
    args: &Args,
    output: Option<&dyn PlanOutput>,
    waits: &Waits,
    display: &ProgressDisplay,
) -> Result<Forecast, Failure> {
    let (source, store) = (wiring::source(&config.source, waits)?, wiring::store(config, waits)?);
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
        waits,
    };
    let options = args.options(config);
    let forecast = engine::plan(ports, &config.push, &options, args.limit as usize, output).await;
    source.ended().await;
    Ok(forecast?)
}

/// Plans under the lock, and saves the plan.
async fn save(
    console: &Console,
    config: &Config,
    args: &Args,
    output: Option<&dyn PlanOutput>,
    waits: &Waits,
    display: &ProgressDisplay,
) -> Result<Made, Failure> {
    console.begin("opening the ledger");
    let locked = wiring::ledger(&config.ledger, &config.store.name, config.push.give_up_after).await?;
    console.begin("making the plan");
    let options = args.options(config);
    let run = async |ports: Ports<'_>| {
        engine::save(ports, &config.push, &options, args.limit as usize, output).await
    };
    let observe = |progress: &Progress| display.update(progress);
    let saved = under_lock(console, config, locked, waits, &observe, run).await?;
    let (Saved { run_id, forecast }, _) = saved;
    Ok(Made { forecast, run_id: Some(run_id) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_go_by_id_or_name() {
        let selection = Selection {
            keys: Keys {
                customers: [7, 7].map(CustomerArg::Id).to_vec(),
                attributes: vec!["3".into(), "loyalty tier".into()],
            },
            retry_rejected: true,
            full: false,
            ignore_pins: false,
        };
        let options = selection.options(&MissingConfig::default());
        assert_eq!(options.filter.customers, [7].into());
        assert_eq!(options.filter.attributes, [3].into());
        assert_eq!(options.attribute_names, ["loyalty tier"]);
        assert!(options.retry_rejected && !options.full);
    }
}
