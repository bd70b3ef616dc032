//! A source whose rows are in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use crate::config::SourceConfig;
use crate::record::{
    AttributeNames, EmailHash, Filter, RowsDigest, SourceDigest, SourcePage, SourceRow, normalised,
};
use crate::source::{Addresses, Digested, Source, SourceError, SourcePages};

/// A row: customer id, attribute id, value.
pub type MemoryRow = (Option<i64>, Option<i64>, Option<String>);

/// A row by e-mail address: address, attribute id, value.
pub type AddressRow = (Option<String>, Option<i64>, Option<String>);

const PAGE_ROWS: usize = 2_000;

/// A source whose rows a test can change between two reads. Clones share their rows.
#[derive(Debug, Clone, Default)]
pub struct MemorySource {
    rows: Arc<Mutex<Vec<MemoryRow>>>,
    /// The addresses by their numbers, if the rows name their customers so.
    addresses: Option<Arc<Mutex<BTreeMap<i64, String>>>>,
    conflicts: Arc<AtomicU32>,
}

impl MemorySource {
    /// Makes a source of these rows, in any order.
    #[must_use]
    pub fn new(rows: Vec<MemoryRow>) -> Self {
        Self { rows: Arc::new(Mutex::new(rows)), addresses: None, conflicts: Arc::default() }
    }

    /// Makes a source of rows by e-mail address, in any order.
    #[must_use]
    pub fn by_email(rows: Vec<AddressRow>) -> Self {
        let source = Self { addresses: Some(Arc::default()), ..Self::default() };
        source.replace_addresses(rows);
        source
    }

    /// Replaces all rows of a source by e-mail address.
    pub fn replace_addresses(&self, rows: Vec<AddressRow>) {
        let mut addresses = BTreeMap::new();
        let rows = rows.into_iter().map(|(address, attribute_id, value)| {
            let number = address.map(|address| {
                let number = EmailHash::of(&address).number();
                addresses.insert(number, normalised(&address));
                number
            });
            (number, attribute_id, value)
        });
        self.replace(rows.collect());
        if let Some(known) = &self.addresses {
            *known.lock().unwrap_or_else(PoisonError::into_inner) = addresses;
        }
    }

    /// Replaces all rows. A read that has started still returns the old ones.
    pub fn replace(&self, rows: Vec<MemoryRow>) {
        *self.rows.lock().unwrap_or_else(PoisonError::into_inner) = rows;
    }

