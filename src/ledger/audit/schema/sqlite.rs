//! The tables of a SQLite ledger, compared with those of a new one in memory.

use super::parts::{Parts, differences, parts};
use crate::ledger::audit::session::Session;
use crate::ledger::cells::{Cells, Value, unexpected};
use crate::ledger::sql::{Rows as _, statement};
use crate::ledger::sqlite::session::rows;
use crate::ledger::{LedgerError, Result, sqlite};

/// What the migrations made.
const OBJECTS: &str = "
    select type, name, sql, tbl_name from sqlite_schema
    where sql is not null and tbl_name not in ('refinery_schema_history', 'sqlite_sequence') order by name";

/// What tables and views have, in the words of Postgres. Keys are not NULL, and `id` is given by the database.
const PARTS: &str = "
    select 'column ' || t.name || '.' || c.name,
        case c.type when 'INTEGER' then 'bigint' when 'TEXT' then 'text' else lower(c.type) end
        || case when c.\"notnull\" = 1 or c.pk > 0 then ' not null' else '' end
        || coalesce(' default ' || c.dflt_value, '')
        || case when c.name = 'id' then ' generated' else '' end
    from sqlite_schema t join pragma_table_info(t.name) c
    where t.type = 'table' and t.name not in ('refinery_schema_history', 'sqlite_sequence')
    union all
    select 'column ' || t.name || '.' || c.name, 'of a view'
    from sqlite_schema t join pragma_table_info(t.name) c where t.type = 'view'
    union all
    select 'index ' || name, '' from sqlite_schema where type = 'index' and sql is not null
    union all
    select 'primary key of ' || t.name, '' from sqlite_schema t
    where t.type = 'table' and t.name <> 'refinery_schema_history'
        and exists (select 1 from pragma_table_info(t.name) c where c.pk > 0)
    union all
    select 'unique key of stores', ''";

/// What a new ledger has.
pub(super) fn expected() -> Result<Parts> {
    parts(rows(&sqlite::in_memory()?, PARTS, &[]).map_err(|error| no_table(&error))?)
}

/// Finds what is missing, altered, or acts on the tables.
pub(super) async fn altered(session: &Session) -> Result<Vec<String>> {
    let found = parts(session.rows("read its columns", statement!(PARTS)).await?)?;
    let mut altered = differences(&expected()?, &found, "");
    let expected = objects(rows(&sqlite::in_memory()?, OBJECTS, &[]).map_err(|error| no_table(&error))?)?;
    let found = objects(session.rows("read its tables", statement!(OBJECTS)).await?)?;
    for Object { kind, name, sql, .. } in &expected {
        let is_told =
            |line: &String| line.contains(&format!(" {name}.")) || line.contains(&format!(" {name} "));
        match found.iter().find(|object| object.name == *name) {
            _ if altered.iter().any(is_told) => {}
            None => altered.push(format!("the {kind} {name} is missing: restore a backup")),
            Some(found) if found.sql != *sql => {
                altered.push(format!("the {kind} {name} was altered: restore a backup"));
            }
            Some(_) => {}
        }
    }
    let others = found.iter().filter(|object| expected.iter().all(|known| known.name != object.name));
    altered.extend(others.filter(|object| object.acts()).map(|Object { kind, name, table, .. }| {
        format!("the {kind} {name} of {table} was not made by attrsync: run `drop {kind} {name}`")
    }));
    Ok(altered)
}

/// A table, view, index or trigger.
struct Object {
    kind: String,
    name: String,
    sql: String,
    table: String,
}

impl Object {
    /// Whether it can change or refuse what attrsync writes.
    fn acts(&self) -> bool {
        self.kind == "trigger" || self.sql.to_ascii_lowercase().starts_with("create unique")
    }
}

fn objects(rows: Vec<Vec<Value>>) -> Result<Vec<Object>> {
    let object = |row| {
        let mut row = Cells::of(row);
        Ok(Object { kind: row.text()?, name: row.text()?, sql: row.text()?, table: row.text()? })
    };
    rows.into_iter().map(object).collect()
}

fn no_table(_: &rusqlite::Error) -> LedgerError {
    unexpected("a table")
}
