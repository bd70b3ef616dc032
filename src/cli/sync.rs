//! `attrsync sync`: plans, then pushes the changes.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::context::Context;
use super::exit::Exit;
use super::failure::Failure;
use super::plan::Selection;
use super::signals::PoliteStop;
use super::view::console::Console;
use super::view::progress::ProgressDisplay;
use super::view::sync::Ending;
use super::wiring::{self, LockedLedger};
use super::{notifying, signals, view};
use crate::clock::{Clock as _, SystemClock};
use crate::config::Config;
use crate::engine::{self, Options, Ports, Progress, Report};
use crate::ledger::LedgerError;
use crate::ledger::audit::RunList;
use crate::notify::Subject;
use crate::record::{KeyScope, RunKind, RunStatus, WaitReason};
use crate::traces::{RunTrace, TracedRun, Traces};
use crate::tries::Tries;
use crate::waits::Waits;

/// How often `--wait` tries to take the lock.
const POLL: Duration = Duration::from_millis(250);

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
    /// Wait while another run holds this store, instead of exiting with 5
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    transport: wiring::TransportPolicy,
    /// Print the report as JSON
    #[arg(long)]
    pub(super) json: bool,
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<Exit, Failure> {
    let console = &context.console;
    let config = wiring::config_to_send(&context.config, args.transport)?;
    let outbox = notifying::outbox(&config.notify)?;
    let PoliteStop { asked: stop, thread: _listening } = signals::polite_stop(
        console,
        "stopping: calls in flight end and are recorded, nothing new is sent (a second signal ends the process \
         at once)",
    )?;
    let waits = Waits::default();
    let display = ProgressDisplay::start(console, &waits, &config.ledger);
    let Some(locked) = lock(console, &config, args.wait, &waits, stop.clone()).await? else {
        return Err(Failure::ended(
            RunStatus::Stopped,
            "stopped while waiting for the store; nothing was sent",
        ));
    };
    let options = Options { guard: config.guard.clone(), ..args.selection.options() };
    let traces = Traces::start();
    let run = TracedRun { sync: &config.name, kind: RunKind::Sync, trigger: options.trigger, waits: &waits };
    let observers = Observers { display, trace: traces.run(&run) };
    let pushed = push(console, &config, locked, &options, &waits, &observers, stop).await;
    drop(observers);
    console.begin("printing the report");
    let shown = match pushed {
        Ok((report, took)) => show(console, &config, args, &report, took).await,
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
    args: &Args,
    report: &Report,
    took: Duration,
) -> Result<Exit, Failure> {
    let ending = Ending { report, took };
    let exit = Exit::of_run(report);
    let printed = if args.json {
        console.json(&view::sync::json(ending))
    } else {
        console.report_or_warnings(&view::sync::text(ending, console.paint()), exit, &report.warnings)
    };
    // A report that cannot be printed does not change what the run did, nor its exit code.
    if let Err(error) = printed {
        console.error(&format!("the report could not be printed: {error}"));
        console.note(&format!("run {} itself {}", report.run_id, report.status));
    }
    if console.is_quiet() && !args.json && exit == Exit::Partial {
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

/// Those who are told what happens in the run.
struct Observers {
    display: ProgressDisplay,
    trace: RunTrace,
}

/// Runs a sync under the lock, which ends with it. Returns its report and how long the run took, as `runs` shows it: without
/// the wait for the lock.
async fn push(
    console: &Console,
    config: &Config,
    locked: LockedLedger,
    options: &Options,
    waits: &Waits,
    observers: &Observers,
    stop: watch::Receiver<bool>,
) -> Result<(Report, Duration), Failure> {
    if let Some(place) = &locked.created {
        console.note(&format!("made a new ledger: {place}"));
    }
    let source = wiring::source(&config.source, waits)?;
    let store = wiring::store(config, waits)?;
    let opened = OnceLock::new();
    let progress = |progress| {
        if let Progress::Opened(run_id) = progress {
            console.run_opened(run_id);
            opened.get_or_init(Instant::now);
        }
        observers.trace.observe(&progress);
        observers.display.update(&progress);
    };
    let ports = Ports {
        source: &source,
        ledger: &*locked.ledger,
        destination: &store,
        clock: &SystemClock,
        progress: &progress,
        waits,
    };
    let report = Box::pin(engine::sync(ports, &config.push, options, stop)).await?;
    Ok((report, opened.get().map_or(Duration::ZERO, Instant::elapsed)))
}

/// Takes the store's lock and opens the ledger. Returns `None` if a stop was asked for while it waited.
async fn lock(
    console: &Console,
    config: &Config,
    wait: bool,
    waits: &Waits,
    mut stop: watch::Receiver<bool>,
) -> Result<Option<LockedLedger>, Failure> {
    let mut waiting = None;
    let mut tries = Tries::new(WaitReason::Ledger, config.source.give_up_after);
    loop {
        let opened = tokio::select! {
            opened = wiring::ledger(&config.ledger, &config.store.name, config.push.give_up_after) => opened,
            Ok(_) = stop.wait_for(|stop| *stop) => return Ok(None),
        };
        match opened {
            Ok(ledger) => return Ok(Some(ledger)),
            Err(LedgerError::Locked { holder }) if wait => {
                if waiting.is_none() {
                    console.note(&format!("waiting for {holder}, which holds this store"));
                    waiting = Some(waits.begin(WaitReason::Lock, None, holder));
                }
            }
            Err(error) if error.may_pass() => {
                let again = tokio::select! {
                    again = tries.wait(&error, waits) => again,
                    Ok(_) = stop.wait_for(|stop| *stop) => return Ok(None),
                };
                if again {
                    continue;
                }
                return Err(Failure::from(error).and(&tries.count()));
            }
            Err(error) => return Err(error.into()),
        }
        tokio::select! {
            () = tokio::time::sleep(POLL) => {}
            Ok(_) = stop.wait_for(|stop| *stop) => return Ok(None),
        }
    }
}
