//! Statements with bound parameters, and rows as cells.

use chrono::{DateTime, SecondsFormat, Utc};
use sqlx::postgres::{PgArguments, PgColumn, PgRow};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, Column, Postgres, Row, SqlSafeStr, TypeInfo};

use crate::ledger::cells::Value;
use crate::ledger::sql::Param;

/// A statement with its parameters bound. Nothing from outside is written into the statement itself.
pub(in crate::ledger) fn bind(
    sql: impl Into<String>,
    params: Vec<Param>,
) -> Query<'static, Postgres, PgArguments> {
    let mut query = sqlx::query(AssertSqlSafe(sql.into()).into_sql_str());
    for param in params {
        query = match param {
            Param::Int(value) => query.bind(value),
            Param::Text(value) => query.bind(value.as_deref().map(text)),
            Param::Time(value) => query.bind(value),
        };
    }
    query
}

/// The cells of a row. The ledger's own columns are bigint, text and timestamptz only.
pub(in crate::ledger) fn cells(row: &PgRow) -> Result<Vec<Value>, sqlx::Error> {
    let read = |column: &PgColumn| {
        let index = column.ordinal();
        Ok(match column.type_info().name() {
            "INT4" => {
                row.try_get::<Option<i32>, _>(index)?.map_or(Value::Null, |value| Value::Int(value.into()))
            }
            "INT8" => row.try_get::<Option<i64>, _>(index)?.map_or(Value::Null, Value::Int),
            "TIMESTAMPTZ" => row
                .try_get::<Option<DateTime<Utc>>, _>(index)?
                .map_or(Value::Null, |at| Value::Text(at.to_rfc3339_opts(SecondsFormat::AutoSi, true))),
            _ => row.try_get::<Option<String>, _>(index)?.map_or(Value::Null, Value::Text),
        })
    };
    row.columns().iter().map(read).collect()
}

/// A text from outside as Postgres takes it: its texts have no NUL character.
pub(super) fn text(value: &str) -> String {
    value.replace('\0', "\u{fffd}")
}
