//! Whose schema `attrsync` is.

use sqlx::{FromRow, PgConnection};

use super::session::failed;
use crate::ledger::{LedgerError, Result};

/// The schema, if there is one: whether this user may use it, the first thing in it but the record of migrations, and
/// whether this user may read that record (NULL if there is none). Every user may read the catalogue.
const SCHEMA: &str = "
    select has_schema_privilege(n.oid, 'usage'),
        coalesce(
            (select min(relname) from pg_class
                where relnamespace = n.oid and relkind in ('r', 'p', 'v', 'm', 'f', 'S')
                    and relname <> 'refinery_schema_history'),
            (select min(proname) from pg_proc where pronamespace = n.oid),
            (select min(typname) from pg_type where typnamespace = n.oid and typtype in ('d', 'e'))
        )::text,
        (select has_table_privilege(oid, 'select') from pg_class
            where relnamespace = n.oid and relname = 'refinery_schema_history')
    from pg_namespace n where n.nspname = 'attrsync'";

/// Who has made the schema, and who asks.
const PEOPLE: &str =
    "select pg_get_userbyid(nspowner)::text, current_user::text from pg_namespace where nspname = 'attrsync'";

/// How many migrations are recorded, and how many of them are the first of a ledger.
const RECORDED: &str =
    "select count(*), count(*) filter (where name = 'ledger') from attrsync.refinery_schema_history";

/// Whether there is a ledger: a schema that attrsync made. An administrator may have made the empty schema.
///
/// # Errors
/// The schema is another program's, or this user may not use it.
pub(super) async fn is_ledger(connection: &mut PgConnection) -> Result<bool> {
    let doing = failed("look for its schema");
    let schema = sqlx::query(SCHEMA).fetch_optional(&mut *connection).await.map_err(doing)?;
    let Some(schema) = schema else { return Ok(false) };
    let (usable, content, record_readable): (bool, Option<String>, Option<bool>) =
        FromRow::from_row(&schema).map_err(doing)?;
    if !usable || record_readable == Some(false) {
        let (maker, user): (String, String) =
            sqlx::query_as(PEOPLE).fetch_one(connection).await.map_err(doing)?;
        return Err(LedgerError::Unusable(format!(
            "the schema attrsync in the ledger's database belongs to {maker}, and {user} may not read it: let {maker} \
             run `grant usage on schema attrsync to {user}; grant select, insert, update, delete on all tables in \
             schema attrsync to {user}` (to read the ledger only, `select` is enough)"
        )));
    }
    let (recorded, ours): (i64, i64) = match record_readable {
        Some(_) => sqlx::query_as(RECORDED).fetch_one(connection).await.map_err(doing)?,
        None => (0, 0),
    };
    match (ours, content, recorded) {
        (1.., ..) => Ok(true),
        (0, None, 0) => Ok(false),
        (_, content, _) => Err(LedgerError::Unusable(format!(
            "the schema attrsync in the ledger's database was not made by attrsync: it has {}, and no record of \
             attrsync's migrations. Name another database in [ledger] url; or, if it is a ledger that has lost its \
             table refinery_schema_history, restore a backup",
            content.as_deref().unwrap_or("other migrations")
        ))),
    }
}
