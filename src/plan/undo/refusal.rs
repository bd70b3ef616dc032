//! Whether a run can be undone.

use crate::plan::saved::Refusal;
use crate::record::{RunKind, RunToUndo};

/// Returns the run if it can be undone. `has_lock`: the store's lock is held, so that no other run is active.
///
/// # Errors
/// Why it cannot.
pub fn undoable(run_id: i64, run: Option<RunToUndo>, has_lock: bool) -> Result<RunToUndo, Refusal> {
    let refuse = |problem: String, hint: &str| Err(Refusal { problem, hint: hint.to_owned() });
    let Some(run) = run else {
        return refuse(format!("there is no run {run_id}"), "`attrsync runs` lists them");
    };
    if !run.is_of_store {
        let hint = "name the configuration of its store with --config";
        return refuse(format!("run {run_id} is of another store"), hint);
    }
    if !run.has_ended && !has_lock {
        let hint = "wait until it has; if its process was killed, `attrsync undo RUN --apply` needs no wait";
        return refuse(format!("run {run_id} has not ended yet"), hint);
    }
    if run.sent == 0 {
        let hint = match run.kind {
            RunKind::Plan => {
                "its plan changes nothing before it is applied; `attrsync runs` lists the runs that applied one"
            }
            _ => "`attrsync runs` shows how many changes each run has confirmed",
        };
        let problem = format!(
            "run {run_id} has sent no change, so there is nothing to undo: it is of kind {} and {}",
            run.kind, run.status
        );
        return refuse(problem, hint);
    }
    Ok(run)
}
