//! The planner of a sync: source and ledger are read side by side, and what differs goes to the writer of the plan.
//!
//! The source's snapshot is closed before the first write request: this phase ends before the next begins.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::pins::Pins;
use super::plan_writer::PlanWriter;
use super::ports::EngineError;
use super::selection::Selected;
use crate::ledger::{EntryPages, LedgerReader};
use crate::plan::diff::{Cursor, Diff, DiffPolicy, Need, PlanPage};
use crate::plan::extent::Extents;
use crate::plan::summary::Summary;
use crate::record::{AttributeNames, Counts, Filter, Key, PlanParts, SourceDigest, WaitReason};
use crate::source::{Source, SourceError, SourcePages};
use crate::tries::Tries;
use crate::waits::Waits;

/// What planning found.
#[derive(Debug)]
pub(super) struct Planned {
    /// The counts of planning.
    pub(super) counts: Counts,
    /// How many customers and values the source asks for.
    pub(super) desired: (u64, u64),
    /// The parts that the plan has.
    pub(super) parts: PlanParts,
    /// Until when some of them have to wait.
    pub(super) waits_until: Option<DateTime<Utc>>,
    /// What the plan would do.
    pub(super) summary: Summary,
    /// How much of what the store holds it would change.
    pub(super) extents: Extents,
    /// The pins that end if the plan is sent.
    pub(super) ended_pins: Vec<Key>,
    /// Whether it sends a pinned value again.
    pub(super) sends_pinned: bool,
    /// What was seen while source and ledger were read.
    pub(super) seen: Seen,
}

/// What is seen while source and ledger are read, besides the differences.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Whether the ledger has an entry for any key of the filter.
    pub(super) has_entries: bool,
    /// The customers of the filter that neither a row nor an entry has.
    pub(super) unknown_customers: BTreeSet<i64>,
    /// The table whose row security applies.
    pub(super) row_security: Option<String>,
    /// How many rows are of no customer of the store.
    pub(super) without_customer: i64,
    /// What was kept because the source could not be read whole.
    pub(super) not_whole: Option<NotWhole>,
    /// The digest of the source, if every row was read.
    pub(super) digest: Option<SourceDigest>,
    /// What was selected, if another run's plan is applied.
    pub(super) selected: Option<Selected>,
}

/// What is read of the source, and of the ledger.
#[derive(Clone, Copy)]
pub(super) struct Reading<'a> {
    /// The source.
    pub(super) source: &'a dyn Source,
    /// The keys.
    pub(super) filter: &'a Filter,
    /// What the names of attributes in the source mean.
    pub(super) names: &'a AttributeNames,
    /// Whether it is planned as if there were no pins.
    pub(super) ignores_pins: bool,
}

/// Deletes that are not in the plan, because any of their rows may be among those that were not read.
#[derive(Debug, Clone, Copy)]
pub(super) struct NotWhole {
    /// How many deletes there would be.
    pub(super) kept: i64,
    /// The number of rows without a valid key. If there are none, row security applies.
    pub(super) without_key: i64,
}

