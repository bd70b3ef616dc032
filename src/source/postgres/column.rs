//! A column of the source with its type: what it may hold, and how its values are read as text.

use sqlx::postgres::PgRow;

use super::failure::unusable;
use super::session::text;
use super::sql::quoted;
use crate::source::SourceError;

/// A column with its type.
#[derive(Debug)]
pub(super) struct Column {
    /// Its name.
    pub(super) name: String,
    /// The type as it is declared.
    pub(super) declared: String,
    /// The same, unless the declared type is a domain.
    base: String,
    /// The category of the base type, a letter.
    category: String,
}

impl Column {
    /// Makes it of a row of the types.
    pub(super) fn new(name: &str, found: &PgRow) -> Result<Self, SourceError> {
        let (declared, base, category) = (text(found, 0)?, text(found, 1)?, text(found, 2)?);
        Ok(Self { name: name.to_owned(), declared, base, category })
    }

    fn is_whole_number(&self) -> bool {
        matches!(self.base.as_str(), "smallint" | "integer" | "bigint")
    }

    /// Whether it holds texts whose size is known without reading them.
    pub(super) fn is_text(&self) -> bool {
        matches!(self.base.as_str(), "text" | "character varying")
    }

    /// Whether it holds texts of any type, or an enumeration.
    pub(super) fn holds_names(&self) -> bool {
        matches!(self.category.as_str(), "S" | "E")
    }

    /// Fails if it holds no ids.
    pub(super) fn require_ids(&self) -> Result<(), SourceError> {
        if self.is_whole_number() {
            return Ok(());
        }
        let Self { name, declared, .. } = self;
        Err(unusable(
            format!("the source's column {name} is of type {declared}, not a whole number"),
            format!("make it bigint, or cast it in [source] query: {name}::bigint as {name}"),
        ))
    }

    /// Fails if it holds no texts.
    pub(super) fn require_texts(&self) -> Result<(), SourceError> {
        if self.category == "S" {
            return Ok(());
        }
        let Self { name, declared, .. } = self;
        Err(unusable(
            format!("the source's column {name} is of type {declared}, not a text with e-mail addresses"),
            "name another column in [source.columns] email, or name the column of ids in customer_id",
        ))
    }

    /// The value as text. A value that is too long for the store in any encoding is cut to 301 characters, which is still
    /// too long, so that a huge value is not transferred. The check is left out for a table without large values, because
    /// it costs time in each of ten million rows. A text's size is known without reading it; other types are converted
    /// once.
    pub(super) fn value(&self, small: bool) -> String {
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
