//! The tables of a ledger in Postgres, compared with those of a new one in SQLite: both have the same columns.

use super::parts::{differences, parts};
use super::sqlite;
use crate::ledger::Result;
use crate::ledger::audit::session::Session;
use crate::ledger::cells::{Cells, Value};
use crate::ledger::postgres::migrate::view_query;
use crate::ledger::sql::{Rows as _, Statement, statement};

/// What tables and views have. Times are texts in SQLite.
const PARTS: &str = "
    select 'column ' || t.relname || '.' || c.attname,
        case t.relkind when 'v' then 'of a view' else
            replace(format_type(c.atttypid, c.atttypmod), 'timestamp with time zone', 'text')
            || case when c.attnotnull then ' not null' else '' end
            || coalesce(' default ' || pg_get_expr(d.adbin, d.adrelid), '')
            || case when c.attidentity = '' then '' else ' generated' end
        end
    from pg_class t join pg_attribute c on c.attrelid = t.oid
    left join pg_attrdef d on d.adrelid = t.oid and d.adnum = c.attnum
    where t.relnamespace = 'attrsync'::regnamespace and t.relkind in ('r', 'v') and c.attnum > 0
        and not c.attisdropped and t.relname <> 'refinery_schema_history'
    union all
    select 'index ' || t.relname::text, '' from pg_class t join pg_index i on i.indexrelid = t.oid
    where t.relnamespace = 'attrsync'::regnamespace and i.indisvalid
    union all
    select 'primary key of ' || t.relname::text, '' from pg_constraint c join pg_class t on t.oid = c.conrelid
    where t.relnamespace = 'attrsync'::regnamespace and c.contype = 'p'
    union all
    select distinct 'unique key of stores', '' from pg_constraint
    where conrelid = to_regclass('attrsync.stores') and contype = 'u'";

/// What acts on the tables beside attrsync: what it is, its table, and the statement that ends it.
const ACTING: &str = "
    select 'trigger ' || g.tgname, t.relname::text, format('drop trigger %I on attrsync.%I', g.tgname, t.relname)
    from pg_trigger g join pg_class t on t.oid = g.tgrelid
    where t.relnamespace = 'attrsync'::regnamespace and not g.tgisinternal
    union all
    select 'rule ' || r.rulename, t.relname::text, format('drop rule %I on attrsync.%I', r.rulename, t.relname)
    from pg_rewrite r join pg_class t on t.oid = r.ev_class
    where t.relnamespace = 'attrsync'::regnamespace and r.rulename <> '_RETURN'
    union all
    select 'constraint ' || c.conname, t.relname::text,
        format('alter table attrsync.%I drop constraint %I', t.relname, c.conname)
    from pg_constraint c join pg_class t on t.oid = c.conrelid
    where t.relnamespace = 'attrsync'::regnamespace
        and (c.contype in ('c', 'x') or c.contype = 'u' and t.relname <> 'stores')
    union all
    select 'unique index ' || i.relname, t.relname::text, format('drop index attrsync.%I', i.relname)
    from pg_index x join pg_class i on i.oid = x.indexrelid join pg_class t on t.oid = x.indrelid
    where t.relnamespace = 'attrsync'::regnamespace and x.indisunique
        and not exists (select from pg_constraint c where c.conindid = x.indexrelid)";

/// Tables with row security that applies to this user.
const ROW_SECURITY: &str = "
    select relname::text from pg_class
    where relnamespace = 'attrsync'::regnamespace and relkind = 'r' and row_security_active(oid) order by relname";

const UNLOGGED: &str = "
    select relname::text from pg_class
    where relnamespace = 'attrsync'::regnamespace and relkind = 'r' and relpersistence <> 'p' order by relname";

/// Finds what is missing, altered, or acts on the tables.
pub(super) async fn altered(session: &Session) -> Result<Vec<String>> {
    let found = parts(session.rows("read its tables", statement!(PARTS)).await?)?;
    let mut altered = differences(&sqlite::expected()?, &found, "attrsync.");
    for row in session.rows("read its triggers", statement!(ACTING)).await? {
        let mut row = Cells::of(row);
        let (what, table, remedy) = (row.text()?, row.text()?, row.text()?);
        altered.push(format!("the {what} of {table} was not made by attrsync: run `{remedy}`"));
    }
    for table in texts(session.rows("read its row security", statement!(ROW_SECURITY)).await?)? {
        altered.push(format!(
            "row security of {table} applies to this user, who does not see or may not write all of its rows: run `alter \
             table attrsync.{table} disable row level security`"
        ));
    }
    if found.keys().any(|part| part.starts_with("column outcomes."))
        && let Some(query) = view_query("outcomes")
    {
        // The server expands a view where it is used: equal queries have equal plans.
        let view = plan(session, "select * from outcomes").await?;
        if view != plan(session, &format!("select * from ({query}) outcomes")).await? {
            altered.push("the view outcomes was altered: restore a backup".to_owned());
        }
    }
    Ok(altered)
}

/// Finds tables that a crash of the server empties.
pub(super) async fn unlogged(session: &Session) -> Result<Vec<String>> {
    let tables = texts(session.rows("read its tables", statement!(UNLOGGED)).await?)?;
    let unlogged = tables.iter().map(|table| {
        format!(
            "the table {table} is unlogged, so that a crash of the server empties it: run `alter table attrsync.{table} \
             set logged`"
        )
    });
    Ok(unlogged.collect())
}

/// The server's plan for a query.
async fn plan(session: &Session, query: &str) -> Result<Vec<String>> {
    let sql = format!("explain (verbose, costs off) {query}");
    let lines = session.rows("compare a view", Statement { sql: sql.into(), params: Vec::new() }).await?;
    let lines = texts(lines)?;
    Ok(lines.into_iter().filter(|line| !line.starts_with("Query Identifier")).collect())
}

fn texts(rows: Vec<Vec<Value>>) -> Result<Vec<String>> {
    rows.into_iter().map(|row| Cells::of(row).text()).collect()
}
