//! The life of a run that reads the store: it is opened, finds the store changes first, and is closed.

use tokio::sync::watch;

use super::finding::Reconciled;
use super::reads::{End, ReadConfig, Reads, ReconcileOptions, Tell};
use crate::engine::inputs::{drift_policies, resolve};
use crate::engine::ports::{EngineError, Options, Ports, Progress};
use crate::engine::store_changes;
use crate::error_chain::with_causes;
use crate::failpoint;
use crate::ledger::NewRun;
use crate::record::{RunKind, RunStatus, Trigger};

/// Opens a run of this kind.
pub(super) async fn open(ports: Ports<'_>, trigger: Trigger, filtered: bool) -> Result<i64, EngineError> {
    let started_at = ports.clock.now();
    let new =
        NewRun { kind: RunKind::Reconcile, trigger, started_at, filtered, scheduled: None, of_run_id: None };
    let interrupted = ports.ledger.unclosed_run().await?;
    let run_id = ports.ledger.open_run(&new).await?;
    if let Some(before) = interrupted {
        (ports.progress)(Progress::FoundInterrupted(before));
    }
    (ports.progress)(Progress::Opened(run_id));
    failpoint::reach("run-opened");
    Ok(run_id)
}

/// Closes the run, and completes what was found.
pub(super) async fn close(
    ports: Ports<'_>,
    mut found: Reconciled,
    ended: Result<(), End>,
) -> Result<Reconciled, EngineError> {
    let (status, message, error) = match ended {
        Ok(()) => (RunStatus::Succeeded, found.summary(), None),
        Err(End::Stopped) => {
            let message = "asked to stop while it read the store; the next one goes on from here";
            (RunStatus::Stopped, message.to_owned(), None)
        }
        Err(End::Failed(error)) => (RunStatus::Failed, with_causes(&error), Some(error)),
    };
    let waits = ports.waits.totals();
    let recorded = async {
        if !waits.is_empty() {
            ports.ledger.record_waits(found.run_id, &waits).await?;
        }
        ports.ledger.close_run(found.run_id, status, Some(&message), ports.clock.now()).await
    };
    let closed = recorded.await;
    (ports.progress)(Progress::Ended(if closed.is_ok() { status } else { RunStatus::Failed }));
    if let Some(error) = error {
        return Err(error);
    }
    closed?;
    (found.status, found.message) = (status, message);
    Ok(found)
}

/// Finds the store changes, and returns what the reads of the run are made with.
pub(super) async fn reads<'a>(
    ports: Ports<'a>,
    config: ReadConfig<'a>,
    options: &ReconcileOptions,
    tell: Option<Tell<'a>>,
    stop: watch::Receiver<bool>,
    run_id: i64,
) -> Result<Reads<'a>, End> {
    let ReconcileOptions { filter, attribute_names, .. } = options;
    let options =
        Options { filter: filter.clone(), attribute_names: attribute_names.clone(), ..Options::default() };
    let Ports { ledger, destination, waits, .. } = ports;
    let attributes = store_changes::attributes(Some(ledger), destination, config.push, waits).await?;
    let filter = resolve(&options, &attributes)?;
    let changes = store_changes::record(ports, config.push, run_id, &attributes, &filter).await?;
    let policies = drift_policies(config.drift, &attributes)?;
    Ok(Reads { ports, config, run_id, filter, names: changes.names, policies, tell, stop })
}
