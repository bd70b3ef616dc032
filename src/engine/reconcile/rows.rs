//! Rows of the ledger or the source in key order, read page by page.

use std::collections::VecDeque;

use futures_util::future::BoxFuture;

use super::reads::End;
use crate::ledger::{self, Ledger};
use crate::plan::diff::OutOfOrder;
use crate::record::{
    Entry, Filter, Key, ObservedValue, ReportedDrift, SourcePage, SourceRow, VALUE_MAX_CHARS,
};
use crate::source::SourcePages;

/// How many rows are read at once.
const PAGE_ROWS: usize = 2_000;

/// Reads the page after a key.
type ReadPage<'a, T> = Box<dyn Fn(Key) -> BoxFuture<'a, ledger::Result<Vec<T>>> + Send + Sync + 'a>;

/// Rows of the ledger in key order.
pub(super) struct Rows<'a, T> {
    read: ReadPage<'a, T>,
    key: fn(&T) -> Key,
    after: Key,
    page: VecDeque<T>,
    is_last: bool,
}

/// The entries of a range.
pub(super) fn entries(ledger: &dyn Ledger, (after, last): (Key, i64)) -> Rows<'_, Entry> {
    let read = move |after| ledger.entries_after(after, last, PAGE_ROWS);
    Rows::new(after, |entry| entry.key, read)
}

/// The observed values of a range.
pub(super) fn observed(ledger: &dyn Ledger, (after, last): (Key, i64)) -> Rows<'_, ObservedValue> {
    let read = move |after| ledger.observed_after(after, last, PAGE_ROWS);
    Rows::new(after, |value| value.key, read)
}

/// The reported drift of a range.
pub(super) fn reported(ledger: &dyn Ledger, (after, last): (Key, i64)) -> Rows<'_, ReportedDrift> {
    let read = move |after| ledger.reported_after(after, last, PAGE_ROWS);
    Rows::new(after, |drift| drift.key, read)
}

impl<'a, T> Rows<'a, T> {
    fn new(
        after: Key,
        key: fn(&T) -> Key,
        read: impl Fn(Key) -> BoxFuture<'a, ledger::Result<Vec<T>>> + Send + Sync + 'a,
    ) -> Self {
        Self { read: Box::new(read), key, after, page: VecDeque::new(), is_last: false }
    }

    /// The next row.
    pub(super) async fn next(&mut self) -> ledger::Result<Option<T>> {
        if self.page.is_empty() && !self.is_last {
            let page = (self.read)(self.after).await?;
            self.is_last = page.len() < PAGE_ROWS;
            self.after = page.last().map_or(self.after, self.key);
            self.page = page.into();
        }
        Ok(self.page.pop_front())
    }

    /// The row of this key, if there is one. The rows before it are passed over, and counted.
    pub(super) async fn at(&mut self, key: Key, passed: &mut u64) -> ledger::Result<Option<T>> {
        while let Some(row) = self.next().await? {
            let found = (self.key)(&row);
            if found == key {
                return Ok(Some(row));
            }
            if found > key {
                self.page.push_front(row);
                return Ok(None);
            }
            *passed += 1;
        }
        Ok(None)
    }
}

/// What the source says of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wish {
    /// It has no row, or one that is NULL.
    Nothing,
    /// It desires this value.
    Value(String),
    /// Its row cannot be sent, or it has several.
    Invalid,
}

/// The rows of the source in key order.
pub(super) struct DesiredRows {
    pages: Box<dyn SourcePages>,
    page: SourcePage,
    at: usize,
    is_over: bool,
    last: Option<Key>,
}

impl DesiredRows {
    /// The rows of these pages, of which the first was read.
    pub(super) fn new(pages: Box<dyn SourcePages>, first: Option<SourcePage>) -> Self {
        let is_over = first.is_none();
        Self { pages, page: first.unwrap_or_default(), at: 0, is_over, last: None }
    }

    /// What the source says of this key. Keys come in rising order.
    pub(super) async fn at(&mut self, key: Key) -> Result<Wish, End> {
        let mut wish: Option<Wish> = None;
        loop {
            if self.at >= self.page.len() {
                if self.is_over {
                    break;
                }
                match self.pages.next().await? {
                    Some(page) => (self.page, self.at) = (page, 0),
                    None => self.is_over = true,
                }
                continue;
            }
            let row = self.page.row(self.at);
            if let Some(of_row) = row.customer_id.zip(row.attribute_id) {
                let of_row = Key::new(of_row.0, of_row.1);
                if of_row > key {
                    break;
                }
                if self.last.is_some_and(|last| of_row < last) {
                    let error = OutOfOrder { stream: "source", key: of_row };
                    return Err(End::Failed(error.into()));
                }
                self.last = Some(of_row);
                if of_row == key {
                    wish = Some(if wish.is_some() { Wish::Invalid } else { wish_of(row) });
                }
            }
            self.at += 1;
        }
        Ok(wish.unwrap_or(Wish::Nothing))
    }
}

fn wish_of(row: SourceRow<'_>) -> Wish {
    match (row.value, row.problem) {
        (None, None) => Wish::Nothing,
        (Some(value), None) if value.chars().count() <= VALUE_MAX_CHARS => Wish::Value(value.to_owned()),
        _ => Wish::Invalid,
    }
}

/// The ranges of customers that a filter lets through: after which key each begins, and its last customer.
pub(super) fn ranges(filter: &Filter) -> Vec<(Key, i64)> {
    if filter.customers.is_empty() {
        return vec![(Key::new(0, 0), i64::MAX)];
    }
    filter.customers.iter().map(|customer| (Key::new(*customer, 0), *customer)).collect()
}
