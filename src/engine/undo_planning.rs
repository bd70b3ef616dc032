//! The planner of an undo: what the run has sent is read page by page, then what store and source say of the same keys.
//!
//! The source's snapshot of a page is closed before the next page, and all are closed before the first write request.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use super::plan_writer::PlanWriter;
use super::planning::{Planned, Seen, given_up};
use super::ports::EngineError;
use super::read_retry;
use super::undone::Undone;
use crate::config::PushConfig;
use crate::destination::{Attribute, Destination, Echo};
use crate::ledger::LedgerReader;
use crate::plan::diff::PlanPage;
use crate::plan::extent::Extents;
use crate::plan::undo::{CONFLICTS_KEPT, Conflict, Finding, Reason, disturbed, finding, restoring};
use crate::record::{
    Action, AttributeNames, Change, Counts, EntryNow, Filter, INVALID_ROWS_KEPT, Key, PlanPart, PlanParts,
    RunToUndo, SentChange, SourceRow, WaitReason,
};
use crate::source::{Source, SourceError};
use crate::tries::Tries;
use crate::waits::Waits;

/// How many changes are looked at together.
const PAGE_ROWS: usize = 1_000;

/// How many keys are read from the store before a read that fails begins anew.
const READ_KEYS: usize = 200;

/// What an undo is planned from.
#[derive(Clone, Copy)]
pub(super) struct UndoInputs<'a> {
    pub(super) ledger: &'a dyn LedgerReader,
    pub(super) source: &'a dyn Source,
    pub(super) destination: &'a dyn Destination,
    pub(super) config: &'a PushConfig,
    pub(super) waits: &'a Waits,
    /// The run that is undone.
    pub(super) run: &'a RunToUndo,
    /// The attributes that the store defines.
    pub(super) attributes: &'a [Attribute],
    /// The keys.
    pub(super) filter: &'a Filter,
    /// What the names of attributes in the source mean.
    pub(super) names: &'a AttributeNames,
    /// The time of planning.
    pub(super) now: DateTime<Utc>,
}

/// What the source says of a key.
enum Desired {
    /// Its value; `None` for no value.
    Value(Option<String>),
    /// Why that is not clear.
    Ambiguous(String),
}

/// A change that the ledger knows a way back from.
struct Candidate {
    sent: SentChange,
    entry: EntryNow,
    before: Option<String>,
}

/// Plans the way back from a run.
pub(super) async fn draft(
    inputs: UndoInputs<'_>,
    mut writer: PlanWriter<'_>,
    progress: &(dyn Fn(Counts) + Send + Sync),
) -> Result<(Planned, Undone), EngineError> {
    let RunToUndo { run_id, sent, .. } = *inputs.run;
    let mut draft = Draft::new(run_id, sent);
    let (mut after, mut found) = (None, 0);
    loop {
        let page = inputs.ledger.sent_changes(run_id, after, PAGE_ROWS).await?;
        after = page.last().map(|sent| sent.change.key).or(after);
        found += i64::try_from(page.len()).unwrap_or(i64::MAX);
        let is_last = page.len() < PAGE_ROWS;
        inputs.add(page, &mut draft).await?;
        writer.take(std::mem::take(&mut draft.page)).await?;
        progress(draft.counts);
        if is_last {
            break;
        }
    }
    writer.saved().await?;
    if found != sent {
        return Err(EngineError::Refused {
            problem: format!("the ledger holds {found} of the {sent} changes that run {run_id} has sent"),
            hint: "a run can be undone as long as the ledger has all of its changes".to_owned(),
        });
    }
    let Draft { counts, parts, waits_until, undone, .. } = draft;
    let planned = Planned {
        counts,
        desired: (0, 0),
        parts,
        waits_until,
        summary: writer.into_summary(),
        extents: Extents::default(),
        ended_pins: Vec::new(),
        sends_pinned: false,
        seen: Seen::default(),
    };
    Ok((planned, undone))
}

