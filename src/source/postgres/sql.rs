//! The statements that read the source. Names from the configuration are quoted; ids are numbers.

use std::collections::BTreeSet;

use crate::config::{Relation, table_parts};
use crate::record::Filter;
use crate::source::SourceError;

/// Opens the snapshot. A time-out of the role must not end a long read; a locked table must block the run for a bounded
/// time.
pub(super) const BEGIN: &str = "begin isolation level repeatable read read only; \
     set local statement_timeout = 0; \
     set local idle_in_transaction_session_timeout = 0; \
     set local lock_timeout = '30s'";

/// The relation as it is written after `from`.
pub(super) fn relation(relation: &Relation) -> Result<String, SourceError> {
    match relation {
        // The line breaks keep a comment at the query's end from swallowing the parenthesis.
        Relation::Query(query) => Ok(format!("(\n{query}\n)")),
        Relation::Table(name) => {
            let parts = table_parts(name).map_err(|problem| SourceError::Unusable {
                problem: format!("the table's name {problem}"),
                hint: "write [source] table as table or schema.table".to_owned(),
            })?;
            Ok(parts.iter().map(|part| quoted(part)).collect::<Vec<_>>().join("."))
        }
    }
}

fn quoted(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}

/// Returns the declared type and the base type (the same unless a domain) of customer_id, attribute_id and value, one
/// row for each. It reads no row of the relation.
pub(super) fn column_types(relation: &str) -> String {
    format!(
        "with recursive columns(n, type) as (\
           select c.n, c.type::oid \
           from (select pg_typeof(s.customer_id), pg_typeof(s.attribute_id), pg_typeof(s.value) \
                 from (select 1) as one left join (select * from {relation} as r limit 0) as s on true\
                ) as t(customer_type, attribute_type, value_type) \
           cross join lateral (values (1, customer_type), (2, attribute_type), (3, value_type)) as c(n, type)\
         ), bases(n, found, type) as (\
           select n, type::regtype::text, type from columns \
           union all \
           select b.n, b.found, t.typbasetype \
           from bases as b join pg_catalog.pg_type as t on t.oid = b.type where t.typtype = 'd'\
         ) \
         select b.found, b.type::regtype::text \
         from bases as b join pg_catalog.pg_type as t on t.oid = b.type where t.typtype <> 'd' order by b.n"
    )
}

/// Returns whether the relation is a table without large values: Postgres keeps a value that does not fit into a page
/// in the table's TOAST table, which is then empty. It reads no row of the relation.
pub(super) fn has_small_values(relation: &str) -> String {
    format!(
        "select (c.relkind = 'r' and not c.relhassubclass \
            and coalesce(pg_relation_size(nullif(c.reltoastrelid, 0)), 0) = 0)::text \
         from pg_catalog.pg_class as c where c.oid = '{}'::regclass",
        relation.replace('\'', "''")
    )
}

/// The ordered query. It orders by the raw columns, so that Postgres can use an index over them.
pub(super) fn rows(relation: &str, value: &str, filter: &Filter) -> String {
    format!(
        "select s.customer_id::int8, s.attribute_id::int8, {value} from {relation} as s{} \
         order by s.customer_id, s.attribute_id",
        condition(filter)
    )
}

/// The value as text. A value that is too long for the store in any encoding is cut to 301 characters, which is still
/// too long, so that a huge value is not transferred. The check is left out for a table without large values, because
/// it costs time in each of ten million rows. A text's size is known without reading it; other types are converted
/// once.
pub(super) const fn value(is_text: bool, small: bool) -> &'static str {
    match (is_text, small) {
        (true, true) => "s.value::text",
        (true, false) => {
            "case when octet_length(s.value::text) > 1020 then left(s.value::text, 301) else s.value::text end"
        }
        (false, _) => "left(s.value::text, 301)",
    }
}

fn condition(filter: &Filter) -> String {
    let within = |column: &str, ids: &BTreeSet<i64>| {
        let ids: Vec<String> = ids.iter().map(i64::to_string).collect();
        (!ids.is_empty()).then(|| format!("s.{column} in ({})", ids.join(", ")))
    };
    let conditions: Vec<String> =
        [within("customer_id", &filter.customers), within("attribute_id", &filter.attributes)]
            .into_iter()
            .flatten()
            .collect();
    if conditions.is_empty() { String::new() } else { format!(" where {}", conditions.join(" and ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_and_queries_are_in_parentheses() {
        let of = |relation_| relation(&relation_).expect("a relation");
        assert_eq!(of(Relation::Table("Shop.values".to_owned())), r#""shop"."values""#);
        assert_eq!(of(Relation::Table(r#""a""b; drop""#.to_owned())), r#""a""b; drop""#);
        assert_eq!(of(Relation::Query("select 1 -- one".to_owned())), "(\nselect 1 -- one\n)");
        assert!(relation(&Relation::Table("a; drop table b".to_owned())).is_err());
    }

    #[test]
    fn the_filter_becomes_a_condition() {
        assert_eq!(condition(&Filter::default()), "");
        let filter = Filter { customers: [2, 1].into(), attributes: [7].into() };
        assert_eq!(condition(&filter), " where s.customer_id in (1, 2) and s.attribute_id in (7)");
    }
}
