//! Compares the store's attributes with those that the ledger knows: redefined, deleted, created again.

use std::collections::BTreeMap;

use crate::record::KnownAttribute;

/// How the attributes have changed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Definitions {
    /// Attributes with another name or type, by id, with a sentence that says so.
    pub changed: BTreeMap<i64, String>,
    /// Attributes that were deleted since the last run, by id, with what to do.
    pub deleted: BTreeMap<i64, String>,
    /// All attributes that were ever deleted, by id, with the reason why their rows cannot be sent.
    pub absent: BTreeMap<i64, String>,
}

/// Compares the attributes that the ledger knows with those that the store lists now.
#[must_use]
pub fn compare(known: &[KnownAttribute], listed: &[KnownAttribute]) -> Definitions {
    let mut definitions = Definitions::default();
    for before in known {
        let (id, name) = (before.id, &before.name);
        let Some(now) = listed.iter().find(|now| now.id == id) else {
            let others = listed.iter().filter(|other| other.name == *name).map(|other| other.id.to_string());
            let others = others.collect::<Vec<_>>().join(" or ");
            let (reason, advice) = if others.is_empty() {
                (
                    String::new(),
                    "take its rows out of the source, or create it again and use its new id".to_owned(),
                )
            } else {
                let reason =
                    format!("; it has another of that name: let the source use attribute_id {others}");
                (
                    reason,
                    format!(
                        "the store has a new one of that name, so let the source use attribute_id {others}"
                    ),
                )
            };
            definitions.absent.insert(id, format!("the store no longer has attribute {id} ({name}){reason}"));
            if !before.deleted {
                let notice = format!(
                    "attribute {id} ({name}) was deleted from the store with all its values: its rows are not sent; {advice}"
                );
                definitions.deleted.insert(id, notice);
            }
            continue;
        };
        let mut differences = Vec::new();
        if now.name != *name {
            differences.push(format!("is named {} instead of {name}", now.name));
        }
        if now.kind != before.kind {
            differences.push(format!("is of type {} instead of {}", now.kind, before.kind));
        }
        if before.deleted {
            differences.push("exists again".to_owned());
        }
        if !differences.is_empty() {
            definitions.changed.insert(id, format!("attribute {id} {}", differences.join(" and ")));
        }
    }
    definitions
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(id: i64, name: &str, kind: &str) -> KnownAttribute {
        KnownAttribute { id, name: name.to_owned(), kind: kind.to_owned(), deleted: false }
    }

    fn deleted(id: i64, name: &str) -> KnownAttribute {
        KnownAttribute { deleted: true, ..attribute(id, name, "string") }
    }

    #[test]
    fn the_same_attributes_have_not_changed() {
        let same = [attribute(1, "tier", "string"), attribute(2, "spent", "number")];
        assert_eq!(compare(&same, &same), Definitions::default());
        assert_eq!(compare(&[], &same), Definitions::default(), "new ones have no entries");
    }

    #[test]
    fn a_change_is_described() {
        let known = [attribute(1, "tier", "string"), attribute(2, "spent", "string"), deleted(3, "last")];
        let listed = [
            attribute(1, "level", "string"),
            attribute(2, "spent", "number"),
            attribute(3, "last", "string"),
        ];
        let changed = compare(&known, &listed).changed.into_values().collect::<Vec<_>>();
        assert_eq!(
            changed,
            [
                "attribute 1 is named level instead of tier",
                "attribute 2 is of type number instead of string",
                "attribute 3 exists again",
            ]
        );
    }

    #[test]
    fn a_deleted_attribute_is_announced_once_and_its_rows_are_always_explained() {
        let listed = [attribute(1, "tier", "string")];
        let first = compare(&[attribute(1, "tier", "string"), attribute(2, "spent", "string")], &listed);
        assert!(
            first.deleted[&2].contains("(spent) was deleted")
                && first.deleted[&2].contains("create it again")
        );
        assert_eq!(first.absent[&2], "the store no longer has attribute 2 (spent)");
        let later = compare(&[attribute(1, "tier", "string"), deleted(2, "spent")], &listed);
        assert!(later.deleted.is_empty());
        assert_eq!(later.absent, first.absent);
    }

    #[test]
    fn an_attribute_that_was_created_again_is_named_with_its_new_id() {
        let created_again = compare(&[attribute(2, "spent", "string")], &[attribute(17, "spent", "number")]);
        assert!(
            created_again.deleted[&2].contains("let the source use attribute_id 17"),
            "{created_again:?}"
        );
        assert!(
            created_again.absent[&2].ends_with("another of that name: let the source use attribute_id 17")
        );
    }
}
