//! Opens a session: the hosts of an address in order, each within a bounded time.

use sqlx::postgres::{PgListener, PgPoolOptions};
use sqlx::{ConnectOptions, PgConnection, Row};
use tokio::time::timeout;

use super::address::{Address, Target};
use super::endpoint::Endpoint;
use super::failure::DatabaseError;
use super::{Purpose, tls};

/// Opens a session with the first host of an address that fits.
///
/// # Errors
/// No host could be reached, or one of them refused the session for a reason that does not pass.
pub(crate) async fn connect(
    address: &Address,
    purpose: Purpose,
) -> Result<(PgConnection, Endpoint), DatabaseError> {
    let rounds: &[Target] = match address.target {
        Target::PreferStandby => &[Target::Standby, Target::Any],
        ref target => std::slice::from_ref(target),
    };
    let mut failures: Vec<DatabaseError> = Vec::new();
    for target in rounds {
        failures.clear();
        for host in address.hosts() {
            let flawed = |flaw| DatabaseError::of_address(purpose, flaw);
            let endpoint = Endpoint::of(address, host, purpose).map_err(flawed)?;
            tls::check_files(address, &endpoint).map_err(flawed)?;
            match open(&endpoint, *target).await {
                Ok(connection) => return Ok((connection, endpoint)),
                Err(error) if error.may_pass() => failures.push(error),
                Err(error) => return Err(error),
            }
        }
    }
    Err(DatabaseError::all_of(failures))
}

/// Opens one more session with the same server.
///
/// # Errors
/// The server cannot be reached, or refuses the session.
pub(crate) async fn reconnect(endpoint: &Endpoint) -> Result<PgConnection, DatabaseError> {
    open(endpoint, Target::Any).await
}

/// Opens one more session with the same server, for notifications. A session that is lost is not opened again.
///
/// # Errors
/// The server cannot be reached, or refuses the session.
pub(crate) async fn listener(endpoint: &Endpoint) -> Result<PgListener, DatabaseError> {
    // sqlx makes such a session through a pool only.
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .idle_timeout(None)
        .max_lifetime(None)
        .acquire_timeout(endpoint.timeout)
        .connect_lazy_with(endpoint.options.clone());
    match PgListener::connect_with(&pool).await {
        Ok(mut listener) => {
            listener.eager_reconnect(false);
            Ok(listener)
        }
        Err(sqlx::Error::PoolTimedOut) => Err(DatabaseError::no_response(endpoint, endpoint.timeout)),
        Err(error) => Err(DatabaseError::connecting(endpoint, error)),
    }
}

async fn open(endpoint: &Endpoint, target: Target) -> Result<PgConnection, DatabaseError> {
    let opening = async {
        let mut connection = endpoint.options.connect().await?;
        let fits = target == Target::Any || fits(&mut connection, target).await?;
        Ok(fits.then_some(connection))
    };
    match timeout(endpoint.timeout, opening).await {
        Err(_) => Err(DatabaseError::no_response(endpoint, endpoint.timeout)),
        Ok(Err(error)) => Err(DatabaseError::connecting(endpoint, error)),
        Ok(Ok(None)) => Err(DatabaseError::other_server(endpoint, target)),
        Ok(Ok(Some(connection))) => Ok(connection),
    }
}

/// Whether the server is of the kind that `target_session_attrs` asks for.
async fn fits(connection: &mut PgConnection, target: Target) -> sqlx::Result<bool> {
    let query = "select pg_is_in_recovery()::text, current_setting('transaction_read_only')";
    let row = sqlx::raw_sql(query).fetch_one(connection).await?;
    let standby = row.try_get::<String, _>(0)? == "true";
    let read_only = row.try_get::<String, _>(1)? == "on";
    Ok(match target {
        Target::Any | Target::PreferStandby => true,
        Target::ReadWrite => !read_only,
        Target::ReadOnly => read_only,
        Target::Primary => !standby,
        Target::Standby => standby,
    })
}