impl UndoInputs<'_> {
    /// Adds a page of what the run has sent.
    async fn add(&self, page: Vec<SentChange>, draft: &mut Draft) -> Result<(), EngineError> {
        let mut candidates = Vec::new();
        for sent in page.into_iter().filter(|sent| self.filter.lets_in(sent.change.key)) {
            let is_defined = self.attributes.iter().any(|known| known.id == sent.change.key.attribute_id);
            match finding(self.run.run_id, &sent) {
                Finding::Done => draft.add_done(),
                _ if !is_defined => draft.add_conflict(&sent, Reason::NoAttribute),
                Finding::Conflict(reason) => draft.add_conflict(&sent, reason),
                Finding::Restore(before) => {
                    candidates.extend(sent.entry.clone().map(|entry| Candidate { sent, entry, before }));
                }
            }
        }
        if candidates.is_empty() {
            return Ok(());
        }
        let keys: Vec<Key> = candidates.iter().map(|candidate| candidate.sent.change.key).collect();
        let mut desired = self.desired(&keys).await?;
        let shown = self.shown(&keys).await?;
        for Candidate { sent, entry, before } in candidates {
            let key = sent.change.key;
            let shown: Vec<&str> = shown.get(&key).into_iter().flatten().map(String::as_str).collect();
            if let Some(reason) = disturbed(&sent.change, &entry, before.as_deref(), &shown) {
                draft.add_conflict(&sent, reason);
                continue;
            }
            match desired.remove(&key).unwrap_or(Desired::Value(None)) {
                Desired::Ambiguous(problem) => draft.add_conflict(&sent, Reason::SourceAmbiguous(problem)),
                Desired::Value(value) => {
                    let differs = before != entry.value;
                    draft.add_change(restoring(key, &entry, before, value, self.now), differs);
                }
            }
        }
        Ok(())
    }

    /// Reads what the store holds of these keys.
    async fn shown(&self, keys: &[Key]) -> Result<BTreeMap<Key, Vec<String>>, EngineError> {
        let mut shown: BTreeMap<Key, Vec<String>> = BTreeMap::new();
        for keys in keys.chunks(READ_KEYS) {
            let fetch = || self.destination.fetch(keys);
            let read = read_retry::repeat(self.config, self.waits, WaitReason::ReadBack, fetch).await;
            for Echo { key, value, .. } in read.map_err(EngineError::StoreValues)? {
                shown.entry(key).or_default().push(value);
            }
        }
        Ok(shown)
    }

    /// Reads what the source desires of these keys, in one snapshot.
    async fn desired(&self, keys: &[Key]) -> Result<BTreeMap<Key, Desired>, EngineError> {
        let customers = keys.iter().map(|key| key.customer_id).collect();
        let filter = Filter { customers, ..Filter::default() };
        let keys: BTreeSet<Key> = keys.iter().copied().collect();
        let mut tries = Tries::new(WaitReason::Source, self.source.give_up_after());
        loop {
            match self.read_desired(&filter, &keys, &tries).await {
                Ok(desired) => return Ok(desired),
                Err(error @ SourceError::Unavailable { .. }) => {
                    if !tries.wait(&error, self.waits).await {
                        return Err(given_up(error, &tries).into());
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn read_desired(
        &self,
        filter: &Filter,
        keys: &BTreeSet<Key>,
        tries: &Tries,
    ) -> Result<BTreeMap<Key, Desired>, SourceError> {
        let mut desired = BTreeMap::new();
        let mut pages = self.source.read_within(filter, self.names, tries.left()).await?;
        while let Some(page) = pages.next().await? {
            for row in (0..page.len()).map(|at| page.row(at)) {
                let (Some(customer_id), Some(attribute_id)) = (row.customer_id, row.attribute_id) else {
                    continue;
                };
                let key = Key { customer_id, attribute_id };
                if keys.contains(&key) {
                    let of_row = match desired.contains_key(&key) {
                        true => Desired::Ambiguous("it has the key more than once".to_owned()),
                        false => of_row(row),
                    };
                    desired.insert(key, of_row);
                }
            }
        }
        Ok(desired)
    }
}

fn of_row(row: SourceRow<'_>) -> Desired {
    match row.problem {
        Some(problem) => Desired::Ambiguous(problem.to_owned()),
        None => Desired::Value(row.value.map(str::to_owned)),
    }
}

/// The plan so far.
struct Draft {
    page: PlanPage,
    counts: Counts,
    parts: PlanParts,
    waits_until: Option<DateTime<Utc>>,
    undone: Undone,
}

impl Draft {
    fn new(of_run_id: i64, sent: i64) -> Self {
        let undone = Undone { of_run_id, sent, done: 0, conflicts_total: 0, conflicts: Vec::new() };
        Self {
            page: PlanPage::default(),
            counts: Counts::default(),
            parts: PlanParts::default(),
            waits_until: None,
            undone,
        }
    }

    fn add_done(&mut self) {
        self.undone.done += 1;
        self.counts.unchanged += 1;
    }

    /// Adds a conflict. The ledger keeps it among the rows that cannot be sent.
    fn add_conflict(&mut self, sent: &SentChange, reason: Reason) {
        let conflict = Conflict::new(sent, reason);
        self.undone.conflicts_total += 1;
        self.counts.invalid += 1;
        if self.counts.invalid <= INVALID_ROWS_KEPT {
            self.page.invalid.push(conflict.row());
        }
        if self.undone.conflicts.len() < CONFLICTS_KEPT {
            self.undone.conflicts.push(conflict);
        }
    }

    /// Adds a change. An older request for another value has to be waited for.
    fn add_change(&mut self, change: Change, differs: bool) {
        self.counts.planned += 1;
        self.counts.deletes += i64::from(change.action == Action::Delete);
        self.parts.add(PlanPart::of(&change));
        if differs {
            self.waits_until = self.waits_until.max(change.in_doubt_until);
        }
        self.page.changes.push(change);
    }
}
