//! `attrsync undo`: sends the values that the store held before a run. Without `--apply` it shows them, reads only and takes no
//! lock.

use super::context::Context;
use super::exit::Exit;
use super::failure::Failure;
use super::plan::Keys;
use super::runs::run_number;
use super::sync::{OutcomeArgs, push};
use super::view::console::Console;
use super::view::progress::ProgressDisplay;
use super::{view, wiring};
use crate::clock::SystemClock;
use crate::config::Config;
use crate::engine::{self, Forecast, ForecastPorts, Options, Ports, Undone};
use crate::ledger::LedgerReader;
use crate::record::RunKind;
use crate::waits::Waits;

/// What `--help` adds.
const EXAMPLES: &str = "\
A value that was changed since the run, by a later run or by others in the
store, is a conflict: it is listed and left alone. What the source does not
desire is pinned: syncs keep it until the source's value changes.

Examples:
  attrsync undo 12                        how run 12 can be undone
  attrsync undo 12 --detailed-exitcode    for scripts: 2 if there is a way back
  attrsync undo 12 --apply                sends the values from before run 12
  attrsync undo 12 --apply --customer 7   those of one customer
  attrsync sync --ignore-pins             sends what the source desires again

Exit codes: 0 planned or done, 1 failed or stopped, 3 done but for conflicts or
for values that are rejected or unknown, 5 another run holds this store, 64
wrong usage or configuration; with --detailed-exitcode 2 changes are pending.";

/// Arguments of `undo`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The run that is undone: a sync, an apply, or another undo
    #[arg(value_name = "RUN", value_parser = run_number)]
    run: i64,
    /// Send the values from before the run; without it, only show them
    #[arg(long)]
    apply: bool,
    #[command(flatten)]
    keys: Keys,
    /// Show at most this many changes
    #[arg(long, value_name = "COUNT", default_value_t = 20, conflicts_with = "apply")]
    #[arg(value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    limit: u32,
    /// Exit with 2 if changes are pending
    #[arg(long, conflicts_with = "apply")]
    detailed_exitcode: bool,
    #[command(flatten)]
    pub(super) outcome: OutcomeArgs,
    #[command(flatten)]
    transport: wiring::TransportPolicy,
}

impl Args {
    /// Whether it sends something.
    pub(super) const fn sends(&self) -> bool {
        self.apply
    }

    fn options(&self, config: &Config) -> Options {
        let (guard, missing) = (config.guard.clone(), config.missing.clone());
        Options { guard, missing, ..self.keys.options() }
    }
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<Exit, Failure> {
    if args.apply {
        let run = async |ports: Ports<'_>, config: &Config, stop| {
            engine::undo(ports, &config.push, &args.options(config), args.run, stop).await
        };
        return push(context, RunKind::Undo, args.transport, &args.outcome, run).await;
    }
    let console = &context.console;
    let config = wiring::config_to_send(&context.config, args.transport)?;
    let waits = Waits::default();
    let display = ProgressDisplay::start(console, &waits, &config.ledger);
    let (forecast, undone) = forecast(console, &config, args, &waits, &display).await?;
    drop(display);
    console.begin("printing the plan");
    let exit = match args.detailed_exitcode && forecast.counts.planned > 0 {
        true => Exit::Pending,
        false => Exit::Done,
    };
    let workers = config.push.workers;
    if args.outcome.json {
        console.json(&view::undone::plan_json(&forecast, &undone, workers, exit))?;
    } else {
        let text = view::undone::plan_text(&forecast, &undone, workers, console.paint());
        console.report(&text, exit)?;
    }
    if forecast.counts.planned > 0 {
        console.hint(&format!("`attrsync undo {} --apply` sends them", args.run));
    }
    Ok(exit)
}

/// Plans the way back, and writes nothing.
async fn forecast(
    console: &Console,
    config: &Config,
    args: &Args,
    waits: &Waits,
    display: &ProgressDisplay,
) -> Result<(Forecast, Undone), Failure> {
    let (source, store) = (wiring::source(&config.source, waits)?, wiring::store(config, waits)?);
    console.begin("opening the ledger");
    let audit = wiring::existing_audit(&config.ledger).await?;
    let Some(store_id) = audit.store_id(&config.store.name).await? else {
        let problem = format!("the ledger has no run of this store, so there is no run {} of it", args.run);
        return Err(Failure::new(problem).hint("name the configuration of its store with --config"));
    };
    let entries = audit.entries_of(store_id);
    console.begin("asking the store for its attributes");
    let progress = |progress| {
        console.begin("reading the ledger, the store and the source");
        display.update(&progress);
    };
    let ports = ForecastPorts {
        source: &source,
        entries: Some(&entries as &dyn LedgerReader),
        destination: &store,
        clock: &SystemClock,
        progress: &progress,
        waits,
    };
    let options = args.options(config);
    let planned =
        engine::plan_undo(ports, &entries, &config.push, &options, args.run, args.limit as usize).await;
    source.ended().await;
    Ok(planned?)
}
