//! A source in memory, for the simulation and the benchmarks.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::{Source, SourceError, SourcePages};
use crate::record::{Filter, SourcePage, SourceRow};

/// Rows a page; small, so that a simulation crosses pages.
const PAGE: usize = 16;

/// A row: customer id, attribute id, value, each maybe NULL.
pub type Row = (Option<i64>, Option<i64>, Option<String>);

/// A table that can be edited between reads.
#[derive(Debug, Default)]
pub struct MemorySource(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    rows: Vec<Row>,
    conflicts: u32,
}

impl MemorySource {
    /// Replaces all rows, in whatever order they come.
    pub fn set(&self, rows: Vec<Row>) {
        self.state().rows = rows;
    }

    /// The next so many reads are cancelled after their first page, as by a standby's replay.
    pub fn cancel_reads(&self, count: u32) {
        self.state().conflicts = count;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Source for MemorySource {
    async fn read(&self, filter: &Filter) -> Result<Box<dyn SourcePages>, SourceError> {
        let mut state = self.state();
        let in_set = |set: &std::collections::BTreeSet<i64>, id: Option<i64>| {
            set.is_empty() || id.is_some_and(|id| set.contains(&id))
        };
        let kept = |row: &&Row| in_set(&filter.customers, row.0) && in_set(&filter.attributes, row.1);
        let mut rows: Vec<Row> = state.rows.iter().filter(kept).cloned().collect();
        rows.sort_by_key(|(customer, attribute, _)| {
            (customer.is_none(), *customer, attribute.is_none(), *attribute)
        });
        let cancelled = state.conflicts > 0;
        state.conflicts = state.conflicts.saturating_sub(1);
        Ok(Box::new(Pages { rows: rows.into(), cancelled, begun: false }))
    }
}

struct Pages {
    rows: VecDeque<Row>,
    cancelled: bool,
    begun: bool,
}

#[async_trait]
impl SourcePages for Pages {
    async fn next(&mut self) -> Result<Option<SourcePage>, SourceError> {
        if self.cancelled && self.begun {
            return Err(SourceError::RecoveryConflict);
        }
        self.begun = true;
        let mut page = SourcePage::default();
        for (customer_id, attribute_id, value) in self.rows.drain(..PAGE.min(self.rows.len())) {
            page.push(SourceRow { customer_id, attribute_id, value: value.as_deref() });
        }
        Ok((!page.is_empty()).then_some(page))
    }
}
