//! One run, from the source's snapshot to the report. Sees ports only.
//!
//! [`planning`] reads source and ledger and saves the difference; [`push`] sends it. This file is the line
//! between them: what is asked of a run, what comes of it, and that every run that was opened is closed.

mod end;
mod customers;
mod existence;
mod store_changes;
mod planning;
mod push;
mod queue;
mod read_retry;
pub mod requeue;
mod sending;
mod waiting;

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use self::end::End;
use self::queue::SealedPlan;
use self::store_changes::StoreChanges;
use self::waiting::asked_to_stop;
use crate::config::{PushConfig, REQUEST_TIMEOUT_MAX};
use crate::destination::{Attribute, Destination, ReadError};
use crate::error_chain::with_causes;
use crate::failpoint;
use crate::ledger::{Ledger, LedgerError, LedgerReader, NewRun};
use crate::plan::batch::Limit;
use crate::plan::diff::{OutOfOrder, Rules};
use crate::plan::summary::Summary;
use crate::record::{
    BeliefEdit, Change, Counts, EditKind, Filter, IN_DOUBT_MAX, InvalidRow, KeyScope, RunKind, RunStatus,
    Trigger,
};
use crate::source::{Source, SourceError};

/// How long a size that the store was found to take is believed.
const LEARNED_SIZE_VALID: TimeDelta = TimeDelta::days(7);

/// What ends a run, or keeps it from starting, by an error.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The source could not be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The ledger could not be read or written.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The store could not be asked for its attributes.
    #[error("could not read the store's attributes")]
    Store(#[from] ReadError),
    /// Source or ledger did not keep its order.
    #[error(transparent)]
    OutOfOrder(#[from] OutOfOrder),
    /// The store lists no attributes at all, or not the one that was named.
    #[error("{problem}")]
    Attributes {
        /// What is missing.
        problem: String,
        /// What to do.
        hint: String,
    },
}

/// What a run works with.
#[derive(Clone, Copy)]
pub struct Ports<'a> {
    /// The desired values.
    pub source: &'a dyn Source,
    /// The store's ledger, held.
    pub ledger: &'a dyn Ledger,
    /// The store.
    pub destination: &'a dyn Destination,
    /// The wall clock, for times that are written down.
    pub now: &'a (dyn Fn() -> DateTime<Utc> + Send + Sync),
    /// Told how far the run is; must not block.
    pub progress: &'a (dyn Fn(Progress) + Send + Sync),
}

/// What was asked for.
#[derive(Debug, Clone)]
pub struct Options {
    /// Only these keys.
    pub filter: Filter,
    /// Only attributes of these names (resolved when the store has listed its attributes), besides `filter.attributes`.
    pub attribute_names: Vec<String>,
    /// Send values again that the store rejected before.
    pub retry_rejected: bool,
    /// Believe nothing that the ledger says.
    pub full: bool,
    /// What started the run.
    pub trigger: Trigger,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            filter: Filter::default(),
            attribute_names: Vec::new(),
            retry_rejected: false,
            full: false,
            trigger: Trigger::Manual,
        }
    }
}

/// How far a run is.
#[derive(Debug, Clone, Copy)]
pub enum Progress {
    /// Reading source and ledger; so many rows so far.
    Planning(Counts),
    /// The plan is complete.
    Planned(Counts),
    /// Values are being sent.
    Pushing(Counts),
    /// Nothing is being sent for a while: the store asked for it, or older requests may still arrive.
    Waiting(Duration),
}

/// How a run ended.
#[derive(Debug, Clone)]
pub struct Report {
    /// The run's id in the ledger.
    pub run_id: i64,
    /// How it ended.
    pub status: RunStatus,
    /// Its counts.
    pub counts: Counts,
    /// Write calls that sending every desired value would have taken.
    pub calls_without_ledger: u64,
    /// Why it ended early, for a person.
    pub message: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
}

/// What a sync would do.
#[derive(Debug, Clone)]
pub struct Forecast {
    /// The counts of planning; `deferred` equals `planned`.
    pub counts: Counts,
    /// Changes by attribute id: name, creates, updates.
    pub attributes: BTreeMap<i64, AttributeForecast>,
    /// The first changes, in key order.
    pub sample: Vec<Change>,
    /// The first invalid rows.
    pub invalid_sample: Vec<InvalidRow>,
    /// Write calls needed if nothing goes wrong.
    pub calls: u64,
    /// Calls that sending every source row would have taken.
    pub calls_without_ledger: u64,
    /// Changes to be created.
    pub creates: u64,
    /// Changes to be updated.
    pub updates: u64,
}

/// What a sync would do to one attribute.
#[derive(Debug, Clone, Default)]
pub struct AttributeForecast {
    /// The attribute's name in the store.
    pub name: String,
    /// Values to be created.
    pub creates: u64,
    /// Values to be updated.
    pub updates: u64,
}

