//! The statements that read the source. Names from the configuration are quoted; ids are numbers.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::config::{Relation, table_parts};
use crate::record::{Filter, RowsDigest};
use crate::source::SourceError;

/// Opens the snapshot. A time-out of the role must not end a long read; a locked table must block the run for a bounded
/// time. Every setting that changes how Postgres writes a value as text is fixed, because a value that is written
/// differently is a change. Text of a database without an encoding (SQL_ASCII) is sent as it is, so that bytes that are not
/// UTF-8 spoil their row only.
const BEGIN: &str = "begin isolation level repeatable read read only; \
     set local statement_timeout = 0; \
     set local idle_in_transaction_session_timeout = 0; \
     set local timezone = 'UTC'; \
     set local datestyle = 'ISO, MDY'; \
     set local intervalstyle = 'postgres'; \
     set local extra_float_digits = 2; \
     set local bytea_output = 'hex'; \
     set local xmlbinary = 'base64'; \
     set local xmloption = 'content'; \
     set local quote_all_identifiers = off; \
     set local standard_conforming_strings = on; \
     select set_config(name, '0', true) from pg_catalog.pg_settings where name = 'transaction_timeout'; \
     select set_config('client_encoding', 'SQL_ASCII', true) \
         where current_setting('server_encoding') = 'SQL_ASCII'";

/// Returns the statements that open the snapshot, in which a lock is waited for at most so long.
pub(super) fn begin(lock_wait: Duration) -> String {
    format!("{BEGIN}; set local lock_timeout = '{}ms'; savepoint snapshot", lock_wait.as_millis())
}

/// Makes the snapshot usable again after an error.
pub(super) const RESUME: &str = "rollback to savepoint snapshot";

/// Asks whether one of the tables that were read has got new storage after the snapshot, or is newer than it. `truncate`
/// and a new table under an old name ignore snapshots: a read that waited for their lock finds no rows. Tables that are
/// locked now were read, and what `pg_class` shows is of the snapshot.
pub(super) const HAS_REPLACED_TABLE: &str = "select exists (\
     select from pg_catalog.pg_locks as l left join pg_catalog.pg_class as c on c.oid = l.relation \
     where l.pid = pg_backend_pid() and l.locktype = 'relation' and l.granted \
        and l.database = (select oid from pg_catalog.pg_database where datname = current_database()) \
        and (c.oid is null or (c.relfilenode <> 0 and c.relfilenode is distinct from pg_relation_filenode(c.oid)))\
     )::text";

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

pub(super) fn quoted(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}

