//! One run, from the source's snapshot to the report. The engine sees ports only.
//!
//! [`sync`] plans and pushes; [`forecast`] plans and saves nothing; [`requeue`] makes rejected values unconfirmed by hand.
//! A planner ([`planning`]) fills a [`plan_writer`]. [`push`] executes what the pure [`crate::push`] decides.

mod existence;
mod forecast;
mod plan_writer;
mod planning;
mod push;
mod read_retry;
pub mod requeue;
mod store_changes;
mod sync;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::watch;

pub use self::forecast::{AttributeForecast, Forecast, ForecastPorts, plan};
use self::store_changes::StoreChanges;
pub use self::sync::{Report, sync};
use crate::clock::Clock;
use crate::config::PushConfig;
use crate::destination::{Attribute, Destination, ReadError};
use crate::ledger::{Ledger, LedgerError, LedgerReader};
use crate::plan::batch::Limit;
use crate::plan::diff::{DiffPolicy, OutOfOrder};
use crate::push::Notice;
use crate::record::{Counts, Filter, Trigger};
use crate::source::{Source, SourceError};

/// How long a learned size is believed.
const LEARNED_SIZE_VALID: TimeDelta = TimeDelta::days(7);

/// What ends a run, or prevents it, by an error.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The source could not be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The ledger could not be read or written.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The store's attributes could not be read.
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
    /// The store's ledger, with its lock held.
    pub ledger: &'a dyn Ledger,
    /// The store.
    pub destination: &'a dyn Destination,
    /// The wall clock, for times that are recorded.
    pub clock: &'a dyn Clock,
    /// Told what happens in the run; must not block.
    pub progress: &'a (dyn Fn(Progress) + Send + Sync),
}

/// What was asked for.
#[derive(Debug, Clone)]
pub struct Options {
    /// Only these keys.
    pub filter: Filter,
    /// Only attributes of these names, besides `filter.attributes`. The store's list resolves them.
    pub attribute_names: Vec<String>,
    /// Send values again that the store rejected before.
    pub retry_rejected: bool,
    /// Ignore the ledger and send every value.
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

/// What happens in a run, for those who show, log or measure it.
#[derive(Debug, Clone)]
pub enum Progress {
    /// Source and ledger are being read; the counts so far.
    Planning(Counts),
    /// The plan is complete.
    Planned(Counts),
    /// The plan is being pushed.
    Pushing(Notice),
}

/// Returns when the run is asked to stop; never, if nothing is left that could ask.
async fn asked_to_stop(stop: &mut watch::Receiver<bool>) {
    if stop.wait_for(|asked| *asked).await.is_err() {
        std::future::pending().await
    }
}

/// How much a request may carry: as configured, or less where the store taught it and that is still believed.
async fn request_limit(
    ledger: Option<&dyn LedgerReader>,
    config: &PushConfig,
    now: DateTime<Utc>,
) -> Result<Limit, EngineError> {
    let learned = match ledger {
        Some(ledger) => ledger.learned_size().await?,
        None => None,
    };
    let learned = learned.filter(|size| now - size.learned_at < LEARNED_SIZE_VALID);
    let sizes = learned.map(|size| size.values_per_request).into_iter().chain(config.values_per_request);
    Ok(Limit { customers: config.customers_per_request, values: sizes.min() })
}

fn policy(
    attributes: &[Attribute],
    changes: StoreChanges,
    options: &Options,
    now: DateTime<Utc>,
) -> DiffPolicy {
    DiffPolicy {
        attributes: attributes.iter().map(|attribute| attribute.id).collect(),
        requeued: changes.requeued(),
        deleted_attributes: changes.definitions.deleted,
        retry_rejected: options.retry_rejected,
        full: options.full,
        now,
    }
}

/// Returns the filter with attribute names resolved to ids.
fn resolve(options: &Options, attributes: &[Attribute]) -> Result<Filter, EngineError> {
    let fail = |problem: String, hint: &str| Err(EngineError::Attributes { problem, hint: hint.to_owned() });
    if attributes.is_empty() {
        return fail(
            "the store has no customer attributes at all".to_owned(),
            "create them in the control panel or by the API first; or [store] hash is that of another store",
        );
    }
    let listed = "`attrsync check` lists them";
    let mut filter = options.filter.clone();
    for name in &options.attribute_names {
        let named: Vec<_> = attributes.iter().filter(|attribute| attribute.name == *name).collect();
        match named.as_slice() {
            [attribute] => filter.attributes.insert(attribute.id),
            [] => return fail(format!("the store has no attribute named {name:?}"), listed),
            _ => {
                return fail(format!("the store has several attributes named {name:?}"), "name it by its id");
            }
        };
    }
    match filter.attributes.iter().find(|id| !attributes.iter().any(|attribute| attribute.id == **id)) {
        Some(id) => fail(format!("the store has no attribute {id}"), listed),
        None => Ok(filter),
    }
}
