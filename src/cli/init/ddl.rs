//! The DDL of the table that a configuration reads.

use super::trigger::identifier;
use crate::config::{CustomerColumn, Relation, SourceColumns, SourceConfig, ValueColumns, table_parts};

/// Returns the DDL. `None` if the source is a query.
pub(super) fn sql(source: &SourceConfig) -> Option<String> {
    let Relation::Table(name) = &source.relation else { return None };
    let SourceColumns { customer, values } = &source.columns;
    let kind = match customer {
        CustomerColumn::Id(_) => "bigint not null",
        CustomerColumn::Email(_) => "text not null",
    };
    let customer = column(customer.name());
    let (columns, key) = match values {
        ValueColumns::Tall { attribute, value } => {
            let (attribute, value) = (column(attribute), column(value));
            let key = format!("{customer}, {attribute}");
            (vec![(customer, kind), (attribute, "bigint not null"), (value, "text")], key)
        }
        ValueColumns::Wide(wide) => {
            let values = wide.iter().map(|wide| (column(&wide.column), "text"));
            ([(customer.clone(), kind)].into_iter().chain(values).collect(), customer)
        }
    };
    let width = columns.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
    let lines: String = columns.iter().map(|(name, kind)| format!("    {name:width$} {kind},\n")).collect();
    Some(format!("create table {} (\n{lines}    primary key ({key})\n);\n", table(name)))
}

/// The table's name: as it is written if it is one, which the configuration has checked.
fn table(name: &str) -> String {
    let is_plain = |part: &String| part.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    match table_parts(name) {
        Ok(parts) if !parts.iter().all(is_plain) => {
            parts.iter().map(|part| identifier(part)).collect::<Vec<_>>().join(".")
        }
        _ => name.to_owned(),
    }
}

/// The column's name. The names of the shipped configuration need no quotes.
fn column(name: &str) -> String {
    match name {
        SourceColumns::CUSTOMER_ID
        | SourceColumns::EMAIL
        | SourceColumns::ATTRIBUTE
        | SourceColumns::VALUE => name.to_owned(),
        name => identifier(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::init::DDL;
    use crate::config::{AttributeRef, Secret, WideColumn};

    fn source(relation: Relation, columns: SourceColumns) -> SourceConfig {
        SourceConfig { columns, ..SourceConfig::new(Secret::new("postgres://h"), relation) }
    }

    #[test]
    fn the_ddl_is_that_of_the_configured_table_and_columns() {
        let table = |name: &str| Relation::Table(name.to_owned());
        let shipped = source(table("customer_attribute_values"), SourceColumns::default());
        assert_eq!(sql(&shipped).as_deref(), Some(DDL));
        let wide = |column: &str| WideColumn { column: column.to_owned(), attribute: AttributeRef::Id(1) };
        let columns = SourceColumns {
            customer: CustomerColumn::Id("Customer \"No\"".to_owned()),
            values: ValueColumns::Wide(vec![wide("tier"), wide("value")]),
        };
        assert_eq!(
            sql(&source(table("CRM.\"My table\""), columns)).expect("DDL"),
            "create table \"crm\".\"My table\" (\n    \"Customer \"\"No\"\"\" bigint not null,\n    \"tier\"            \
             text,\n    value             text,\n    primary key (\"Customer \"\"No\"\"\")\n);\n"
        );
        let columns =
            SourceColumns { customer: CustomerColumn::Email("email".to_owned()), ..SourceColumns::default() };
        let by_email = sql(&source(table("v"), columns)).expect("DDL");
        assert!(by_email.contains("    email        text not null,\n"), "{by_email}");
        assert_eq!(sql(&source(Relation::Query("select 1".to_owned()), SourceColumns::default())), None);
    }
}
