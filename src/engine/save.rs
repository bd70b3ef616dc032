//! Makes the plan of a sync and leaves it in the ledger, for a person to read and for another run to apply.

use super::forecast::{Forecast, Warned};
use super::ports::{EngineError, Options, PlanOutput, Ports, Progress};
use super::sync_plan::{self, Plan, Purpose};
use crate::config::PushConfig;
use crate::error_chain::with_causes;
use crate::failpoint;
use crate::ledger::NewRun;
use crate::record::{RunKind, RunStatus, Warning};

/// A plan that was saved.
#[derive(Debug)]
pub struct Saved {
    /// The run that has it.
    pub run_id: i64,
    /// What it would do, with the first changes and invalid rows.
    pub forecast: Forecast,
}

/// Plans as a sync does, and saves the plan. `output` takes every change. Nothing is sent. A run that was opened is closed if the ledger can be written: as
/// failed if this returns an error.
///
/// # Errors
/// What kept the plan from being made or saved.
pub async fn save(
    ports: Ports<'_>,
    config: &PushConfig,
    options: &Options,
    sample: usize,
    output: Option<&dyn PlanOutput>,
) -> Result<Saved, EngineError> {
    let new = NewRun {
        kind: RunKind::Plan,
        trigger: options.trigger,
        started_at: ports.clock.now(),
        filtered: !options.filter.is_empty() || !options.attribute_names.is_empty(),
        scheduled: None,
        of_run_id: None,
    };
    let interrupted = ports.ledger.unclosed_run().await?;
    let run_id = ports.ledger.open_run(&new).await?;
    if let Some(before) = interrupted {
        (ports.progress)(Progress::FoundInterrupted(before));
    }
    (ports.progress)(Progress::Opened(run_id));
    failpoint::reach("run-opened");
    let close = async |status: RunStatus, message: Option<&str>| {
        ports.ledger.close_run(run_id, status, message, ports.clock.now()).await
    };
    match plan(ports, config, options, Purpose::Save { sample, output }, run_id).await {
        Ok((forecast, message)) => {
            close(RunStatus::Saved, message.as_deref()).await?;
            Ok(Saved { run_id, forecast })
        }
        Err(error) => {
            // If the run cannot be closed either, the next run finds it interrupted.
            let _ = close(RunStatus::Failed, Some(&with_causes(&error))).await;
            Err(error)
        }
    }
}

/// Plans and seals the plan. Returns what a person should know of it besides.
async fn plan(
    ports: Ports<'_>,
    config: &PushConfig,
    options: &Options,
    purpose: Purpose<'_>,
    run_id: i64,
) -> Result<(Forecast, Option<String>), EngineError> {
    let plan = sync_plan::plan(ports, config, options, run_id, purpose).await?;
    plan.seal(ports, run_id).await?;
    failpoint::reach("plan-saved");
    let Plan { planned, notices, warnings, exceeded, attributes, .. } = plan;
    let words: Vec<String> = notices.into_iter().chain(warnings.iter().map(Warning::to_string)).collect();
    let message = (!words.is_empty()).then(|| words.join("; "));
    let allowance = ports.destination.allowance();
    let warned = Warned { warnings, exceeded };
    Ok((Forecast::of(planned, &attributes, warned, allowance, ports.clock.now()), message))
}
