//! Reads all entries of a store in key order, beside the writer and without its lock.
//!
//! A thread of its own steps rows straight into pages: going through the runtime row by row costs eight times as much.
//! Every page is a read transaction of its own, so that the WAL can be checkpointed meanwhile. A page ends with a
//! customer: seeking a customer costs nothing, but comparing whole keys costs something at every row.

use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::thread;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row, params_from_iter};
use tokio::sync::mpsc;

use super::failure::Failure;
use super::reader::Reader;
use super::stamp;
use crate::ledger::entry_extras::EntryExtras;
use crate::ledger::page_channel::{self, READING, ReceivedPages, Sent};
use crate::ledger::{EntryPages, LedgerError, Result};
use crate::record::{EntryPage, EntryRow, Filter, Key};

/// Rows of a page, without the rest of its last customer: small enough for a processor's cache, large enough that
/// passing pages on costs nothing.
const PAGE_ROWS: usize = 2_000;

/// Reads the entries that the filter lets through, on a thread that ends with them or with their reader.
pub(crate) fn scan(path: &Path, store_id: i64, filter: &Filter) -> Result<Box<dyn EntryPages>> {
    let (pages, receiver) = page_channel::channel();
    let (path, filter) = (PathBuf::from(path), filter.clone());
    thread::Builder::new()
        .name("ledger-scan".to_owned())
        .spawn(move || {
            let last = match read_all(&path, store_id, &filter, &pages) {
                Ok(()) => Ok(None),
                Err(failure) => Err(failure.into_error(READING)),
            };
            // The reader may have stopped reading.
            let _ = pages.blocking_send(last);
        })
        .map_err(|error| LedgerError::Database { doing: READING, source: error.into() })?;
    Ok(Box::new(ReceivedPages::new(receiver, ())))
}

fn read_all(path: &Path, store_id: i64, filter: &Filter, pages: &mpsc::Sender<Sent>) -> Result<(), Failure> {
    let reader = Reader::open(path)?;
    let mut after = i64::MIN;
    loop {
        let page = read_page(&reader, store_id, filter, after)?;
        reader.check()?;
        let full = page.is_full(PAGE_ROWS);
        let Some(last) = page.len().checked_sub(1) else { return Ok(()) };
        after = page.row(last).key.customer_id;
        if pages.blocking_send(Ok(Some(page))).is_err() || !full {
            return Ok(());
        }
    }
}

/// Reads some thousand entries of whole customers, starting after the customer `after`.
fn read_page(
    connection: &Connection,
    store_id: i64,
    filter: &Filter,
    after: i64,
) -> Result<EntryPage, Failure> {
    let mut statement = connection.prepare_cached(&page_sql(filter))?;
    let mut values = vec![store_id.into(), after.into()];
    if !filter.customers.is_empty() {
        let left = filter.customers.range((Bound::Excluded(after), Bound::Unbounded));
        values.push(rusqlite::types::Value::from(json_list(left)));
    }
    if !filter.attributes.is_empty() {
        values.push(json_list(filter.attributes.iter()).into());
    }
    let mut rows = statement.query(params_from_iter(values))?;
    let mut page = EntryPage::with_capacity(PAGE_ROWS);
    let mut customer = after;
    while let Some(row) = rows.next()? {
        let key = Key::new(integer(row, 0)?, integer(row, 1)?);
        if page.is_full(PAGE_ROWS) && key.customer_id != customer {
            break;
        }
        customer = key.customer_id;
        push_entry(&mut page, key, row)?;
    }
    Ok(page)
}

/// The query of a page; the reader stops it when the page is full.
///
/// Nearly every entry is confirmed and has only a value. The columns that the others have are a blob of JSON in the
/// value's place, because an empty column costs as much as a full one. If the filter names customers, each is looked
/// up: the `+` prevents SQLite from walking the whole table after the last one.
fn page_sql(filter: &Filter) -> String {
    let (customers, attributes) = (!filter.customers.is_empty(), !filter.attributes.is_empty());
    let after = match customers {
        true => "+customer_id > ?2 and customer_id in (select value from json_each(?3))",
        false => "customer_id > ?2",
    };
    let attributes = match (attributes, customers) {
        (false, _) => "",
        (true, true) => "and attribute_id in (select value from json_each(?4))",
        (true, false) => "and attribute_id in (select value from json_each(?3))",
    };
    format!(
        "select customer_id, attribute_id, value_id,
            case when belief = 'confirmed' and stored_value is null and in_doubt_until is null then value
            else cast(json_object(
                'value', value,
                'belief', belief,
                'acknowledged', acknowledged,
                'stored_value', stored_value,
                'observed_value', observed_value,
                'in_doubt_until', in_doubt_until
            ) as blob) end
         from entries
         where store_id = ?1 and {after} {attributes}
         order by customer_id, attribute_id"
    )
}

/// Formats a list of any length as one bound value.
fn json_list<'ids>(ids: impl Iterator<Item = &'ids i64>) -> String {
    let ids: Vec<String> = ids.map(i64::to_string).collect();
    format!("[{}]", ids.join(","))
}

/// Adds the entry to the page.
fn push_entry(page: &mut EntryPage, key: Key, row: &Row<'_>) -> Result<(), Failure> {
    let value_id = row.get_ref(2)?.as_i64_or_null().map_err(rusqlite::Error::from)?;
    let more = match row.get_ref(3)? {
        ValueRef::Blob(more) => more,
        value => {
            let value = value.as_str().map_err(rusqlite::Error::from)?;
            page.push(EntryRow::confirmed(key, value, value_id));
            return Ok(());
        }
    };
    let more: EntryExtras<'_, String> = serde_json::from_slice(more)
        .map_err(|error| Failure::Wrong(format!("the entry of {key} cannot be read: {error}")))?;
    let in_doubt_until = more.in_doubt_until.as_deref().map(stamp::parse).transpose()?;
    let entry = more.entry(key, more.value.as_deref(), value_id, in_doubt_until);
    page.push(
        entry.ok_or_else(|| Failure::Wrong(format!("the entry of {key} has a belief of no known kind")))?,
    );
    Ok(())
}

fn integer(row: &Row<'_>, column: usize) -> Result<i64, Failure> {
    Ok(row.get_ref(column)?.as_i64().map_err(rusqlite::Error::from)?)
}
