//! Finds the sessions that keep the ledger's tables locked.

use std::time::Duration;

use sqlx::PgConnection;
use tokio::time::timeout;

use super::session::{self, failed};
use crate::database::SILENCE_MAX;
use crate::ledger::{LedgerError, Result};

/// The sessions that have had a lock on a table of the ledger, or on a row of it, for so many seconds. The lock of a
/// session that only reads keeps no other waiting.
const HOLDERS: &str = "
    select distinct a.pid, format(
        'session %s of %s (%s), in a transaction since %s UTC', a.pid, a.usename,
        coalesce(nullif(a.application_name, ''), 'no application_name'),
        to_char(a.xact_start at time zone 'UTC', 'HH24:MI:SS')
    )
    from pg_locks l join pg_stat_activity a using (pid) join pg_class c on c.oid = l.relation
    where l.locktype = 'relation' and l.granted and l.mode <> 'AccessShareLock'
        and l.database = (select oid from pg_database where datname = current_database())
        and c.relnamespace = 'attrsync'::regnamespace
        and a.xact_start < clock_timestamp() - make_interval(secs => $1)
    order by a.pid limit 5";

/// Adds to a failure which session has the lock that was waited for. Any other failure stays as it is.
pub(super) async fn named(error: LedgerError, url: &str, waited: Duration) -> LedgerError {
    if !error.is_of_lock() {
        return error;
    }
    let asked = timeout(SILENCE_MAX, async {
        let mut another = session::connect(url).await?;
        hint(&mut another, waited).await
    });
    match asked.await {
        Ok(Ok(Some(hint))) => error.with_hint(hint),
        _ => error,
    }
}

/// Says which sessions have had a lock for so long, and what to do. `None` if there are none.
async fn hint(connection: &mut PgConnection, waited: Duration) -> Result<Option<String>> {
    let holders: Vec<(i32, String)> = sqlx::query_as(HOLDERS)
        .bind(waited.as_secs_f64())
        .fetch_all(connection)
        .await
        .map_err(failed("ask which session has a lock"))?;
    let Some((first, _)) = holders.first() else { return Ok(None) };
    let names: Vec<&str> = holders.iter().map(|(_, name)| name.as_str()).collect();
    Ok(Some(format!(
        "it is locked by {}: end that with `select pg_terminate_backend({first})`, or wait for its end; then run \
         `attrsync sync`",
        names.join("; ")
    )))
}
