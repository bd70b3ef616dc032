//! Ad-hoc SQL: one statement that reads.

use std::sync::{Arc, PoisonError};

use chrono::{DateTime, SecondsFormat, Utc};
use futures_util::TryStreamExt;
use rusqlite::fallible_iterator::FallibleIterator;
use rusqlite::types::ValueRef as SqliteValue;
use sqlx::{AssertSqlSafe, Column, Executor, Row, SqlSafeStr, Statement, TypeInfo, ValueRef};
use tokio::sync::{mpsc, oneshot};

use super::log::{AuditLog, Location};
use super::session::{Session, connect_reader};

use crate::ledger::cells::Value;
use crate::ledger::sqlite::session::cell;
use crate::ledger::{LedgerError, Result};

/// The most rows and about the most bytes of text in a page.
const PAGE_ROWS: usize = 1_000;
const PAGE_BYTES: usize = 1 << 20;

/// The rows of a statement, page by page. Dropping it ends the statement.
#[derive(Debug)]
pub struct SqlRows {
    columns: Vec<String>,
    pages: mpsc::Receiver<Result<Vec<Vec<Value>>>>,
}

impl SqlRows {
    /// The columns' names.
    #[must_use]
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// The next rows, at least one, each with one value per column; `None` at the end.
    ///
    /// # Errors
    /// The statement failed after its first rows.
    pub async fn next(&mut self) -> Result<Option<Vec<Vec<Value>>>> {
        self.pages.recv().await.transpose()
    }
}

impl AuditLog {
    /// Runs one statement. Cannot write.
    ///
    /// # Errors
    /// [`LedgerError::Unusable`] with what is wrong with the statement.
    pub async fn sql(&self, query: &str) -> Result<SqlRows> {
        // The statement begins before a page is asked for, so that a wrong one fails here.
        let (started, columns) = oneshot::channel();
        let (sender, pages) = mpsc::channel(1);
        let query = query.to_owned();
        let out = Pages { started: Some(started), sender };
        match (&self.session, &self.location) {
            (Session::Sqlite(connection), _) => {
                let connection = Arc::clone(connection);
                tokio::task::spawn_blocking(move || {
                    let connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
                    sqlite_rows(&connection, &query, out);
                });
            }
            (Session::Postgres(_), Location::Postgres(url)) => {
                let url = url.clone();
                tokio::spawn(async move { postgres_rows(url.expose(), &query, out).await });
            }
            (Session::Postgres(_), Location::Sqlite(_)) => return Err(refused("the ledger is not open")),
        }
        let columns = columns.await.map_err(|_| refused("it did not start"))??;
        Ok(SqlRows { columns, pages })
    }
}

/// Where a statement's columns go, then its rows.
struct Pages {
    started: Option<oneshot::Sender<Result<Vec<String>>>>,
    sender: mpsc::Sender<Result<Vec<Vec<Value>>>>,
}

impl Pages {
    fn begin(&mut self, columns: Vec<String>) {
        if let Some(started) = self.started.take() {
            // The caller may have stopped waiting.
            let _ = started.send(Ok(columns));
        }
    }

    /// Tells the error of a statement, which may have started. The caller waits for the columns, or for a page.
    fn fail(mut self, error: LedgerError) -> Option<Result<Vec<Vec<Value>>>> {
        match self.started.take() {
            Some(started) => {
                let _ = started.send(Err(error));
                None
            }
            None => Some(Err(error)),
        }
    }
}

/// Collects rows until they are a page.
#[derive(Default)]
struct Page {
    rows: Vec<Vec<Value>>,
    bytes: usize,
}

impl Page {
    /// Adds a row, and returns the page if it is full.
    fn push(&mut self, row: Vec<Value>) -> Option<Vec<Vec<Value>>> {
        let bytes = |cell: &Value| if let Value::Text(text) = cell { text.len() } else { 0 };
        self.bytes += row.iter().map(bytes).sum::<usize>();
        self.rows.push(row);
        (self.rows.len() >= PAGE_ROWS || self.bytes >= PAGE_BYTES).then(|| std::mem::take(self).rows)
    }
}

fn refused(problem: impl std::fmt::Display) -> LedgerError {
    LedgerError::Unusable(format!("the query was refused: {problem}"))
}

const READ_ONLY: &str = "it would write, and the ledger is open for reading only";
const ONE_ONLY: &str = "write exactly one statement that reads";

fn sqlite_rows(connection: &rusqlite::Connection, query: &str, mut out: Pages) {
    if let Err(error) = send_sqlite_rows(connection, query, &mut out) {
        let sender = out.sender.clone();
        if let Some(failed) = out.fail(error) {
            // The caller may have stopped reading.
            let _ = sender.blocking_send(failed);
        }
    }
}