/// Plans, then pushes. An error after the run was opened has closed it as failed; `Ok` has the end of every other run,
/// failed and stopped ones too. `stop` turns true when the run is asked to end: what was begun is finished, nothing
/// new is begun.
///
/// # Errors
/// Whatever kept the run from being planned or written down.
pub async fn sync(
    ports: Ports<'_>,
    push: &PushConfig,
    options: &Options,
    stop: watch::Receiver<bool>,
) -> Result<Report, EngineError> {
    let new = NewRun { kind: RunKind::Sync, trigger: options.trigger, started_at: (ports.now)() };
    failpoint::reach("ledger-open");
    let run_id = ports.ledger.open_run(&new).await?;
    failpoint::reach("run-opened");
    let ended = run(ports, push, options, stop, run_id).await;
    let (end, counts, calls_without_ledger) = match ended {
        Ok(ended) => ended,
        Err(error) => {
            let message = with_causes(&error);
            // The run is lost already; that it could not be closed either is what the next run finds.
            let _ = ports.ledger.close_run(run_id, RunStatus::Failed, Some(&message), (ports.now)()).await;
            return Err(error);
        }
    };
    failpoint::reach("sent");
    let End { status, message, hint } = end.checked(&counts);
    ports.ledger.close_run(run_id, status, message.as_deref(), (ports.now)()).await?;
    failpoint::reach("closed");
    Ok(Report { run_id, status, counts, calls_without_ledger, message, hint })
}

/// What a sync would do now. `entries` is `None` where there is no ledger yet. Reads only; at most `sample` changes and
/// invalid rows are kept.
///
/// # Errors
/// Whatever could not be read.
pub async fn plan(
    source: &dyn Source,
    entries: Option<&dyn LedgerReader>,
    destination: &dyn Destination,
    push: &PushConfig,
    options: &Options,
    sample: usize,
) -> Result<Forecast, EngineError> {
    let attributes = read_retry::repeat(push, || destination.attributes()).await?;
    let filter = resolve(options, &attributes)?;
    let changes = match entries {
        Some(entries) => store_changes::look(entries, destination, push, &attributes).await?,
        None => StoreChanges::default(),
    };
    for notice in changes.notices() {
        tracing::warn!("{notice}");
    }
    let now = Utc::now();
    let rules = rules(&attributes, changes, options, now);
    let limit = limit(entries, push, now).await?;
    let mut summary = Summary::new(limit, sample);
    let planning::Planned { counts, desired, .. } =
        planning::forecast(source, entries, &filter, rules, &mut summary).await?;
    let name =
        |id| attributes.iter().find(|attribute| attribute.id == id).map(|attribute| attribute.name.clone());
    let by_attribute = summary.attributes.iter().map(|(&id, actions)| {
        let (creates, updates) = (actions.creates, actions.updates);
        (id, AttributeForecast { name: name(id).unwrap_or_default(), creates, updates })
    });
    Ok(Forecast {
        counts: Counts { deferred: counts.planned, ..counts },
        creates: summary.attributes.values().map(|actions| actions.creates).sum(),
        updates: summary.attributes.values().map(|actions| actions.updates).sum(),
        attributes: by_attribute.collect(),
        calls: summary.calls,
        calls_without_ledger: limit.calls(desired.0, desired.1),
        sample: summary.sample,
        invalid_sample: summary.invalid_sample,
    })
}

/// The line: attributes, plan, push.
async fn run(
    ports: Ports<'_>,
    push: &PushConfig,
    options: &Options,
    stop: watch::Receiver<bool>,
    run_id: i64,
) -> Result<(End, Counts, u64), EngineError> {
    let deadline = push.max_duration.map(|most| Instant::now() + most);
    let mut asked = stop.clone();
    let (planning::Planned { counts, desired, has_in_doubt }, notices) = tokio::select! {
        planned = save_plan(ports, push, options, run_id) => planned?,
        () = asked_to_stop(&mut asked) => {
            return Ok((End::stopped("asked to stop while planning; nothing was sent"), Counts::default(), 0));
        }
        () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => {
            let end = End::stopped("[push] max_duration was over before the plan was made; nothing was sent");
            return Ok((end, Counts::default(), 0));
        }
    };
    failpoint::reach("planned");
    ports.ledger.seal_plan(run_id, &counts, (ports.now)()).await?;
    let limit = limit(Some(ports.ledger), push, (ports.now)()).await?;
    let calls_without_ledger = limit.calls(desired.0, desired.1);
    failpoint::reach("sealed");
    let counts = Counts { deferred: counts.planned, ..counts };
    (ports.progress)(Progress::Planned(counts));
    let plan = SealedPlan { counts, limit, has_in_doubt };
    let (end, counts) = push::Push::new(ports, push, run_id, plan).run(stop, deadline).await?;
    match end.status {
        RunStatus::Stopped => {}
        // A store that failed the run is asked once, not as often as one that is well.
        RunStatus::Failed => {
            let once = PushConfig { max_attempts: 1, ..push.clone() };
            customers::check_after_push(ports, &once, run_id).await?;
        }
        _ => customers::check_after_push(ports, push, run_id).await?,
    }
    let message = end.message.clone().or_else(|| (!notices.is_empty()).then_some(notices));
    Ok((End { message, ..end }, counts, calls_without_ledger))
}

