//! Reading all entries of a store, in key order, past the writer and without its lock.
//!
//! A thread of its own steps rows straight into pages: going through the runtime row by row costs eight times as
//! much. Every page is a read transaction of its own, so that the WAL can be checkpointed meanwhile.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use async_trait::async_trait;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags, Row, params_from_iter};
use tokio::sync::mpsc;

use super::failure::Failure;
use super::stamp;
use crate::ledger::{EntryPages, LedgerError, Result};
use crate::record::{Belief, EntryPage, EntryRow, Filter, Key};

/// Rows a page: small enough for a processor's cache, and few enough hand-overs that they cost nothing.
const PAGE_ROWS: usize = 2_000;

/// Pages read ahead of whoever takes them.
const PAGES_AHEAD: usize = 8;

const READING: &str = "read its entries";

/// The entries that the filter leaves in, read by a thread that ends with them or with their reader.
pub(crate) fn scan(path: &Path, store_id: i64, filter: &Filter) -> Result<Box<dyn EntryPages>> {
    let (pages, receiver) = mpsc::channel(PAGES_AHEAD);
    let (path, filter) = (PathBuf::from(path), filter.clone());
    thread::Builder::new()
        .name("ledger-scan".to_owned())
        .spawn(move || {
            let last = match read_all(&path, store_id, &filter, &pages) {
                Ok(()) => Ok(None),
                Err(failure) => Err(failure.into_error(READING)),
            };
            // Nobody is told where the reader has gone.
            let _ = pages.blocking_send(last);
        })
        .map_err(|error| LedgerError::Database { doing: READING, source: error.into() })?;
    Ok(Box::new(ScannedPages { pages: receiver, ended: false }))
}

/// What the thread hands over: pages, then `None`.
type Handed = Result<Option<EntryPage>>;

#[derive(Debug)]
struct ScannedPages {
    pages: mpsc::Receiver<Handed>,
    ended: bool,
}

#[async_trait]
impl EntryPages for ScannedPages {
    async fn next(&mut self) -> Result<Option<EntryPage>> {
        if self.ended {
            return Ok(None);
        }
        // A thread that ended without having said so was cut off: that must not look like a short ledger.
        let page = self.pages.recv().await.unwrap_or_else(|| {
            Err(LedgerError::Database { doing: READING, source: "the reader ended early".into() })
        })?;
        self.ended = page.is_none();
        Ok(page)
    }
}

fn read_all(
    path: &Path,
    store_id: i64,
    filter: &Filter,
    pages: &mpsc::Sender<Handed>,
) -> Result<(), Failure> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    let mut after = Key::new(i64::MIN, i64::MIN);
    loop {
        let page = read_page(&connection, store_id, filter, after)?;
        let full = page.len() == PAGE_ROWS;
        let Some(last) = page.len().checked_sub(1) else { return Ok(()) };
        after = page.row(last).key;
        if pages.blocking_send(Ok(Some(page))).is_err() || !full {
            return Ok(());
        }
    }
}

fn read_page(
    connection: &Connection,
    store_id: i64,
    filter: &Filter,
    after: Key,
) -> Result<EntryPage, Failure> {
    let mut statement = connection.prepare_cached(&page_sql(filter))?;
    let numbers = [store_id, after.customer_id, after.attribute_id].map(rusqlite::types::Value::from);
    let customers = filter.customers.range(after.customer_id..);
    let mut lists = Vec::new();
    if !filter.customers.is_empty() {
        lists.push(json_list(customers).into());
    }
    if !filter.attributes.is_empty() {
        lists.push(json_list(filter.attributes.iter()).into());
    }
    let values = numbers.into_iter().chain(lists);
    let mut rows = statement.query(params_from_iter(values))?;
    let mut page = EntryPage::with_capacity(PAGE_ROWS);
    while let Some(row) = rows.next()? {
        page.push(read_entry(row)?);
    }
    Ok(page)
}

