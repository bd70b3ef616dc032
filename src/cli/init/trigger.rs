//! The SQL of `attrsync init --trigger`: triggers that notify attrsync of changed customers.

use crate::cli::failure::Failure;
use crate::config::{Relation, table_parts};

/// The triggers' function. A statement that changes no value notifies nothing. Of a statement that changes many rows, the
/// rows are not looked at. A payload must be shorter than 8,000 bytes.
const FUNCTION: &str = r#"create or replace function {function}() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $attrsync$
declare
    most constant int := 10000;
    customers text := '';
    changed bigint;
begin
    if tg_op = 'INSERT' then
        select count(*) into changed from (select from new_rows limit most + 1) as r;
        if changed <= most then
            select string_agg(distinct r.customer_id::text, ',') into customers from new_rows as r;
        end if;
    elsif tg_op = 'DELETE' then
        select count(*) into changed from (select from old_rows limit most + 1) as r;
        if changed <= most then
            select string_agg(distinct r.customer_id::text, ',') into customers from old_rows as r;
        end if;
    elsif tg_op = 'UPDATE' then
        select count(*) into changed from (select from new_rows limit most + 1) as r;
        if changed <= most then
            select string_agg(distinct r.customer_id::text, ',') into customers
            from (
                (select n.customer_id, n.attribute_id, n.value::text from new_rows as n
                 except select o.customer_id, o.attribute_id, o.value::text from old_rows as o)
                union all
                (select o.customer_id, o.attribute_id, o.value::text from old_rows as o
                 except select n.customer_id, n.attribute_id, n.value::text from new_rows as n)
            ) as r;
        end if;
    end if;
    if customers is not null then
        perform pg_notify(tg_argv[0], case when length(customers) < 8000 then customers else '' end);
    end if;
    return null;
end
$attrsync$;
"#;

/// The events with their transition tables.
const TRIGGERS: [(&str, &str); 4] = [
    ("insert", " referencing new table as new_rows"),
    ("update", " referencing old table as old_rows new table as new_rows"),
    ("delete", " referencing old table as old_rows"),
    ("truncate", ""),
];

/// Returns the SQL for the relation that is read.
///
/// # Errors
/// The relation is a query.
pub(super) fn sql(relation: &Relation, channel: &str) -> Result<String, Failure> {
    let Relation::Table(name) = relation else {
        return Err(Failure::usage("a trigger belongs to a table, and [source] has a query").hint(
            "put a trigger on each table that the query reads: docs/guides/on-change.md has one that notifies of \
             everything, or of the customers that you select",
        ));
    };
    let parts = table_parts(name).map_err(|problem| Failure::usage(format!("[source] table {problem}")))?;
    let quoted: Vec<String> = parts.iter().map(|part| identifier(part)).collect();
    let table = quoted.join(".");
    let function = match quoted.as_slice() {
        [schema, _] => format!("{schema}.attrsync_notify"),
        _ => "attrsync_notify".to_owned(),
    };
    let drops: Vec<String> = TRIGGERS
        .iter()
        .map(|(event, _)| format!("drop trigger if exists attrsync_{event} on {table};"))
        .collect();
    let creates: Vec<String> = TRIGGERS
        .iter()
        .map(|(event, rows)| {
            format!(
                "create trigger attrsync_{event} after {event} on {table}{rows}\n    for each statement execute function \
                 {function}({});",
                literal(channel)
            )
        })
        .collect();
    let removal: Vec<String> = drops.iter().map(|drop| format!("--   {drop}")).collect();
    Ok(format!(
        "-- Notifies attrsync of each change of {table}, on the channel of [schedule] listen. It may be run again.\n\
         -- To remove it:\n{}\n--   drop function if exists {function}();\n\
         begin;\n\n{}\n{}\n\n{}\n\ncommit;\n",
        removal.join("\n"),
        FUNCTION.replace("{function}", &function),
        drops.join("\n"),
        creates.join("\n"),
    ))
}

fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_the_channel_are_quoted() {
        let sql = sql(&Relation::Table("\"My Shop\".values".to_owned()), "it's").expect("SQL");
        for words in [
            "create or replace function \"My Shop\".attrsync_notify() returns trigger",
            "create trigger attrsync_update after update on \"My Shop\".\"values\" referencing old table as old_rows new \
             table as new_rows\n    for each statement execute function \"My Shop\".attrsync_notify('it''s');",
            "--   drop trigger if exists attrsync_truncate on \"My Shop\".\"values\";",
        ] {
            assert!(sql.contains(words), "{words} in {sql}");
        }
        let plain = super::sql(&Relation::Table("Values".to_owned()), "attrsync").expect("SQL");
        assert!(plain.contains("function attrsync_notify()") && plain.contains("on \"values\""), "{plain}");
    }

    #[test]
    fn promise_12_a_query_has_no_trigger() {
        let failure = sql(&Relation::Query("select 1".to_owned()), "attrsync").expect_err("no table");
        assert!(failure.hint.expect("a hint").contains("on-change.md"));
    }
}
