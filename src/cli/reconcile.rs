//! `attrsync reconcile`: reads the store's values back. It edits the ledger only.

use std::io;
use std::sync::{Mutex, PoisonError};

use super::context::Context;
use super::customer_id::customer_id;
use super::exit::Exit;
use super::failure::Failure;
use super::signals::PoliteStop;
use super::view::console::Console;
use super::view::document::{self, Document};
use super::view::progress::ProgressDisplay;
use super::view::reconcile::Ending;
use super::{locked, notifying, signals, view, wiring};
use crate::clock::{Clock as _, SystemClock};
use crate::engine::{self, Finding, FindingKind, Ports, Progress, ReadConfig, ReconcileOptions, Reconciled};
use crate::notify::Subject;
use crate::record::{RunKind, RunStatus, Trigger};
use crate::traces::{TracedRun, Traces};
use crate::waits::Waits;

/// What `--help` adds.
const EXAMPLES: &str = "\
It reads the store and edits the ledger; only `attrsync sync` writes to the
store. A value that differs is read a second time before it counts. What is done
about it: [drift] policy. --adopt records what the store holds for the keys of
your table, so that the first sync sends true differences only. A run that was
stopped or killed goes on where it was.

Examples:
  attrsync reconcile --adopt              once, before the first sync
  attrsync reconcile                      what others changed in the store
  attrsync reconcile --customer 12        one customer
  attrsync reconcile --adopt --json       every value with its difference

Exit codes: 0 done, 1 failed or stopped, 3 values drifted and were left as they
are, 5 another run holds this store, 64 wrong usage or configuration.";

/// Arguments of `reconcile`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Record values that the store holds for keys of the source, and the ledger does not know
    #[arg(long)]
    adopt: bool,
    /// Only this customer; may be given several times
    #[arg(long = "customer", value_name = "ID", value_parser = customer_id)]
    customers: Vec<i64>,
    /// Only this attribute; may be given several times
    #[arg(long = "attribute", value_name = "ID|NAME")]
    attributes: Vec<String>,
    /// Wait while another run holds this store, instead of exiting with 5
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    transport: wiring::TransportPolicy,
    /// Print every finding and the counts as JSON
    #[arg(long)]
    pub(super) json: bool,
}

impl Args {
    /// The engine's options. An attribute that reads as a number is an id, anything else is a name.
    fn options(&self) -> ReconcileOptions {
        let mut options = ReconcileOptions { adopt: self.adopt, ..ReconcileOptions::default() };
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
    let outbox = notifying::outbox(&config.notify)?;
    let PoliteStop { asked: stop, thread: _listening } = signals::polite_stop(
        console,
        "stopping: what was read is kept, and the next one goes on from there (a second signal ends the process at \
         once)",
    )?;
    let waits = Waits::default();
    let display = ProgressDisplay::start(console, &waits, &config.ledger);
    let locked = locked::lock(console, &config, args.wait, &waits, stop.clone()).await?;
    let read = ReadConfig { push: &config.push, drift: &config.drift };
    let mut document = document::on(console);
    document.begin_list("findings");
    let document = Mutex::new(document);
    let tell = |finding: &Finding| {
        if args.json {
            document.lock().unwrap_or_else(PoisonError::into_inner).item(finding);
        }
    };
    let (traces, options) = (Traces::start(), args.options());
    let (kind, trigger) = (RunKind::Reconcile, Trigger::Manual);
    let trace = traces.run(&TracedRun { sync: &config.name, kind, trigger, waits: &waits });
    let observe = |progress: &Progress| {
        trace.observe(progress);
        display.update(progress);
    };
    let reconcile = async |ports: Ports<'_>| engine::reconcile(ports, read, &options, &tell, stop).await;
    let ended = locked::under_lock(console, &config, locked, &waits, &observe, reconcile).await;
    drop((trace, display));
    console.begin("printing the report");
    let document = document.into_inner().unwrap_or_else(PoisonError::into_inner);
    let shown = ended.and_then(|(reconciled, took)| {
        let ending = Ending { reconciled: &reconciled, took };
        show(console, args, document, ending)
    });
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

/// Prints what a reading found, and returns the exit code.
fn show<P: FnMut(&str) -> io::Result<bool>>(
    console: &Console,
    args: &Args,
    mut document: Document<P>,
    ending: Ending<'_>,
) -> Result<Exit, Failure> {
    let exit = exit_of(ending.reconciled);
    if args.json {
        document.end_list();
        view::reconcile::fields(&mut document, ending, exit);
        document.end()?;
    } else {
        console.report(&view::reconcile::text(ending, args.adopt, console.paint()), exit)?;
    }
    if let Some(hint) = view::reconcile::hint(ending.reconciled, args.adopt) {
        console.hint(&hint);
    }
    Ok(exit)
}

/// The exit code of a reading.
fn exit_of(reconciled: &Reconciled) -> Exit {
    match reconciled.status {
        RunStatus::Succeeded if reconciled.count(FindingKind::DriftReport) > 0 => Exit::Partial,
        RunStatus::Succeeded => Exit::Done,
        _ => Exit::Failed,
    }
}
