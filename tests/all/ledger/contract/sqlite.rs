//! The SQLite ledger as a backend.

use std::path::PathBuf;

use async_trait::async_trait;
use attrsync::config::LedgerConfig;
use attrsync::ledger::sqlite::SqliteLedger;
use attrsync::ledger::{Ledger, LedgerError};
use attrsync::record::StoreName;
use rusqlite::Connection;
use rusqlite::types::Value;
use tempfile::TempDir;

use super::tables::{Cell, Database, Row, Tables};

/// A database file in its own temporary folder.
pub(crate) struct SqliteFile(TempDir);

pub(crate) type SqliteBackend = Tables<SqliteFile>;

impl SqliteBackend {
    pub(crate) fn fresh() -> Self {
        Self(SqliteFile(tempfile::tempdir().expect("a folder")))
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.0.path()
    }
}

impl SqliteFile {
    fn path(&self) -> PathBuf {
        self.0.path().join("ledger.db")
    }
}

#[async_trait]
impl Database for SqliteFile {
    async fn open(&self, store: &StoreName) -> Result<Box<dyn Ledger>, LedgerError> {
        Ok(Box::new(SqliteLedger::open(&self.path(), store).await?))
    }

    fn config(&self) -> LedgerConfig {
        LedgerConfig::Sqlite(self.path())
    }

    fn row_order(&self) -> &'static str {
        "rowid"
    }

    async fn select(&self, sql: &str) -> Vec<Row> {
        let connection = Connection::open(self.path()).expect("opens");
        let mut statement = connection.prepare(sql).expect("prepares");
        let names: Vec<String> = statement.column_names().into_iter().map(str::to_owned).collect();
        let cell = |value| match value {
            Value::Null => Cell::Null,
            Value::Integer(value) => Cell::Int(value),
            Value::Text(text) => Cell::Text(text),
            other => panic!("an unexpected cell: {other:?}"),
        };
        let rows = statement.query_map([], |row| {
            let cells =
                names.iter().enumerate().map(|(index, name)| Ok((name.clone(), cell(row.get(index)?))));
            Ok(Row(cells.collect::<rusqlite::Result<_>>()?))
        });
        rows.expect("runs").map(|row| row.expect("a row")).collect()
    }
}
