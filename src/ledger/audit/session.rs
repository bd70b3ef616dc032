//! A read-only session: the one thing that differs between the databases.

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, SecondsFormat, Utc};
use rusqlite::OpenFlags;
use rusqlite::types::ValueRef;
use sqlx::{AssertSqlSafe, Column, PgConnection, Row, TypeInfo};

use crate::ledger::postgres::{migrate, session};
use crate::ledger::{LedgerError, Result};

/// One cell of a result.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[serde(untagged)]
pub enum Value {
    /// NULL.
    Null,
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Another number.
    Real(f64),
    /// A text, and everything else as text; times in RFC 3339.
    Text(String),
}

/// A read-only session.
#[derive(Debug)]
pub(super) enum Session {
    Sqlite(Arc<Mutex<rusqlite::Connection>>),
    Postgres(tokio::sync::Mutex<PgConnection>),
}

const DOING: &str = "run a query";

impl Session {
    pub(super) async fn open_sqlite(path: PathBuf) -> Result<Self> {
        let connection = blocking(move || {
            let connection = rusqlite::Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
            connection.busy_timeout(std::time::Duration::from_secs(5))?;
            Ok(connection)
        })
        .await?;
        Ok(Self::Sqlite(Arc::new(Mutex::new(connection))))
    }

    pub(super) async fn open_postgres(url: &str) -> Result<Self> {
        Ok(Self::Postgres(tokio::sync::Mutex::new(connect_reader(url).await?)))
    }

    /// The version of the tables; `None` if there are none.
    pub(super) async fn version(&self) -> Result<Option<i64>> {
        match self {
            Self::Postgres(connection) => {
                Ok(migrate::present_version(&mut *connection.lock().await).await?.map(i64::from))
            }
            Self::Sqlite(_) => {
                let exists = "select 1 from sqlite_master where name = 'refinery_schema_history'";
                if self.rows(exists, Vec::new()).await?.is_empty() {
                    return Ok(None);
                }
                let rows = self.rows("select max(version) from refinery_schema_history", Vec::new()).await?;
                Ok(match rows.first().and_then(|row| row.first()) {
                    Some(Value::Int(version)) => Some(*version),
                    _ => None,
                })
            }
        }
    }

    /// Runs a trusted query, without interpolated input, and returns its rows.
    pub(super) async fn rows(
        &self,
        sql: impl Into<Cow<'static, str>>,
        params: Vec<Value>,
    ) -> Result<Vec<Vec<Value>>> {
        let sql = sql.into();
        match self {
            Self::Sqlite(connection) => {
                let connection = Arc::clone(connection);
                blocking(move || {
                    let connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
                    sqlite_rows(&connection, &sql, &params)
                })
                .await
            }
            Self::Postgres(connection) => {
                let mut query = sqlx::query(AssertSqlSafe(sql.into_owned()));
                for param in params {
                    query = match param {
                        Value::Null => query.bind(None::<i64>),
                        Value::Bool(value) => query.bind(value),
                        Value::Int(value) => query.bind(value),
                        Value::Real(value) => query.bind(value),
                        Value::Text(value) => query.bind(value),
                    };
                }
                let doing = session::failed(DOING);
                let rows = query.fetch_all(&mut *connection.lock().await).await.map_err(doing)?;
                rows.iter().map(postgres_row).collect::<Result<_, sqlx::Error>>().map_err(doing)
            }
        }
    }
}

/// Opens a session in which every transaction is read-only.
pub(super) async fn connect_reader(url: &str) -> Result<PgConnection> {
    let mut connection = session::connect_unpooled(url).await?;
    sqlx::raw_sql("set default_transaction_read_only = on")
        .execute(&mut connection)
        .await
        .map_err(session::failed("set up its session"))?;
    Ok(connection)
}

/// Runs blocking work on a thread that may block.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> rusqlite::Result<T> + Send + 'static,
) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(|error| LedgerError::Database { doing: DOING, source: Box::new(error) }),
        Err(error) => Err(LedgerError::Database { doing: DOING, source: Box::new(error) }),
    }
}

fn sqlite_rows(
    connection: &rusqlite::Connection,
    sql: &str,
    params: &[Value],
) -> rusqlite::Result<Vec<Vec<Value>>> {
    let mut statement = connection.prepare_cached(sql)?;
    let columns = statement.column_count();
    let rows = statement.query_map(rusqlite::params_from_iter(params), |row| {
        (0..columns).map(|index| Ok(sqlite_value(row.get_ref(index)?))).collect()
    })?;
    rows.collect()
}

pub(super) fn sqlite_value(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(value) => Value::Int(value),
        ValueRef::Real(value) => Value::Real(value),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
            Value::Text(String::from_utf8_lossy(bytes).into_owned())
        }
    }
}

impl rusqlite::ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
        Ok(match self {
            Self::Null => rusqlite::types::Null.into(),
            Self::Bool(value) => (*value).into(),
            Self::Int(value) => (*value).into(),
            Self::Real(value) => (*value).into(),
            Self::Text(value) => value.as_str().into(),
        })
    }
}

/// The ledger's own columns are bigint, text and timestamptz only.
fn postgres_row(row: &sqlx::postgres::PgRow) -> Result<Vec<Value>, sqlx::Error> {
    let read = |column: &sqlx::postgres::PgColumn| {
        let index = column.ordinal();
        Ok(match column.type_info().name() {
            "INT8" => row.try_get::<Option<i64>, _>(index)?.map_or(Value::Null, Value::Int),
            "TIMESTAMPTZ" => row
                .try_get::<Option<DateTime<Utc>>, _>(index)?
                .map_or(Value::Null, |at| Value::Text(at.to_rfc3339_opts(SecondsFormat::AutoSi, true))),
            _ => row.try_get::<Option<String>, _>(index)?.map_or(Value::Null, Value::Text),
        })
    };
    row.columns().iter().map(read).collect()
}
