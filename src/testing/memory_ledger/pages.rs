//! Reads all entries of a store in memory, in key order.

use std::ops::Bound;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;

use super::state::{State, lock};
use crate::ledger::{EntryPages, Result};
use crate::record::{EntryPage, EntryRow, Filter, Key};

/// Rows per page; few, so that a simulation reads several pages.
const PAGE_ROWS: usize = 1_000;

/// The entries of a store that the filter lets through.
pub(super) struct MemoryPages {
    database: Arc<Mutex<State>>,
    store: usize,
    filter: Filter,
    after: Option<Key>,
}

impl MemoryPages {
    pub(super) const fn new(database: Arc<Mutex<State>>, store: usize, filter: Filter) -> Self {
        Self { database, store, filter, after: None }
    }
}

#[async_trait]
impl EntryPages for MemoryPages {
    async fn next(&mut self) -> Result<Option<EntryPage>> {
        let state = lock(&self.database);
        let lowest = Key::new(i64::MIN, i64::MIN);
        let start = self
            .after
            .map_or(Bound::Included((self.store, lowest)), |after| Bound::Excluded((self.store, after)));
        let rows = state.entries.range((start, Bound::Excluded((self.store + 1, lowest))));
        let rows = rows.map(|(_, entry)| entry).filter(|entry| self.filter.lets_in(entry.key));
        let mut page = EntryPage::default();
        for entry in rows.take(PAGE_ROWS) {
            self.after = Some(entry.key);
            page.push(EntryRow {
                key: entry.key,
                value: entry.value.as_deref(),
                stored_value: entry.stored_value.as_deref(),
                observed_value: entry.observed_value.as_deref(),
                value_id: entry.value_id,
                belief: entry.belief,
                acknowledged: entry.acknowledged,
                in_doubt_until: entry.in_doubt_until,
                pin: None,
            });
        }
        Ok(Some(page).filter(|page| !page.is_empty()))
    }
}