/// A text as it is written in a statement. Backslashes stand for themselves, because the snapshot's settings say so.
pub(super) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Returns whether the server computes the digest of texts as they are sent: in UTF-8 or without an encoding, and with a
/// hash function that is there and gives the result of [`RowsDigest`].
pub(super) fn can_digest() -> String {
    let mut expected = RowsDigest::default();
    expected.add(Some(1), Some(2), Some(b"attrsync"));
    format!(
        "select (current_setting('server_encoding') in ('UTF8', 'SQL_ASCII') \
            and '1:' || hashtextextended('attrsync' collate \"C\", (1::int8 << 32) | 2) = '{expected}')::text"
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

/// The query that reads the rows, and its relatives that find a row that cannot be read.
#[derive(Debug, Clone)]
pub(super) struct RowsQuery {
    /// The subselect with the columns customer_id, attribute_id and value (a text).
    rows: String,
    conditions: Vec<String>,
}

impl RowsQuery {
    pub(super) fn new(rows: String, filter: &Filter) -> Self {
        let conditions =
            [within("customer_id", &filter.customers), within("attribute_id", &filter.attributes)];
        Self { rows, conditions: conditions.into_iter().flatten().collect() }
    }

    /// The same for customers after this one only.
    pub(super) fn after(mut self, customer_id: i64) -> Self {
        self.conditions.push(format!("s.customer_id > {customer_id}"));
        self
    }

    /// All rows in order.
    pub(super) fn all(&self) -> String {
        self.ordered("s.value", &[])
    }

    /// The COPY of the rows that fulfil the conditions, in order.
    pub(super) fn copy(&self, conditions: &[String]) -> String {
        format!("copy ({}) to stdout (format binary)", self.ordered("s.value", conditions))
    }

    /// The same rows without their values.
    pub(super) fn copy_keys(&self, conditions: &[String]) -> String {
        format!("copy ({}) to stdout (format binary)", self.ordered("null::text", conditions))
    }

    /// The number of rows, at most so many. Their ids are read too: one that is no number ends every read.
    pub(super) fn count(&self, most: u64) -> String {
        format!(
            "select count(*)::text, count(s.customer_id::int8), count(s.attribute_id::int8) \
             from (select s.customer_id, s.attribute_id from {} as s limit {most}) as s",
            self.rows
        )
    }

    /// The digest of the rows: their number, and the sum of a number for each, which is that of
    /// [`RowsDigest`]. The collation makes texts that differ in any byte differ.
    pub(super) fn digest(&self) -> String {
        format!(
            "select count(*)::text, coalesce(sum(coalesce(\
               case when s.customer_id between 1 and 2147483647 and s.attribute_id between 1 and 2147483647 then \
                 hashtextextended(s.value collate \"C\", (s.customer_id::int8 << 32) | s.attribute_id::int8) \
               end, \
               hashtextextended((coalesce(s.customer_id::text, 'NULL') || '/' || coalesce(s.attribute_id::text, 'NULL') \
                 || '/' || coalesce('=' || s.value, 'NULL')) collate \"C\", 0)\
             )), 0)::text from {} as s{}",
            self.rows,
            self.condition(&[])
        )
    }

    /// Some rows in key order, at most so many, without sorting all of them.
    pub(super) fn sample(&self, most: u64) -> String {
        format!(
            "select * from (select s.customer_id::int8, s.attribute_id::int8, s.value from {} as s limit {most}) as s \
             order by customer_id, attribute_id",
            self.rows
        )
    }

    /// The least and the greatest id of a column, among the rows that fulfil the conditions.
    pub(super) fn bounds(&self, column: &str, conditions: &[String]) -> String {
        let Self { rows, .. } = self;
        let condition = self.condition(conditions);
        format!("select min(s.{column})::text, max(s.{column})::text from {rows} as s{condition}")
    }

    /// A read of no row. The planner does not see that no row fulfils the condition.
    pub(super) fn no_rows(&self) -> String {
        self.ordered("s.value", &["s.customer_id < 0 and s.customer_id > 0".to_owned()])
    }

    /// It orders by the raw columns, so that Postgres can use an index over them.
    fn ordered(&self, value: &str, conditions: &[String]) -> String {
        let Self { rows, .. } = self;
        let condition = self.condition(conditions);
        format!(
            "select s.customer_id::int8, s.attribute_id::int8, {value} from {rows} as s{condition} \
             order by s.customer_id, s.attribute_id"
        )
    }

    fn condition(&self, conditions: &[String]) -> String {
        let all: Vec<&str> = self.conditions.iter().chain(conditions).map(String::as_str).collect();
        if all.is_empty() { String::new() } else { format!(" where {}", all.join(" and ")) }
    }
}

fn within(column: &str, ids: &BTreeSet<i64>) -> Option<String> {
    let ids: Vec<String> = ids.iter().map(i64::to_string).collect();
    (!ids.is_empty()).then(|| format!("s.{column} in ({})", ids.join(", ")))
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
        let of = |filter: &Filter| RowsQuery::new("t".to_owned(), filter).condition(&[]);
        assert_eq!(of(&Filter::default()), "");
        let filter = Filter { customers: [2, 1].into(), attributes: [7].into() };
        assert_eq!(of(&filter), " where s.customer_id in (1, 2) and s.attribute_id in (7)");
    }
}
