//! Reads the rows: one ordered COPY. If a row cannot be read, smaller parts are read in the same snapshot until the row is
//! found; it is passed on with its key and the reason, and the rest is read as before.

use futures_util::{FutureExt, StreamExt};
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use tokio::sync::mpsc;

use super::failure::{RowProblem, row_problem, unreadable, unusable};
use super::lock_holder;
use super::names::Unnamed;
use super::part::{Part, RawKey};
use super::session::{Snapshot, text};
use super::sql::{self, RowsQuery};
use crate::pgcopy::{self, CopyDecoder, CopyError, Field};
use crate::record::{PAGE_BYTES, RowsDigest, SourcePage, SourceRow};
use crate::source::SourceError;

const PAGE_ROWS: usize = 2_000;

/// The most rows that are found one by one. If more cannot be read, the query is wrong rather than the rows.
const UNREADABLE_MAX: usize = 1_000;

/// The reason for a value that the decoder found.
const NOT_UTF8: &str = "its value is not UTF-8 text; correct it, or convert it in [source] query";

/// One read of all rows.
pub(super) struct Reader<'a> {
    snapshot: Snapshot,
    query: RowsQuery,
    /// Explains rows without an attribute id, if the source names attributes.
    unnamed: Option<Unnamed>,
    pages: &'a mpsc::Sender<SourcePage>,
    page: SourcePage,
    /// The digest of the rows so far. `None` once a row could not be read.
    digest: Option<RowsDigest>,
    /// The number of rows in the pages that were sent.
    sent: u64,
    /// The last key that was sent, and the number of rows that were sent of it.
    last_sent: Option<(RawKey, u64)>,
    /// Whether an error is known to go away when other rows are asked for.
    separable: bool,
    /// The number of rows that could not be read.
    unreadable: usize,
}

/// How the read of a part ended.
enum End {
    /// All its rows were passed on.
    Whole,
    /// The receiver of the pages was dropped.
    Unheard,
    /// The rows before an unreadable one were passed on, or none of them.
    Failed {
        /// Why a row could not be read.
        problem: RowProblem,
    },
}

impl<'a> Reader<'a> {
    pub(super) fn new(
        snapshot: Snapshot,
        query: RowsQuery,
        unnamed: Option<Unnamed>,
        pages: &'a mpsc::Sender<SourcePage>,
    ) -> Self {
        let page = SourcePage::with_capacity(PAGE_ROWS);
        Self {
            snapshot,
            query,
            unnamed,
            pages,
            page,
            digest: Some(RowsDigest::default()),
            sent: 0,
            last_sent: None,
            separable: false,
            unreadable: 0,
        }
    }

    /// Sends all rows, then closes the snapshot and the session. Returns their digest, if all could be read. Stops early
    /// once the receiver is dropped.
    pub(super) async fn read_all(mut self) -> Result<Option<RowsDigest>, SourceError> {
        let mut parts = vec![Part::ALL];
        while let Some(part) = parts.pop() {
            let before = self.passed();
            match self.copy(&part, None).await? {
                End::Whole => {}
                End::Unheard => return Ok(None),
                End::Failed { problem } => {
                    self.digest = None;
                    let last = self.last().filter(|_| self.passed() > before);
                    let rest = match last {
                        Some((key, rows)) => part.after(key, rows),
                        None => self.split(&part, &problem).await?,
                    };
                    parts.extend(rest.into_iter().rev());
                }
            }
        }
        if !self.page.is_empty() && self.pages.send(self.page).await.is_err() {
            return Ok(None);
        }
        self.snapshot.require_whole().await?;
        self.snapshot.close().await?;
        Ok(self.digest)
    }

