//! The tables, views and indexes are those that the migrations make, and nothing else acts on them.

use std::collections::BTreeSet;

use super::flaws::Flaws;
use crate::ledger::audit::session::Session;
use crate::ledger::cells::{Cells, Value, unexpected};
use crate::ledger::postgres::migrate::view_query;
use crate::ledger::sql::{Rows as _, Statement, statement};
use crate::ledger::sqlite::session::rows;
use crate::ledger::{Result, sqlite};

/// What the migrations made, in SQLite.
const OBJECTS: &str = "
    select type, name, sql from sqlite_schema
    where sql is not null and tbl_name <> 'refinery_schema_history' order by name";

/// The columns of all tables and views, in SQLite: `table.column type`, with `not null` also for keys.
const COLUMNS: &str = "
    select t.name || '.' || c.name || case c.type when 'INTEGER' then ' bigint' else ' text' end
        || case when c.\"notnull\" = 1 or c.pk > 0 then ' not null' else '' end
    from sqlite_schema t join pragma_table_info(t.name) c
    where t.type = 'table' and t.name not in ('refinery_schema_history', 'sqlite_sequence')
    union all
    select t.name || '.' || c.name from sqlite_schema t join pragma_table_info(t.name) c where t.type = 'view'
    union all
    select 'index ' || name from sqlite_schema where type = 'index' and sql is not null
    union all
    select 'primary key of ' || t.name from sqlite_schema t where t.type = 'table'
        and t.name <> 'refinery_schema_history'
        and exists (select 1 from pragma_table_info(t.name) c where c.pk > 0)
    union all
    select 'unique names of stores'";

/// The same in Postgres. Times are texts in SQLite.
const COLUMNS_IN_POSTGRES: &str = "
    select case t.relkind when 'v' then t.relname || '.' || c.attname else
        t.relname || '.' || c.attname || ' '
        || replace(format_type(c.atttypid, c.atttypmod), 'timestamp with time zone', 'text')
        || case when c.attnotnull then ' not null' else '' end end
    from pg_class t join pg_attribute c on c.attrelid = t.oid
    where t.relnamespace = 'attrsync'::regnamespace and t.relkind in ('r', 'v') and c.attnum > 0
        and not c.attisdropped and t.relname <> 'refinery_schema_history'
    union all
    select 'index ' || t.relname::text from pg_class t join pg_index i on i.indexrelid = t.oid
    where t.relnamespace = 'attrsync'::regnamespace and i.indisvalid
    union all
    select 'primary key of ' || t.relname::text from pg_constraint c join pg_class t on t.oid = c.conrelid
    where t.relnamespace = 'attrsync'::regnamespace and c.contype = 'p'
    union all
    select 'unique names of stores' from pg_constraint
    where conrelid = to_regclass('attrsync.stores') and contype = 'u'";

/// What acts on the tables beside attrsync, in Postgres.
const TRIGGERS: &str = "
    select 'trigger ' || g.tgname || ' of ' || t.relname from pg_trigger g join pg_class t on t.oid = g.tgrelid
    where t.relnamespace = 'attrsync'::regnamespace and not g.tgisinternal
    union all
    select 'rule ' || r.rulename || ' of ' || t.relname from pg_rewrite r join pg_class t on t.oid = r.ev_class
    where t.relnamespace = 'attrsync'::regnamespace and r.rulename <> '_RETURN'";

/// Finds what is missing, altered, or acts on the tables.
pub(super) async fn flaws(session: &Session) -> Result<Flaws> {
    match session {
        Session::Sqlite(_) => in_sqlite(session).await,
        Session::Postgres(_) => in_postgres(session).await,
    }
}

async fn in_sqlite(session: &Session) -> Result<Flaws> {
    let made = |error| unexpected_table(&error);
    let expected = rows(&sqlite::in_memory()?, OBJECTS, &[]).map_err(made)?;
    let found = session.rows("read its tables", statement!(OBJECTS)).await?;
    let objects = |rows: Vec<Vec<Value>>| -> Result<Vec<(String, String, String)>> {
        let object = |row| {
            let mut row = Cells::of(row);
            Ok((row.text()?, row.text()?, row.text()?))
        };
        rows.into_iter().map(object).collect()
    };
    let (expected, found) = (objects(expected)?, objects(found)?);
    let mut flaws = Flaws::default();
    for (kind, name, sql) in &expected {
        match found.iter().find(|(_, found, _)| found == name) {
            None => flaws.add(format!("the {kind} {name} is missing")),
            Some((_, _, found)) if found != sql => flaws.add(format!("the {kind} {name} was altered")),
            Some(_) => {}
        }
    }
    let triggers = found.iter().filter(|(kind, ..)| kind == "trigger");
    flaws.extend(
        triggers.map(|(_, name, _)| format!("there is a trigger that attrsync did not make: {name}")),
    );
    Ok(flaws)
}

fn unexpected_table(_: &rusqlite::Error) -> crate::ledger::LedgerError {
    unexpected("a table")
}

async fn in_postgres(session: &Session) -> Result<Flaws> {
    let expected = rows(&sqlite::in_memory()?, COLUMNS, &[]).map_err(|error| unexpected_table(&error))?;
    let expected = texts(expected)?;
    let found = texts(session.rows("read its tables", statement!(COLUMNS_IN_POSTGRES)).await?)?;
    let mut flaws = Flaws::default();
    flaws.extend(expected.difference(&found).map(|line| format!("is missing or was altered: {line}")));
    let triggers = texts(session.rows("read its triggers", statement!(TRIGGERS)).await?)?;
    flaws.extend(triggers.iter().map(|line| format!("there is a {line} that attrsync did not make")));
    if found.iter().any(|line| line.starts_with("outcomes."))
        && let Some(query) = view_query("outcomes")
    {
        // The server expands a view where it is used: equal queries have equal plans.
        let view = plan(session, "select * from outcomes").await?;
        if view != plan(session, &format!("select * from ({query}) outcomes")).await? {
            flaws.add("the view outcomes was altered".to_owned());
        }
    }
    Ok(flaws)
}

/// The server's plan for a query.
async fn plan(session: &Session, query: &str) -> Result<Vec<String>> {
    let sql = format!("explain (verbose, costs off) {query}");
    let lines = session.rows("compare a view", Statement { sql: sql.into(), params: Vec::new() }).await?;
    let lines: Vec<String> = lines.into_iter().map(|row| Cells::of(row).text()).collect::<Result<_>>()?;
    Ok(lines.into_iter().filter(|line| !line.starts_with("Query Identifier")).collect())
}

fn texts(rows: Vec<Vec<Value>>) -> Result<BTreeSet<String>> {
    rows.into_iter().map(|row| Cells::of(row).text()).collect()
}
