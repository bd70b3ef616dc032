//! The plan of a sync: what the store says of itself, then the difference between source and ledger.

use super::emails::{self, ByEmail, LookUp};
use super::inputs::{missing_policy, policy, request_limit, resolve, wrong_types};
use super::plan_writer::PlanWriter;
use super::planning::{self, Planned, Reading};
use super::ports::{EngineError, Options, PlanOutput, Ports, Progress};
use super::selection::Selection;
use super::warnings::warnings;
use super::{by_digest, first_look, guard, store_changes};
use crate::config::{PushConfig, REQUEST_TIMEOUT_MAX};
use crate::destination::Attribute;
use crate::ledger::LedgerReader;
use crate::plan::guard::Exceeded;
use crate::plan::summary::Summary;
use crate::record::{BeliefEdit, EditKind, Filter, IN_DOUBT_MAX, PlanOfRun, Warning};

/// How many invalid rows a report shows.
const INVALID_SHOWN: usize = 3;

/// The longest in-doubt window covers every allowed `request_timeout`.
const _: () = assert!(IN_DOUBT_MAX.num_seconds() as u64 == 2 * REQUEST_TIMEOUT_MAX.as_secs());

/// What a plan is made for.
#[derive(Clone, Copy)]
pub(super) enum Purpose<'a> {
    /// To be sent.
    Sync,
    /// To be saved for a person, who is shown this many changes and invalid rows. `output` takes every change.
    Save { sample: usize, output: Option<&'a dyn PlanOutput> },
    /// To send what another run has planned.
    Apply(&'a PlanOfRun),
}

/// A plan that is not sealed yet.
pub(super) struct Plan {
    pub(super) planned: Planned,
    pub(super) compared: Compared,
    /// What a person should know of the store.
    pub(super) notices: Vec<String>,
    /// What a person should know of the plan.
    pub(super) warnings: Vec<Warning>,
    /// The limits that it exceeds.
    pub(super) exceeded: Vec<Exceeded>,
    /// The attributes of the store.
    pub(super) attributes: Vec<Attribute>,
}

/// How source and ledger were compared.
pub(super) enum Compared {
    /// Row by row. The digest is that of the rows, if they are all rows of the source.
    InFull { digest: Option<String> },
    /// By the digest of an earlier run.
    ByDigest { same_as: i64 },
}

impl Plan {
    /// Makes the plan count.
    pub(super) async fn seal(&self, ports: Ports<'_>, run_id: i64) -> Result<(), EngineError> {
        let (ledger, now) = (ports.ledger, ports.clock.now());
        match &self.compared {
            Compared::InFull { digest } => {
                ledger.seal_plan(run_id, &self.planned.counts, digest.as_deref(), now).await?;
            }
            Compared::ByDigest { same_as } => ledger.seal_by_digest(run_id, *same_as, now).await?,
        }
        Ok(())
    }
}

/// Plans: first the store's attributes and changes, then the difference between source and ledger.
pub(super) async fn plan(
    ports: Ports<'_>,
    config: &PushConfig,
    options: &Options,
    run_id: i64,
    purpose: Purpose<'_>,
) -> Result<Plan, EngineError> {
    let by_email = ByEmail::over(ports.source, Some(ports.ledger));
    let ports = Ports { source: by_email.as_ref().map_or(ports.source, |source| source), ..ports };
    let Ports { ledger, destination, waits, .. } = ports;
    let kept = emails::Kept::InLedger(ledger, run_id);
    while ledger.remove_unsent(run_id, ports.clock.now()).await? {}
    let attributes = store_changes::attributes(Some(ledger), destination, config, waits).await?;
    let mut filter = resolve(options, &attributes)?;
    if let Some(by_email) = &by_email {
        emails::select(LookUp::of_run(ports, config), by_email, options, &mut filter, kept).await?;
    }
    if options.full {
        invalidate(ports, config, run_id, &filter).await?;
    }
    if options.ignore_pins {
        unpin(ports, run_id, &filter).await?;
    }
    let missing = missing_policy(&options.missing, &attributes)?;
    let changes = store_changes::record(ports, config, run_id, &attributes, &filter).await?;
    let notices = changes.notices().cloned().collect();
    let now = ports.clock.now();
    let limit = request_limit(Some(ports.ledger), config, now).await?;
    let (shown, selection, output) = match purpose {
        Purpose::Sync => (INVALID_SHOWN, None, None),
        Purpose::Save { sample, output } => (sample, None, output),
        Purpose::Apply(saved) => (INVALID_SHOWN, Some(Selection::new(ports.ledger, saved)), None),
    };
    let summary = Summary::new(limit, shown, wrong_types(&attributes));
    let planned_by = by_digest::planned_by(&attributes, &missing);
    let unchanged = match matches!(purpose, Purpose::Sync) && by_digest::is_allowed(options, &filter) {
        true => by_digest::unchanged(ports, run_id, &planned_by, &changes.names, &summary).await?,
        false => None,
    };
    let (planned, compared) = match unchanged {
        Some((planned, same_as)) => (planned, Compared::ByDigest { same_as }),
        None => {
            if filter.customers.is_empty() {
                emails::look_up(LookUp::of_run(ports, config), &filter.customers, options.full, kept).await?;
            }
            let names = changes.names.clone();
            let policy = policy(&attributes, changes, options, missing, now);
            let writer =
                PlanWriter::saving(ports.ledger, run_id, summary).selecting(selection).copying_to(output);
            let progress = |counts| (ports.progress)(Progress::Planning(counts));
            let reading =
                Reading { source: ports.source, filter: &filter, names: &names, ignores_pins: false };
            let entries = Some(ports.ledger as &dyn LedgerReader);
            let planned = planning::diff(reading, entries, policy, writer, ports.waits, &progress).await?;
            // The digest is that of a plan with all changes, which is sent.
            // A pinned value that is sent again is not unchanged afterwards, but pinned.
            let is_whole = matches!(purpose, Purpose::Sync) && !planned.sends_pinned;
            let digest = planned.seen.digest.as_ref().filter(|_| is_whole);
            let digest = digest.map(|digest| digest.kept(&planned_by));
            (planned, Compared::InFull { digest })
        }
    };
    let mut warnings = warnings(&planned, &filter, &attributes, options.trigger);
    warnings.extend(first_look::stored_already(destination, &planned).await);
    let exceeded = match compared {
        // A person has approved the plan that is applied.
        Compared::InFull { .. } if !matches!(purpose, Purpose::Apply(_)) => {
            guard::exceeded(Some(ports.ledger), options, &filter, &planned, &attributes).await?
        }
        // A plan by the digest is as in the run before, which has finished, and has no changes.
        Compared::InFull { .. } | Compared::ByDigest { .. } => Vec::new(),
    };
    Ok(Plan { planned, compared, notices, warnings, exceeded, attributes })
}

/// Ends the pins that the filter leaves in.
async fn unpin(ports: Ports<'_>, run_id: i64, filter: &Filter) -> Result<(), EngineError> {
    for scope in filter.scopes() {
        let reason = "a sync with --ignore-pins".to_owned();
        let edit = BeliefEdit { scope, edit: EditKind::Unpin, reason, in_doubt_until: None };
        ports.ledger.edit_beliefs(run_id, &edit, ports.clock.now()).await?;
    }
    Ok(())
}

/// Makes the entries of a full sync unconfirmed: those that the filter leaves in. A ledger that was restored from a backup
/// may have forgotten requests, so each of these keys is in doubt for one window.
async fn invalidate(
    ports: Ports<'_>,
    config: &PushConfig,
    run_id: i64,
    filter: &Filter,
) -> Result<(), EngineError> {
    let now = ports.clock.now();
    let until = now + config.in_doubt_window();
    for scope in filter.scopes() {
        let reason = "a full sync".to_owned();
        let edit = BeliefEdit { scope, edit: EditKind::Invalidate, reason, in_doubt_until: Some(until) };
        ports.ledger.edit_beliefs(run_id, &edit, now).await?;
    }
    Ok(())
}
