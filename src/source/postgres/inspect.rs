//! What `attrsync check` asks of the source: its shape, and its first rows.

use std::time::{Duration, Instant};

use super::failure::{malformed, row_problem, unreadable};
use super::names::Unnamed;
use super::session::{Snapshot, text};
use super::sql::{self, RowsQuery};
use super::{LOCK_WAIT, PostgresSource, read};
use crate::record::{AttributeNames, Filter, SourcePage};
use crate::source::{Source as _, SourceError};

/// The most rows that are counted.
const COUNTED_MAX: u64 = 10_000;

/// How long all rows are read at most.
const READ_MAX: Duration = Duration::from_secs(30);

/// The most rows whose values are looked at.
const SAMPLED_MAX: u64 = 1_000;

/// What `attrsync check` shows of a source.
#[derive(Debug)]
pub struct SourceShape {
    /// The server's version: `17.2`.
    pub server_version: String,
    /// Whether the server is a standby.
    pub standby: bool,
    /// The columns that are read, and their types.
    pub columns: Vec<(String, String)>,
    /// Why configured names of attributes mean none, a sentence for each column.
    pub unnamed: Vec<String>,
    /// The table whose row security applies to the reader; its name may be empty.
    pub row_security: Option<String>,
    /// How many rows it has.
    pub rows: RowCount,
    /// Some of its rows in key order, with their values, or why they could not be read.
    pub sample: Result<SourcePage, Unsampled>,
}

/// How many rows a source has, as far as they were counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowCount {
    /// Exactly so many.
    Exactly(u64),
    /// More than so many.
    MoreThan(u64),
    /// Counting them was not possible in the time allowed, or met a row that cannot be read.
    NotCounted,
}

/// Why the first rows were not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unsampled {
    /// It takes longer than ten seconds.
    Slow,
    /// A row cannot be read; the server's reason, without values.
    Unreadable(String),
}

impl PostgresSource {
    /// Connects, reads the columns' types, counts rows and reads some of them, each for ten seconds at most. If one of these
    /// rows cannot be read, reads all rows as a sync does, for thirty seconds at most.
    ///
    /// # Errors
    /// Whatever would prevent [`read`](crate::source::Source::read) from starting.
    pub async fn inspect(&self, names: &AttributeNames) -> Result<SourceShape, SourceError> {
        let (mut snapshot, columns) = self.open(LOCK_WAIT.1).await?;
        let query = self.query(&mut snapshot, &columns, &Filter::default(), names).await?;
        let server = "select current_setting('server_version'), pg_is_in_recovery()::text";
        let server = snapshot.rows(server.to_owned()).await?;
        let server = server.first().ok_or_else(|| malformed("the version"))?;
        let (server_version, standby) = (text(server, 0)?, text(server, 1)? == "true");
        let row_security = snapshot.row_security(&query.all()).await?;
        let counted = count(&mut snapshot, &query).await?;
        let mut unnamed = columns.unnamed(names);
        let mut sample = sample(&mut snapshot, &query, &mut unnamed).await?;
        snapshot.close().await?;
        let is_unreadable = |unsampled: &Unsampled| matches!(unsampled, Unsampled::Unreadable(_));
        if (counted.as_ref().is_err_and(is_unreadable) || sample.as_ref().is_err_and(is_unreadable))
            && let Some(read) = self.read_through(names).await?
        {
            sample = Ok(read);
        }
        let rows = counted.unwrap_or(RowCount::NotCounted);
        let unnamed = unnamed.map(Unnamed::of_columns).unwrap_or_default();
        let columns = columns.described();
        Ok(SourceShape { server_version, standby, columns, unnamed, row_security, rows, sample })
    }
}

impl PostgresSource {
    /// Reads all rows as a sync does, and returns the first ones; `None` if it takes longer than thirty seconds.
    async fn read_through(&self, names: &AttributeNames) -> Result<Option<SourcePage>, SourceError> {
        let reading = async {
            let mut pages = self.read(&Filter::default(), names).await?;
            let mut sample = SourcePage::default();
            while let Some(page) = pages.next().await? {
                let most = usize::try_from(SAMPLED_MAX).unwrap_or(usize::MAX) - sample.len();
                (0..page.len().min(most)).for_each(|at| sample.push(page.row(at)));
            }
            Ok(sample)
        };
        let read = tokio::time::timeout(READ_MAX, reading).await.ok().transpose();
        self.ended().await;
        read
    }
}

async fn count(
    snapshot: &mut Snapshot,
    query: &RowsQuery,
) -> Result<Result<RowCount, Unsampled>, SourceError> {
    let counted = match bounded(snapshot, query.count(COUNTED_MAX + 1)).await? {
        Ok(counted) => counted,
        Err(unsampled) => return Ok(Err(unsampled)),
    };
    let counted = counted.first().ok_or_else(|| malformed("the number of rows"))?;
    let counted: u64 = text(counted, 0)?.parse().map_err(unreadable)?;
    Ok(Ok(if counted > COUNTED_MAX { RowCount::MoreThan(COUNTED_MAX) } else { RowCount::Exactly(counted) }))
}

async fn sample(
    snapshot: &mut Snapshot,
    query: &RowsQuery,
    unnamed: &mut Option<Unnamed>,
) -> Result<Result<SourcePage, Unsampled>, SourceError> {
    let rows = match bounded(snapshot, query.sample(SAMPLED_MAX)).await? {
        Ok(rows) => rows,
        Err(unsampled) => return Ok(Err(unsampled)),
    };
    let mut page = SourcePage::default();
    for row in &rows {
        read::push_text(&mut page, row, unnamed.as_mut()).map_err(unreadable)?;
    }
    Ok(Ok(page))
}

/// How long a query may take.
const TIME_MAX: Duration = Duration::from_secs(10);

/// Runs a query for ten seconds at most.
async fn bounded(
    snapshot: &mut Snapshot,
    query: String,
) -> Result<Result<Vec<sqlx::postgres::PgRow>, Unsampled>, SourceError> {
    let timed = format!("set local statement_timeout = '{}ms'; {query}", TIME_MAX.as_millis());
    let started = Instant::now();
    let unsampled = match snapshot.try_rows(timed).await? {
        Ok(rows) => {
            snapshot.rows(sql::RESUME.to_owned()).await?;
            return Ok(Ok(rows));
        }
        Err(error) => match row_problem(&error) {
            Some(problem) => Unsampled::Unreadable(problem.logged),
            // The query may be cancelled earlier by others, or by one of its functions.
            None if is_cancelled(&error) && started.elapsed() >= TIME_MAX.mul_f64(0.9) => Unsampled::Slow,
            None => return Err(snapshot.reading.failure(error)),
        },
    };
    snapshot.rows(sql::RESUME.to_owned()).await?;
    Ok(Err(unsampled))
}

/// Whether the server cancelled the statement.
fn is_cancelled(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(sqlx::error::DatabaseError::code).is_some_and(|code| code == "57014")
}
