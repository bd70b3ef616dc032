//! Attributes by their names: the ids that a query gives them, and why a row's name means none.

use std::collections::BTreeMap;

use super::failure::malformed;
use super::session::{Snapshot, text};
use super::sql;
use crate::record::AttributeNames;
use crate::source::SourceError;

/// The most reasons that are kept for further rows.
const KEPT_MAX: usize = 100;

/// Explains the rows that have no attribute id.
#[derive(Debug)]
pub(super) enum Unnamed {
    /// Each row has the name that means no attribute in place of a value.
    Names {
        /// What names mean.
        names: AttributeNames,
        /// The reasons for some names.
        reasons: BTreeMap<String, String>,
    },
    /// Each row has the place of its column, counted from 1. The reasons are in the order of the columns.
    Columns(Vec<Option<String>>),
}

impl Unnamed {
    pub(super) fn names(names: AttributeNames) -> Self {
        Self::Names { names, reasons: BTreeMap::new() }
    }

    pub(super) fn columns(reasons: Vec<Option<String>>) -> Self {
        Self::Columns(reasons)
    }

    /// The reasons that concern whole columns.
    pub(super) fn of_columns(self) -> Vec<String> {
        match self {
            Self::Names { .. } => Vec::new(),
            Self::Columns(reasons) => reasons.into_iter().flatten().collect(),
        }
    }

    /// Returns why a row has no attribute id, by what it has in place of a value. An error is a text that is not UTF-8.
    pub(super) fn reason<E>(&mut self, text: Result<Option<&str>, E>) -> &str {
        let (names, reasons) = match self {
            Self::Columns(reasons) => {
                let place = text.ok().flatten().and_then(|place| place.parse::<usize>().ok());
                let reason = place.and_then(|place| reasons.get(place.checked_sub(1)?)?.as_deref());
                return reason.unwrap_or("it has no attribute id");
            }
            Self::Names { names, reasons } => (names, reasons),
        };
        let Ok(name) = text else { return "its attribute name is not UTF-8 text" };
        let Some(name) = name else { return "it has no attribute name" };
        if !reasons.contains_key(name) && reasons.len() >= KEPT_MAX {
            reasons.clear();
        }
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
        let mut unnamed = Unnamed::names(AttributeNames::default());
        for n in 0..1_000 {
            let reason = unnamed.reason::<()>(Ok(Some(&n.to_string()))).to_owned();
            assert!(reason.contains(&format!("\"{n}\"")), "{reason}");
            let Unnamed::Names { reasons, .. } = &unnamed else { panic!("{unnamed:?}") };
            assert!(reasons.len() <= KEPT_MAX);
        }
        assert_eq!(unnamed.reason::<()>(Ok(None)), "it has no attribute name");
        assert_eq!(unnamed.reason(Err(())), "its attribute name is not UTF-8 text");
    }

    #[test]
    fn the_place_of_a_column_has_its_reason() {
        let mut unnamed = Unnamed::columns(vec![None, Some("why".to_owned())]);
        assert_eq!(unnamed.reason::<()>(Ok(Some("2"))), "why");
        for place in ["1", "3", "0", "x"] {
            assert_eq!(unnamed.reason::<()>(Ok(Some(place))), "it has no attribute id");
        }
    }
}
