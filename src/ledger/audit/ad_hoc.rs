//! Ad-hoc SQL: one statement that reads.

use std::sync::{Arc, PoisonError};

use futures_util::TryStreamExt;
use rusqlite::fallible_iterator::FallibleIterator;
use serde::Serialize;
use sqlx::{AssertSqlSafe, Column, Executor, Row, SqlSafeStr, Statement, TypeInfo, ValueRef};

use super::log::{AuditLog, Location};
use super::session::{Session, blocking, connect_reader};

use crate::ledger::cells::Value;
use crate::ledger::sqlite::session::cell;
use crate::ledger::{LedgerError, Result};

/// The most rows that are read.
pub const TABLE_ROWS_MAX: usize = 100_000;

/// The result of a statement.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Table {
    /// The columns' names.
    pub columns: Vec<String>,
    /// The rows, each with one value per column.
    pub rows: Vec<Vec<Value>>,
    /// Whether there are more rows than were read.
    pub truncated: bool,
}

impl AuditLog {
    /// Runs one statement. Cannot write.
    ///
    /// # Errors
    /// [`LedgerError::Unusable`] with what is wrong with the statement.
    pub async fn sql(&self, query: &str) -> Result<Table> {
        match (&self.session, &self.location) {
            (Session::Sqlite(connection), _) => {
                let (connection, query) = (Arc::clone(connection), query.to_owned());
                blocking("run the query", move || {
                    let connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
                    Ok(sqlite_table(&connection, &query))
                })
                .await?
            }
            (Session::Postgres(_), Location::Postgres(url)) => postgres_table(url.expose(), query).await,
            (Session::Postgres(_), Location::Sqlite(_)) => Err(refused("the ledger is not open")),
        }
    }
}

fn refused(problem: impl std::fmt::Display) -> LedgerError {
    LedgerError::Unusable(format!("the query was refused: {problem}"))
}

const READ_ONLY: &str = "it would write, and the ledger is open for reading only";
const ONE_ONLY: &str = "write exactly one statement that reads";

fn sqlite_table(connection: &rusqlite::Connection, query: &str) -> Result<Table> {
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
    let mut table = Table { rows: Vec::new(), truncated: false, columns };
    let mut rows = statement.query([]).map_err(refused)?;
    while let Some(row) = rows.next().map_err(refused)? {
        if table.rows.len() == TABLE_ROWS_MAX {
            table.truncated = true;
            break;
        }
        let cells = (0..table.columns.len()).map(|index| row.get_ref(index).map(cell));
        table.rows.push(cells.collect::<Result<_, _>>().map_err(refused)?);
    }
    Ok(table)
}

/// Uses a session of its own, because the statement may change the session. The session ends with the result.
async fn postgres_table(url: &str, query: &str) -> Result<Table> {
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
    let mut table = Table { rows: Vec::new(), truncated: false, columns };
    // The simple protocol sends every type as text.
    let mut rows = sqlx::raw_sql(AssertSqlSafe(query)).fetch(&mut connection);
    while let Some(row) = rows.try_next().await.map_err(query_error)? {
        if table.rows.len() == TABLE_ROWS_MAX {
            table.truncated = true;
            break;
        }
        let cells = (0..row.columns().len()).map(|index| postgres_value(&row, index));
        table.rows.push(cells.collect::<Result<_, _>>().map_err(query_error)?);
    }
    Ok(table)
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
        // The sum of bigints is numeric.
        "INT2" | "INT4" | "INT8" | "NUMERIC" => text.parse().ok().map(Value::Int),
        "FLOAT4" | "FLOAT8" => text.parse().ok().map(Value::Real),
        "BOOL" => Some(Value::Bool(text == "t")),
        _ => None,
    };
    Ok(read.unwrap_or_else(|| Value::Text(text.to_owned())))
}
