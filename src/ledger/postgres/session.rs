//! Sessions with the ledger's database: how they are opened, what is set in them, and the locks they hold.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, Row};
use tokio::time::timeout;

use crate::database::{self, Address, DatabaseError, Endpoint, Liveness, Purpose, Silent};
use crate::ledger::{LedgerError, Result};

/// The first key of attrsync's advisory locks: "attr". The second is a store's id, or 0 for migrations.
pub(in crate::ledger) const LOCK_CLASS: i32 = 0x6174_7472;
const MIGRATIONS: i32 = 0;

/// How long a session may take to be set up.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a session waits for a lock of another session, unless it is told otherwise.
pub(in crate::ledger) const LOCK_WAIT: Duration = Duration::from_secs(30);

/// How often a transaction pooler is probed for, each time with one statement more in between: a pool that assigns its
/// sessions in turn may assign the same one again by chance, but not after every number of statements.
const POOLER_PROBES: usize = 3;

const PROBE: &str = "probe for a pooler";

/// The error of an address that leads to such a pooler.
const POOLED: &str = "[ledger] url leads to a pooler in transaction mode, through which no lock can be held: \
     use the database's own address, or a pool in session mode";

/// The error of an address where a second session gets no process of the server.
const POOL_FULL: &str = "[ledger] url leads to a pool that has no room for a second session, and a run needs up to five: raise \
     pool_size of the pooler, or use the database's own address";

/// How long a second session may wait for a process of the server.
const SECOND_SESSION_MAX: Duration = Duration::from_secs(10);

/// The settings of every session. With these keep-alives the session of a dead client ends after 10 + 3 × 5 seconds.
/// Settings that the server does not know are left out.
const SETTINGS: &str = "
    select set_config(setting.name, setting.value, false)
    from (values
        ('search_path', 'attrsync'),
        ('synchronous_commit', 'on'),
        ('tcp_keepalives_idle', '10'),
        ('tcp_keepalives_interval', '5'),
        ('tcp_keepalives_count', '3'),
        ('jit', 'off'),
        ('statement_timeout', '0'),
        ('lock_timeout', '30s'),
        ('idle_in_transaction_session_timeout', '0'),
        ('idle_session_timeout', '0'),
        ('transaction_timeout', '0')
    ) as setting (name, value)
    join pg_settings using (name)";

/// The session of a dead client that has not acknowledged some bytes ends too, and the store's lock with it. Not for a
/// session that only reads: its client may take no rows for minutes, which looks the same.
const LOCK_SETTINGS: &str =
    "select set_config(name, '25000', false) from pg_settings where name = 'tcp_user_timeout'";

/// A run's statements touch some tens or hundreds of rows at a time, in tables that may grow from nothing to millions
/// of rows while the run lasts. A query plan that was good for an empty table must not be kept, so tables are only read
/// along an index, and a nested loop is made only where `lateral … offset 0` asks for one. Without sorting, a page of
/// the plan never reads all that is left of the plan. The planner may still choose what is switched off where nothing
/// else is possible.
const WRITER_SETTINGS: &str = "
    set enable_seqscan = off; set enable_nestloop = off; set enable_mergejoin = off;
    set enable_bitmapscan = off; set enable_sort = off; set enable_memoize = off;
    set plan_cache_mode = force_generic_plan";

/// Makes a database error the ledger's, with the operation that failed.
pub(in crate::ledger) fn failed(doing: &'static str) -> impl Fn(sqlx::Error) -> LedgerError + Copy {
    move |error| of_database(doing)(DatabaseError::of(Purpose::Ledger, error))
}

fn of_database(doing: &'static str) -> impl Fn(DatabaseError) -> LedgerError + Copy {
    move |error| LedgerError::Database { doing, source: Box::new(error) }
}

impl From<Silent> for LedgerError {
    fn from(error: Silent) -> Self {
        Self::Database { doing: "reach its database", source: Box::new(error) }
    }
}

/// Opens a session at an address that [`connect_unpooled`] has accepted.
pub(in crate::ledger) async fn connect(url: &str) -> Result<PgConnection> {
    let (connection, _) = reach(url).await?;
    in_time(set_up(connection)).await
}

/// Opens a session as [`connect`] does, and watches over it.
pub(super) async fn connect_alive(url: &str) -> Result<(PgConnection, Liveness)> {
    let (connection, endpoint) = reach(url).await?;
    watched(in_time(set_up(connection)).await?, endpoint).await
}

