//! The columns of the source: their names and types, and the rows that are selected from them.

use sqlx::postgres::PgRow;

use super::failure::{malformed, unusable};
use super::names;
use super::session::text;
use super::sql::quoted;
use crate::config::SourceColumns;
use crate::source::SourceError;

/// Returns the declared type, the base type (the same unless a domain) and its category of each column. It reads no row of the relation.
pub(super) fn types(relation: &str, columns: &SourceColumns) -> String {
    let names = columns.names();
    let types: Vec<String> = names.iter().map(|name| format!("pg_typeof(s.{})", quoted(name))).collect();
    let numbered = (1..=names.len()).map(|n| format!("({n}, t{n})")).collect::<Vec<_>>().join(", ");
    let aliases = (1..=names.len()).map(|n| format!("t{n}")).collect::<Vec<_>>().join(", ");
    format!(
        "with recursive columns(n, type) as (\
           select c.n, c.type::oid \
           from (select {} \
                 from (select 1) as one left join (select * from {relation} as r limit 0) as s on true\
                ) as t({aliases}) \
           cross join lateral (values {numbered}) as c(n, type)\
         ), bases(n, found, type) as (\
           select n, type::regtype::text, type from columns \
           union all \
           select b.n, b.found, t.typbasetype \
           from bases as b join pg_catalog.pg_type as t on t.oid = b.type where t.typtype = 'd'\
         ) \
         select b.found, b.type::regtype::text, t.typcategory::text \
         from bases as b join pg_catalog.pg_type as t on t.oid = b.type where t.typtype <> 'd' order by b.n",
        types.join(", ")
    )
}

/// A column with its type.
#[derive(Debug)]
struct Column {
    name: String,
    /// The type as it is declared.
    declared: String,
    /// The same, unless the declared type is a domain.
    base: String,
    /// The category of the base type, a letter.
    category: String,
}

impl Column {
    fn is_whole_number(&self) -> bool {
        matches!(self.base.as_str(), "smallint" | "integer" | "bigint")
    }

    fn is_text(&self) -> bool {
        matches!(self.base.as_str(), "text" | "character varying")
    }

    /// Whether it holds texts of any type, or an enumeration.
    fn holds_names(&self) -> bool {
        matches!(self.category.as_str(), "S" | "E")
    }

    fn require_ids(&self) -> Result<(), SourceError> {
        if self.is_whole_number() {
            return Ok(());
        }
        let Self { name, declared, .. } = self;
        Err(unusable(
            format!("the source's column {name} is of type {declared}, not a whole number"),
            format!("make it bigint, or cast it in [source] query: {name}::bigint as {name}"),
        ))
    }

    /// The value as text. A value that is too long for the store in any encoding is cut to 301 characters, which is still
    /// too long, so that a huge value is not transferred. The check is left out for a table without large values, because
    /// it costs time in each of ten million rows. A text's size is known without reading it; other types are converted
    /// once.
    fn value(&self, small: bool) -> String {
        let value = format!("s.{}::text", quoted(&self.name));
        match (self.is_text(), small) {
            (true, true) => value,
            (true, false) => {
                format!("case when octet_length({value}) > 1020 then left({value}, 301) else {value} end")
            }
            (false, _) => format!("left({value}, 301)"),
        }
    }
}

/// The columns as the server describes them.
#[derive(Debug)]
pub(super) struct Columns {
    customer_id: Column,
    attribute: Column,
    value: Column,
}

impl Columns {
    /// Makes them of the result of [`types`].
    ///
    /// # Errors
    /// The customers have no whole numbers, or the attributes neither whole numbers nor names.
    pub(super) fn new(columns: &SourceColumns, found: &[PgRow]) -> Result<Self, SourceError> {
        let named = columns.names().into_iter().zip(found);
        let typed = named.map(|(name, row)| {
            Ok(Column {
                name: name.to_owned(),
                declared: text(row, 0)?,
                base: text(row, 1)?,
                category: text(row, 2)?,
            })
        });
        let typed: Vec<Column> = typed.collect::<Result<_, SourceError>>()?;
        let [customer_id, attribute, value] =
            <[Column; 3]>::try_from(typed).map_err(|_| malformed("the columns' types"))?;
        customer_id.require_ids()?;
        if !attribute.holds_names() {
            attribute.require_ids()?;
        }
        Ok(Self { customer_id, attribute, value })
    }

    /// Whether it matters if the relation has large values.
    pub(super) fn has_text(&self) -> bool {
        self.value.is_text()
    }

    /// The names and the declared types.
    pub(super) fn described(&self) -> Vec<(String, String)> {
        let all = [&self.customer_id, &self.attribute, &self.value].into_iter();
        all.map(|column| (column.name.clone(), column.declared.clone())).collect()
    }

    /// Whether the attributes are named: a text is never an id.
    pub(super) fn name_attributes(&self) -> bool {
        self.attribute.holds_names()
    }

    /// The subselect of the relation with the columns customer_id, attribute_id and value. Postgres makes one select of it
    /// and of that around it. A row that names an attribute which is not among `names` has that name in place of a value.
    pub(super) fn rows(&self, relation: &str, small: bool, names: &[(String, i64)]) -> String {
        let (customer_id, attribute) = (quoted(&self.customer_id.name), quoted(&self.attribute.name));
        let value = self.value.value(small);
        let (attribute_id, value) = if self.name_attributes() {
            let id = names::id_of(&format!("s.{attribute}::text"), names);
            let value =
                format!("case when {id} is null then left(s.{attribute}::text, 301) else {value} end");
            (id, value)
        } else {
            (format!("s.{attribute}"), value)
        };
        format!(
            "(select s.{customer_id} as customer_id, {attribute_id} as attribute_id, {value} as value from {relation} as s)"
        )
    }
}
