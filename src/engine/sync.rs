//! One sync, from the source's snapshot to the report.

use futures_util::FutureExt as _;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::applied::{Applied, Applying};
use super::emails;
use super::inputs::resolve;
use super::planning::Planned;
use super::ports::{EngineError, Options, Ports, Progress};
use super::stop::{Ending, asked_to_stop};
use super::sync_plan::{self, Compared, Plan, Purpose};
use super::undone::Undone;
use super::{existence, guard, push, undo_plan};
use crate::config::PushConfig;
use crate::error_chain::with_causes;
use crate::failpoint;
use crate::ledger::NewRun;
use crate::plan::guard::Exceeded;
use crate::plan::summary::Summary;
use crate::push::{End, ExtraRequests, Start};
use crate::record::{Counts, InvalidRow, RunKind, RunStatus, RunToUndo, WaitTotal, Warning};
use crate::waits::CurrentWait;

/// How many pins end in one transaction.
const PINS_AT_ONCE: usize = 2_000;

/// How a run ended.
#[derive(Debug, Clone)]
pub struct Report {
    /// The run's id in the ledger.
    pub run_id: i64,
    /// Its status.
    pub status: RunStatus,
    /// Its counts.
    pub counts: Counts,
    /// Whether the source had the digest of the run before, so that no row was compared.
    pub by_digest: bool,
    /// Write requests that sending every desired value would have taken.
    pub requests_without_ledger: u64,
    /// Why it ended early, for a person.
    pub message: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
    /// What a person should look at.
    pub warnings: Vec<Warning>,
    /// The limits that its plan exceeds: a guard blocked the run.
    pub exceeded: Vec<Exceeded>,
    /// How it went on its way.
    pub course: Course,
}

/// What happened in a run besides its counts.
#[derive(Debug, Clone, Default)]
pub struct Course {
    /// The run before, if it was interrupted.
    pub interrupted: Option<i64>,
    /// Write requests of the plan, if nothing fails.
    pub planned_requests: u64,
    /// Why there were more.
    pub extra: ExtraRequests,
    /// The first invalid rows.
    pub invalid_sample: Vec<InvalidRow>,
    /// How long the run waited.
    pub waits: Vec<WaitTotal>,
    /// How the plan of another run was applied.
    pub applied: Option<Applied>,
    /// How another run was undone.
    pub undone: Option<Undone>,
}

/// Plans, then pushes. A run that was opened is closed if the ledger can be written: as failed if this returns an
/// error. `stop` turns true when the run is asked to end: requests on the wire are completed, and nothing new is
/// prepared.
///
/// # Errors
/// What kept the run from being planned or recorded.
pub async fn sync(
    ports: Ports<'_>,
    config: &PushConfig,
    options: &Options,
    stop: watch::Receiver<bool>,
) -> Result<Report, EngineError> {
    let new = NewRun {
        kind: RunKind::Sync,
        trigger: options.trigger,
        started_at: ports.clock.now(),
        filtered: options.is_filtered(),
        scheduled: options.scheduled.clone(),
        of_run_id: None,
    };
    carry_out(ports, config, options, &new, Task::Sync, stop).await
}

