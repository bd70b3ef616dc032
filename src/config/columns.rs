//! `[source.columns]`: the names of the columns that hold the keys and the values.

use super::address::Flaw;
use super::query;
use super::section::Section;

/// The columns of the relation. Each is named exactly as Postgres has it, case included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceColumns {
    /// The column of the customer ids.
    pub customer_id: String,
    /// The column that says which attribute a value is of.
    pub attribute: String,
    /// The column of the values.
    pub value: String,
}

impl Default for SourceColumns {
    fn default() -> Self {
        Self {
            customer_id: Self::CUSTOMER_ID.to_owned(),
            attribute: Self::ATTRIBUTE.to_owned(),
            value: Self::VALUE.to_owned(),
        }
    }
}

impl SourceColumns {
    const CUSTOMER_ID: &str = "customer_id";
    const ATTRIBUTE: &str = "attribute_id";
    const VALUE: &str = "value";

    /// The names in the order of the keys.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        vec![&self.customer_id, &self.attribute, &self.value]
    }
}

/// Reads `[source.columns]`; `None` if a problem was noted.
pub(super) fn read(section: &mut Section<'_>) -> Option<SourceColumns> {
    let customer_id = section.optional("customer_id", SourceColumns::CUSTOMER_ID, named);
    let attribute = section.optional("attribute", SourceColumns::ATTRIBUTE, named);
    let value = section.optional("value", SourceColumns::VALUE, named);
    Some(SourceColumns { customer_id: customer_id?, attribute: attribute?, value: value? })
}

fn named(text: &str) -> Result<String, Flaw> {
    column(text).map(|()| text.to_owned())
}

/// Checks the name of a column. It is used as it is, in quotes.
pub(super) fn column(text: &str) -> Result<(), Flaw> {
    const LONGEST: usize = 63;
    query::plain(text)?;
    if text.len() > LONGEST {
        let problem = format!("is longer than {LONGEST} bytes, the limit of Postgres");
        return Err((problem, "write the column's name as Postgres has it".to_owned()));
    }
    if text.contains('"') && text.len() > 2 && text.starts_with('"') && text.ends_with('"') {
        let bare = &text[1..text.len() - 1];
        return Err((
            "has quotes around the name, which attrsync adds itself".to_owned(),
            format!("write {bare}, with its case as Postgres has it"),
        ));
    }
    Ok(())
}
