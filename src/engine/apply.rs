//! Applies the plan of an earlier run: a saved one, or one that a guard blocked.
//!
//! Source and ledger are compared as for a sync. Of the differences, those are sent that the earlier run has planned too.

use tokio::sync::watch;

use super::applied::Applying;
use super::ports::{EngineError, Options, Ports};
use super::sync::{Report, Task, carry_out};
use crate::config::PushConfig;
use crate::ledger::NewRun;
use crate::plan::saved::{Refusal, applicable};
use crate::record::RunKind;

/// Sends those changes of an earlier run's plan that still hold. If others do not, the run ends as failed before its first
/// write request, unless `skip_conflicts` is set.
///
/// # Errors
/// The plan cannot be applied, and no run was opened. Or what kept the run from being planned or recorded.
pub async fn apply(
    ports: Ports<'_>,
    config: &PushConfig,
    options: &Options,
    run_id: i64,
    skip_conflicts: bool,
    stop: watch::Receiver<bool>,
) -> Result<Report, EngineError> {
    let now = ports.clock.now();
    let plan = applicable(run_id, ports.ledger.plan_of_run(run_id).await?, now);
    let plan = plan.map_err(|Refusal { problem, hint }| EngineError::Refused { problem, hint })?;
    let new = NewRun {
        kind: RunKind::Apply,
        trigger: options.trigger,
        started_at: now,
        // A saved plan may be days old: what is sent does not make the store equal the source.
        filtered: plan.filtered || plan.kind == RunKind::Plan,
        scheduled: None,
        of_run_id: Some(run_id),
    };
    let applying = Applying::new(plan, skip_conflicts);
    carry_out(ports, config, options, &new, Task::Apply(&applying), stop).await
}
