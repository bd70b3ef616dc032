//! Undoes a run: sends the values that the store held before it, as a run of its own.
//!
//! No guard is asked: the values were in the store before, and a person names the run. The canary is sent first, as
//! for any large plan.

use tokio::sync::watch;

use super::ports::{EngineError, Options, Ports};
use super::sync::{Report, Task, carry_out};
use super::undo_plan::find;
use crate::config::PushConfig;
use crate::ledger::NewRun;
use crate::record::RunKind;

/// Sends the values that the store held before a run. What was changed since is left alone. What the source does not desire
/// is pinned.
///
/// # Errors
/// The run cannot be undone, and no run was opened. Or what kept the undo from being planned or recorded.
pub async fn undo(
    ports: Ports<'_>,
    config: &PushConfig,
    options: &Options,
    run_id: i64,
    stop: watch::Receiver<bool>,
) -> Result<Report, EngineError> {
    let run = find(ports.ledger, run_id, true).await?;
    let new = NewRun {
        kind: RunKind::Undo,
        trigger: options.trigger,
        started_at: ports.clock.now(),
        // It does not make the store equal the source.
        filtered: true,
        scheduled: None,
        of_run_id: Some(run_id),
    };
    carry_out(ports, config, options, &new, Task::Undo(&run), stop).await
}
