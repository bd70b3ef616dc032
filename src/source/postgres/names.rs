//! Attributes by their names: the ids that a query gives them, and why a row's name means none.

use std::collections::BTreeMap;

use super::failure::malformed;
use super::session::{Snapshot, text};
use super::sql;
use crate::record::AttributeNames;
use crate::source::SourceError;

/// The most reasons that are kept for further rows.
const KEPT_MAX: usize = 100;

/// Explains the rows that name an attribute and got no attribute id.
#[derive(Debug, Default)]
pub(super) struct Unnamed {
    names: AttributeNames,
    reasons: BTreeMap<String, String>,
}

impl Unnamed {
    pub(super) fn new(names: AttributeNames) -> Self {
        Self { names, reasons: BTreeMap::new() }
    }

    /// Returns why a name means no attribute. `None` is NULL; an error is a name that is not UTF-8.
    pub(super) fn reason<E>(&mut self, name: Result<Option<&str>, E>) -> &str {
        let Ok(name) = name else { return "its attribute name is not UTF-8 text" };
        let Some(name) = name else { return "it has no attribute name" };
        if !self.reasons.contains_key(name) && self.reasons.len() >= KEPT_MAX {
            self.reasons.clear();
        }
        let Self { names, reasons } = self;
        let explain = || match names.id(name) {
            Ok(id) => {
                format!("the database compares the name {name:?} of attribute {id} in another encoding")
            }
            Err(reason) => reason,
        };
        reasons.entry(name.to_owned()).or_insert_with(explain)
    }
}

/// Returns the names that a statement can have: a server with another encoding than UTF-8 refuses a text with characters
/// that it cannot store, and such a name is in none of its rows.
pub(super) async fn usable(
    snapshot: &mut Snapshot,
    names: &AttributeNames,
) -> Result<Vec<(String, i64)>, SourceError> {
    let names = names.unambiguous().filter(|(name, _)| !name.contains('\0'));
    let names: Vec<(String, i64)> = names.map(|(name, id)| (name.to_owned(), id)).collect();
    if names.iter().all(|(name, _)| name.is_ascii()) {
        return Ok(names);
    }
    let found = snapshot.rows("select current_setting('server_encoding')".to_owned()).await?;
    let encoding = text(found.first().ok_or_else(|| malformed("the encoding"))?, 0)?;
    if matches!(encoding.as_str(), "UTF8" | "SQL_ASCII") {
        return Ok(names);
    }
    let mut usable = Vec::new();
    for (name, id) in names {
        let is_usable = name.is_ascii()
            || match snapshot.try_rows(format!("select {}", sql::literal(&name))).await? {
                Ok(_) => true,
                Err(_) => {
                    snapshot.rows(sql::RESUME.to_owned()).await?;
                    false
                }
            };
        if is_usable {
            usable.push((name, id));
        }
    }
    Ok(usable)
}

/// The expression for the id of the attribute that a text names. A join would cost the order of an index on the customers.
pub(super) fn id_of(text: &str, names: &[(String, i64)]) -> String {
    if names.is_empty() {
        return "null::int8".to_owned();
    }
    let whens: String =
        names.iter().map(|(name, id)| format!(" when {} then {id}::int8", sql::literal(name))).collect();
    format!("case {text} collate \"C\"{whens} end")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_in_the_expression() {
        let names = [("it's".to_owned(), 1), ("a\\".to_owned(), 2)];
        let expect = r#"case s.a collate "C" when 'it''s' then 1::int8 when 'a\' then 2::int8 end"#;
        assert_eq!(id_of("s.a", &names), expect);
        assert_eq!(id_of("s.a", &[]), "null::int8");
    }

    #[test]
    fn the_reasons_of_many_names_are_not_all_kept() {
        let mut unnamed = Unnamed::default();
        for n in 0..1_000 {
            let reason = unnamed.reason::<()>(Ok(Some(&n.to_string()))).to_owned();
            assert!(reason.contains(&format!("\"{n}\"")), "{reason}");
            assert!(unnamed.reasons.len() <= KEPT_MAX);
        }
        assert_eq!(unnamed.reason::<()>(Ok(None)), "it has no attribute name");
        assert_eq!(unnamed.reason(Err(())), "its attribute name is not UTF-8 text");
    }
}
