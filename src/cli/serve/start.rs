//! One start of a sync: takes the store's lock, asks the ledger what is due, and runs it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tracing::Instrument as _;

use super::board::Board;
use super::sync_files::SyncFile;

use crate::cli::failure::Failure;
use crate::cli::view::wait::log_waits;
use crate::cli::{notifying, wiring};
use crate::clock::{Clock as _, SystemClock};
use crate::engine::{self, Found, Options, Ports, Progress, ReadConfig, Report};
use crate::ledger::LedgerError;
use crate::metrics::Metrics;
use crate::notify::{Notification, Outbox, Subject};
use crate::record::{Claimed, RunKind, RunStatus, Trigger};
use crate::scheduler::{End, Wish};
use crate::traces::{TracedRun, Traces};
use crate::waits::Waits;

/// How long the store is read back after a sync, and while notifications of the source may have to wait for that.
const SWEEP_MAX: Duration = Duration::from_secs(15 * 60);
const SWEEP_MAX_LISTENING: Duration = Duration::from_secs(60);

/// Those who are told what happens in a run.
pub(super) struct Observers {
    pub(super) board: Arc<Board>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) outbox: Option<Arc<Outbox>>,
    pub(super) traces: Arc<Traces>,
}

/// Runs what is due of a sync, or else the wish.
pub(super) async fn start(
    sync: Arc<SyncFile>,
    wish: Option<Wish>,
    observers: Observers,
    stop: watch::Receiver<bool>,
) -> End {
    let span = tracing::info_span!("sync", name = sync.config.name);
    let waits = Waits::default();
    let attempted = async {
        tokio::select! {
            end = attempt(&sync, wish, &observers, &waits, stop) => end,
            never = log_waits(&waits, &sync.config.ledger) => match never {},
        }
    };
    let end = attempted.instrument(span.clone()).await;
    let _entered = span.enter();
    match end {
        Ok(end) => {
            observers.board.with(&sync.config.name, |line| line.problem = None);
            end
        }
        Err(failure) => {
            let mut problem = failure.whole();
            tracing::error!(hint = failure.hint, "no run could be made: {problem}");
            if let Some(hint) = failure.hint {
                problem += &format!("; {hint}");
            }
            observers.board.with(&sync.config.name, |line| line.problem = Some(problem));
            End::Failed
        }
    }
}

async fn attempt(
    sync: &SyncFile,
    wish: Option<Wish>,
    observers: &Observers,
    waits: &Waits,
    stop: watch::Receiver<bool>,
) -> Result<End, Failure> {
    let Observers { board, metrics, outbox, traces } = observers;
    let (config, name) = (&sync.config, &sync.config.name);
    let subject = Subject { sync: name.clone(), store: config.store.name.clone() };
    let source = wiring::source(&config.source, waits)?;
    let store = wiring::store(config, waits)?;
    let locked = match wiring::ledger(&config.ledger, &config.store.name, config.source.give_up_after).await {
        Err(LedgerError::Locked { .. }) => return Ok(End::Locked),
        locked => locked?,
    };
    if let Some(place) = &locked.created {
        tracing::info!("made a new ledger: {place}");
    }
    let ledger = &*locked.ledger;
    let Found { scheduled, claimed, missed } = match &config.schedule {
        Some(schedule) => {
            engine::due(ledger, schedule, schedule.delay(&config.store.name), &SystemClock).await?
        }
        None => Found { scheduled: None, claimed: Claimed::default(), missed: 0 },
    };
    if let Some(outbox) = outbox.as_ref().filter(|_| missed > 0) {
        outbox.notify(Notification::missed(&subject, missed, SystemClock.now()));
    }
    let missed =
        scheduled.as_ref().and_then(|scheduled| scheduled.missed.as_ref()).map_or(0, |missed| missed.times);
    let (guard, missing) = (config.guard.clone(), config.missing.clone());
    let options = Options { guard, missing, ..Options::default() };
    let options = match (scheduled, wish) {
        (None, None) => return Ok(End::Done(claimed)),
        (None, Some(Wish { notified, trigger })) => Options { filter: notified.filter(), trigger, ..options },
        (scheduled, _) => Options { trigger: Trigger::Schedule, scheduled, ..options },
    };
    let opened = watch::Sender::new(None);
    let trace = traces.run(&TracedRun { sync: name, kind: RunKind::Sync, trigger: options.trigger, waits });
    let progress = |progress: Progress| {
        if let Progress::Opened(run_id) = progress {
            opened.send_replace(Some(run_id));
        }
        board.progress(name, waits, &progress);
        metrics.observe(name, &progress);
        trace.observe(&progress);
    };
    metrics.watch(name, waits);
    let ports = Ports {
        source: &source,
        ledger,
        destination: &store,
        clock: &SystemClock,
        progress: &progress,
        waits,
    };
    let report = Box::pin(engine::sync(ports, &config.push, &options, stop.clone())).await;
    source.ended().await;
    board.ended(name);
    let run_id = *opened.borrow();
    if let (Some(run_id), Some(outbox)) = (run_id, outbox) {
        notifying::after_run(outbox, &config.ledger, &subject, run_id, missed, SystemClock.now()).await;
    }
    let is_failed = match report {
        Ok(report) => {
            log(&report);
            report.status == RunStatus::Failed
        }
        // The run is in the ledger, as failed: its time is done.
        Err(error) if run_id.is_some() => {
            let failure = Failure::from(error);
            tracing::error!(run_id, hint = failure.hint, "the run failed: {}", failure.whole());
            true
        }
        Err(error) => return Err(error.into()),
    };
    if options.trigger == Trigger::Schedule && !is_failed {
        read_back(sync, ports, observers, &subject, stop).await;
    }
    let claimed = ledger.claimed().await?;
    Ok(if is_failed { End::RunFailed(claimed) } else { End::Done(claimed) })
}

