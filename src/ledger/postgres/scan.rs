//! The entries of a store in key order, by COPY over a session of their own.

use async_trait::async_trait;
use futures_util::TryStreamExt;
use tokio::sync::mpsc;

use super::copy::{self, Malformed, Reader};
use super::session::{connect, failed};
use crate::aside::Aside;
use crate::ledger::{EntryPages, LedgerError, Result};
use crate::record::{Belief, EntryPage, EntryRow, Filter, Key};

const PAGE_ROWS: usize = 4096;
/// Pages that may wait to be taken: the reader is at most so far ahead.
const PAGES_AHEAD: usize = 2;

/// Reads the entries that the filter leaves in. Takes no lock and needs none.
pub(crate) fn scan(url: &str, store_id: i64, filter: &Filter) -> Result<Box<dyn EntryPages>> {
    let (url, statement) = (url.to_owned(), statement(store_id, filter));
    let (sender, pages) = mpsc::channel(PAGES_AHEAD);
    let reading = Aside::start("ledger-scan", move || async move {
        let last = read(&url, &statement, &sender).await.map(|()| None);
        // Whoever wanted the pages may be gone; then nobody needs to know.
        let _ = sender.send(last).await;
    });
    let reading =
        reading.map_err(|error| LedgerError::Database { doing: READING, source: Box::new(error) })?;
    Ok(Box::new(Pages { pages, ended: false, _reading: reading }))
}

const READING: &str = "read its entries";

/// Whoever stops reading ends the session too.
#[derive(Debug)]
struct Pages {
    pages: mpsc::Receiver<Result<Option<EntryPage>>>,
    ended: bool,
    _reading: Aside<()>,
}

#[async_trait]
impl EntryPages for Pages {
    async fn next(&mut self) -> Result<Option<EntryPage>> {
        if self.ended {
            return Ok(None);
        }
        // A channel that closes without having said "the end" was cut off: that must not look like a short ledger.
        let page = self.pages.recv().await.unwrap_or_else(|| {
            Err(LedgerError::Database { doing: READING, source: "the reader ended early".into() })
        })?;
        self.ended = page.is_none();
        Ok(page)
    }
}

/// COPY takes no parameters; all that is written into it are numbers.
fn statement(store_id: i64, filter: &Filter) -> String {
    let mut statement = format!(
        "copy (select customer_id, attribute_id, value, stored_value, seen_value, value_id, belief,
            case when belief = 'unconfirmed' or (belief = 'confirmed' and reason is not null) then updated_at end
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

/// Sends all pages. It returns early, and without an error, only if nobody takes them any more.
async fn read(url: &str, statement: &str, pages: &mpsc::Sender<Result<Option<EntryPage>>>) -> Result<()> {
    let doing = failed(READING);
    let mut connection = connect(url).await?;
    let mut chunks = connection.copy_out_raw(statement).await.map_err(doing)?;
    let mut reader = Reader::default();
    let mut page = EntryPage::with_capacity(PAGE_ROWS);
    while let Some(chunk) = chunks.try_next().await.map_err(doing)? {
        reader.feed(&chunk);
        while reader
            .row(|fields| push(&mut page, fields))
            .map_err(|error| LedgerError::Database { doing: READING, source: Box::new(error) })?
        {
            if page.len() == PAGE_ROWS {
                let full = std::mem::replace(&mut page, EntryPage::with_capacity(PAGE_ROWS));
                if pages.send(Ok(Some(full))).await.is_err() {
                    return Ok(());
                }
            }
        }
    }
    if !page.is_empty() {
        let _ = pages.send(Ok(Some(page))).await;
    }
    Ok(())
}

fn push(page: &mut EntryPage, fields: [Option<&[u8]>; 8]) -> Result<(), Malformed> {
    let [customer, attribute, value, stored, seen, value_id, belief, updated_at] = fields;
    let belief = copy::word(belief, Belief::from_word)?;
    page.push(EntryRow {
        key: Key::new(copy::int(customer)?, copy::int(attribute)?),
        value: copy::string(value)?,
        stored_value: stored.map(|text| copy::string(Some(text))).transpose()?,
        seen_value: seen.map(|text| copy::string(Some(text))).transpose()?,
        value_id: value_id.map(|id| copy::int(Some(id))).transpose()?,
        belief,
        sent_at: updated_at.map(|time| copy::time(Some(time))).transpose()?,
    });
    Ok(())
}
