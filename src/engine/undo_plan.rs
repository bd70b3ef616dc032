//! The plan of an undo: for a person to read, or for an open run to send.

use super::emails::{self, ByEmail, LookUp};
use super::forecast::{Forecast, ForecastPorts, Warned};
use super::inputs::{request_limit, resolve};
use super::plan_writer::PlanWriter;
use super::ports::{EngineError, Options, Ports, Progress};
use super::store_changes::{self, StoreChanges};
use super::sync_plan::{Compared, Plan};
use super::undo_planning::{UndoInputs, draft};
use super::undone::Undone;
use crate::config::PushConfig;
use crate::ledger::LedgerReader;
use crate::plan::saved::Refusal;
use crate::plan::summary::Summary;
use crate::plan::undo::undoable;
use crate::plan::wrong_type::WrongTypes;
use crate::record::RunToUndo;

/// How many conflicts a report of a run has as invalid rows. They are listed apart.
const INVALID_SHOWN: usize = 0;

/// Returns what an undo would do, with at most `sample` changes. Nothing is written.
///
/// # Errors
/// The run cannot be undone, or what could not be read.
pub async fn plan_undo(
    ports: ForecastPorts<'_>,
    ledger: &dyn LedgerReader,
    config: &PushConfig,
    options: &Options,
    run_id: i64,
    sample: usize,
) -> Result<(Forecast, Undone), EngineError> {
    let by_email = ByEmail::over(ports.source, Some(ledger));
    let ForecastPorts { source, destination, clock, progress, waits, .. } = ports;
    let source = by_email.as_ref().map_or(source, |source| source);
    let run = find(ledger, run_id, false).await?;
    let attributes = store_changes::attributes(Some(ledger), destination, config, waits).await?;
    let mut filter = resolve(options, &attributes)?;
    emails::require_selected(source, Some(ledger), options).await?;
    if let Some(by_email) = &by_email {
        let look_up = LookUp { source, ledger: Some(ledger), destination, config, clock, progress, waits };
        emails::select(look_up, by_email, options, &mut filter, emails::Kept::With(by_email)).await?;
    }
    let StoreChanges { names, .. } =
        store_changes::look(ledger, destination, config, waits, &attributes, &filter).await?;
    let now = clock.now();
    let summary =
        Summary::new(request_limit(Some(ledger), config, now).await?, sample, WrongTypes::default());
    let writer = PlanWriter::counting(summary);
    let progress = |counts| progress(Progress::Planning(counts));
    let inputs = UndoInputs {
        ledger,
        source,
        destination,
        config,
        waits,
        run: &run,
        attributes: &attributes,
        filter: &filter,
        names: &names,
        now,
    };
    let (planned, undone) = draft(inputs, writer, &progress).await?;
    let warned = Warned { warnings: Vec::new(), exceeded: Vec::new() };
    Ok((Forecast::of(planned, &attributes, warned, destination.allowance(), now), undone))
}

/// Plans the way back for an open run.
pub(super) async fn plan(
    ports: Ports<'_>,
    config: &PushConfig,
    options: &Options,
    run_id: i64,
    run: &RunToUndo,
) -> Result<(Plan, Undone), EngineError> {
    let by_email = ByEmail::over(ports.source, Some(ports.ledger));
    let ports = Ports { source: by_email.as_ref().map_or(ports.source, |source| source), ..ports };
    let Ports { source, ledger, destination, waits, .. } = ports;
    while ledger.remove_unsent(run_id, ports.clock.now()).await? {}
    let attributes = store_changes::attributes(Some(ledger), destination, config, waits).await?;
    let mut filter = resolve(options, &attributes)?;
    if let Some(by_email) = &by_email {
        let kept = emails::Kept::InLedger(ledger, run_id);
        emails::select(LookUp::of_run(ports, config), by_email, options, &mut filter, kept).await?;
    }
    let changes = store_changes::record(ports, config, run_id, &attributes, &filter).await?;
    let notices = changes.notices().cloned().collect();
    let now = ports.clock.now();
    let summary =
        Summary::new(request_limit(Some(ledger), config, now).await?, INVALID_SHOWN, WrongTypes::default());
    let writer = PlanWriter::saving(ledger, run_id, summary);
    let progress = |counts| (ports.progress)(Progress::Planning(counts));
    let inputs = UndoInputs {
        ledger,
        source,
        destination,
        config,
        waits,
        run,
        attributes: &attributes,
        filter: &filter,
        names: &changes.names,
        now,
    };
    let (planned, undone) = draft(inputs, writer, &progress).await?;
    let compared = Compared::InFull { digest: None };
    let plan = Plan { planned, compared, notices, warnings: Vec::new(), exceeded: Vec::new(), attributes };
    Ok((plan, undone))
}

/// Finds the run, if it can be undone. `has_lock`: the store's lock is held.
pub(super) async fn find(
    ledger: &dyn LedgerReader,
    run_id: i64,
    has_lock: bool,
) -> Result<RunToUndo, EngineError> {
    let run = undoable(run_id, ledger.run_to_undo(run_id).await?, has_lock);
    run.map_err(|Refusal { problem, hint }| EngineError::Refused { problem, hint })
}