    /// Reads a part and passes its rows on. With a problem, its rows are passed on without their values.
    async fn copy(&mut self, part: &Part, problem: Option<&str>) -> Result<End, SourceError> {
        let copy = match problem {
            None => self.query.copy(&part.conditions()),
            Some(_) => self.query.copy_keys(&part.conditions()),
        };
        let mut decoder = CopyDecoder::default();
        let mut skip = part.skip;
        let Snapshot { connection, liveness, reading } = &mut self.snapshot;
        let copying = liveness.wait(async { Ok::<_, SourceError>(connection.copy_out_raw(&copy).await) });
        let mut chunks = match copying.await? {
            Ok(chunks) => chunks,
            Err(error) => return Err(lock_holder::failure(reading, liveness, error).await),
        };
        loop {
            // The clock is read only if there is something to wait for.
            let next = match chunks.next().now_or_never() {
                Some(next) => next,
                None => liveness.wait(async { Ok::<_, SourceError>(chunks.next().await) }).await?,
            };
            let Some(chunk) = next else { break };
            let chunk = match chunk {
                Ok(chunk) => chunk,
                Err(error) => match row_problem(&error) {
                    Some(problem) => {
                        drop(chunks);
                        self.resume().await?;
                        return Ok(End::Failed { problem });
                    }
                    None => return Err(reading.failure(error)),
                },
            };
            let (page, digest, unnamed) = (&mut self.page, &mut self.digest, &mut self.unnamed);
            let decoded = decoder.feed(&chunk, |fields| {
                if skip > 0 {
                    skip -= 1;
                    return Ok(());
                }
                if let Some(digest) = digest {
                    let [customer_id, attribute_id, value] = fields;
                    digest.add(pgcopy::int(customer_id)?, pgcopy::int(attribute_id)?, value);
                }
                match (fields, unnamed.as_mut().filter(|_| problem.is_none())) {
                    ([customer_id, None, name], Some(unnamed)) => {
                        push(page, [customer_id, None, None], Some(unnamed.reason(pgcopy::text(name))))
                    }
                    _ => push(page, fields, problem),
                }
            });
            decoded.map_err(unreadable)?;
            if page.len() >= PAGE_ROWS || page.text_len() >= PAGE_BYTES {
                let full = std::mem::replace(page, SourcePage::with_capacity(PAGE_ROWS));
                self.last_sent = last_of(&full, self.last_sent);
                self.sent += full.len() as u64;
                if self.pages.send(full).await.is_err() {
                    return Ok(End::Unheard);
                }
            }
        }
        drop(chunks);
        decoder.finish().map_err(unreadable)?;
        Ok(End::Whole)
    }

    /// Makes the snapshot usable again after an error.
    async fn resume(&mut self) -> Result<(), SourceError> {
        self.snapshot.rows(sql::RESUME.to_owned()).await.map(|_| ())
    }

    /// Splits a part that failed before a row of it was passed on. A part that cannot be split has the row: it is passed
    /// on as unreadable.
    async fn split(&mut self, part: &Part, problem: &RowProblem) -> Result<Vec<Part>, SourceError> {
        if !self.separable {
            self.require_separable(problem).await?;
            self.separable = true;
        }
        let bounds = match part.open_column() {
            Some(column) => self.bounds(part, column).await?,
            None => None,
        };
        let parts = part.split(bounds);
        if parts.is_empty() {
            self.pass_unreadable(part, problem).await?;
        }
        Ok(parts)
    }

    /// Checks that the error does not come whichever rows are asked for, as it does if the query computes all its rows
    /// before it filters them.
    async fn require_separable(&mut self, problem: &RowProblem) -> Result<(), SourceError> {
        match self.found(self.query.no_rows()).await? {
            Some(_) => Ok(()),
            None => Err(unusable(
                format!("a row of the source cannot be read{}: {}", self.place(), problem.logged),
                "find the row by running the query in psql, and correct it. attrsync cannot read the rows beside it, \
                 because the error comes from an id, or the query computes all of its rows at once: convert the \
                 value outside of limit, distinct, group by and materialized parts, and such a row alone will be \
                 invalid",
            )),
        }
    }

    /// The least and the greatest id of a column in a part.
    async fn bounds(&mut self, part: &Part, column: &str) -> Result<Option<(i64, i64)>, SourceError> {
        let Some(found) = self.found(self.query.bounds(column, &part.conditions())).await? else {
            // Even the ids cannot be listed without the value. The halves of all numbers find the row as well.
            return Ok(Some((i64::MIN, i64::MAX)));
        };
        let bound = |at| found.first().and_then(|row| text(row, at).ok()?.parse().ok());
        Ok(bound(0).zip(bound(1)))
    }

    /// Runs a query. Returns `None` if it meets a row that cannot be read.
    async fn found(&mut self, query: String) -> Result<Option<Vec<sqlx::postgres::PgRow>>, SourceError> {
        match self.snapshot.try_rows(query).await? {
            Ok(rows) => Ok(Some(rows)),
            Err(error) if row_problem(&error).is_some() => {
                self.resume().await?;
                Ok(None)
            }
            Err(error) => Err(self.snapshot.reading.failure(error)),
        }
    }

    /// Passes the rows of a single key on as unreadable.
    async fn pass_unreadable(&mut self, part: &Part, problem: &RowProblem) -> Result<(), SourceError> {
        if self.unreadable == 0 {
            tracing::warn!("a row of the source cannot be read; smaller parts are read to find such rows");
        }
        let before = self.passed();
        let reason = format!("its value cannot be read: {}", problem.reason);
        if let End::Failed { .. } = self.copy(part, Some(&reason)).await? {
            // Its ids cannot be listed without the value either.
            let (customer_id, attribute_id) = part.key();
            self.page.push(SourceRow { customer_id, attribute_id, value: None, problem: Some(&reason) });
        }
        self.unreadable += usize::try_from(self.passed() - before).unwrap_or(usize::MAX);
        if self.unreadable > UNREADABLE_MAX {
            return Err(unusable(
                format!(
                    "more than {UNREADABLE_MAX} rows of the source cannot be read{}: {}",
                    self.place(),
                    problem.logged
                ),
                "so many rows point to the query: run it in psql, and correct the conversion that fails",
            ));
        }
        Ok(())
    }

