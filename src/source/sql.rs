//! The statements that the source is read with. Names from the configuration are quoted; ids are numbers.

use std::collections::BTreeSet;

use super::SourceError;
use crate::config::{Relation, table_parts};
use crate::record::Filter;

/// Opens the snapshot. A long read must not end by a time-out that was meant for others; a table that somebody
/// has locked must not hold the run for ever.
pub(super) const BEGIN: &str = "begin isolation level repeatable read read only; \
     set local statement_timeout = 0; \
     set local idle_in_transaction_session_timeout = 0; \
     set local lock_timeout = '30s'";

/// The relation as it stands after `from`.
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

/// One row for each of customer_id, attribute_id and value: its type, and the type that this is a domain over.
/// It reads no row of the relation.
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

/// Whether a relation is a table in which no value is large: one that does not fit into a page, even compressed, is kept
/// in a table beside it, which is empty then. It reads no row of the relation.
pub(super) fn has_small_values(relation: &str) -> String {
    format!(
        "select (c.relkind = 'r' and not c.relhassubclass \
            and coalesce(pg_relation_size(nullif(c.reltoastrelid, 0)), 0) = 0)::text \
         from pg_catalog.pg_class as c where c.oid = '{}'::regclass",
        relation.replace('\'', "''")
    )
}

/// The ordered query. It orders by the raw columns, so that an index over them serves.
pub(super) fn rows(relation: &str, value: &str, filter: &Filter) -> String {
    format!(
        "select s.customer_id::int8, s.attribute_id::int8, {value} from {relation} as s{} \
         order by s.customer_id, s.attribute_id",
        condition(filter)
    )
}

/// The value as text. One that is too long for the store in any encoding is cut to a length that still shows it,
/// so that a huge value does not travel; where there is none, nobody looks for it ten million times. A text knows its
/// size without being read; of everything else the text is made once.
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
    fn names_are_quoted_and_queries_are_fenced() {
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
