//! The parts of tables: their columns, indexes and keys.

use std::collections::BTreeMap;

use crate::ledger::Result;
use crate::ledger::cells::{Cells, Value};

/// What a table has, with its description.
pub(super) type Parts = BTreeMap<String, String>;

pub(super) fn parts(rows: Vec<Vec<Value>>) -> Result<Parts> {
    let part = |row| {
        let mut row = Cells::of(row);
        Ok((row.text()?, row.text()?))
    };
    rows.into_iter().map(part).collect()
}

/// Compares what tables have with what the migrations make. `schema` is written before a table's name in statements.
pub(super) fn differences(expected: &Parts, found: &Parts, schema: &str) -> Vec<String> {
    let mut differences = Vec::new();
    for (part, description) in expected {
        match found.get(part) {
            None => differences
                .push(format!("the {part} is missing: undo what removed or renamed it, or restore a backup")),
            Some(found) if found != description => {
                differences.push(format!("the {part} is {found}, expected {description}: alter it back"))
            }
            Some(_) => {}
        }
    }
    let added = found.keys().filter(|part| !expected.contains_key(*part));
    differences.extend(added.filter_map(|part| {
        let (table, column) = part.strip_prefix("column ")?.split_once('.')?;
        Some(format!(
            "the {part} was not made by attrsync: run `alter table {schema}{table} drop column {column}`"
        ))
    }));
    differences
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_difference_says_what_to_do() {
        let parts = |parts: &[(&str, &str)]| -> Parts {
            parts.iter().map(|(part, text)| ((*part).to_owned(), (*text).to_owned())).collect()
        };
        let expected = parts(&[("column runs.id", "bigint"), ("column runs.kind", "text"), ("index i", "")]);
        let found = parts(&[("column runs.id", "text"), ("column runs.mine", "text"), ("index mine", "")]);
        assert_eq!(
            differences(&expected, &found, "attrsync."),
            [
                "the column runs.id is text, expected bigint: alter it back",
                "the column runs.kind is missing: undo what removed or renamed it, or restore a backup",
                "the index i is missing: undo what removed or renamed it, or restore a backup",
                "the column runs.mine was not made by attrsync: run `alter table attrsync.runs drop column mine`",
            ]
        );
    }
}