    /// Edits the rows in place. A read that has started still returns the old ones.
    pub fn edit(&self, edit: impl FnOnce(&mut Vec<MemoryRow>)) {
        edit(&mut self.rows.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Makes the next `count` reads fail with a recovery conflict after half of the rows.
    pub fn conflict(&self, count: u32) {
        self.conflicts.store(count, Ordering::SeqCst);
    }

    fn snapshot(&self, filter: &Filter) -> Vec<MemoryRow> {
        let rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        let mut snapshot: Vec<MemoryRow> = rows.iter().filter(|row| passes(row, filter)).cloned().collect();
        drop(rows);
        snapshot.sort_by_key(|(customer_id, attribute_id, _)| {
            (customer_id.is_none(), *customer_id, attribute_id.is_none(), *attribute_id)
        });
        snapshot
    }
}

/// Whether the filter matches the row. As in SQL, a NULL is in no list.
fn passes((customer_id, attribute_id, _): &MemoryRow, filter: &Filter) -> bool {
    let within = |set: &std::collections::BTreeSet<i64>, id: &Option<i64>| {
        set.is_empty() || id.is_some_and(|id| set.contains(&id))
    };
    within(&filter.customers, customer_id) && within(&filter.attributes, attribute_id)
}

struct MemoryPages {
    rows: Vec<MemoryRow>,
    at: usize,
    /// The number of rows after which the read fails.
    fails_at: Option<usize>,
    is_filtered: bool,
}

#[async_trait]
impl SourcePages for MemoryPages {
    async fn next(&mut self) -> Result<Option<SourcePage>, SourceError> {
        if self.fails_at.is_some_and(|fails_at| self.at >= fails_at) {
            let problem = "the standby cancelled the read (recovery conflict)".to_owned();
            return Err(SourceError::Unavailable { problem, hint: "read again".to_owned() });
        }
        let end = self.fails_at.unwrap_or(self.rows.len()).min(self.at + PAGE_ROWS);
        let mut page = SourcePage::with_capacity(end - self.at);
        for (customer_id, attribute_id, value) in &self.rows[self.at..end] {
            let (customer_id, attribute_id) = (*customer_id, *attribute_id);
            page.push(SourceRow { customer_id, attribute_id, value: value.as_deref(), problem: None });
        }
        self.at = end;
        Ok(Some(page).filter(|page| !page.is_empty()))
    }

    fn digest(&self) -> Option<SourceDigest> {
        (!self.is_filtered).then(|| digest(&self.rows))
    }
}

#[async_trait]
impl Source for MemorySource {
    fn give_up_after(&self) -> Duration {
        SourceConfig::GIVE_UP_AFTER
    }

    async fn read(
        &self,
        filter: &Filter,
        _names: &AttributeNames,
    ) -> Result<Box<dyn SourcePages>, SourceError> {
        let rows = self.snapshot(filter);
        let conflict =
            self.conflicts.try_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        let fails_at = conflict.is_ok().then_some(rows.len() / 2);
        Ok(Box::new(MemoryPages { rows, at: 0, fails_at, is_filtered: !filter.is_empty() }))
    }

    async fn digest(&self, _names: &AttributeNames) -> Result<Option<Digested>, SourceError> {
        let digest = digest(&self.snapshot(&Filter::default()));
        Ok(Some(Digested { digest, row_security: None }))
    }

    fn addresses(&self) -> Option<&dyn Addresses> {
        self.addresses.is_some().then_some(self as &dyn Addresses)
    }
}

#[async_trait]
impl Addresses for MemorySource {
    async fn read_addresses(
        &self,
        numbers: &BTreeSet<i64>,
        after: i64,
        _lock_wait: Duration,
    ) -> Result<Box<dyn SourcePages>, SourceError> {
        let addresses =
            self.addresses.as_ref().map(|known| known.lock().unwrap_or_else(PoisonError::into_inner));
        let rows = addresses.iter().flat_map(|known| known.iter());
        let rows =
            rows.filter(|(number, _)| **number > after && (numbers.is_empty() || numbers.contains(number)));
        let rows = rows.map(|(number, address)| (Some(*number), Some(1), Some(address.clone()))).collect();
        Ok(Box::new(MemoryPages { rows, at: 0, fails_at: None, is_filtered: true }))
    }
}

fn digest(rows: &[MemoryRow]) -> SourceDigest {
    let mut digest = RowsDigest::default();
    for (customer_id, attribute_id, value) in rows {
        digest.add(*customer_id, *attribute_id, value.as_deref().map(str::as_bytes));
    }
    SourceDigest::new(digest, "rows in memory")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(customer_id: impl Into<Option<i64>>, attribute_id: impl Into<Option<i64>>) -> MemoryRow {
        (customer_id.into(), attribute_id.into(), Some("x".to_owned()))
    }

    async fn read(
        source: &MemorySource,
        filter: &Filter,
    ) -> Result<Vec<(Option<i64>, Option<i64>)>, SourceError> {
        let mut pages = source.read(filter, &AttributeNames::default()).await?;
        let mut keys = Vec::new();
        while let Some(page) = pages.next().await? {
            assert!(!page.is_empty());
            keys.extend((0..page.len()).map(|at| (page.row(at).customer_id, page.row(at).attribute_id)));
        }
        Ok(keys)
    }

    #[tokio::test]
    async fn rows_are_in_key_order_with_nulls_last() {
        let source = MemorySource::new(vec![row(None, 1), row(2, None), row(2, 1), row(-1, 9), row(2, 1)]);
        let expect =
            [(Some(-1), Some(9)), (Some(2), Some(1)), (Some(2), Some(1)), (Some(2), None), (None, Some(1))];
        assert_eq!(read(&source, &Filter::default()).await.expect("rows"), expect);
        let filter = Filter { attributes: [1].into(), ..Filter::default() };
        let expect = [(Some(2), Some(1)), (Some(2), Some(1)), (None, Some(1))];
        assert_eq!(read(&source, &filter).await.expect("rows"), expect);
    }

    #[tokio::test]
    async fn a_conflict_fails_the_next_reads_only() {
        let source = MemorySource::new((0..5_000).map(|id| row(id, 1)).collect());
        source.conflict(2);
        for _ in 0..2 {
            let error = read(&source, &Filter::default()).await.expect_err("a conflict");
            assert!(matches!(error, SourceError::Unavailable { .. }));
        }
        assert_eq!(read(&source, &Filter::default()).await.expect("rows").len(), 5_000);
    }
}