/// The query of a page.
///
/// With customers named, each is looked up: the `+` keeps SQLite from walking the whole table after the key instead.
fn page_sql(filter: &Filter) -> String {
    let (customers, attributes) = (!filter.customers.is_empty(), !filter.attributes.is_empty());
    let after = match customers {
        true => {
            "(+customer_id, +attribute_id) > (?2, ?3) and customer_id in (select value from json_each(?4))"
        }
        false => "(customer_id, attribute_id) > (?2, ?3)",
    };
    let attributes = match (attributes, customers) {
        (false, _) => "",
        (true, true) => "and attribute_id in (select value from json_each(?5))",
        (true, false) => "and attribute_id in (select value from json_each(?4))",
    };
    format!(
        "select customer_id, attribute_id, value, stored_value, seen_value, value_id, belief, reason, updated_at
         from entries
         where store_id = ?1 and {after} {attributes}
         order by customer_id, attribute_id
         limit {PAGE_ROWS}"
    )
}

/// A list of any length as one bound value.
fn json_list<'ids>(ids: impl Iterator<Item = &'ids i64>) -> String {
    let ids: Vec<String> = ids.map(i64::to_string).collect();
    format!("[{}]", ids.join(","))
}

fn read_entry<'row>(row: &'row Row<'_>) -> Result<EntryRow<'row>, Failure> {
    let key = Key::new(integer(row, 0)?, integer(row, 1)?);
    let belief = text(row, 6)?.and_then(Belief::from_word);
    let belief =
        belief.ok_or_else(|| Failure::Wrong(format!("the entry of {key} has a belief of no known kind")))?;
    // Read only where it is needed: where a request for it may still arrive.
    let sent_at = match belief {
        Belief::Unconfirmed => text(row, 8)?,
        Belief::Confirmed if text(row, 7)?.is_some() => text(row, 8)?,
        Belief::Confirmed | Belief::Rejected => None,
    };
    Ok(EntryRow {
        key,
        value: text(row, 2)?.unwrap_or_default(),
        stored_value: text(row, 3)?,
        seen_value: text(row, 4)?,
        value_id: row.get_ref(5)?.as_i64_or_null().map_err(rusqlite::Error::from)?,
        belief,
        sent_at: sent_at.map(stamp::parse).transpose()?,
    })
}

fn integer(row: &Row<'_>, column: usize) -> Result<i64, Failure> {
    Ok(row.get_ref(column)?.as_i64().map_err(rusqlite::Error::from)?)
}

fn text<'row>(row: &'row Row<'_>, column: usize) -> Result<Option<&'row str>, Failure> {
    let value: ValueRef<'row> = row.get_ref(column)?;
    Ok(value.as_str_or_null().map_err(rusqlite::Error::from)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_reader_that_is_cut_off_is_not_the_end() {
        let (sender, pages) = mpsc::channel(PAGES_AHEAD);
        let mut scanned = ScannedPages { pages, ended: false };
        let mut page = EntryPage::with_capacity(1);
        page.push(EntryRow {
            key: Key::new(1, 1),
            value: "a",
            stored_value: None,
            seen_value: None,
            value_id: None,
            belief: Belief::Confirmed,
            sent_at: None,
        });
        sender.send(Ok(Some(page))).await.expect("there is room");
        drop(sender);
        assert!(scanned.next().await.expect("a page was read").is_some());
        let error = scanned.next().await.expect_err("no end was told");
        assert!(matches!(error, LedgerError::Database { doing: READING, .. }), "{error}");
    }

    #[tokio::test]
    async fn the_end_stays_the_end() {
        let (sender, pages) = mpsc::channel(PAGES_AHEAD);
        let mut scanned = ScannedPages { pages, ended: false };
        sender.send(Ok(None)).await.expect("there is room");
        drop(sender);
        for _ in 0..2 {
            assert!(scanned.next().await.expect("the end was told").is_none());
        }
    }
}
