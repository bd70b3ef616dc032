//! What is asked and read in a session whose snapshot is open.

use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Connection, Row};

use super::failure::failure;
use crate::source::{Operation, SourceError};

pub(super) async fn rows(connection: &mut PgConnection, query: String) -> Result<Vec<PgRow>, SourceError> {
    sqlx::raw_sql(AssertSqlSafe(query))
        .fetch_all(connection)
        .await
        .map_err(|error| failure(Operation::InspectColumns, error))
}

pub(super) fn text(row: &PgRow, column: usize) -> Result<String, SourceError> {
    row.try_get(column).map_err(|error| failure(Operation::InspectColumns, error))
}

/// Ends the snapshot with a rollback, so that no function of the query leaves anything behind, and closes the session.
pub(super) async fn close(mut connection: PgConnection) -> Result<(), SourceError> {
    let closing = |error| failure(Operation::CloseSnapshot, error);
    sqlx::raw_sql("rollback").execute(&mut connection).await.map_err(closing)?;
    connection.close().await.map_err(closing)
}