/// The first phase: what the store defines, then the plan. Also tells what a person should know of the store.
async fn save_plan(
    ports: Ports<'_>,
    push: &PushConfig,
    options: &Options,
    run_id: i64,
) -> Result<(planning::Planned, String), EngineError> {
    let attributes = read_retry::repeat(push, || ports.destination.attributes()).await?;
    let filter = resolve(options, &attributes)?;
    if options.full {
        invalidate(ports, push, run_id).await?;
    }
    let changes = store_changes::record(ports, push, run_id, &attributes).await?;
    let notices = changes.notices().cloned().collect::<Vec<_>>().join("; ");
    let rules = rules(&attributes, changes, options, (ports.now)());
    Ok((planning::save(ports, run_id, &filter, rules).await?, notices))
}

/// The longest in-doubt window covers every allowed `request_timeout`.
const _: () = assert!(IN_DOUBT_MAX.num_seconds() as u64 == 2 * REQUEST_TIMEOUT_MAX.as_secs());

/// The end of the in-doubt window of a request that is sent now.
fn in_doubt_until(push: &PushConfig, now: DateTime<Utc>) -> DateTime<Utc> {
    now + TimeDelta::from_std(push.request_timeout * 2).unwrap_or(IN_DOUBT_MAX)
}

/// Makes every entry unconfirmed for a full sync. A ledger that was restored from a backup may have forgotten requests, so
/// every key is in doubt for one window.
async fn invalidate(ports: Ports<'_>, push: &PushConfig, run_id: i64) -> Result<(), EngineError> {
    let now = (ports.now)();
    let edit = BeliefEdit {
        scope: KeyScope::default(),
        edit: EditKind::Invalidate,
        reason: "a full sync".to_owned(),
        in_doubt_until: Some(in_doubt_until(push, now)),
    };
    ports.ledger.edit_beliefs(run_id, &edit, now).await?;
    Ok(())
}

/// How much a call may carry: as configured, or less where the store taught that and it is still believed.
async fn limit(
    ledger: Option<&dyn LedgerReader>,
    push: &PushConfig,
    now: DateTime<Utc>,
) -> Result<Limit, EngineError> {
    let learned = match ledger {
        Some(ledger) => ledger.learned_size().await?,
        None => None,
    };
    let learned = learned.filter(|size| now - size.learned_at < LEARNED_SIZE_VALID);
    let sizes = learned.map(|size| size.values_per_request).into_iter().chain(push.values_per_request);
    Ok(Limit { customers: push.customers_per_request, values: sizes.min() })
}

fn rules(attributes: &[Attribute], changes: StoreChanges, options: &Options, now: DateTime<Utc>) -> Rules {
    Rules {
        attributes: attributes.iter().map(|attribute| attribute.id).collect(),
        requeued: changes.requeued(),
        missing_attributes: changes.definitions.missing,
        retry_rejected: options.retry_rejected,
        full: options.full,
        now,
    }
}

/// The filter with attribute names made into ids.
fn resolve(options: &Options, attributes: &[Attribute]) -> Result<Filter, EngineError> {
    let refuse =
        |problem: String, hint: &str| Err(EngineError::Attributes { problem, hint: hint.to_owned() });
    if attributes.is_empty() {
        return refuse(
            "the store has no customer attributes at all".to_owned(),
            "create them in the control panel or by the API first; or [store] hash is that of another store",
        );
    }
    let mut filter = options.filter.clone();
    for name in &options.attribute_names {
        let named: Vec<_> = attributes.iter().filter(|attribute| attribute.name == *name).collect();
        match named.as_slice() {
            [attribute] => filter.attributes.insert(attribute.id),
            [] => {
                return refuse(
                    format!("the store has no attribute named {name:?}"),
                    "`attrsync check` lists them",
                );
            }
            _ => {
                return refuse(
                    format!("the store has several attributes named {name:?}"),
                    "name it by its id",
                );
            }
        };
    }
    if let Some(id) =
        filter.attributes.iter().find(|id| !attributes.iter().any(|attribute| attribute.id == **id))
    {
        return refuse(format!("the store has no attribute {id}"), "`attrsync check` lists them");
    }
    Ok(filter)
}
