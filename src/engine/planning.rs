//! The first phase: source and ledger are read side by side, and what differs is saved or counted.
//!
//! The source's snapshot is closed before the first write call: this phase ends before the next begins.

use std::pin::pin;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesOrdered, StreamExt};
use tokio::task::yield_now;
use tokio::time::timeout;

use super::waiting::set_off;
use super::{EngineError, Ports, Progress};
use crate::failpoint;
use crate::ledger::{self, EntryPages, Ledger, LedgerReader};
use crate::plan::diff::{Cursor, Diff, Need, PlanPage, Rules};
use crate::plan::summary::Summary;
use crate::record::{Counts, Filter};
use crate::source::{Source, SourceError};

/// What planning came to.
pub(super) struct Planned {
    /// Its counts.
    pub(super) counts: Counts,
    /// How many customers and values the source wants.
    pub(super) desired: (u64, u64),
    /// Whether some of the changes have to wait for older requests.
    pub(super) has_in_doubt: bool,
}

/// How long the source may send nothing. A large sort takes minutes; a network that is gone takes for ever.
const SILENCE_MAX: Duration = Duration::from_secs(1_800);

fn silent() -> SourceError {
    SourceError::Unusable {
        problem: "the source has sent no row for 30 minutes".to_owned(),
        hint: "look at the network to it, and at how long the query takes in psql".to_owned(),
    }
}

/// How many pages are being saved at once: while the ledger works on one, the next is made ready for it.
const SAVING_MAX: usize = 2;

/// What becomes of the pages of a plan.
enum Sink<'a> {
    /// They are saved, in their order, each while the next is made.
    Save { ledger: &'a dyn Ledger, run_id: i64, saving: FuturesOrdered<BoxFuture<'a, ledger::Result<()>>> },
    /// They are counted.
    Count(&'a mut Summary),
}

impl<'a> Sink<'a> {
    fn save(ledger: &'a dyn Ledger, run_id: i64) -> Self {
        Self::Save { ledger, run_id, saving: FuturesOrdered::new() }
    }

    /// Takes a page.
    async fn take(&mut self, page: PlanPage) -> Result<(), EngineError> {
        match self {
            Self::Count(summary) => summary.add(page),
            Self::Save { .. } if page.changes.is_empty() && page.invalid.is_empty() => {}
            Self::Save { ledger, run_id, saving } => {
                while saving.len() >= SAVING_MAX {
                    saved(saving.next().await)?;
                }
                let PlanPage { changes, invalid, .. } = page;
                saving.push_back(set_off(ledger.save_plan(*run_id, changes, invalid)).await);
            }
        }
        Ok(())
    }

    /// Waits until everything that was taken is saved, or failed; the first failure is told.
    async fn saved(&mut self) -> Result<(), EngineError> {
        let mut told = Ok(());
        if let Self::Save { saving, .. } = self {
            while !saving.is_empty() {
                told = told.and(saved(saving.next().await));
            }
        }
        told
    }

    /// Waits for what is read, and saves meanwhile. The saving gets its turn also where the reading has no need to wait.
    async fn beside<T>(&mut self, reading: impl Future<Output = T>) -> Result<T, EngineError> {
        let mut reading = pin!(reading);
        let Self::Save { saving, .. } = self else { return Ok(reading.await) };
        if !saving.is_empty() {
            yield_now().await;
        }
        loop {
            tokio::select! {
                biased;
                Some(page) = saving.next() => saved(Some(page))?,
                read = &mut reading => return Ok(read),
            }
        }
    }
}

/// One more page is saved, or could not be.
fn saved(page: Option<ledger::Result<()>>) -> Result<(), EngineError> {
    if let Some(page) = page {
        page?;
        failpoint::reach("page-saved");
    }
    Ok(())
}

/// Plans a run and saves the plan. A standby's recovery conflict is forgiven once: the plan is taken back and the
/// source read again.
pub(super) async fn save(
    ports: Ports<'_>,
    run_id: i64,
    filter: &Filter,
    rules: Rules,
) -> Result<Planned, EngineError> {
    let mut sink = Sink::save(ports.ledger, run_id);
    let progress = |counts| (ports.progress)(Progress::Planning(counts));
    let scan = ports.ledger as &dyn LedgerReader;
    let planned = merge(ports.source, Some(scan), filter, rules.clone(), &mut sink, &progress).await;
    // However it ended, what is being saved must be done before anything else is written.
    let saved = sink.saved().await;
    match planned {
        Err(EngineError::Source(SourceError::RecoveryConflict)) => {
            saved?;
            tracing::warn!("the standby cancelled the read in favour of replay; reading once more");
            ports.ledger.discard_plan(run_id).await?;
            let planned = merge(ports.source, Some(scan), filter, rules, &mut sink, &progress).await;
            let saved = sink.saved().await;
            planned.and_then(|planned| saved.map(|()| planned))
        }
        planned => planned.and_then(|planned| saved.map(|()| planned)),
    }
}

/// Plans without saving.
pub(super) async fn forecast(
    source: &dyn Source,
    entries: Option<&dyn LedgerReader>,
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
    entries: Option<&dyn LedgerReader>,
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
                let page = sink.beside(timeout(SILENCE_MAX, source_pages.next())).await?;
                let page = page.map_err(|_| silent())?;
                wanted.turn(page?);
                progress(diff.counts());
            }
            Need::Entries => known.turn(match entry_pages.as_mut() {
                Some(pages) => sink.beside(pages.next()).await??,
                None => None,
            }),
            Need::Room => sink.take(std::mem::take(&mut page)).await?,
            Need::Nothing => {
                sink.take(page).await?;
                return Ok(Planned {
                    counts: diff.counts(),
                    desired: diff.desired(),
                    has_in_doubt: diff.has_in_doubt(),
                });
            }
        }
    }
}
