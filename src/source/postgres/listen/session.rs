//! A session on which notifications arrive, which was proved when it was opened.

use std::time::Duration;

use sqlx::postgres::PgListener;
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};
use tokio::time::{Instant, timeout};

use super::payload;
use crate::database::{self, Address, CONNECT_TIMEOUT, DatabaseError, Endpoint, Purpose, SILENCE_MAX};
use crate::record::Notified;
use crate::source::SourceError;
use crate::source::postgres::failure::{Reading, unavailable, unusable};

/// How long the notification that proves a session may take. Between two sessions of one server it takes milliseconds.
const PROOF_MAX: Duration = Duration::from_secs(5);

/// The shortest time between two warnings about payloads.
const WARNED_EVERY: Duration = Duration::from_secs(10 * 60);

/// The session may be idle without end. The server ends it some 25 seconds after its client has vanished, because a
/// session that takes no notifications keeps them in the server's queue. Settings that the server does not know are left
/// out.
const SETTINGS: &str = "
    select set_config(setting.name, setting.value, false)
    from (values
        ('statement_timeout', '0'),
        ('idle_session_timeout', '0'),
        ('tcp_keepalives_idle', '10'),
        ('tcp_keepalives_interval', '5'),
        ('tcp_keepalives_count', '3'),
        ('tcp_user_timeout', '25000')
    ) as setting (name, value)
    join pg_catalog.pg_settings using (name)";

/// A session that listens on one channel.
pub(crate) struct ListeningSession {
    listener: PgListener,
    reading: Reading,
    /// When a payload was warned of last.
    warned: Option<Instant>,
}

impl ListeningSession {
    /// Connects, proves that notifications of another session arrive, and listens on the channel.
    ///
    /// # Errors
    /// The source cannot be reached, is a standby, or is behind a pooler in transaction mode.
    pub(crate) async fn open(
        address: &Address,
        reading: &Reading,
        channel: &str,
    ) -> Result<Self, SourceError> {
        let failed = |error: DatabaseError| reading.explained(&error);
        let (another, endpoint) = database::connect(address, Purpose::Source).await.map_err(failed)?;
        let listening = timeout(CONNECT_TIMEOUT, begin(&endpoint, another, reading, channel)).await;
        let listener = listening.map_err(|_| {
            unavailable(
                "the source opened a session, and then did not begin to listen within 30 seconds".to_owned(),
                "see the log of the server, and that of a pooler on the way",
            )
        })??;
        Ok(Self { listener, reading: reading.clone(), warned: None })
    }

    /// Waits for the next notification. Nothing is lost if this is not polled to its end.
    ///
    /// # Errors
    /// The session is lost.
    pub(super) async fn next(&mut self) -> Result<Notified, SourceError> {
        match self.listener.try_recv().await {
            Ok(Some(notification)) => {
                let payload = notification.payload();
                Ok(payload::customers(payload).unwrap_or_else(|| self.everything(payload.len())))
            }
            Ok(None) => Err(closed()),
            Err(error) => Err(self.reading.failure(error)),
        }
    }

    /// Warns of a payload that cannot be read. It is not shown, because it may be a customer's value.
    fn everything(&mut self, bytes: usize) -> Notified {
        if self.warned.is_none_or(|at| at.elapsed() >= WARNED_EVERY) {
            self.warned = Some(Instant::now());
            tracing::warn!(
                bytes,
                "the payload of a notification is neither empty nor a list of customer ids, so everything is synced: \
                 correct what sends it (`attrsync init --trigger` prints a trigger)"
            );
        }
        Notified::Everything
    }

    /// Asks the server whether the session is alive.
    ///
    /// # Errors
    /// It is not.
    pub(super) async fn require_alive(&mut self) -> Result<(), SourceError> {
        match timeout(SILENCE_MAX, sqlx::raw_sql("select 1").execute(&mut self.listener)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(self.reading.failure(error)),
            Err(_) => Err(unavailable(
                format!(
                    "the session that listens for notifications of the source is dead: no response for {} seconds",
                    SILENCE_MAX.as_secs()
                ),
                "check the network to the source: a firewall may drop sessions that are quiet for some minutes",
            )),
        }
    }
}

/// Opens a session that listens on the channel, and closes the other one.
async fn begin(
    endpoint: &Endpoint,
    mut another: PgConnection,
    reading: &Reading,
    channel: &str,
) -> Result<PgListener, SourceError> {
    refuse_standby(&mut another, reading).await?;
    let mut listener = proved(endpoint, &mut another, reading).await?;
    let set_up = async {
        sqlx::raw_sql(SETTINGS).execute(&mut listener).await?;
        listener.listen(channel).await?;
        another.close().await
    };
    set_up.await.map_err(|error| reading.failure(error))?;
    Ok(listener)
}

fn pooled() -> SourceError {
    unusable(
        "[source] url leads to a pooler in transaction mode, through which no notification arrives",
        "[schedule] listen needs the database's own address in [source] url, or a pool in session mode; or remove it, and \
         set [schedule] every = \"1m\"",
    )
}

fn closed() -> SourceError {
    unavailable(
        "the session that listens for notifications of the source was closed by the other side".to_owned(),
        "see the server's log, and that of a pooler or proxy on the way",
    )
}

/// Fails if the server is a standby, which takes no `listen`.
async fn refuse_standby(session: &mut PgConnection, reading: &Reading) -> Result<(), SourceError> {
    let row = sqlx::raw_sql("select pg_is_in_recovery()::text").fetch_one(session).await;
    let is_standby =
        row.and_then(|row| row.try_get::<String, _>(0)).map_err(|error| reading.failure(error))?;
    if is_standby != "true" {
        return Ok(());
    }
    Err(unusable(
        "the source is a standby, on which Postgres lets no session listen for notifications",
        "name the primary in [source] url; or remove [schedule] listen, and set [schedule] every = \"1m\"",
    ))
}

/// Opens a session, and proves that a notification of another session arrives on it. Behind a pooler in transaction mode it
/// does not: the process of the server that listens belongs to no client between two transactions.
async fn proved(
    endpoint: &Endpoint,
    another: &mut PgConnection,
    reading: &Reading,
) -> Result<PgListener, SourceError> {
    let mut listener =
        database::listener(endpoint).await.map_err(|error: DatabaseError| reading.explained(&error))?;
    // A channel of its own: nothing of the probe stays in a pooler, and no other listener hears it.
    let channel = format!("attrsync_probe_{:016x}", fastrand::u64(..));
    let failed = |error| reading.failure(error);
    listener.listen(&channel).await.map_err(failed)?;
    match sqlx::raw_sql(AssertSqlSafe(format!("notify {channel}"))).execute(another).await {
        Ok(_) => {}
        // The pooler has lent the process that listens to this session, which expects no notification.
        Err(sqlx::Error::Protocol(_)) => return Err(pooled()),
        Err(error) => return Err(failed(error)),
    }
    match timeout(PROOF_MAX, listener.try_recv()).await {
        Ok(Ok(Some(_))) => {}
        Ok(Ok(None)) => return Err(closed()),
        Ok(Err(error)) => return Err(failed(error)),
        Err(_) => return Err(pooled()),
    }
    listener.unlisten(&channel).await.map_err(failed)?;
    Ok(listener)
}