async fn watched(mut connection: PgConnection, endpoint: Endpoint) -> Result<(PgConnection, Liveness)> {
    let liveness =
        Liveness::of(endpoint, &mut connection).await.map_err(of_database("ask for its session"))?;
    Ok((connection, liveness))
}

/// Opens a session that stays the same one from statement to statement.
///
/// # Errors
/// [`LedgerError::Unusable`] for the address of a pooler in transaction mode. No setting was made by then, because
/// behind such a pooler a setting stays with the next client.
pub(in crate::ledger) async fn connect_unpooled(url: &str) -> Result<PgConnection> {
    Ok(reach_unpooled(url).await?.0)
}

async fn reach_unpooled(url: &str) -> Result<(PgConnection, Endpoint)> {
    let (mut connection, endpoint) = reach(url).await?;
    let set_up = async {
        refuse_transaction_pooler(&endpoint, &mut connection).await?;
        set_up(connection).await
    };
    Ok((in_time(set_up).await?, endpoint))
}

/// Opens the session that will hold a store's lock and write.
pub(super) async fn connect_writer(url: &str) -> Result<(PgConnection, Liveness)> {
    let (mut writer, endpoint) = reach_unpooled(url).await?;
    in_time(async {
        refuse_other_encodings(&mut writer).await?;
        set_up_writer(&mut writer).await
    })
    .await?;
    watched(writer, endpoint).await
}

async fn set_up_writer(writer: &mut PgConnection) -> Result<()> {
    for settings in [LOCK_SETTINGS, WRITER_SETTINGS] {
        sqlx::raw_sql(settings).execute(&mut *writer).await.map_err(failed("set up its session"))?;
    }
    Ok(())
}

/// Bounds the opening of a session: the network may fall silent in the middle of it.
pub(super) async fn in_time<T>(opening: impl Future<Output = Result<T>>) -> Result<T> {
    timeout(CONNECT_TIMEOUT, opening).await.unwrap_or_else(|_| {
        let seconds = CONNECT_TIMEOUT.as_secs();
        let source =
            format!("it sent no response within {seconds} seconds after the session was opened").into();
        Err(LedgerError::Database { doing: "set up its session", source })
    })
}

/// Refuses a database of another encoding, which would fail in the middle of a run at the first value that it cannot
/// hold.
pub(super) async fn refuse_other_encodings(connection: &mut PgConnection) -> Result<()> {
    let encoding: String = sqlx::query_scalar("select current_setting('server_encoding')")
        .fetch_one(connection)
        .await
        .map_err(failed("ask for its encoding"))?;
    if encoding == "UTF8" {
        return Ok(());
    }
    Err(LedgerError::Unusable(format!(
        "the ledger's database has the encoding {encoding}, which cannot hold every value: make another one with \
         `create database ... template template0 encoding 'UTF8'`, and name it in [ledger] url"
    )))
}

async fn reach(url: &str) -> Result<(PgConnection, Endpoint)> {
    let address = Address::parse(url, &|name| std::env::var(name).ok())
        .map_err(|(problem, hint)| LedgerError::Unusable(format!("[ledger] url {problem}: {hint}")))?;
    database::connect(&address, Purpose::Ledger).await.map_err(of_database("open a session"))
}

async fn set_up(mut connection: PgConnection) -> Result<PgConnection> {
    sqlx::raw_sql(SETTINGS).execute(&mut connection).await.map_err(failed("set up its session"))?;
    // Postgres 14 and later, and not on every system. Without it the server notices a killed client whose statement
    // waits for a lock only when it gets the lock.
    let _ = sqlx::raw_sql("set client_connection_check_interval = '500ms'").execute(&mut connection).await;
    Ok(connection)
}

