//! Names the session that keeps a table of the source locked.

use std::time::Duration;

use sqlx::Row;
use tokio::time::timeout;

use super::failure::{Reading, unavailable};
use super::watched::Watched;
use crate::database::{DatabaseError, Purpose};
use crate::source::SourceError;

/// How long it may take to ask.
const ASKED_WITHIN: Duration = Duration::from_secs(10);

/// The sessions that keep a table from being read, with the user and the table. Every user may see this.
const HOLDERS: &str = "
    select l.pid::text, coalesce(a.usename::text, 'another user'), c.oid::regclass::text
    from pg_catalog.pg_locks l
        join pg_catalog.pg_class c on c.oid = l.relation
        left join pg_catalog.pg_stat_activity a on a.pid = l.pid
    where l.locktype = 'relation' and l.granted and l.mode = 'AccessExclusiveLock'
        and l.database = (select oid from pg_catalog.pg_database where datname = current_database())
        and c.relkind in ('r', 'p', 'm', 'v', 'f') and c.relnamespace <> 'pg_catalog'::regnamespace
    order by l.pid, 3 limit 3";

/// The failure of a statement of the session. If another session kept a table locked for too long, it is named.
pub(super) async fn failure(reading: &Reading, session: &Watched, error: sqlx::Error) -> SourceError {
    let error = DatabaseError::of(Purpose::Source, error);
    if error.code() != Some("55P03") {
        return reading.explained(&error);
    }
    match timeout(ASKED_WITHIN, Box::pin(hint(session))).await {
        Ok(Ok(Some(hint))) => unavailable(error.sentence(Purpose::Source), hint),
        _ => reading.explained(&error),
    }
}

/// Says which sessions have tables locked, and what to do. `None` if there are none any more.
async fn hint(session: &Watched) -> Result<Option<String>, DatabaseError> {
    let mut another = session.another().await?;
    let failed = |error| DatabaseError::of(Purpose::Source, error);
    let rows = sqlx::raw_sql(HOLDERS).fetch_all(&mut another).await.map_err(failed)?;
    let text = |row: &sqlx::postgres::PgRow, at| row.try_get::<String, usize>(at).map_err(failed);
    let mut holders = Vec::new();
    for row in &rows {
        holders.push(format!(
            "session {} of {} keeps {} locked",
            text(row, 0)?,
            text(row, 1)?,
            text(row, 2)?
        ));
    }
    let Some(first) = rows.first() else { return Ok(None) };
    Ok(Some(format!(
        "{}: end it with `select pg_terminate_backend({})`, or wait for its end; a view is refreshed without a lock by \
         `refresh materialized view concurrently`",
        holders.join("; "),
        text(first, 0)?
    )))
}
