//! `attrsync sync`: plans, then pushes what changed.

use std::time::{Duration, Instant};

use chrono::Utc;
use tokio::sync::watch;

use super::failure::Failure;
use super::plan::Keys;
use super::view::progress::Shown;
use super::view::sync::Ending;
use super::wiring::OpenLedger;
use super::{Common, Exit, signals, view, wiring};
use crate::config::Config;
use crate::engine::{self, Options, Ports, Report};
use crate::ledger::LedgerError;
use crate::record::RunStatus;

/// How often a held store is tried again.
const POLL: Duration = Duration::from_millis(250);

/// Arguments of `sync`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    keys: Keys,
    /// Send the values again that the store refused before
    #[arg(long)]
    retry_rejected: bool,
    /// Believe nothing that the ledger says: after a restored backup or a database failover
    #[arg(long)]
    distrust: bool,
    /// Wait while another run holds this store, instead of exiting with 5
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    reach: wiring::Reach,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(common: &Common, args: &Args) -> Result<Exit, Failure> {
    let config = wiring::config_to_send(&common.config, args.reach)?;
    let options = args.keys.options(args.retry_rejected, args.distrust);
    let stop = signals::polite_stop(
        "stopping: what is on its way is finished, nothing new is begun (once more to leave at once)",
    )?;
    let started = Instant::now();
    let Some(held) = hold(&config, args.wait, stop.clone()).await? else {
        return Err(Failure::new("stopped while waiting for the store; nothing was sent"));
    };
    let report = push(&config, held, &options, stop, common.quiet).await?;
    let ending = Ending { report: &report, took: started.elapsed() };
    let printed = if args.json {
        view::json(&view::sync::json(ending))
    } else {
        view::out(&view::sync::text(ending, view::paint()))
    };
    // What the run did stands, whether or not anybody can read of it: its exit code must not change.
    if let Err(failure) = printed {
        view::error(&format!("the report could not be printed: {}", failure.whole()));
        view::note(&format!("run {} itself {}", report.run_id, report.status));
    }
    if let Some(hint) = view::sync::hint(&report) {
        let say = if report.status == RunStatus::Partial { view::hint } else { view::way_out };
        say(&hint);
    }
    Ok(Exit::of_run(&report))
}

/// Opens the ledger and pushes. The lock is given up at the end.
pub(super) async fn push(
    config: &Config,
    held: OpenLedger,
    options: &Options,
    stop: watch::Receiver<bool>,
    quiet: bool,
) -> Result<Report, Failure> {
    if let Some(place) = &held.created {
        view::note(&format!("made a new ledger: {place}"));
    }
    let source = wiring::source(config)?;
    let store = wiring::store(config)?;
    let shown = Shown::start(quiet);
    let ports = Ports {
        source: &source,
        ledger: &*held.ledger,
        destination: &store,
        now: &Utc::now,
        progress: &|progress| shown.update(progress),
    };
    Ok(Box::pin(engine::sync(ports, &config.push, options, stop)).await?)
}

/// Takes the store's lock, waiting for it where that is asked for. `None`: asked to stop while waiting.
pub(super) async fn hold(
    config: &Config,
    wait: bool,
    mut stop: watch::Receiver<bool>,
) -> Result<Option<OpenLedger>, Failure> {
    let mut told = false;
    loop {
        match wiring::ledger(config).await {
            Ok(ledger) => return Ok(Some(ledger)),
            Err(LedgerError::Locked { holder }) if wait => {
                if !told {
                    view::note(&format!("waiting for {holder}"));
                    told = true;
                }
            }
            Err(error) => return Err(error.into()),
        }
        tokio::select! {
            () = tokio::time::sleep(POLL) => {}
            Ok(_) = stop.wait_for(|stop| *stop) => return Ok(None),
        }
    }
}