/// What a run sends.
#[derive(Clone, Copy)]
pub(super) enum Task<'a> {
    /// The difference between source and ledger.
    Sync,
    /// What of the plan of another run still holds.
    Apply(&'a Applying),
    /// The values from before another run.
    Undo(&'a RunToUndo),
}

/// Opens a run, plans, pushes, and closes the run.
pub(super) async fn carry_out(
    ports: Ports<'_>,
    config: &PushConfig,
    options: &Options,
    new: &NewRun,
    task: Task<'_>,
    stop: watch::Receiver<bool>,
) -> Result<Report, EngineError> {
    failpoint::reach("ledger-open");
    require_named_attributes(ports, options).await?;
    emails::require_selected(ports.source, Some(ports.ledger), options).await?;
    let interrupted = ports.ledger.unclosed_run().await?;
    let run_id = ports.ledger.open_run(new).await?;
    if let Some(before) = interrupted {
        (ports.progress)(Progress::FoundInterrupted(before));
    }
    (ports.progress)(Progress::Opened(run_id));
    failpoint::reach("run-opened");
    let ended = match run(ports, config, options, task, stop, run_id).await {
        Ok(ended) => ended,
        Err(error) => {
            let message = with_causes(&error);
            // If the run cannot be closed either, the next run finds it interrupted.
            let _ = close(ports, run_id, RunStatus::Failed, Some(&message)).await;
            (ports.progress)(Progress::Ended(RunStatus::Failed));
            return Err(error);
        }
    };
    failpoint::reach("sent");
    let Ended { end, counts, by_digest, requests_without_ledger, notices, warnings, exceeded, course } =
        ended;
    let End { status, message, hint } = end.checked(&counts);
    let message = message.or_else(|| (!notices.is_empty()).then(|| notices.join("; ")));
    let recorded: Vec<String> =
        message.iter().cloned().chain(warnings.iter().map(Warning::to_string)).collect();
    let recorded = (!recorded.is_empty()).then(|| recorded.join("; "));
    let closed = close(ports, run_id, status, recorded.as_deref()).await;
    (ports.progress)(Progress::Ended(if closed.is_ok() { status } else { RunStatus::Failed }));
    closed?;
    failpoint::reach("closed");
    let course = Course { interrupted, waits: ports.waits.totals(), ..course };
    Ok(Report {
        run_id,
        status,
        counts,
        by_digest,
        requests_without_ledger,
        message,
        hint,
        warnings,
        exceeded,
        course,
    })
}

/// Checks the attributes that a person named, before a run is opened: a wrong name is no failure of the sync. If the store
/// cannot list its attributes now, the run finds out.
async fn require_named_attributes(ports: Ports<'_>, options: &Options) -> Result<(), EngineError> {
    if options.attribute_names.is_empty() && options.filter.attributes.is_empty() {
        return Ok(());
    }
    match ports.destination.attributes().await {
        Ok(listed) if !listed.is_empty() => resolve(options, &listed).map(drop),
        _ => Ok(()),
    }
}

/// How the two phases of a run ended.
struct Ended {
    end: End,
    counts: Counts,
    by_digest: bool,
    requests_without_ledger: u64,
    notices: Vec<String>,
    warnings: Vec<Warning>,
    exceeded: Vec<Exceeded>,
    course: Course,
}

impl Ended {
    /// The end of a run that sent nothing.
    fn while_planning(message: &str, waiting: Option<CurrentWait>) -> Self {
        let waiting = waiting.filter(|wait| !wait.detail.is_empty());
        let waiting =
            waiting.map(|wait| format!("; the run was waiting for the {}: {}", wait.reason, wait.detail));
        let message = format!("{message}{}", waiting.unwrap_or_default());
        Self::with(End::stopped(message))
    }

    /// The end of a run whose plan was discarded.
    fn without_plan(end: End, plan: Plan, applied: Option<Applied>) -> Self {
        let Plan { notices, warnings, .. } = plan;
        Self { notices, warnings, course: Course { applied, ..Course::default() }, ..Self::with(end) }
    }

    fn with(end: End) -> Self {
        Self {
            end,
            counts: Counts::default(),
            by_digest: false,
            requests_without_ledger: 0,
            notices: Vec::new(),
            warnings: Vec::new(),
            exceeded: Vec::new(),
            course: Course::default(),
        }
    }
}

/// Records how long the run waited, and closes it.
async fn close(
    ports: Ports<'_>,
    run_id: i64,
    status: RunStatus,
    message: Option<&str>,
) -> Result<(), EngineError> {
    let waits = ports.waits.totals();
    if !waits.is_empty() {
        ports.ledger.record_waits(run_id, &waits).await?;
    }
    Ok(ports.ledger.close_run(run_id, status, message, ports.clock.now()).await?)
}

/// Plans and pushes one open run.
async fn run(
    ports: Ports<'_>,
    config: &PushConfig,
    options: &Options,
    task: Task<'_>,
    stop: watch::Receiver<bool>,
    run_id: i64,
) -> Result<Ended, EngineError> {
    let deadline = config.max_duration.map(|most| Instant::now() + most);
    let mut asked = stop.clone();
    // The wait is asked for before the plan that waits is dropped.
    let asked = asked_to_stop(&mut asked).map(|()| ports.waits.current());
    let over = sleep_until(deadline.unwrap_or_else(Instant::now)).map(|()| ports.waits.current());
    let (plan, undone) = tokio::select! {
        plan = plan(ports, config, options, task, run_id) => plan?,
        waiting = asked => {
            return Ok(Ended::while_planning("asked to stop while planning; nothing was sent", waiting));
        }
        waiting = over, if deadline.is_some() => {
            let message = "[push] max_duration was over before the plan was made; nothing was sent";
            return Ok(Ended::while_planning(message, waiting));
        }
    };
    failpoint::reach("planned");
    let applied = match task {
        Task::Apply(applying) => Some(applying.applied(plan.planned.seen.selected.as_ref())),
        Task::Sync | Task::Undo(_) => None,
    };
    if let Some(end) = applied.as_ref().and_then(Applied::refusal) {
        ports.ledger.discard_plan(run_id).await?;
        return Ok(Ended::without_plan(end, plan, applied));
    }
    plan.seal(ports, run_id).await?;
    let Plan { planned, compared, notices, warnings, exceeded, .. } = plan;
    let Planned { counts, desired, parts, summary, ended_pins, .. } = planned;
    failpoint::reach("sealed");
    let limit = summary.limit();
    let counts = Counts { deferred: counts.planned, ..counts };
    (ports.progress)(Progress::Planned(counts));
    // The rows that an apply leaves to the next sync are no requests that were saved.
    let requests_without_ledger = if applied.is_some() { 0 } else { limit.requests(desired.0, desired.1) };
    let by_digest = matches!(compared, Compared::ByDigest { .. });
    let planned_requests = summary.requests();
    let Summary { customers, invalid_sample, .. } = summary;
    let course = Course { planned_requests, invalid_sample, applied, undone, ..Course::default() };
    if !exceeded.is_empty() {
        let end = guard::blocked(run_id, &exceeded);
        return Ok(Ended {
            end,
            counts,
            by_digest,
            requests_without_ledger,
            notices,
            warnings,
            exceeded,
            course,
        });
    }
    for keys in ended_pins.chunks(PINS_AT_ONCE) {
        ports.ledger.end_pins(run_id, keys).await?;
    }
    let ends_at = deadline;
    let deadline = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
    let sizes = ports.ledger.request_sizes().await?;
    let canary = options.guard.canary_customers().filter(|canary| customers > *canary as u64);
    let start = Start { counts, limit, sizes, parts, deadline, canary, seed: fastrand::u64(..) };
    let mut ending = Ending { stop: stop.clone(), deadline: ends_at };
    let (end, counts, extra) = push::push(ports, config, run_id, start, stop).await?;
    tokio::select! {
        checked = check_customers(ports, config, run_id, &end) => checked?,
        // The next run checks them.
        () = ending.reached() => {}
    }
    let course = Course { extra, ..course };
    Ok(Ended { end, counts, by_digest, requests_without_ledger, notices, warnings, exceeded, course })
}

/// Makes the plan of a run, and says what an undo leaves alone.
async fn plan(
    ports: Ports<'_>,
    config: &PushConfig,
    options: &Options,
    task: Task<'_>,
    run_id: i64,
) -> Result<(Plan, Option<Undone>), EngineError> {
    let purpose = match task {
        Task::Sync => Purpose::Sync,
        Task::Apply(applying) => Purpose::Apply(applying.plan()),
        Task::Undo(run) => {
            let (plan, undone) = undo_plan::plan(ports, config, options, run_id, run).await?;
            return Ok((plan, Some(undone)));
        }
    };
    Ok((sync_plan::plan(ports, config, options, run_id, purpose).await?, None))
}

/// Checks whether the customers of rejected values still exist. A store that failed the run is asked once, and a run
/// that was asked to stop leaves the check to the next one.
async fn check_customers(
    ports: Ports<'_>,
    config: &PushConfig,
    run_id: i64,
    end: &End,
) -> Result<(), EngineError> {
    match end.status {
        RunStatus::Stopped => Ok(()),
        RunStatus::Failed => {
            let once = PushConfig { max_attempts: 1, ..config.clone() };
            existence::check_after_push(ports, &once, run_id).await
        }
        _ => existence::check_after_push(ports, config, run_id).await,
    }
}
