//! The session port over SQLite: statements with `$1` parameters, and rows as cells.

use async_trait::async_trait;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Transaction};

use super::failure::Failure;
use super::stamp;
use super::writer::Writer;
use crate::ledger::Result;
use crate::ledger::cells::Value;
use crate::ledger::sql::{Fence, Param, Rows, Sql, Statement};
use crate::ledger::statements::FENCE;

#[async_trait]
impl Rows for Writer {
    async fn rows(&self, doing: &'static str, statement: Statement) -> Result<Vec<Vec<Value>>> {
        self.run(doing, move |connection| Ok(rows(connection, &statement.sql, &statement.params)?)).await
    }
}

#[async_trait]
impl Sql for Writer {
    async fn write(
        &self,
        doing: &'static str,
        fence: Option<Fence>,
        statements: Vec<Statement>,
    ) -> Result<Vec<Vec<Value>>> {
        let job = move |transaction: &Transaction<'_>| {
            if let Some(fence) = fence {
                check_fence(transaction, fence)?;
            }
            let mut returned = Vec::new();
            for Statement { sql, params } in &statements {
                returned.append(&mut rows(transaction, sql, params)?);
            }
            Ok(returned)
        };
        Self::write(self, doing, job).await
    }
}

/// Fails unless the run owns the store.
pub(super) fn check_fence(connection: &Connection, fence: Fence) -> Result<(), Failure> {
    let run_ids: (i64, i64) = connection
        .prepare_cached(FENCE)?
        .query_row([fence.store_id], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(fence.check(run_ids.0, run_ids.1)?)
}

/// Runs a statement and reads its rows.
pub(in crate::ledger) fn rows(
    connection: &Connection,
    sql: &str,
    params: &[Param],
) -> rusqlite::Result<Vec<Vec<Value>>> {
    let mut read = Vec::new();
    each_row(connection, sql, params, |row| read.push(row))?;
    Ok(read)
}

/// Runs a statement and passes on its rows one by one.
pub(in crate::ledger) fn each_row(
    connection: &Connection,
    sql: &str,
    params: &[Param],
    mut take: impl FnMut(Vec<Value>),
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(sql)?;
    for (number, param) in (1..).zip(params) {
        // SQLite numbers named parameters in the order in which they first occur.
        let Some(index) = statement.parameter_index(&format!("${number}"))? else { continue };
        match param {
            Param::Int(value) => statement.raw_bind_parameter(index, value)?,
            Param::Text(value) => statement.raw_bind_parameter(index, value)?,
            Param::Time(value) => statement.raw_bind_parameter(index, value.map(stamp::text))?,
        }
    }
    let columns = statement.column_count();
    let mut rows = statement.raw_query();
    while let Some(row) = rows.next()? {
        let cells = (0..columns).map(|index| Ok(cell(row.get_ref(index)?)));
        take(cells.collect::<rusqlite::Result<_>>()?);
    }
    Ok(())
}

/// A cell as it was stored.
pub(in crate::ledger) fn cell(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(value) => Value::Int(value),
        ValueRef::Real(value) => Value::Real(value),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
            Value::Text(String::from_utf8_lossy(bytes).into_owned())
        }
    }
}
