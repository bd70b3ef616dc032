//! The columns of the source: their names and types, and the rows that are selected from them.

use sqlx::postgres::PgRow;

use super::column::Column;
use super::email;
use super::failure::malformed;
use super::names::{self, Unnamed};
use super::sql::quoted;
use super::wide::{self, ValueColumn};
use crate::config::{SourceColumns, ValueColumns};
use crate::record::AttributeNames;
use crate::source::SourceError;

/// Returns the declared type, the base type (the same unless a domain) and its category of each column. It reads no row of the relation.
pub(super) fn types(relation: &str, columns: &SourceColumns) -> String {
    let names = columns.names();
    // The right to read these columns must be enough, and one of them may be read twice.
    let read: Vec<String> =
        (1..).zip(&names).map(|(n, name)| format!("r.{} as t{n}", quoted(name))).collect();
    let types: Vec<String> = (1..=names.len()).map(|n| format!("pg_typeof(s.t{n})")).collect();
    let numbered = (1..=names.len()).map(|n| format!("({n}, t{n})")).collect::<Vec<_>>().join(", ");
    let aliases = (1..=names.len()).map(|n| format!("t{n}")).collect::<Vec<_>>().join(", ");
    format!(
        "with recursive columns(n, type) as (\
           select c.n, c.type::oid \
           from (select {} \
                 from (select 1) as one left join (select {} from {relation} as r limit 0) as s on true\
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
        types.join(", "),
        read.join(", ")
    )
}

/// The columns as the server describes them.
#[derive(Debug)]
pub(super) struct Columns {
    customer: Column,
    by_email: bool,
    values: Values,
}

#[derive(Debug)]
enum Values {
    /// A row for each value.
    Tall { attribute: Column, value: Column },
    /// A column for each attribute.
    Wide(Vec<ValueColumn>),
}

impl Columns {
    /// Makes them of the result of [`types`].
    ///
    /// # Errors
    /// The customers have neither whole numbers nor addresses, or the attributes neither whole numbers nor names.
    pub(super) fn new(columns: &SourceColumns, found: &[PgRow]) -> Result<Self, SourceError> {
        let named = columns.names().into_iter().zip(found);
        let mut typed = named.map(|(name, row)| Column::new(name, row));
        let mut next = || typed.next().unwrap_or_else(|| Err(malformed("the columns' types")));
        let (customer, by_email) = (next()?, columns.by_email());
        if by_email {
            customer.require_texts()?;
        } else {
            customer.require_ids()?;
        }
        let values = match &columns.values {
            ValueColumns::Tall { .. } => {
                let (attribute, value) = (next()?, next()?);
                if !attribute.holds_names() {
                    attribute.require_ids()?;
                }
                Values::Tall { attribute, value }
            }
            ValueColumns::Wide(columns) => {
                let columns = columns.iter().map(|wide| Ok(ValueColumn::new(next()?, wide)));
                Values::Wide(columns.collect::<Result<_, SourceError>>()?)
            }
        };
        Ok(Self { customer, by_email, values })
    }

    /// The columns of the values.
    fn of_values(&self) -> Vec<&Column> {
        match &self.values {
            Values::Tall { value, .. } => vec![value],
            Values::Wide(columns) => columns.iter().map(ValueColumn::column).collect(),
        }
    }

    /// Whether it matters if the relation has large values.
    pub(super) fn has_text(&self) -> bool {
        self.of_values().into_iter().any(Column::is_text)
    }

    /// The names and the declared types.
    pub(super) fn described(&self) -> Vec<(String, String)> {
        let attribute = match &self.values {
            Values::Tall { attribute, .. } => Some(attribute),
            Values::Wide(_) => None,
        };
        let all = [&self.customer].into_iter().chain(attribute).chain(self.of_values());
        all.map(|column| (column.name.clone(), column.declared.clone())).collect()
    }

    /// Whether the rows name the attributes: a text is never an id.
    pub(super) fn name_attributes(&self) -> bool {
        matches!(&self.values, Values::Tall { attribute, .. } if attribute.holds_names())
    }

    /// What explains the rows without an attribute id. `None` if their attribute id is NULL.
    pub(super) fn unnamed(&self, names: &AttributeNames) -> Option<Unnamed> {
        match &self.values {
            Values::Wide(columns) => Some(Unnamed::columns(wide::unnamed(columns, names))),
            Values::Tall { .. } => self.name_attributes().then(|| Unnamed::names(names.clone())),
        }
    }

    /// The subselect of the relation with the columns customer_id, attribute_id and value. Postgres makes one select of it
    /// and of that around it. `usable` are the names that a statement can have.
    ///
    /// # Errors
    /// Two columns are for one attribute.
    pub(super) fn rows(
        &self,
        relation: &str,
        small: bool,
        names: &AttributeNames,
        usable: &[(String, i64)],
    ) -> Result<String, SourceError> {
        let customer_id = self.customer_id();
        match &self.values {
            Values::Tall { attribute, value } => {
                let named = attribute.holds_names().then_some(usable);
                Ok(tall(relation, &customer_id, [attribute, value], small, named))
            }
            Values::Wide(columns) => wide::rows(relation, &customer_id, columns, small, names),
        }
    }

    /// The expression for the customer's id, or for the number of the customer's address.
    fn customer_id(&self) -> String {
        match self.by_email {
            true => email::number_of(&email::normalised(&self.customer)),
            false => format!("s.{}", quoted(&self.customer.name)),
        }
    }

    /// The subselect of the distinct addresses, each with its number as customer_id.
    pub(super) fn addresses(&self, relation: &str) -> String {
        email::rows(relation, &self.customer)
    }
}

/// The rows of a table that has a row for each value. A row whose name is not among `names` has that name in place of a
/// value.
fn tall(
    relation: &str,
    customer_id: &str,
    [attribute, value]: [&Column; 2],
    small: bool,
    names: Option<&[(String, i64)]>,
) -> String {
    let attribute = quoted(&attribute.name);
    let value = value.value(small);
    let (attribute_id, value) = match names {
        None => (format!("s.{attribute}"), value),
        Some(names) => {
            let id = names::id_of(&format!("s.{attribute}::text"), names);
            let named = format!("left(s.{attribute}::text, 301)");
            let value = format!("case when {id} is null then {named} else {value} end");
            (id, value)
        }
    };
    format!(
        "(select {customer_id} as customer_id, {attribute_id} as attribute_id, {value} as value from {relation} as s)"
    )
}
