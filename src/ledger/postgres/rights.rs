//! Every right that a sync needs of the ledger's database, asked before anything is written.

use sqlx::PgConnection;

use super::migrate::{present_version, refuse_newer, table_names};
use super::session::{self, failed};
use crate::ledger::{LedgerError, Result};

const ASKING: &str = "ask for its rights";

/// The tables that are missing, and the rights that this user lacks of the others.
const LACKING: &str = "
    select name, table_oid is null, array_to_string(array(
        select needed from unnest(array['select', 'insert', 'update', 'delete']) needed
        where not has_table_privilege(table_oid, needed)
    ), ', ')
    from (
        select name, (select oid from pg_class
            where relnamespace = to_regnamespace('attrsync') and relname = name) as table_oid
        from unnest($1) name
    ) tables";

/// Checks that a sync could write the ledger at this address, or make it. Writes nothing.
pub(in crate::ledger) async fn check_writable(url: &str) -> Result<()> {
    let mut connection = session::connect_unpooled(url).await?;
    session::refuse_other_encodings(&mut connection).await?;
    check(&mut connection).await
}

/// Checks that the session's user may write the ledger, or make it.
pub(super) async fn check(connection: &mut PgConnection) -> Result<()> {
    let doing = failed(ASKING);
    let (user, standby, read_only): (String, bool, bool) = sqlx::query_as(
        "select current_user::text, pg_is_in_recovery(), current_setting('transaction_read_only') = 'on'",
    )
    .fetch_one(&mut *connection)
    .await
    .map_err(doing)?;
    if standby {
        return Err(unusable("is a standby, which takes no writes: name the primary in [ledger] url"));
    }
    if read_only {
        return Err(unusable(
            "is set to read-only (default_transaction_read_only): let an administrator lift that, or name another \
             database in [ledger] url",
        ));
    }
    match present_version(connection).await? {
        Some(version) => {
            refuse_newer(version)?;
            check_tables(connection, &user).await
        }
        None => check_makeable(connection, &user).await,
    }
}

fn unusable(problem: &str) -> LedgerError {
    LedgerError::Unusable(format!("the ledger's database {problem}"))
}

async fn check_tables(connection: &mut PgConnection, user: &str) -> Result<()> {
    let tables: Vec<(String, bool, String)> =
        sqlx::query_as(LACKING).bind(table_names()).fetch_all(connection).await.map_err(failed(ASKING))?;
    let missing: Vec<&str> =
        tables.iter().filter(|(_, missing, _)| *missing).map(|(name, ..)| name.as_str()).collect();
    if !missing.is_empty() {
        let missing = missing.join(", ");
        return Err(unusable(&format!("lacks the table attrsync.{missing}: restore a backup of the ledger")));
    }
    let lacking: Vec<String> = tables
        .iter()
        .filter(|(.., rights)| !rights.is_empty())
        .map(|(name, _, rights)| format!("{rights} on attrsync.{name}"))
        .collect();
    if lacking.is_empty() {
        return Ok(());
    }
    Err(unusable(&format!(
        "does not give {user} the rights that a sync needs: {}. Let the owner of the schema run `grant select, insert, \
         update, delete on all tables in schema attrsync to {user}`",
        lacking.join("; ")
    )))
}

async fn check_makeable(connection: &mut PgConnection, user: &str) -> Result<()> {
    let allowed: bool = sqlx::query_scalar(
        "select case when to_regnamespace('attrsync') is null
            then has_database_privilege(current_database(), 'create')
            else has_schema_privilege('attrsync', 'create') end",
    )
    .fetch_one(connection)
    .await
    .map_err(failed(ASKING))?;
    if allowed {
        return Ok(());
    }
    Err(LedgerError::Unusable(format!(
        "the ledger's schema cannot be made by {user}: let an administrator run \
         `create schema if not exists attrsync` there and `alter schema attrsync owner to {user}`"
    )))
}
