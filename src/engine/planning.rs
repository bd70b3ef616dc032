//! The planner of a sync: source and ledger are read side by side, and what differs goes to the writer of the plan.
//!
//! The source's snapshot is closed before the first write request: this phase ends before the next begins.

use std::time::Duration;

use tokio::time::timeout;

use super::plan_writer::PlanWriter;
use super::ports::EngineError;
use crate::ledger::{EntryPages, LedgerReader};
use crate::plan::diff::{Cursor, Diff, DiffPolicy, Need, PlanPage};
use crate::plan::summary::Summary;
use crate::record::{Counts, Filter};
use crate::source::{Source, SourceError};

/// How long the source may send nothing. A large sort takes minutes; a broken connection never ends.
const SILENCE_MAX: Duration = Duration::from_secs(1_800);

/// What planning found.
#[derive(Debug)]
pub(super) struct Planned {
    /// The counts of planning.
    pub(super) counts: Counts,
    /// How many customers and values the source asks for.
    pub(super) desired: (u64, u64),
    /// Whether some of the changes have to wait for older requests.
    pub(super) has_in_doubt: bool,
    /// What the plan would do.
    pub(super) summary: Summary,
}

/// Plans by comparing source and ledger. `entries` is `None` if there is no ledger yet. `progress` is told the
/// counts after each page. After a recovery conflict of a standby the source is read once more.
pub(super) async fn diff(
    source: &dyn Source,
    entries: Option<&dyn LedgerReader>,
    filter: &Filter,
    policy: DiffPolicy,
    mut writer: PlanWriter<'_>,
    progress: &(dyn Fn(Counts) + Send + Sync),
) -> Result<Planned, EngineError> {
    let mut diff = Diff::new(policy.clone());
    let mut merged = merge(source, entries, filter, &mut diff, &mut writer, progress).await;
    // Whatever the result, nothing else may be written while pages are being saved.
    let mut saved = writer.saved().await;
    if let Err(EngineError::Source(SourceError::RecoveryConflict)) = merged {
        saved?;
        tracing::warn!("the standby cancelled the read because of a recovery conflict; reading once more");
        writer.discard().await?;
        diff = Diff::new(policy);
        merged = merge(source, entries, filter, &mut diff, &mut writer, progress).await;
        saved = writer.saved().await;
    }
    merged.and(saved)?;
    Ok(Planned {
        counts: diff.counts(),
        desired: diff.desired(),
        has_in_doubt: diff.has_in_doubt(),
        summary: writer.into_summary(),
    })
}

/// Merges source and ledger once, in constant memory.
async fn merge(
    source: &dyn Source,
    entries: Option<&dyn LedgerReader>,
    filter: &Filter,
    diff: &mut Diff,
    writer: &mut PlanWriter<'_>,
    progress: &(dyn Fn(Counts) + Send + Sync),
) -> Result<(), EngineError> {
    let mut page = PlanPage::default();
    let (mut desired, mut known) = (Cursor::default(), Cursor::default());
    let mut source_pages = source.read(filter).await?;
    let mut entry_pages: Option<Box<dyn EntryPages>> = match entries {
        Some(entries) => Some(entries.entries(filter).await?),
        None => None,
    };
    loop {
        match diff.step(&mut desired, &mut known, &mut page)? {
            Need::Source => {
                let next = writer.while_saving(timeout(SILENCE_MAX, source_pages.next())).await?;
                desired.advance(next.map_err(|_| silent())??);
                progress(diff.counts());
            }
            Need::Entries => known.advance(match entry_pages.as_mut() {
                Some(pages) => writer.while_saving(pages.next()).await??,
                None => None,
            }),
            Need::Room => writer.take(std::mem::take(&mut page)).await?,
            Need::Nothing => return writer.take(page).await,
        }
    }
}

fn silent() -> SourceError {
    SourceError::Unusable {
        problem: "the source has sent no row for 30 minutes".to_owned(),
        hint: "check the network to it, and how long the query takes in psql".to_owned(),
    }
}
