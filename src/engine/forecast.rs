//! What a sync would do: planned and counted, never saved.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::emails::{self, ByEmail, LookUp};
use super::first_look;
use super::guard;
use super::inputs::{missing_policy, policy, request_limit, resolve, wrong_types};
use super::plan_writer::PlanWriter;
use super::planning::{self, Planned, Reading};
use super::ports::{EngineError, Options, PlanOutput, Progress};
use super::store_changes::{self, StoreChanges};
use super::warnings::warnings;
use crate::clock::Clock;
use crate::config::PushConfig;
use crate::destination::{Allowance, Attribute, Destination};
use crate::ledger::{EmailReader, LedgerReader};
use crate::plan::batch::Limit;
use crate::plan::guard::Exceeded;
use crate::plan::summary::{Actions, Summary};
use crate::record::{Change, Counts, InvalidRow, Warning};
use crate::source::Source;
use crate::waits::Waits;

/// What a sync would do.
#[derive(Debug, Clone)]
pub struct Forecast {
    /// The counts of planning.
    pub counts: Counts,
    /// Changes by attribute id.
    pub attributes: BTreeMap<i64, AttributeForecast>,
    /// The first changes, in key order.
    pub sample: Vec<Change>,
    /// The first invalid rows.
    pub invalid_sample: Vec<InvalidRow>,
    /// Write requests needed if nothing fails.
    pub requests: u64,
    /// Write requests that sending every desired value would take.
    pub requests_without_ledger: u64,
    /// How much one request may carry.
    pub limit: Limit,
    /// How many requests the store's rate quota allows, if the store said.
    pub allowance: Option<Allowance>,
    /// How long some of the changes wait for an older request in doubt.
    pub in_doubt_wait: Duration,
    /// Values to be created.
    pub creates: u64,
    /// Values to be updated.
    pub updates: u64,
    /// Values to be deleted.
    pub deletes: u64,
    /// What a person should look at.
    pub warnings: Vec<Warning>,
    /// The limits that the plan exceeds: a guard would block the sync.
    pub exceeded: Vec<Exceeded>,
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
    /// Values to be deleted.
    pub deletes: u64,
}

/// What a forecast is made from. Nothing of it is written to.
#[derive(Clone, Copy)]
pub struct ForecastPorts<'a> {
    /// The desired values.
    pub source: &'a dyn Source,
    /// The store's entries; `None` if there is no ledger yet.
    pub entries: Option<&'a dyn LedgerReader>,
    /// The store.
    pub destination: &'a dyn Destination,
    /// The wall clock.
    pub clock: &'a dyn Clock,
    /// Told what happens; must not block.
    pub progress: &'a (dyn Fn(Progress) + Send + Sync),
    /// What the command waits for.
    pub waits: &'a Waits,
}

/// Returns what a sync would do now, with at most `sample` changes and invalid rows. `output` takes every change.
///
/// # Errors
/// What could not be read.
pub async fn plan(
    ports: ForecastPorts<'_>,
    config: &PushConfig,
    options: &Options,
    sample: usize,
    output: Option<&dyn PlanOutput>,
) -> Result<Forecast, EngineError> {
    let emails_known = ports.entries.map(|entries| entries as &dyn EmailReader);
    let by_email = ByEmail::over(ports.source, emails_known);
    let ForecastPorts { source, entries, destination, clock, progress, waits } = ports;
    let source = by_email.as_ref().map_or(source, |source| source);
    let look_up = LookUp { source, ledger: entries, destination, config, clock, progress, waits };
    let attributes = store_changes::attributes(entries, destination, config, waits).await?;
    let mut filter = resolve(options, &attributes)?;
    emails::require_selected(source, emails_known, options).await?;
    if let Some(by_email) = &by_email {
        let kept = emails::Kept::With(by_email);
        emails::select(look_up, by_email, options, &mut filter, kept).await?;
        if filter.customers.is_empty() {
            emails::look_up(look_up, &filter.customers, options.full, kept).await?;
        }
    }
    let changes = match entries {
        Some(entries) => {
            store_changes::look(entries, destination, config, waits, &attributes, &filter).await?
        }
        None => StoreChanges::none(&attributes),
    };
    for notice in changes.notices() {
        tracing::warn!("{notice}");
    }
    if let Some(notice) = changes.restored_notice() {
        tracing::warn!("{notice}");
    }
    let now = clock.now();
    let limit = request_limit(entries, config, now).await?;
    let names = changes.names.clone();
    let missing = missing_policy(&options.missing, &attributes)?;
    let policy = policy(&attributes, changes, options, missing, now);
    let summary = Summary::new(limit, sample, wrong_types(&attributes));
    let writer = PlanWriter::counting(summary).copying_to(output);
    let progress = |counts| progress(Progress::Planning(counts));
    progress(Counts::default());
    let reading = Reading { source, filter: &filter, names: &names, ignores_pins: options.ignore_pins };
    let planned = planning::diff(reading, entries, policy, writer, waits, &progress).await?;
    let mut warnings = warnings(&planned, &filter, &attributes, options.trigger);
    warnings.extend(first_look::stored_already(destination, &planned).await);
    let exceeded = guard::exceeded(entries, options, &filter, &planned, &attributes).await?;
    let warned = Warned { warnings, exceeded };
    Ok(Forecast::of(planned, &attributes, warned, destination.allowance(), now))
}

/// What a person should know of a plan.
pub(super) struct Warned {
    /// What a person should look at.
    pub(super) warnings: Vec<Warning>,
    /// The limits that it exceeds.
    pub(super) exceeded: Vec<Exceeded>,
}

impl Forecast {
    /// The forecast of a plan that was made at a time.
    pub(super) fn of(
        planned: Planned,
        attributes: &[Attribute],
        warned: Warned,
        allowance: Option<Allowance>,
        now: DateTime<Utc>,
    ) -> Self {
        let Planned { counts, desired, summary, waits_until, .. } = planned;
        let limit = summary.limit();
        let Warned { warnings, exceeded } = warned;
        let name = |id| {
            attributes.iter().find(|attribute| attribute.id == id).map(|attribute| attribute.name.clone())
        };
        let by_attribute = summary.attributes.iter().map(|(&id, actions)| {
            let Actions { creates, updates, deletes } = *actions;
            (id, AttributeForecast { name: name(id).unwrap_or_default(), creates, updates, deletes })
        });
        Self {
            counts,
            creates: summary.attributes.values().map(|actions| actions.creates).sum(),
            updates: summary.attributes.values().map(|actions| actions.updates).sum(),
            deletes: summary.attributes.values().map(|actions| actions.deletes).sum(),
            attributes: by_attribute.collect(),
            requests: summary.requests(),
            requests_without_ledger: limit.requests(desired.0, desired.1),
            limit,
            allowance,
            in_doubt_wait: waits_until.and_then(|until| (until - now).to_std().ok()).unwrap_or_default(),
            sample: summary.sample,
            invalid_sample: summary.invalid_sample,
            warnings,
            exceeded,
        }
    }
}
