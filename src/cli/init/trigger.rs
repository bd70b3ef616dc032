//! The SQL of `attrsync init --trigger`: triggers that notify attrsync of changed customers.

use crate::cli::failure::Failure;
use crate::config::{Relation, SourceColumns, SourceConfig, table_parts};

/// Returns the triggers' function. A statement that changes no value notifies nothing. Of a statement that changes many rows,
/// the rows are not looked at. A payload must be shorter than 8,000 bytes.
fn function(name: &str, columns: &SourceColumns) -> String {
    let customer = identifier(columns.customer.name());
    // Customers by e-mail address are notified of as everything: the address stays in its table.
    let payload = match columns.by_email() {
        true => "''",
        false => "case when length(customers) < 8000 then customers else '' end",
    };
    let compared = |row: &str| {
        let values = columns.names().into_iter().skip(1);
        let values = values.map(|column| format!(", {row}.{}::text collate \"C\"", identifier(column)));
        format!("{row}.{customer}{}", values.collect::<String>())
    };
    let (new, old) = (compared("n"), compared("o"));
    let body = format!(
        r#"declare
    most constant int := 10000;
    customers text := '';
    changed bigint;
begin
    if tg_op = 'INSERT' then
        select count(*) into changed from (select from new_rows limit most + 1) as r;
        if changed <= most then
            select string_agg(distinct r.{customer}::text, ',') into customers from new_rows as r;
        end if;
    elsif tg_op = 'DELETE' then
        select count(*) into changed from (select from old_rows limit most + 1) as r;
        if changed <= most then
            select string_agg(distinct r.{customer}::text, ',') into customers from old_rows as r;
        end if;
    elsif tg_op = 'UPDATE' then
        select count(*) into changed from (select from new_rows limit most + 1) as r;
        if changed <= most then
            select string_agg(distinct r.{customer}::text, ',') into customers
            from (
                (select {new} from new_rows as n
                 except select {old} from old_rows as o)
                union all
                (select {old} from old_rows as o
                 except select {new} from new_rows as n)
            ) as r;
        end if;
    end if;
    if customers is not null then
        perform pg_notify(tg_argv[0], {payload});
    end if;
    return null;
end"#
    );
    format!(
        "create or replace function {name}() returns trigger\nlanguage plpgsql\nset search_path = pg_catalog, pg_temp\nas {}",
        dollar_quoted(&body)
    )
}

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
pub(super) fn sql(source: &SourceConfig, channel: &str) -> Result<String, Failure> {
    let Relation::Table(name) = &source.relation else {
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
         begin;\n\n-- Fails if a column is not there.\n{}\n\n{}\n{}\n\n{}\n\ncommit;\n",
        removal.join("\n"),
        columns_exist(&table, &source.columns),
        self::function(&function, &source.columns),
        drops.join("\n"),
        creates.join("\n"),
    ))
}

/// A statement that fails if the table lacks a column. Postgres looks at a function's statements only when it is called.
fn columns_exist(table: &str, columns: &SourceColumns) -> String {
    let columns: Vec<String> = columns.names().into_iter().map(identifier).collect();
    let body = format!("begin\n    perform {} from {table} limit 0;\nend", columns.join(", "));
    format!("do {}", dollar_quoted(&body))
}

/// The text in dollar quotes that it does not contain.
fn dollar_quoted(text: &str) -> String {
    let mut quote = "$attrsync$".to_owned();
    while text.contains(&quote) {
        quote = format!("{}_$", quote.trim_end_matches('$'));
    }
    format!("{quote}\n{text}\n{quote};\n")
}

/// A name in quotes.
pub(super) fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{CustomerColumn, Secret, ValueColumns};

    fn source(relation: Relation, columns: SourceColumns) -> SourceConfig {
        SourceConfig { columns, ..SourceConfig::new(Secret::new("postgres://h"), relation) }
    }

    fn table(name: &str, columns: SourceColumns) -> SourceConfig {
        source(Relation::Table(name.to_owned()), columns)
    }

    #[test]
    fn names_and_the_channel_are_quoted() {
        let shop = table("\"My Shop\".values", SourceColumns::default());
        let sql = sql(&shop, "it's").expect("SQL");
        for words in [
            "create or replace function \"My Shop\".attrsync_notify() returns trigger",
            "create trigger attrsync_update after update on \"My Shop\".\"values\" referencing old table as old_rows new \
             table as new_rows\n    for each statement execute function \"My Shop\".attrsync_notify('it''s');",
            "--   drop trigger if exists attrsync_truncate on \"My Shop\".\"values\";",
        ] {
            assert!(sql.contains(words), "{words} in {sql}");
        }
        let plain = super::sql(&table("Values", SourceColumns::default()), "attrsync").expect("SQL");
        assert!(plain.contains("function attrsync_notify()") && plain.contains("on \"values\""), "{plain}");
    }

    #[test]
    fn the_configured_columns_are_compared() {
        let columns = SourceColumns {
            customer: CustomerColumn::Id("Customer \"No\"".to_owned()),
            values: ValueColumns::Tall { attribute: "$attrsync$".to_owned(), value: "{new}".to_owned() },
        };
        let sql = sql(&table("v", columns), "attrsync").expect("SQL");
        for words in [
            r#"string_agg(distinct r."Customer ""No"""::text, ',')"#,
            r#"(select n."Customer ""No""", n."$attrsync$"::text collate "C", n."{new}"::text collate "C" from new_rows"#,
            "as $attrsync_$\ndeclare",
            "end\n$attrsync_$;",
        ] {
            assert!(sql.contains(words), "{words} in {sql}");
        }
        assert!(!sql.contains("customer_id"), "{sql}");
    }

    #[test]
    fn an_address_is_no_payload() {
        let columns =
            SourceColumns { customer: CustomerColumn::Email("mail".to_owned()), ..SourceColumns::default() };
        let sql = sql(&table("v", columns), "attrsync").expect("SQL");
        assert!(sql.contains("pg_notify(tg_argv[0], '');"), "{sql}");
        assert!(sql.contains(r#"string_agg(distinct r."mail"::text, ',')"#), "{sql}");
    }

    #[test]
    fn promise_12_a_query_has_no_trigger() {
        let query = source(Relation::Query("select 1".to_owned()), SourceColumns::default());
        let failure = sql(&query, "attrsync").expect_err("no table");
        assert!(failure.hint.expect("a hint").contains("on-change.md"));
    }
}