fn send_sqlite_rows(connection: &rusqlite::Connection, query: &str, out: &mut Pages) -> Result<()> {
    let mut batch = rusqlite::Batch::new(connection, query);
    let mut statement = batch.next().map_err(refused)?.ok_or_else(|| refused(ONE_ONLY))?;
    if !statement.readonly() {
        return Err(refused(READ_ONLY));
    }
    if batch.next().map_err(refused)?.is_some() {
        return Err(refused(ONE_ONLY));
    }
    // `begin`, `attach` and similar statements return no rows, and their effect would stay in the session.
    if statement.column_count() == 0 {
        return Err(refused(ONE_ONLY));
    }
    let columns: Vec<String> = statement.column_names().into_iter().map(str::to_owned).collect();
    let width = columns.len();
    let mut rows = statement.query([]).map_err(refused)?;
    let mut page = Page::default();
    while let Some(row) = rows.next().map_err(refused)? {
        if out.started.is_some() {
            out.begin(columns.clone());
        }
        let cells = (0..width).map(|index| row.get_ref(index).map(sqlite_value));
        let full = page.push(cells.collect::<Result<_, _>>().map_err(refused)?);
        if full.is_some_and(|full| out.sender.blocking_send(Ok(full)).is_err()) {
            return Ok(());
        }
    }
    out.begin(columns);
    if !page.rows.is_empty() {
        // The caller may have stopped reading.
        let _ = out.sender.blocking_send(Ok(page.rows));
    }
    Ok(())
}

/// A blob is written as Postgres writes a `bytea`.
fn sqlite_value(value: SqliteValue<'_>) -> Value {
    match value {
        SqliteValue::Blob(bytes) => {
            let digits = bytes.iter().map(|byte| format!("{byte:02x}"));
            Value::Text(digits.fold("\\x".to_owned(), |text, digits| text + &digits))
        }
        SqliteValue::Real(number) => real(number),
        other => cell(other),
    }
}

/// JSON has no number for what is not finite, so that it is a text, in the words of Postgres.
fn real(number: f64) -> Value {
    match number {
        _ if number.is_finite() => Value::Real(number),
        _ if number.is_nan() => Value::Text("NaN".to_owned()),
        _ if number > 0.0 => Value::Text("Infinity".to_owned()),
        _ => Value::Text("-Infinity".to_owned()),
    }
}

/// Uses a session of its own, because the statement may change the session. The session ends with the result.
async fn postgres_rows(url: &str, query: &str, mut out: Pages) {
    if let Err(error) = send_postgres_rows(url, query, &mut out).await {
        let sender = out.sender.clone();
        if let Some(failed) = out.fail(error) {
            // The caller may have stopped reading.
            let _ = sender.send(failed).await;
        }
    }
}

async fn send_postgres_rows(url: &str, query: &str, out: &mut Pages) -> Result<()> {
    let mut connection = connect_reader(url).await?;
    // Only a single statement can be prepared; the simple protocol below would run several.
    let prepared = connection.prepare(AssertSqlSafe(query).into_sql_str()).await.map_err(query_error)?;
    let columns: Vec<String> = prepared.columns().iter().map(|column| column.name().to_owned()).collect();
    // A statement without columns has side effects only, and some of them work in a read-only session: `do` can switch
    // the session back. A procedure can have columns, but cannot end the transaction of this query.
    if columns.is_empty() {
        return Err(refused(ONE_ONLY));
    }
    sqlx::raw_sql("begin read only").execute(&mut connection).await.map_err(query_error)?;
    // The simple protocol sends every type as text.
    let mut rows = sqlx::raw_sql(AssertSqlSafe(query.to_owned())).fetch(&mut connection);
    let mut page = Page::default();
    while let Some(row) = rows.try_next().await.map_err(query_error)? {
        if out.started.is_some() {
            out.begin(columns.clone());
        }
        let cells = (0..row.columns().len()).map(|index| postgres_value(&row, index));
        if let Some(full) = page.push(cells.collect::<Result<_, _>>().map_err(query_error)?)
            && out.sender.send(Ok(full)).await.is_err()
        {
            return Ok(());
        }
    }
    out.begin(columns);
    if !page.rows.is_empty() {
        // The caller may have stopped reading.
        let _ = out.sender.send(Ok(page.rows)).await;
    }
    Ok(())
}

fn query_error(error: sqlx::Error) -> LedgerError {
    match error {
        sqlx::Error::Database(error) => match error.code().as_deref() {
            Some("25006") => refused(READ_ONLY),
            Some("42601") if error.message().contains("multiple commands") => refused(ONE_ONLY),
            _ => refused(error.message()),
        },
        error => LedgerError::Database { doing: "run the query", source: Box::new(error) },
    }
}

fn postgres_value(row: &sqlx::postgres::PgRow, index: usize) -> Result<Value, sqlx::Error> {
    let value = row.try_get_raw(index)?;
    if value.is_null() {
        return Ok(Value::Null);
    }
    let text = value.as_str().map_err(sqlx::Error::Decode)?;
    let read = match value.type_info().name() {
        "INT2" | "INT4" | "INT8" => text.parse().ok().map(Value::Int),
        // The sum of bigints is numeric, and so is their average.
        "NUMERIC" => text.parse().map(Value::Int).or_else(|_| text.parse().map(real)).ok(),
        "FLOAT4" | "FLOAT8" => text.parse().ok().map(real),
        "BOOL" => Some(Value::Bool(text == "t")),
        "TIMESTAMPTZ" => time(text).map(Value::Text),
        _ => None,
    };
    Ok(read.unwrap_or_else(|| Value::Text(text.to_owned())))
}

/// A time in the form of a SQLite ledger. The session writes times in UTC. `None` for `infinity`.
fn time(text: &str) -> Option<String> {
    let at = DateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f%#z").ok()?;
    Some(at.with_timezone(&Utc).to_rfc3339_opts(SecondsFormat::Micros, true))
}
