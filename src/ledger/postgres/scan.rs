//! Reads the entries of a store in key order, by COPY over a session of its own.

use std::time::Duration;

use chrono::DateTime;
use futures_util::{FutureExt, TryFutureExt, TryStreamExt};
use sqlx::Executor as _;
use tokio::sync::mpsc;

use super::lock_holder;
use super::session::{connect_alive, failed, set_lock_wait};
use crate::ledger::entry_extras::EntryExtras;
use crate::ledger::page_channel::{self, READING, ReceivedPages, Sent};
use crate::ledger::{EntryPages, LedgerError, Result};
use crate::pgcopy::{CopyDecoder, CopyError, Field, int, not_null, text};
use crate::record::{EntryPage, EntryRow, Filter, Key};
use crate::worker_thread::WorkerThread;

const PAGE_ROWS: usize = 2_000;

/// Makes Postgres read the entries of a store by their index if the table was never analyzed. Without statistics it
/// expects few entries and sorts them, on the disk if they are many.
const KEEP_ORDER: &str = "select set_config('enable_sort', 'off', false) from pg_class
    where oid = 'entries'::regclass and reltuples <= 0";

/// Reads the entries that the filter lets through. Needs no lock of a store, and waits for that of a table at most
/// `lock_wait`.
pub(crate) fn scan(
    url: &str,
    store_id: i64,
    filter: &Filter,
    lock_wait: Duration,
) -> Result<Box<dyn EntryPages>> {
    let (url, statement) = (url.to_owned(), statement(store_id, filter));
    let is_whole = filter.customers.is_empty();
    let (sender, pages) = page_channel::channel();
    let reading = WorkerThread::start("ledger-scan", move || async move {
        let last = match read(&url, &statement, is_whole, lock_wait, &sender).await {
            Ok(()) => Ok(None),
            Err(error) => Err(lock_holder::named(error, &url, lock_wait).await),
        };
        // The plan may have stopped reading.
        let _ = sender.send(last).await;
    });
    let reading =
        reading.map_err(|error| LedgerError::Database { doing: READING, source: Box::new(error) })?;
    // A plan that stops reading ends the session too.
    Ok(Box::new(ReceivedPages::new(pages, reading)))
}

/// The COPY statement. It takes no parameters; only numbers are written into it.
///
/// Nearly every entry is confirmed and has only a value. The columns that the others have are one more column, as JSON,
/// because an empty column costs as much as a full one.
fn statement(store_id: i64, filter: &Filter) -> String {
    let mut statement = format!(
        "copy (select customer_id, attribute_id, value, value_id,
            case when belief = 'confirmed' and stored_value is null and in_doubt_until is null then null
            else json_build_object(
                'belief', belief,
                'acknowledged', acknowledged,
                'stored_value', stored_value,
                'observed_value', observed_value,
                'in_doubt_until', (extract(epoch from in_doubt_until) * 1000000)::bigint
            )::text end
        from entries where store_id = {store_id}"
    );
    for (column, ids) in [("customer_id", &filter.customers), ("attribute_id", &filter.attributes)] {
        if !ids.is_empty() {
            let ids: Vec<String> = ids.iter().map(i64::to_string).collect();
            statement += &format!(" and {column} in ({})", ids.join(", "));
        }
    }
    statement + " order by customer_id, attribute_id) to stdout (format binary)"
}

/// Sends all pages. Returns early, without an error, only if the plan has stopped reading.
async fn read(
    url: &str,
    statement: &str,
    is_whole: bool,
    lock_wait: Duration,
    pages: &mpsc::Sender<Sent>,
) -> Result<()> {
    let doing = failed(READING);
    let (mut connection, liveness) = connect_alive(url).await?;
    liveness.wait(set_lock_wait(&mut connection, lock_wait)).await?;
    if is_whole {
        liveness.wait(connection.execute(KEEP_ORDER).map_ok(drop).map_err(doing)).await?;
    }
    let mut chunks = liveness.wait(connection.copy_out_raw(statement).map_err(doing)).await?;
    let malformed = |error| LedgerError::Database { doing: READING, source: Box::new(error) };
    let mut decoder = CopyDecoder::default();
    let mut page = EntryPage::with_capacity(PAGE_ROWS);
    loop {
        // The clock is read only if there is something to wait for.
        let next = match chunks.try_next().now_or_never() {
            Some(next) => next.map_err(doing)?,
            None => liveness.wait(chunks.try_next().map_err(doing)).await?,
        };
        let Some(chunk) = next else { break };
        decoder.feed(&chunk, |fields| push(&mut page, fields)).map_err(malformed)?;
        if page.is_full(PAGE_ROWS) {
            let full = std::mem::replace(&mut page, EntryPage::with_capacity(PAGE_ROWS));
            if pages.send(Ok(Some(full))).await.is_err() {
                return Ok(());
            }
        }
    }
    decoder.finish().map_err(malformed)?;
    if !page.is_empty() {
        let _ = pages.send(Ok(Some(page))).await;
    }
    Ok(())
}

fn push(page: &mut EntryPage, fields: [Field<'_>; 5]) -> Result<(), CopyError> {
    let [customer, attribute, value, value_id, extras] = fields;
    let key = Key::new(not_null(int(customer)?)?, not_null(int(attribute)?)?);
    let value = text(value)?;
    let value_id = int(value_id)?;
    let Some(extras) = extras else {
        page.push(EntryRow::confirmed(key, not_null(value)?, value_id));
        return Ok(());
    };
    // Times are microseconds since 1970.
    let extras: EntryExtras<'_, i64> =
        serde_json::from_slice(extras).map_err(|_| CopyError("the columns of an entry are not JSON"))?;
    let in_doubt_until = extras.in_doubt_until.and_then(DateTime::from_timestamp_micros);
    page.push(extras.entry(key, value, value_id, in_doubt_until).ok_or(CopyError("a belief is not known"))?);
    Ok(())
}
