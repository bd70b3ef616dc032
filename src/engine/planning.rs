//! The first phase: source and ledger are read side by side, and what differs is saved or counted.
//!
//! The source's snapshot is closed before the first write call: this phase ends before the next begins.

use std::time::Duration;

use tokio::time::timeout;

use super::{EngineError, Ports, Progress};
use crate::failpoint;
use crate::ledger::{EntryPages, EntryScan, Ledger};
use crate::plan::diff::{Cursor, Diff, Need, PlanPage, Rules};
use crate::plan::summary::Summary;
use crate::record::{Counts, Filter};
use crate::source::{Source, SourceError};

/// The counts of planning, and how many customers and values the source wants.
pub(super) type Planned = (Counts, (u64, u64));

/// How long the source may send nothing. A large sort takes minutes; a network that is gone takes for ever.
const SILENCE_MAX: Duration = Duration::from_secs(1_800);

fn silent() -> SourceError {
    SourceError::Unusable {
        problem: "the source has sent no row for 30 minutes".to_owned(),
        hint: "look at the network to it, and at how long the query takes in psql".to_owned(),
    }
}

/// What becomes of the pages of a plan.
enum Sink<'a> {
    Save { ledger: &'a dyn Ledger, run_id: i64 },
    Count(&'a mut Summary),
}

impl Sink<'_> {
    async fn take(&mut self, page: &mut PlanPage) -> Result<(), EngineError> {
        match self {
            Self::Count(summary) => summary.add(page),
            Self::Save { .. } if page.changes.is_empty() && page.invalid.is_empty() => {}
            Self::Save { ledger, run_id } => {
                let PlanPage { changes, invalid } = std::mem::take(page);
                ledger.save_plan(*run_id, changes, invalid).await?;
                failpoint::reach("page-saved");
            }
        }
        Ok(())
    }
}

/// Plans a run and saves the plan. A standby's recovery conflict is forgiven once: the plan is taken back and the
/// source read again.
pub(super) async fn save(
    ports: Ports<'_>,
    run_id: i64,
    filter: &Filter,
    rules: Rules,
) -> Result<Planned, EngineError> {
    let mut sink = Sink::Save { ledger: ports.ledger, run_id };
    let progress = |counts| (ports.progress)(Progress::Planning(counts));
    let scan = ports.ledger as &dyn EntryScan;
    match merge(ports.source, Some(scan), filter, rules.clone(), &mut sink, &progress).await {
        Err(EngineError::Source(SourceError::RecoveryConflict)) => {
            tracing::warn!("the standby cancelled the read in favour of replay; reading once more");
            ports.ledger.discard_plan(run_id).await?;
            merge(ports.source, Some(scan), filter, rules, &mut sink, &progress).await
        }
        planned => planned,
    }
}

/// Plans without saving.
pub(super) async fn forecast(
    source: &dyn Source,
    entries: Option<&dyn EntryScan>,
    filter: &Filter,
    rules: Rules,
    summary: &mut Summary,
) -> Result<Planned, EngineError> {
    let empty = Summary::new(summary.limit(), summary.keep());
    let planned = merge(source, entries, filter, rules.clone(), &mut Sink::Count(summary), &|_| {}).await;
    match planned {
        Err(EngineError::Source(SourceError::RecoveryConflict)) => {
            *summary = empty;
            merge(source, entries, filter, rules, &mut Sink::Count(summary), &|_| {}).await
        }
        planned => planned,
    }
}

/// One merge from beginning to end, in constant memory. `progress` is told the counts of each page.
async fn merge(
    source: &dyn Source,
    entries: Option<&dyn EntryScan>,
    filter: &Filter,
    rules: Rules,
    sink: &mut Sink<'_>,
    progress: &(dyn Fn(Counts) + Sync),
) -> Result<Planned, EngineError> {
    let mut diff = Diff::new(rules);
    let mut page = PlanPage::default();
    let (mut wanted, mut known) = (Cursor::default(), Cursor::default());
    let mut source_pages = source.read(filter).await?;
    let mut entry_pages: Option<Box<dyn EntryPages>> = match entries {
        Some(entries) => Some(entries.entries(filter).await?),
        None => None,
    };
    loop {
        let need = diff.step(&mut wanted, &mut known, &mut page)?;
        match need {
            Need::Source => {
                let page = timeout(SILENCE_MAX, source_pages.next()).await.map_err(|_| silent())?;
                wanted.turn(page?);
                progress(diff.counts());
            }
            Need::Entries => known.turn(match entry_pages.as_mut() {
                Some(pages) => pages.next().await?,
                None => None,
            }),
            Need::Room => sink.take(&mut page).await?,
            Need::Nothing => {
                sink.take(&mut page).await?;
                return Ok((diff.counts(), diff.desired()));
            }
        }
    }
}
