//! A person's own question: one statement that reads.

use std::sync::{Arc, PoisonError};

use futures_util::TryStreamExt;
use rusqlite::fallible_iterator::FallibleIterator;
use serde::Serialize;
use sqlx::{AssertSqlSafe, Column, Executor, Row, SqlSafeStr, Statement, TypeInfo, ValueRef};

use super::session::{Port, blocking, connect_reader};
use super::{AuditLog, Place, Value};
use crate::ledger::sqlite::session::cell;
use crate::ledger::{LedgerError, Result};

/// At most so many rows are read.
pub const TABLE_ROWS_MAX: usize = 100_000;

/// What a statement answers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Table {
    /// The columns' names.
    pub columns: Vec<String>,
    /// The rows, each with a value a column.
    pub rows: Vec<Vec<Value>>,
    /// Whether there were more rows than are read.
    pub truncated: bool,
}

impl AuditLog {
    /// Answers one statement. Cannot write.
    ///
    /// # Errors
    /// [`LedgerError::Unusable`] with what is wrong with the statement.
    pub async fn sql(&self, query: &str) -> Result<Table> {
        match (&self.port, &self.place) {
            (Port::Sqlite(connection), _) => {
                let (connection, query) = (Arc::clone(connection), query.to_owned());
                blocking(move || {
                    let connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
                    Ok(sqlite_table(&connection, &query))
                })
                .await?
            }
            (Port::Postgres(_), Place::Postgres(url)) => postgres_table(url.expose(), query).await,
            (Port::Postgres(_), Place::Sqlite(_)) => Err(refused("the ledger is not open")),
        }
    }
}

fn refused(problem: impl std::fmt::Display) -> LedgerError {
    LedgerError::Unusable(format!("the query was refused: {problem}"))
}

const READ_ONLY: &str = "it would write, and the ledger is open for reading only";
const ONE_ONLY: &str = "give one statement that reads, no more and no less";

fn sqlite_table(connection: &rusqlite::Connection, query: &str) -> Result<Table> {
    let mut batch = rusqlite::Batch::new(connection, query);
    let mut statement = batch.next().map_err(refused)?.ok_or_else(|| refused(ONE_ONLY))?;
    if !statement.readonly() {
        return Err(refused(READ_ONLY));
    }
    if batch.next().map_err(refused)?.is_some() {
        return Err(refused(ONE_ONLY));
    }
    // `begin`, `attach` and their like write nothing, but answer nothing either, and would linger.
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

/// Uses a session of its own, which ends with the answer, whatever the statement did to it.
async fn postgres_table(url: &str, query: &str) -> Result<Table> {
    let mut connection = connect_reader(url).await?;
    // Only a single statement can be prepared; the simple protocol below would run several.
    let prepared = connection.prepare(AssertSqlSafe(query).into_sql_str()).await.map_err(said)?;
    let columns: Vec<String> = prepared.columns().iter().map(|column| column.name().to_owned()).collect();
    // What answers with no rows is run for what it does, and may do it in spite of a session that only reads. A
    // procedure answers with rows too, but in a transaction that only reads it can end none and begin no other.
    if columns.is_empty() {
        return Err(refused(ONE_ONLY));
    }
    sqlx::raw_sql("begin read only").execute(&mut connection).await.map_err(said)?;
    let mut table = Table { rows: Vec::new(), truncated: false, columns };
    // The simple protocol sends every type as text.
    let mut rows = sqlx::raw_sql(AssertSqlSafe(query)).fetch(&mut connection);
    while let Some(row) = rows.try_next().await.map_err(said)? {
        if table.rows.len() == TABLE_ROWS_MAX {
            table.truncated = true;
            break;
        }
        let cells = (0..row.columns().len()).map(|index| postgres_value(&row, index));
        table.rows.push(cells.collect::<Result<_, _>>().map_err(said)?);
    }
    Ok(table)
}

fn said(error: sqlx::Error) -> LedgerError {
    match error {
        sqlx::Error::Database(error) => match error.code().as_deref() {
            Some("25006") => refused(READ_ONLY),
            Some("42601") if error.message().contains("multiple commands") => refused(ONE_ONLY),
            _ => refused(error.message()),
        },
        error => LedgerError::Database { doing: "answer the query", source: Box::new(error) },
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
        "FLOAT4" | "FLOAT8" => text.parse().ok().map(Value::Real),
        "BOOL" => Some(Value::Bool(text == "t")),
        _ => None,
    };
    Ok(read.unwrap_or_else(|| Value::Text(text.to_owned())))
}
