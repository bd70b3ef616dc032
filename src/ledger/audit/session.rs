//! A read-only session: the one thing that differs between the databases.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use futures_util::TryStreamExt as _;
use sqlx::PgConnection;

use crate::ledger::cells::Value;
use crate::ledger::postgres::{migrate, query, session};
use crate::ledger::sql::{Rows, Statement, statement};
use crate::ledger::sqlite::failure::Failure;
use crate::ledger::sqlite::reader::Reader;
use crate::ledger::sqlite::session::{each_row, rows};
use crate::ledger::{LedgerError, Result, sqlite};

/// A read-only session.
#[derive(Debug)]
pub(super) enum Session {
    Sqlite(Arc<Mutex<Reader>>),
    Postgres(tokio::sync::Mutex<PgConnection>),
}

impl Session {
    pub(super) async fn open_sqlite(path: PathBuf) -> Result<Self> {
        let reader = blocking("open its file", move || {
            sqlite::refuse_foreign(&path)?;
            Ok(Reader::open(&path)?)
        })
        .await?;
        Ok(Self::Sqlite(Arc::new(Mutex::new(reader))))
    }

    pub(super) async fn open_postgres(url: &str) -> Result<Self> {
        let connection = read_only(session::connect_unpooled(url).await?).await?;
        Ok(Self::Postgres(tokio::sync::Mutex::new(connection)))
    }

    /// The version of the tables; `None` if there are none.
    pub(super) async fn version(&self) -> Result<Option<i64>> {
        match self {
            Self::Postgres(connection) => {
                Ok(migrate::present_version(&mut *connection.lock().await).await?.map(i64::from))
            }
            Self::Sqlite(_) => {
                let doing = "read its version";
                let exists = "select 1 from sqlite_master where name = 'refinery_schema_history'";
                if self.rows(doing, statement!(exists)).await?.is_empty() {
                    return Ok(None);
                }
                let newest = "select max(version) from refinery_schema_history";
                let rows = self.rows(doing, statement!(newest)).await?;
                Ok(match rows.first().and_then(|row| row.first()) {
                    Some(Value::Int(version)) => Some(*version),
                    _ => None,
                })
            }
        }
    }
}

impl Session {
    /// Passes each row of a query to `step`, with a state that is returned at the end. Holds one row at a time.
    pub(super) async fn fold<S: Send + 'static>(
        &self,
        doing: &'static str,
        statement: Statement,
        mut state: S,
        step: impl Fn(&mut S, Vec<Value>) + Send + 'static,
    ) -> Result<S> {
        let Statement { sql, params } = statement;
        match self {
            Self::Sqlite(connection) => {
                let connection = Arc::clone(connection);
                blocking(doing, move || {
                    let connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
                    each_row(&connection, &sql, &params, |row| step(&mut state, row))?;
                    connection.check()?;
                    Ok(state)
                })
                .await
            }
            Self::Postgres(connection) => {
                let failed = session::failed(doing);
                let mut connection = connection.lock().await;
                let mut rows = query::bind(sql, params).fetch(&mut *connection);
                while let Some(row) = rows.try_next().await.map_err(failed)? {
                    step(&mut state, query::cells(&row).map_err(failed)?);
                }
                drop(rows);
                Ok(state)
            }
        }
    }
}

#[async_trait]
impl Rows for Session {
    async fn rows(&self, doing: &'static str, statement: Statement) -> Result<Vec<Vec<Value>>> {
        let Statement { sql, params } = statement;
        match self {
            Self::Sqlite(connection) => {
                let connection = Arc::clone(connection);
                blocking(doing, move || {
                    let reader = connection.lock().unwrap_or_else(PoisonError::into_inner);
                    let rows = rows(&reader, &sql, &params)?;
                    reader.check()?;
                    Ok(rows)
                })
                .await
            }
            Self::Postgres(connection) => {
                let failed = session::failed(doing);
                let bound = query::bind(sql, params);
                let rows = bound.fetch_all(&mut *connection.lock().await).await.map_err(failed)?;
                rows.iter().map(query::cells).collect::<Result<_, sqlx::Error>>().map_err(failed)
            }
        }
    }
}

/// A superuser may call functions that act outside of the transaction, such as `dblink_exec` or `pg_terminate_backend`,
/// in a read-only transaction too. This role may read every table and nothing else. Postgres 13 does not have it.
const READING_ROLE: &str = "
    select set_config('role', rolname, false) from pg_roles
    where rolname = 'pg_read_all_data' and current_setting('is_superuser') = 'on'";

/// The forms in which values are written as texts, whatever the server's own settings are.
const FORMS: &str = "
    set timezone = 'UTC'; set datestyle = 'ISO'; set intervalstyle = 'postgres'; set bytea_output = 'hex';
    set extra_float_digits = 1";

/// Opens one more session at an address where [`Session::open_postgres`] found no pooler, for a statement of the user.
pub(super) async fn connect_reader(url: &str) -> Result<PgConnection> {
    let mut connection = read_only(session::connect(url).await?).await?;
    for setting in [FORMS, READING_ROLE] {
        sqlx::raw_sql(setting)
            .execute(&mut connection)
            .await
            .map_err(session::failed("set up its session"))?;
    }
    Ok(connection)
}

/// Makes every transaction of the session read-only.
async fn read_only(mut connection: PgConnection) -> Result<PgConnection> {
    sqlx::raw_sql("set default_transaction_read_only = on")
        .execute(&mut connection)
        .await
        .map_err(session::failed("set up its session"))?;
    Ok(connection)
}

/// Runs blocking work on a thread that may block.
pub(super) async fn blocking<T: Send + 'static>(
    doing: &'static str,
    task: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T> {
    match tokio::task::spawn_blocking(task).await {
        Ok(done) => done.map_err(|failure| failure.into_error(doing)),
        Err(error) => Err(LedgerError::Database { doing, source: Box::new(error) }),
    }
}
