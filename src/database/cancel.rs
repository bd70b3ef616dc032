//! Cancels what a session does, by a second session with the same server.

use sqlx::AssertSqlSafe;

use super::endpoint::Endpoint;
use super::failure::DatabaseError;
use super::identity::Identity;
use super::session::reconnect;

/// The request to cancel what a session does.
#[derive(Debug)]
pub(crate) struct Cancellation {
    endpoint: Endpoint,
    identity: Identity,
}

impl Cancellation {
    pub(super) fn new(endpoint: Endpoint, identity: Identity) -> Self {
        Self { endpoint, identity }
    }

    /// Cancels what the session does, if its transaction is still open. A pooler may have given the server's process to
    /// another client since, and another server may respond at the address.
    ///
    /// # Errors
    /// No second session could be opened, or it may not cancel the first one.
    pub(crate) async fn send(self) -> Result<(), DatabaseError> {
        let mut another = reconnect(&self.endpoint).await?;
        let Identity { pid, started, transaction, .. } = &self.identity;
        // The texts come from the server, without quotes.
        let cancel = format!(
            "select pg_cancel_backend(pid) from pg_stat_activity \
             where pid = {pid} and pg_postmaster_start_time()::text = '{started}' \
                and to_char(xact_start at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') = '{transaction}'"
        );
        let sent = sqlx::raw_sql(AssertSqlSafe(cancel)).execute(&mut another).await;
        sent.map(drop).map_err(|error| DatabaseError::of(self.endpoint.purpose, error))
    }
}
