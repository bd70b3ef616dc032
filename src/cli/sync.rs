//! `attrsync sync`: plans, then pushes the changes.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::watch;

use super::context::Context;
use super::exit::Exit;
use super::failure::Failure;
use super::locked::{lock, under_lock};
use super::plan::Selection;
use super::signals::PoliteStop;
use super::view::console::Console;
use super::view::progress::ProgressDisplay;
use super::view::sync::Ending;
use super::wiring;
use super::{notifying, signals, view};
use crate::clock::{Clock as _, SystemClock};
use crate::config::Config;
use crate::engine::{self, EngineError, Options, Ports, Progress, Report};
use crate::ledger::audit::RunList;
use crate::notify::Subject;
use crate::record::{KeyScope, RunKind, Trigger};
use crate::traces::{TracedRun, Traces};
use crate::waits::Waits;

/// The most values and the most rows that `-q` lists.
const LISTED: i64 = 20;

/// What `--help` adds.
const EXAMPLES: &str = "\
The first Ctrl-C, SIGTERM or SIGHUP stops politely: calls in flight end and are
recorded. A second Ctrl-C or SIGTERM ends the process at once.

Examples:
  attrsync sync --customer 12 --customer 13      only two customers
  attrsync sync --attribute loyalty_tier --json  one attribute, as JSON
  attrsync sync -q --wait                        for cron: silent if all is well
  attrsync sync --full                           after a restored backup

Exit codes: 0 done, 1 failed or stopped, 3 finished but values are rejected (and
not acknowledged), invalid or unknown, 4 blocked by a guard, 5 another run holds
this store, 64 wrong usage or configuration.";

/// Arguments of `sync`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    pub(super) outcome: OutcomeArgs,
    #[command(flatten)]
    transport: wiring::TransportPolicy,
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<Exit, Failure> {
    let run = async |ports: Ports<'_>, config: &Config, stop| {
        let options = Options { guard: config.guard.clone(), ..args.selection.options(&config.missing) };
        engine::sync(ports, &config.push, &options, stop).await
    };
    push(context, RunKind::Sync, args.transport, &args.outcome, run).await
}

/// How a command that pushes takes the lock, and what it prints.
#[derive(Debug, clap::Args)]
pub(super) struct OutcomeArgs {
    /// Wait while another run holds this store, instead of exiting with 5
    #[arg(long)]
    wait: bool,
    /// Print the report as JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// Takes the lock, runs what pushes, and tells of it: the report, then notifications.
pub(super) async fn push(
    context: &Context,
    kind: RunKind,
    transport: wiring::TransportPolicy,
    args: &OutcomeArgs,
    run: impl AsyncFnOnce(Ports<'_>, &Config, watch::Receiver<bool>) -> Result<Report, EngineError>,
) -> Result<Exit, Failure> {
    let console = &context.console;
    let config = wiring::config_to_send(&context.config, transport)?;
    let outbox = notifying::outbox(&config.notify)?;
    let PoliteStop { asked: stop, thread: _listening } = signals::polite_stop(
        console,
        "stopping: calls in flight end and are recorded, nothing new is sent (a second signal ends the process \
         at once)",
    )?;
    let waits = Waits::default();
    let display = ProgressDisplay::start(console, &waits, &config.ledger);
    let locked = lock(console, &config, args.wait, &waits, stop.clone()).await?;
    let traces = Traces::start();
    let traced = TracedRun { sync: &config.name, kind, trigger: Trigger::Manual, waits: &waits };
    let trace = traces.run(&traced);
    let observe = |progress: &Progress| {
        trace.observe(progress);
        display.update(progress);
    };
    let run = async |ports: Ports<'_>| run(ports, &config, stop).await;
    let pushed = under_lock(console, &config, locked, &waits, &observe, run).await;
    drop((trace, display));
    console.begin("printing the report");
    let shown = match pushed {
        Ok((report, took)) => show(console, &config, args.json, &report, took).await,
        Err(failure) => Err(failure),
    };
    let exit = shown.unwrap_or_else(|failure| failure.show(console));
    // Everything else is done by now: what is told of the run delays none of it.
    console.begin("sending notifications and traces");
    if let Some(run_id) = console.opened_run() {
        let subject = Subject { sync: config.name.clone(), store: config.store.name.clone() };
        notifying::after_run(&outbox, &config.ledger, &subject, run_id, 0, SystemClock.now()).await;
    }
    tokio::join!(outbox.drain(), traces.end());
    Ok(exit)
}

/// Prints the report of a run, and returns the exit code.
async fn show(
    console: &Console,
    config: &Config,
    json: bool,
    report: &Report,
    took: Duration,
) -> Result<Exit, Failure> {
    let ending = Ending { report, took };
    let exit = Exit::of_run(report);
    let printed = if json {
        console.json(&view::sync::json(ending))
    } else {
        console.report_or_warnings(&view::sync::text(ending, console.paint()), exit, &report.warnings)
    };
    // A report that cannot be printed does not change what the run did, nor its exit code.
    if let Err(error) = printed {
        console.error(&format!("the report could not be printed: {error}"));
        console.note(&format!("run {} itself {}", report.run_id, report.status));
    }
    if console.is_quiet() && !json && exit == Exit::Partial {
        list_failures(console, config, report).await?;
    }
    if let Some(hint) = view::sync::hint(report) {
        match exit {
            Exit::Done => console.hint(&hint),
            _ => console.remedy(&hint),
        }
    }
    Ok(exit)
}

/// Lists the values that did not land, and those that are still rejected. Without the log lines, the report only counts
/// them.
async fn list_failures(console: &Console, config: &Config, report: &Report) -> Result<(), Failure> {
    let audit = wiring::existing_audit(&config.ledger).await?;
    let failures = audit.list(RunList::FAILURES, report.run_id, LISTED).await?;
    let invalid = audit.list(RunList::INVALID_ROWS, report.run_id, LISTED).await?;
    let totals = audit.run_totals(report.run_id, RunList::FAILURES).await?;
    let all = format!("`attrsync runs {} --limit 1000` lists them", report.run_id);
    console.out(&view::audit::failures(&failures, &invalid, totals, &all, console.width())?)?;
    let counts = &report.counts;
    let Some(store_id) = audit.store_id(&config.store.name).await? else { return Ok(()) };
    if counts.still_rejected > counts.acknowledged {
        let mut rejected = audit.rejected(store_id, KeyScope::default(), LISTED).await?.values;
        rejected.retain(|value| value.run_id != report.run_id && !value.acknowledged);
        let (standings, names) = (BTreeMap::new(), BTreeMap::new());
        let rows = view::rejected::text(&rejected, &standings, &names, console.width());
        console.out(&format!("\nstill rejected\n{rows}"))?;
    }
    Ok(())
}