/// Plans by comparing source and ledger. `entries` is `None` if there is no ledger yet. `progress` is told the
/// counts after each page. While the source is unavailable, it is read again from its start.
pub(super) async fn diff(
    reading: Reading<'_>,
    entries: Option<&dyn LedgerReader>,
    policy: DiffPolicy,
    mut writer: PlanWriter<'_>,
    waits: &Waits,
    progress: &(dyn Fn(Counts) + Send + Sync),
) -> Result<Planned, EngineError> {
    let Reading { source, filter, names, ignores_pins } = reading;
    let mut tries = Tries::new(WaitReason::Source, source.give_up_after());
    let (mut diff, mut seen) = loop {
        let mut diff = Diff::new(policy.clone());
        let started = source.read_within(filter, names, tries.left());
        let pins = entries.filter(|_| !ignores_pins).map(|entries| Pins::new(entries, filter));
        let merged = merge(started, entries, pins, filter, &mut diff, &mut writer, progress).await;
        // Whatever the result, nothing else may be written while pages are being saved.
        let saved = writer.saved().await;
        match merged {
            Ok(seen) => {
                saved?;
                break (diff, seen);
            }
            Err(EngineError::Source(error @ SourceError::Unavailable { .. })) => {
                saved?;
                if !tries.wait(&error, waits).await {
                    return Err(given_up(error, &tries).into());
                }
                writer.discard().await?;
            }
            Err(error) => return Err(error),
        }
    };
    let kept = diff.counts().deletes;
    // A row of no customer of the store is the row of no entry.
    let without_key = diff.without_key() - seen.without_customer;
    if kept > 0 && (without_key > 0 || seen.row_security.is_some()) {
        seen.not_whole = Some(NotWhole { kept, without_key });
        diff.keep_missing();
        writer.remove_deletes().await?;
        if let Some(selected) = &mut seen.selected {
            selected.leave_deletes();
        }
    }
    let (mut counts, mut parts) = (diff.counts(), diff.parts());
    if let Some(selected) = &seen.selected {
        (counts.planned, counts.deletes, parts) = (selected.planned, selected.deletes, selected.parts);
    }
    Ok(Planned {
        counts,
        desired: diff.desired(),
        parts,
        waits_until: diff.waits_until(),
        summary: writer.into_summary(),
        ended_pins: diff.ended_pins().to_vec(),
        sends_pinned: diff.sends_pinned(),
        seen,
        extents: diff.into_extents(),
    })
}

/// Adds to the failure how often the source was tried.
pub(super) fn given_up(error: SourceError, tries: &Tries) -> SourceError {
    match error {
        SourceError::Unavailable { problem, hint } => {
            SourceError::Unavailable { problem: problem + &tries.count(), hint }
        }
        error => error,
    }
}

/// Merges source and ledger once, in constant memory.
async fn merge(
    started: impl Future<Output = Result<Box<dyn SourcePages>, SourceError>>,
    entries: Option<&dyn LedgerReader>,
    mut pins: Option<Pins<'_>>,
    filter: &Filter,
    diff: &mut Diff,
    writer: &mut PlanWriter<'_>,
    progress: &(dyn Fn(Counts) + Send + Sync),
) -> Result<Seen, EngineError> {
    let mut seen = Seen { unknown_customers: filter.customers.clone(), ..Seen::default() };
    let mut page = PlanPage::default();
    let (mut desired, mut known) = (Cursor::default(), Cursor::default());
    let mut source_pages = started.await?;
    let mut entry_pages: Option<Box<dyn EntryPages>> = match entries {
        Some(entries) => Some(entries.entries(filter).await?),
        None => None,
    };
    loop {
        match diff.step(&mut desired, &mut known, &mut page)? {
            Need::Source => {
                let next = writer.while_saving(source_pages.next()).await??;
                if let Some(page) = &next {
                    seen.remove_known((0..page.len()).map(|at| page.row(at).customer_id));
                }
                desired.advance(next);
                progress(diff.counts());
            }
            Need::Entries => {
                let mut next = match entry_pages.as_mut() {
                    Some(pages) => writer.while_saving(pages.next()).await??,
                    None => None,
                };
                if let Some(page) = &mut next {
                    seen.has_entries = true;
                    seen.remove_known((0..page.len()).map(|at| Some(page.row(at).key.customer_id)));
                    if let Some(pins) = &mut pins {
                        writer.while_saving(pins.give(page)).await??;
                    }
                }
                known.advance(next);
            }
            Need::Room => writer.take(std::mem::take(&mut page)).await?,
            Need::Nothing => {
                writer.take(page).await?;
                seen.selected = writer.selected().await?;
                seen.row_security = source_pages.row_security();
                seen.digest = source_pages.digest();
                seen.without_customer = source_pages.without_customer();
                return Ok(seen);
            }
        }
    }
}

impl Seen {
    /// Removes customers that were found. Without a filter there are none to remove, so that this costs nothing.
    fn remove_known(&mut self, customers: impl Iterator<Item = Option<i64>>) {
        if !self.unknown_customers.is_empty() {
            for id in customers.flatten() {
                self.unknown_customers.remove(&id);
            }
        }
    }
}
