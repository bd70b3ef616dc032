//! Reads `[source.columns]` and `[source.attributes]`.

use toml::Value;

use super::address::Flaw;
use super::problem::shown;
use super::query;
use super::section::Section;
use super::{AttributeRef, CustomerColumn, SourceColumns, ValueColumns, WideColumn};

/// The largest attribute id that a store can have.
const ID_MAX: u32 = i32::MAX as u32;

/// Reads `[source.columns]` and `[source.attributes]`; `None` if a problem was noted.
pub(super) fn read(section: &mut Section<'_>) -> Option<SourceColumns> {
    section.called("source.attributes");
    let is_wide = !section.keys().is_empty();
    let wide = if is_wide { read_wide(section) } else { None };
    section.called("source.columns");
    let customer = read_customer(section);
    let tall = (
        section.optional("attribute", SourceColumns::ATTRIBUTE, named),
        section.optional("value", SourceColumns::VALUE, named),
    );
    if !is_wide {
        let (attribute, value) = tall.0.zip(tall.1)?;
        return Some(SourceColumns { customer: customer?, values: ValueColumns::Tall { attribute, value } });
    }
    let mut is_either = true;
    for key in ["attribute", "value"] {
        if section.has(key) {
            let hint = "remove it: [source.attributes] says which column has the values of which attribute";
            section.problem(key, "is set as well as [source.attributes]", hint);
            is_either = false;
        }
    }
    Some(SourceColumns { customer: customer?, values: wide.filter(|_| is_either)? })
}

/// Reads the column of the customers: `email`, or else `customer_id`.
fn read_customer(section: &mut Section<'_>) -> Option<CustomerColumn> {
    if !section.has("email") {
        let id = section.optional("customer_id", SourceColumns::CUSTOMER_ID, named);
        return id.map(CustomerColumn::Id);
    }
    let email = section.optional("email", SourceColumns::EMAIL, named);
    if section.has("customer_id") {
        let hint = "keep one of the two: rows name their customers by id or by e-mail address";
        section.problem("email", "is set as well as source.columns.customer_id", hint);
        return None;
    }
    email.map(CustomerColumn::Email)
}

/// Reads a column for each key.
fn read_wide(section: &mut Section<'_>) -> Option<ValueColumns> {
    let keys = section.keys();
    let mut columns: Vec<WideColumn> = Vec::new();
    for key in &keys {
        if let Err((problem, hint)) = column(key) {
            section.problem(key, problem, hint);
            continue;
        }
        let Some(attribute) = read_attribute(section, key) else { continue };
        match columns.iter().find(|other| other.attribute == attribute) {
            Some(other) => {
                let problem =
                    format!("is for the same attribute as source.attributes.{}", shown(&other.column));
                section.problem(key, problem, "keep one of the two columns");
            }
            None => columns.push(WideColumn { column: key.clone(), attribute }),
        }
    }
    (columns.len() == keys.len()).then_some(ValueColumns::Wide(columns))
}

fn read_attribute(section: &mut Section<'_>, key: &str) -> Option<AttributeRef> {
    match section.value(key)? {
        Value::Integer(_) => section.integer(key, 1..=ID_MAX).map(|id| AttributeRef::Id(id.into())),
        Value::String(_) => section.checked(key, |name| Ok(AttributeRef::Name(name.to_owned()))),
        other => section.wrong_type(key, other, "write the attribute's id, or its name in quotes"),
    }
}

fn named(text: &str) -> Result<String, Flaw> {
    column(text).map(|()| text.to_owned())
}

/// Checks the name of a column. It is used as it is, in quotes.
fn column(text: &str) -> Result<(), Flaw> {
    const LONGEST: usize = 63;
    query::plain(text)?;
    if text.is_empty() {
        return Err((
            "is no name of a column".to_owned(),
            "write the column's name as Postgres has it".to_owned(),
        ));
    }
    if text.len() > LONGEST {
        let problem = format!("is longer than {LONGEST} bytes, the limit of Postgres");
        return Err((problem, "write the column's name as Postgres has it".to_owned()));
    }
    if text.len() > 2 && text.starts_with('"') && text.ends_with('"') {
        return Err((
            "has quotes around the name, which attrsync adds itself".to_owned(),
            "write it without them, with its case as Postgres has it".to_owned(),
        ));
    }
    Ok(())
}