/// Reads back a share of the values. What goes wrong is logged: the sync itself has ended well.
async fn read_back(
    sync: &SyncFile,
    ports: Ports<'_>,
    observers: &Observers,
    subject: &Subject,
    stop: watch::Receiver<bool>,
) {
    let config = &sync.config;
    let waits = Waits::default();
    let (kind, trigger) = (RunKind::Reconcile, Trigger::Schedule);
    let trace = observers.traces.run(&TracedRun { sync: &config.name, kind, trigger, waits: &waits });
    // The run is not the one that a person has asked for, so that only its trace shows it.
    let progress = |progress: Progress| trace.observe(&progress);
    let ports = Ports { progress: &progress, waits: &waits, ..ports };
    let read = ReadConfig { push: &config.push, drift: &config.drift };
    // What is notified must not wait for long: the next sweep goes on from here.
    let most = config.on_change.as_ref().map_or(SWEEP_MAX, |_| SWEEP_MAX_LISTENING);
    let (end, ends) = watch::channel(false);
    let ending = async {
        let mut stop = stop;
        tokio::select! {
            Ok(_) = stop.wait_for(|asked| *asked) => {}
            () = tokio::time::sleep(most) => {}
        }
        end.send_replace(true);
        std::future::pending::<()>().await;
    };
    let swept = tokio::select! {
        swept = engine::sweep(ports, read, ends) => swept,
        () = ending => return,
    };
    match swept {
        Ok(None) => {}
        Ok(Some(found)) => {
            tracing::info!(run_id = found.run_id, status = %found.status, "read back from the store: {}", found.message);
            if let Some(outbox) = &observers.outbox {
                let (ledger, now) = (&config.ledger, SystemClock.now());
                notifying::after_run(outbox, ledger, subject, found.run_id, 0, now).await;
            }
        }
        Err(error) => {
            let failure = Failure::from(error);
            tracing::warn!(hint = failure.hint, "the store was not read back: {}", failure.whole());
        }
    }
}

/// Writes one line about a run that has ended.
fn log(report: &Report) {
    let counts = &report.counts;
    macro_rules! line {
        ($level:ident) => {
            tracing::$level!(
                run_id = report.run_id,
                status = %report.status,
                rows = counts.source_rows,
                planned = counts.planned,
                confirmed = counts.confirmed,
                rejected = counts.rejected,
                unknown = counts.unknown,
                deferred = counts.deferred,
                still_rejected = counts.still_rejected,
                invalid = counts.invalid,
                message = report.message.as_deref().unwrap_or("the run has ended"),
                hint = report.hint,
            )
        };
    }
    match report.status {
        RunStatus::Succeeded => line!(info),
        RunStatus::Failed => line!(error),
        _ => line!(warn),
    }
    for warning in &report.warnings {
        tracing::warn!(run_id = report.run_id, "{warning}");
    }
}
