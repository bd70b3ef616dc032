//! Reads the entries of a store in memory, in key order.

use std::ops::Bound;

use super::state::State;
use crate::record::{EntryPage, EntryRow, Filter, Key};

/// Rows a page; small, so that a simulation crosses pages.
const PAGE_ROWS: usize = 1_000;

impl State {
    /// Returns the entries after a key (`None` for the first page) that the filter leaves in. The page after the last
    /// is empty.
    pub(super) fn entry_page(&self, store: usize, filter: &Filter, after: Option<Key>) -> EntryPage {
        let lowest = Key::new(i64::MIN, i64::MIN);
        let start = after.map_or(Bound::Included((store, lowest)), |after| Bound::Excluded((store, after)));
        let rows = self.entries.range((start, Bound::Excluded((store + 1, lowest))));
        let rows = rows.map(|(_, entry)| entry).filter(|entry| lets_in(filter, entry.key));
        let mut page = EntryPage::default();
        for entry in rows.take(PAGE_ROWS) {
            page.push(EntryRow {
                key: entry.key,
                value: &entry.value,
                stored_value: entry.stored_value.as_deref(),
                observed_value: entry.observed_value.as_deref(),
                value_id: entry.value_id,
                belief: entry.belief,
                in_doubt_until: entry.in_doubt_until,
            });
        }
        page
    }
}

fn lets_in(filter: &Filter, key: Key) -> bool {
    (filter.customers.is_empty() || filter.customers.contains(&key.customer_id))
        && (filter.attributes.is_empty() || filter.attributes.contains(&key.attribute_id))
}
