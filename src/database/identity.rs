//! What distinguishes a session from every other one, also at the same address.

use sqlx::{PgConnection, Row};

/// Asks for the server's process of the session and for what distinguishes the server from another one at the same
/// address.
const IDENTITY: &str = "select pg_backend_pid(), pg_postmaster_start_time()::text, \
     coalesce(inet_server_addr()::text || ' ' || inet_server_port()::text, ''), \
     to_char(now() at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')";

/// A session and its server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    /// The server's process of the session.
    pub(super) pid: i32,
    /// When the server started: two servers never did in the same microsecond.
    pub(super) started: String,
    /// The server's own address.
    pub(super) address: String,
    /// When the transaction of the session began, if it is in one. It tells this transaction from the next one.
    pub(super) transaction: String,
}

impl Identity {
    /// Asks a session.
    pub(super) async fn of(session: &mut PgConnection) -> sqlx::Result<Self> {
        let row = sqlx::raw_sql(IDENTITY).fetch_one(session).await?;
        Ok(Self {
            pid: row.try_get(0)?,
            started: row.try_get(1)?,
            address: row.try_get(2)?,
            transaction: row.try_get(3)?,
        })
    }
}
