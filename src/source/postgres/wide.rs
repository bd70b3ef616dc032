//! A wide table: a row for each customer, with a column for each attribute. Postgres makes a row for each value of it.

use std::collections::BTreeMap;

use super::column::Column;
use super::failure::unusable;
use super::sql::quoted;
use crate::config::{AttributeRef, WideColumn};
use crate::one_line::one_line;
use crate::record::AttributeNames;
use crate::source::SourceError;

/// A column with the values of one attribute.
#[derive(Debug)]
pub(super) struct ValueColumn {
    column: Column,
    attribute: AttributeRef,
}

impl ValueColumn {
    pub(super) fn new(column: Column, wide: &WideColumn) -> Self {
        Self { column, attribute: wide.attribute.clone() }
    }

    pub(super) fn column(&self) -> &Column {
        &self.column
    }

    /// Returns the attribute's id.
    ///
    /// # Errors
    /// Why the configured name means none.
    fn id(&self, names: &AttributeNames) -> Result<i64, String> {
        match &self.attribute {
            AttributeRef::Id(id) => Ok(*id),
            AttributeRef::Name(name) => names
                .id(name)
                .map_err(|reason| format!("column \"{}\": {reason}", one_line(&self.column.name))),
        }
    }
}

/// Returns why columns have no attribute. The place of a column, counted from 1, is the place of its reason.
pub(super) fn unnamed(columns: &[ValueColumn], names: &AttributeNames) -> Vec<Option<String>> {
    columns.iter().map(|column| column.id(names).err()).collect()
}

/// The subselect with the columns customer_id, attribute_id and value. A column whose name means no attribute gives rows
/// without an attribute id, where it is not NULL; they have its place in place of a value.
///
/// The choice of a value by its place, unlike a list of all values, computes one value for each row: an error in one column
/// spoils no other. Postgres keeps the order of an index on the customers, and sorts only the rows of some customers at once.
///
/// # Errors
/// Two columns are for one attribute.
pub(super) fn rows(
    relation: &str,
    customer_id: &str,
    columns: &[ValueColumn],
    small: bool,
    names: &AttributeNames,
) -> Result<String, SourceError> {
    let mut by_id: BTreeMap<i64, &Column> = BTreeMap::new();
    let (mut places, mut values, mut stay) = (Vec::new(), String::new(), vec!["a.id is not null".to_owned()]);
    for (at, value) in (1..).zip(columns) {
        let column = &value.column;
        match value.id(names) {
            Ok(id) => {
                if let Some(other) = by_id.insert(id, column) {
                    return Err(both_for(other, column, id));
                }
                places.push(format!("({at}, {id}::int8)"));
                values += &format!(" when {at} then {}", column.value(small));
            }
            Err(_) => {
                places.push(format!("({at}, null::int8)"));
                values += &format!(" when {at} then '{at}'");
                stay.push(format!("(a.at = {at} and s.{} is not null)", quoted(&column.name)));
            }
        }
    }
    let condition = if stay.len() > 1 { format!(" where {}", stay.join(" or ")) } else { String::new() };
    Ok(format!(
        "(select {customer_id} as customer_id, a.id as attribute_id, case a.at{values} end as value \
         from {relation} as s cross join (values {}) as a(at, id){condition})",
        places.join(", ")
    ))
}

fn both_for(one: &Column, other: &Column, id: i64) -> SourceError {
    let (one, other) = (one_line(&one.name), one_line(&other.name));
    unusable(
        format!("the columns \"{one}\" and \"{other}\" of [source.attributes] are both for attribute {id}"),
        "keep one of the two",
    )
}
