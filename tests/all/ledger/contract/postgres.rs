//! The Postgres ledger as a backend.

use async_trait::async_trait;
use attrsync::config::{LedgerConfig, Secret};
use attrsync::ledger::postgres::PostgresLedger;
use attrsync::ledger::{Ledger, LedgerError};
use attrsync::record::StoreName;
use chrono::{DateTime, SecondsFormat, Utc};
use sqlx::postgres::{PgConnectOptions, PgRow};
use sqlx::{AssertSqlSafe, Column, ConnectOptions, Connection, Row as _, TypeInfo};

use super::tables::{Cell, Database, Row, Tables};
use crate::support::postgres::Postgres;

/// A new, empty database.
pub(crate) struct PostgresDatabase {
    url: String,
}

pub(crate) type PostgresBackend = Tables<PostgresDatabase>;

impl PostgresBackend {
    pub(crate) fn fresh() -> Self {
        Self(PostgresDatabase { url: Postgres::start().database() })
    }
}

#[async_trait]
impl Database for PostgresDatabase {
    async fn open(&self, store: &StoreName) -> Result<Box<dyn Ledger>, LedgerError> {
        Ok(Box::new(PostgresLedger::open(&self.url, store).await?))
    }

    fn config(&self) -> LedgerConfig {
        LedgerConfig::Postgres(Secret::new(self.url.as_str()))
    }

    /// Rows of a table that is only appended to are stored in the order in which they were added.
    fn row_order(&self) -> &'static str {
        "ctid"
    }

    async fn select(&self, sql: &str) -> Vec<Row> {
        let options: PgConnectOptions = self.url.parse().expect("an address");
        let mut connection =
            options.options([("search_path", "attrsync")]).connect().await.expect("connects");
        let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&mut connection).await.expect("runs");
        connection.close().await.expect("closes");
        rows.iter().map(|row| Row((0..row.len()).map(|index| named_cell(row, index)).collect())).collect()
    }
}

fn named_cell(row: &PgRow, index: usize) -> (String, Cell) {
    let column = row.column(index);
    let cell = match column.type_info().name() {
        "INT8" => row.get::<Option<i64>, _>(index).map(Cell::Int),
        "TIMESTAMPTZ" => row
            .get::<Option<DateTime<Utc>>, _>(index)
            .map(|at| Cell::Text(at.to_rfc3339_opts(SecondsFormat::Micros, true))),
        _ => row.get::<Option<String>, _>(index).map(Cell::Text),
    };
    (column.name().to_owned(), cell.unwrap_or(Cell::Null))
}