    /// The number of rows that were passed on.
    fn passed(&self) -> u64 {
        self.sent + self.page.len() as u64
    }

    /// The last key that was passed on, and the number of rows that were passed on of it.
    fn last(&self) -> Option<(RawKey, u64)> {
        last_of(&self.page, self.last_sent)
    }

    /// `, after customer 12 · attribute 1`.
    fn place(&self) -> String {
        let id = |id: Option<i64>| id.map_or("NULL".to_owned(), |id| id.to_string());
        self.last().map_or(String::new(), |((customer, attribute), _)| {
            format!(
                "; the last row that was read is that of customer {} · attribute {}",
                id(customer),
                id(attribute)
            )
        })
    }
}

/// The last key of the rows before a page and of the page, and how many rows at the end have it.
fn last_of(page: &SourcePage, before: Option<(RawKey, u64)>) -> Option<(RawKey, u64)> {
    let key = |at| {
        let row: SourceRow<'_> = page.row(at);
        (row.customer_id, row.attribute_id)
    };
    let last = match page.len() {
        0 => return before,
        len => key(len - 1),
    };
    let rows = (0..page.len()).rev().take_while(|at| key(*at) == last).count();
    let earlier = before.filter(|(key, _)| rows == page.len() && *key == last).map_or(0, |(_, rows)| rows);
    Some((last, rows as u64 + earlier))
}

/// Adds a row (int8, int8, text) to the page. A value that is not UTF-8 is a problem of its row alone.
pub(crate) fn push(
    page: &mut SourcePage,
    fields: [Field<'_>; 3],
    problem: Option<&str>,
) -> Result<(), CopyError> {
    let [customer_id, attribute_id, value] = fields;
    let (customer_id, attribute_id) = (pgcopy::int(customer_id)?, pgcopy::int(attribute_id)?);
    let (value, problem) = match pgcopy::text(value) {
        Ok(value) => (value, problem),
        Err(_) => (None, Some(NOT_UTF8)),
    };
    page.push(SourceRow { customer_id, attribute_id, value, problem });
    Ok(())
}

/// Adds a row of a query (int8, int8, text) to the page.
pub(super) fn push_text(
    page: &mut SourcePage,
    row: &PgRow,
    unnamed: Option<&mut Unnamed>,
) -> sqlx::Result<()> {
    let (customer_id, attribute_id) = (row.try_get(0)?, row.try_get(1)?);
    let value: sqlx::Result<Option<String>> = row.try_get(2);
    let value = value.as_ref().map(Option::as_deref);
    let (value, problem) = match (attribute_id, unnamed) {
        (None::<i64>, Some(unnamed)) => (None, Some(unnamed.reason(value))),
        _ => (value.unwrap_or_default(), value.is_err().then_some(NOT_UTF8)),
    };
    page.push(SourceRow { customer_id, attribute_id, value, problem });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rows_of_the_last_key_are_counted_across_pages() {
        let page = |keys: &[i64]| {
            let mut page = SourcePage::default();
            for id in keys {
                page.push(SourceRow {
                    customer_id: Some(*id),
                    attribute_id: None,
                    value: None,
                    problem: None,
                });
            }
            page
        };
        let of = |id, rows| Some(((Some(id), None), rows));
        assert_eq!(last_of(&page(&[]), of(3, 2)), of(3, 2));
        assert_eq!(last_of(&page(&[3, 3]), of(3, 2)), of(3, 4));
        assert_eq!(last_of(&page(&[3, 4]), of(3, 2)), of(4, 1));
        assert_eq!(last_of(&page(&[4, 3]), of(3, 2)), of(3, 1));
    }

    #[test]
    fn promise_6_bytes_that_are_not_utf_8_spoil_their_row_only() {
        let mut page = SourcePage::default();
        for value in [b"good".as_slice(), b"caf\xe9"] {
            let id = 1_i64.to_be_bytes();
            push(&mut page, [Some(&id), Some(&id), Some(value)], None).expect("a row");
        }
        assert_eq!((page.row(0).value, page.row(0).problem), (Some("good"), None));
        assert_eq!((page.row(1).value, page.row(1).problem), (None, Some(NOT_UTF8)));
    }
}
