//! What is asked and read in a session whose snapshot is open, as long as its server is there.

use std::time::Duration;

use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Connection, Row};
use tokio::time::timeout;

use super::failure::{Reading, unavailable};
use super::unfinished::OpenReads;
use super::watched::Watched;
use super::{lock_holder, sql};
use crate::database::{self, Address, CONNECT_TIMEOUT, DatabaseError, Liveness, Purpose};
use crate::source::{Operation, SourceError};
use crate::waits::Waits;

/// An open snapshot.
pub(super) struct Snapshot {
    pub(super) connection: PgConnection,
    pub(super) liveness: Watched,
    pub(super) reading: Reading,
}

impl Snapshot {
    /// Connects and begins the transaction.
    pub(super) async fn open(
        address: &Address,
        reading: Reading,
        lock_wait: Duration,
        waits: &Waits,
        reads: &OpenReads,
    ) -> Result<Self, SourceError> {
        let failed = |error: DatabaseError| reading.explained(&error);
        let (mut connection, endpoint) = database::connect(address, Purpose::Source).await.map_err(failed)?;
        // Behind a pooler, the transaction keeps the session with one process of the server.
        let begin = sqlx::raw_sql(AssertSqlSafe(sql::begin(lock_wait)));
        let begin = timeout(CONNECT_TIMEOUT, begin.execute(&mut connection));
        begin.await.map_err(|_| no_transaction())?.map_err(|error| reading.failure(error))?;
        let liveness = Liveness::of(endpoint, &mut connection).await.map_err(failed)?;
        Ok(Self { connection, liveness: Watched::new(liveness, waits, reads), reading })
    }

    /// Runs a query and returns all its rows.
    pub(super) async fn rows(&mut self, query: String) -> Result<Vec<PgRow>, SourceError> {
        match self.try_rows(query).await? {
            Ok(rows) => Ok(rows),
            Err(error) => Err(lock_holder::failure(&self.reading, &self.liveness, error).await),
        }
    }

    /// Runs a query and returns all its rows, or the server's error. The outer error is that of a dead session.
    pub(super) async fn try_rows(&mut self, query: String) -> Result<sqlx::Result<Vec<PgRow>>, SourceError> {
        let rows = sqlx::raw_sql(AssertSqlSafe(query)).fetch_all(&mut self.connection);
        self.liveness.wait(async { Ok(rows.await) }).await
    }

    /// Returns the table whose row security applies to a query, if there is one. Its name may be empty. With
    /// `row_security` off, Postgres refuses to plan a query that row security applies to, also if that is within a view.
    pub(super) async fn row_security(&mut self, query: &str) -> Result<Option<String>, SourceError> {
        let probe = format!("set local row_security = off; explain {query}; {}", sql::RESUME);
        let Err(error) = self.try_rows(probe).await? else { return Ok(None) };
        self.rows(sql::RESUME.to_owned()).await?;
        // The columns were read before, so a lack of rights is not the reason. Any other error comes back with the rows.
        let refused =
            error.as_database_error().filter(|error| error.code().is_some_and(|code| code == "42501"));
        Ok(refused.map(|error| quoted_part(error.message()).to_owned()))
    }

    /// Fails if the snapshot lacks rows, because a table was emptied or replaced between its beginning and the read.
    pub(super) async fn require_whole(&mut self) -> Result<(), SourceError> {
        let found = self.rows(sql::HAS_REPLACED_TABLE.to_owned()).await?;
        if found.first().map(|row| text(row, 0)).transpose()?.as_deref() != Some("true") {
            return Ok(());
        }
        Err(unavailable(
            "a table of the source was emptied or replaced (truncate, drop, rename) while the read began, so that rows \
             are missing in it"
                .to_owned(),
            "let the sync start after the table is filled; or fill it with delete and insert in one transaction",
        ))
    }

    /// Ends the snapshot with a rollback, so that no function of the query leaves anything behind, and closes the
    /// session.
    pub(super) async fn close(self) -> Result<(), SourceError> {
        let Self { mut connection, liveness, reading } = self;
        let closing = async {
            sqlx::raw_sql("rollback").execute(&mut connection).await?;
            connection.close().await
        };
        liveness.wait(async { closing.await.map_err(|error| reading.failure(error)) }).await
    }
}

fn no_transaction() -> SourceError {
    unavailable(
        "the source opened a session, and then began no transaction within 30 seconds".to_owned(),
        "see the log of the server, and that of a pooler on the way",
    )
}

pub(super) fn text(row: &PgRow, column: usize) -> Result<String, SourceError> {
    row.try_get(column).map_err(|error| SourceError::Database {
        operation: Operation::InspectColumns,
        source: Box::new(error),
    })
}

/// The part of a message that is in quotes.
fn quoted_part(message: &str) -> &str {
    let inner = message.split_once('"').and_then(|(_, rest)| rest.rsplit_once('"'));
    inner.map_or("", |(quoted, _)| quoted)
}