/// Refuses a pooler that assigns a server session to another client after each transaction, because two runs could
/// share one lock. Such a pooler shows when a second client in a transaction displaces the first one.
async fn refuse_transaction_pooler(endpoint: &Endpoint, first: &mut PgConnection) -> Result<()> {
    let mut second = database::reconnect(endpoint).await.map_err(of_database(PROBE))?;
    for statements in 0..POOLER_PROBES {
        let before = backend(first).await?;
        for _ in 0..statements {
            backend(&mut second).await?;
        }
        match timeout(SECOND_SESSION_MAX, sqlx::raw_sql("begin").execute(&mut second)).await {
            Ok(Ok(_)) => {}
            // A pooler in statement mode accepts no transactions at all.
            Ok(Err(sqlx::Error::Database(error))) if error.message().contains("statement pooling") => {
                return Err(LedgerError::Unusable(POOLED.to_owned()));
            }
            Ok(Err(sqlx::Error::Database(error))) if !error.message().contains("query_wait_timeout") => {
                return Err(failed(PROBE)(sqlx::Error::Database(error)));
            }
            Ok(Err(error @ sqlx::Error::Io(_))) => return Err(failed(PROBE)(error)),
            // A pooler in session mode whose pool is full lets the session wait.
            Err(_) | Ok(Err(_)) => return Err(LedgerError::Unusable(POOL_FULL.to_owned())),
        }
        let displacing = backend(&mut second).await?;
        let after = backend(first).await?;
        sqlx::raw_sql("rollback").execute(&mut second).await.map_err(failed(PROBE))?;
        if displacing == before || after != before {
            return Err(LedgerError::Unusable(POOLED.to_owned()));
        }
    }
    sqlx::Connection::close(second).await.map_err(failed("close a session"))
}

async fn backend(connection: &mut PgConnection) -> Result<i32> {
    // The simple protocol, because prepared statements do not survive such a pooler.
    let row = sqlx::raw_sql("select pg_backend_pid()").fetch_one(connection).await;
    row.and_then(|row| row.try_get(0)).map_err(failed(PROBE))
}

/// Waits some seconds for another migrator to end.
pub(super) async fn lock_migrations(connection: &mut PgConnection) -> Result<()> {
    if lock(connection, MIGRATIONS, Duration::from_secs(10)).await? {
        return Ok(());
    }
    Err(LedgerError::Locked {
        holder: "another attrsync has been migrating the ledger for 10 seconds; try again when it is done"
            .to_owned(),
    })
}

pub(super) async fn unlock_migrations(connection: &mut PgConnection) -> Result<()> {
    sqlx::query("select pg_advisory_unlock($1, $2)")
        .bind(LOCK_CLASS)
        .bind(MIGRATIONS)
        .execute(connection)
        .await
        .map(|_| ())
        .map_err(failed("unlock its migration lock"))
}

/// Takes the store's lock. Waits a second, because the session of a run that was just killed needs a moment to end.
pub(super) async fn lock_store(connection: &mut PgConnection, store_id: i64) -> Result<()> {
    let key = i32::try_from(store_id).map_err(|_| LedgerError::Unusable("too many stores".to_owned()))?;
    if lock(connection, key, Duration::from_secs(1)).await? {
        return Ok(());
    }
    let holder: Option<(i64, String, DateTime<Utc>)> = sqlx::query_as(
        "select r.id, r.kind, r.started_at from stores s join runs r on r.id = s.owner_run_id where s.id = $1",
    )
    .bind(store_id)
    .fetch_optional(connection)
    .await
    .map_err(failed("ask which run holds the store"))?;
    Err(LedgerError::Locked {
        holder: match holder {
            Some((id, kind, started_at)) => {
                format!("run {id} ({kind}), started {} UTC", started_at.format("%Y-%m-%d %H:%M:%S"))
            }
            None => "a run that is just starting".to_owned(),
        },
    })
}

/// Takes a lock, and returns whether it did within `wait`.
async fn lock(connection: &mut PgConnection, key: i32, wait: Duration) -> Result<bool> {
    let doing = failed("take its lock");
    set_lock_wait(connection, wait).await?;
    let taken = sqlx::query("select pg_advisory_lock($1, $2)")
        .bind(LOCK_CLASS)
        .bind(key)
        .execute(&mut *connection)
        .await;
    let taken = match taken {
        Ok(_) => true,
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("55P03") => false,
        Err(error) => return Err(doing(error)),
    };
    set_lock_wait(connection, LOCK_WAIT).await?;
    Ok(taken)
}

/// Sets how long the session waits for a lock.
pub(super) async fn set_lock_wait(connection: &mut PgConnection, wait: Duration) -> Result<()> {
    sqlx::query("select set_config('lock_timeout', $1, false)")
        .bind(format!("{}ms", wait.as_millis().clamp(1, i32::MAX.unsigned_abs().into())))
        .execute(connection)
        .await
        .map(|_| ())
        .map_err(failed("set up its session"))
}
