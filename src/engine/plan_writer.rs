//! Where a planner's changes go: into a summary, and into the ledger as the changes of a run.
//!
//! A planner is anything that fills pages of a plan in key order. Today there is one, the diff in [`super::planning`].

use std::pin::pin;
use std::task::Poll;

use futures_util::future::{BoxFuture, ready};
use futures_util::poll;
use futures_util::stream::{FuturesOrdered, StreamExt};
use tokio::task::yield_now;

use super::ports::{EngineError, PlanOutput};
use super::selection::{Selected, Selection};
use crate::failpoint;
use crate::ledger::{self, Ledger};
use crate::plan::diff::PlanPage;
use crate::plan::summary::Summary;

/// How many pages are being saved at once: while the ledger saves one, the next is made.
const SAVING_MAX: usize = 2;

/// Takes the pages of one plan.
pub(super) struct PlanWriter<'a> {
    run: Option<(&'a dyn Ledger, i64)>,
    saving: FuturesOrdered<BoxFuture<'a, ledger::Result<()>>>,
    summary: Summary,
    /// Selects the changes of another run's plan.
    selection: Option<Selection<'a>>,
    /// Takes every change too.
    output: Option<&'a dyn PlanOutput>,
}

impl<'a> PlanWriter<'a> {
    /// Returns a writer that saves the changes of a run.
    pub(super) fn saving(ledger: &'a dyn Ledger, run_id: i64, summary: Summary) -> Self {
        Self {
            run: Some((ledger, run_id)),
            saving: FuturesOrdered::new(),
            summary,
            selection: None,
            output: None,
        }
    }

    /// Returns a writer that only counts.
    pub(super) fn counting(summary: Summary) -> Self {
        Self { run: None, saving: FuturesOrdered::new(), summary, selection: None, output: None }
    }

    /// Lets it take only changes that the selection lets through.
    pub(super) fn selecting(self, selection: Option<Selection<'a>>) -> Self {
        Self { selection, ..self }
    }

    /// Lets it pass every change on.
    pub(super) fn copying_to(self, output: Option<&'a dyn PlanOutput>) -> Self {
        Self { output, ..self }
    }

    /// Takes a page.
    pub(super) async fn take(&mut self, mut page: PlanPage) -> Result<(), EngineError> {
        if let Some(selection) = &mut self.selection {
            page.changes = selection.select(page.changes).await?;
        }
        self.summary.add(&page);
        if let Some(output) = self.output {
            output.take(&page.changes)?;
        }
        let Some((ledger, run_id)) = self.run else { return Ok(()) };
        if page.changes.is_empty() && page.invalid.is_empty() {
            return Ok(());
        }
        while self.saving.len() >= SAVING_MAX {
            saved(self.saving.next().await)?;
        }
        let mut save = ledger.save_plan(run_id, page.changes, page.invalid);
        // Polled once now, so that the ledger works on it while the next page is made.
        self.saving.push_back(match poll!(&mut save) {
            Poll::Ready(result) => Box::pin(ready(result)),
            Poll::Pending => save,
        });
        Ok(())
    }

    /// Awaits a read of a stream, and saves pages meanwhile. Saving gets its turn even if the read is ready at once.
    pub(super) async fn while_saving<T>(&mut self, read: impl Future<Output = T>) -> Result<T, EngineError> {
        let mut read = pin!(read);
        if !self.saving.is_empty() {
            yield_now().await;
        }
        loop {
            tokio::select! {
                biased;
                Some(page) = self.saving.next() => saved(Some(page))?,
                read = &mut read => return Ok(read),
            }
        }
    }

    /// Waits until every page is saved, or failed. Returns the first failure.
    pub(super) async fn saved(&mut self) -> Result<(), EngineError> {
        let mut first = Ok(());
        while !self.saving.is_empty() {
            first = first.and(saved(self.saving.next().await));
        }
        first
    }

    /// Takes everything back, because the source is read again.
    pub(super) async fn discard(&mut self) -> Result<(), EngineError> {
        self.summary = self.summary.cleared();
        if let Some(selection) = &mut self.selection {
            selection.begin_anew();
        }
        if let Some(output) = self.output {
            output.begin_anew()?;
        }
        match self.run {
            Some((ledger, run_id)) => Ok(ledger.discard_plan(run_id).await?),
            None => Ok(()),
        }
    }

    /// Returns what was selected, once every page was taken. `None` if everything is.
    pub(super) async fn selected(&mut self) -> Result<Option<Selected>, EngineError> {
        match &mut self.selection {
            Some(selection) => selection.end().await.map(Some),
            None => Ok(None),
        }
    }

    /// Takes the deletes back, because the source could not be read whole.
    pub(super) async fn remove_deletes(&mut self) -> Result<(), EngineError> {
        self.summary.remove_deletes();
        if let Some(output) = self.output {
            output.remove_deletes()?;
        }
        match self.run {
            Some((ledger, run_id)) => Ok(ledger.remove_deletes(run_id).await?),
            None => Ok(()),
        }
    }

    /// Returns the summary of everything that was taken.
    pub(super) fn into_summary(self) -> Summary {
        self.summary
    }
}

/// Takes note of a saved page.
fn saved(page: Option<ledger::Result<()>>) -> Result<(), EngineError> {
    if let Some(page) = page {
        page?;
        failpoint::reach("page-saved");
    }
    Ok(())
}
