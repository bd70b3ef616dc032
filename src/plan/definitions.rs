//! Compares the store's attributes with those in the ledger, to find renamed, deleted and recreated ones.

use std::collections::BTreeMap;

use crate::one_line::one_line;
use crate::record::KnownAttribute;

/// The differences between the attributes in the ledger and in the store.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Definitions {
    /// Attributes with another name or type than before, by id, with a description of the difference.
    pub changed: BTreeMap<i64, String>,
    /// Attributes that were deleted after the last run, by id, with a notice that says what to do.
    pub newly_deleted: BTreeMap<i64, String>,
    /// All attributes that the store had once and has no more, by id, with the reason why their rows cannot be sent.
    pub deleted: BTreeMap<i64, String>,
}

/// Compares the attributes in the ledger (`known`) with the attributes that the store lists now.
#[must_use]
pub fn compare(known: &[KnownAttribute], listed: &[KnownAttribute]) -> Definitions {
    let mut definitions = Definitions::default();
    for before in known {
        let (id, name) = (before.id, one_line(&before.name));
        let Some(now) = listed.iter().find(|now| now.id == id) else {
            let others =
                listed.iter().filter(|other| other.name == before.name).map(|other| other.id.to_string());
            let others = others.collect::<Vec<_>>().join(" or ");
            let (reason, advice) = if others.is_empty() {
                (
                    String::new(),
                    "take its rows out of the source, or make it again and use its new id".to_owned(),
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
            definitions
                .deleted
                .insert(id, format!("the store has no attribute {id} ({name}) any more{reason}"));
            if !before.deleted {
                let notice = format!(
                    "attribute {id} ({name}) was deleted from the store with all its values: its rows are not sent; {advice}"
                );
                definitions.newly_deleted.insert(id, notice);
            }
            continue;
        };
        let mut differences = Vec::new();
        if now.name != before.name {
            differences.push(format!("is named {} instead of {name}", one_line(&now.name)));
        }
        if now.kind != before.kind {
            differences.push(format!(
                "is of type {} instead of {}",
                one_line(&now.kind),
                one_line(&before.kind)
            ));
        }
        if before.deleted {
            differences.push("is there again".to_owned());
        }
        if !differences.is_empty() {
            definitions.changed.insert(id, format!("attribute {id} {}", differences.join(" and ")));
        }
    }
    definitions
}

/// Returns the attributes that the store lists now, each with the name that it had before.
#[must_use]
pub fn with_former_names(known: &[KnownAttribute], listed: Vec<KnownAttribute>) -> Vec<KnownAttribute> {
    let former = |now: &KnownAttribute| {
        let before = known.iter().find(|before| before.id == now.id)?;
        if before.name == now.name { before.former_name.clone() } else { Some(before.name.clone()) }
    };
    listed.into_iter().map(|now| KnownAttribute { former_name: former(&now), ..now }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(id: i64, name: &str, kind: &str) -> KnownAttribute {
        KnownAttribute { id, name: name.to_owned(), kind: kind.to_owned(), former_name: None, deleted: false }
    }

    fn deleted(id: i64, name: &str) -> KnownAttribute {
        KnownAttribute { deleted: true, ..attribute(id, name, "string") }
    }

    #[test]
    fn the_same_attributes_have_no_differences() {
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
                "attribute 3 is there again",
            ]
        );
    }

    #[test]
    fn a_renamed_attribute_keeps_its_former_name_until_it_is_renamed_again() {
        let name = |known: &[KnownAttribute], now: &str| {
            let listed = with_former_names(known, vec![attribute(1, now, "string")]);
            (listed[0].former_name.clone(), listed)
        };
        assert_eq!(name(&[], "tier").0, None);
        let (former, renamed) = name(&[attribute(1, "tier", "string")], "level");
        assert_eq!(former.as_deref(), Some("tier"));
        let (former, same) = name(&renamed, "level");
        assert_eq!(former.as_deref(), Some("tier"));
        assert_eq!(name(&same, "rank").0.as_deref(), Some("level"));
    }

    #[test]
    fn a_deletion_has_one_notice_and_a_lasting_reason() {
        let listed = [attribute(1, "tier", "string")];
        let first = compare(&[attribute(1, "tier", "string"), attribute(2, "spent", "string")], &listed);
        assert!(
            first.newly_deleted[&2].contains("(spent) was deleted")
                && first.newly_deleted[&2].contains("make it again")
        );
        assert_eq!(first.deleted[&2], "the store has no attribute 2 (spent) any more");
        let later = compare(&[attribute(1, "tier", "string"), deleted(2, "spent")], &listed);
        assert!(later.newly_deleted.is_empty());
        assert_eq!(later.deleted, first.deleted);
    }

    #[test]
    fn a_recreated_attribute_is_named_with_its_new_id() {
        let recreated = compare(&[attribute(2, "spent", "string")], &[attribute(17, "spent", "number")]);
        assert!(recreated.newly_deleted[&2].contains("let the source use attribute_id 17"), "{recreated:?}");
        assert!(recreated.deleted[&2].ends_with("another of that name: let the source use attribute_id 17"));
    }
}
