//! The names of a store's attributes, for sources that name attributes.

use std::collections::{BTreeMap, BTreeSet};

use super::attribute::KnownAttribute;
use crate::one_line::one_line;

/// The most names that a message lists.
const LISTED_MAX: usize = 10;

/// The most characters that a message shows of a name.
const SHOWN_MAX: usize = 60;

/// Which attribute each name means. A name counts exactly as the store has it, case and spaces included.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AttributeNames {
    /// The ids of the attributes that the store defines, by name. The store does not promise one for each name.
    defined: BTreeMap<String, BTreeSet<i64>>,
    /// What became of the attributes that had other names.
    former: BTreeMap<String, Former>,
}

/// What became of an attribute that had a name.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Former {
    /// It has another name.
    Renamed { id: i64, name: String },
    /// The store does not define it any more.
    Deleted { id: i64 },
}

impl AttributeNames {
    /// Makes them of the attributes that the store defines, or did define.
    #[must_use]
    pub fn of<'a>(known: impl IntoIterator<Item = &'a KnownAttribute>) -> Self {
        let mut names = Self::default();
        for KnownAttribute { id, name, former_name, deleted, .. } in known {
            let id = *id;
            if *deleted {
                names.former.entry(name.clone()).or_insert(Former::Deleted { id });
                continue;
            }
            names.defined.entry(name.clone()).or_default().insert(id);
            if let Some(former) = former_name {
                names.former.insert(former.clone(), Former::Renamed { id, name: name.clone() });
            }
        }
        names
    }

    /// The names that mean one attribute, each with its id.
    pub fn unambiguous(&self) -> impl Iterator<Item = (&str, i64)> {
        self.defined.iter().filter_map(|(name, ids)| match ids.first() {
            Some(id) if ids.len() == 1 => Some((name.as_str(), *id)),
            _ => None,
        })
    }

    /// Returns the attribute that a name means.
    ///
    /// # Errors
    /// Why the name means none, with what the store has.
    pub fn id(&self, name: &str) -> Result<i64, String> {
        match self.defined.get(name).map(|ids| (ids.first(), ids.len())) {
            Some((Some(id), 1)) => Ok(*id),
            _ => Err(self.problem(name)),
        }
    }

    fn problem(&self, name: &str) -> String {
        let named = shown(name);
        if let Some(ids) = self.defined.get(name) {
            let ids: Vec<String> = ids.iter().map(i64::to_string).collect();
            return format!(
                "the store has several attributes named {named}: {}; let the source use their ids",
                ids.join(", ")
            );
        }
        match self.former.get(name) {
            Some(Former::Renamed { id, name }) => {
                return format!(
                    "the store has no attribute named {named} any more: attribute {id} is named {} now; let the source use \
                     that name",
                    shown(name)
                );
            }
            Some(Former::Deleted { id }) => {
                return format!(
                    "the store has no attribute named {named} any more: attribute {id} was deleted from it"
                );
            }
            None => {}
        }
        let alike = |other: &&String| other.trim().to_lowercase() == name.trim().to_lowercase();
        if let Some(alike) = self.defined.keys().find(alike) {
            return format!(
                "the store has no attribute named {named}; it has {}, and case and spaces count",
                shown(alike)
            );
        }
        let ids = if !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit()) {
            ", and a text names attributes: ids must be whole numbers (::bigint)"
        } else {
            ""
        };
        format!("the store has no attribute named {named}; {}{ids}", self.listed())
    }

    /// Lists the names that the store has.
    fn listed(&self) -> String {
        let mut listed: Vec<String> = self.defined.keys().take(LISTED_MAX).map(|name| shown(name)).collect();
        if self.defined.len() > LISTED_MAX {
            listed.push(format!("and {} more", self.defined.len() - LISTED_MAX));
        }
        if listed.is_empty() { "it has none".to_owned() } else { format!("it has {}", listed.join(", ")) }
    }
}

/// The beginning of a name, in quotes.
fn shown(name: &str) -> String {
    let cut = if name.chars().nth(SHOWN_MAX).is_some() { "…" } else { "" };
    format!("\"{}{cut}\"", one_line(&name.chars().take(SHOWN_MAX).collect::<String>()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(id: i64, name: &str) -> KnownAttribute {
        KnownAttribute {
            id,
            name: name.to_owned(),
            kind: "string".to_owned(),
            former_name: None,
            deleted: false,
        }
    }

    fn of(known: &[KnownAttribute]) -> AttributeNames {
        AttributeNames::of(known)
    }

    #[test]
    fn a_name_means_the_attribute_that_has_it_exactly() {
        let emoji = "😀 \"it's\"";
        let names = of(&[
            known(1, "Tier"),
            known(2, "tier"),
            known(3, "7"),
            known(4, emoji),
            known(5, "twin"),
            known(6, "twin"),
        ]);
        for (name, id) in [("Tier", 1), ("tier", 2), ("7", 3), (emoji, 4)] {
            assert_eq!(names.id(name), Ok(id));
        }
        assert_eq!(names.unambiguous().count(), 4);
        for name in ["TIER", " Tier", "twin", "", "1"] {
            assert!(names.id(name).is_err(), "{name}");
        }
    }

    #[test]
    fn promise_12_a_name_without_an_attribute_is_explained() {
        let renamed = KnownAttribute { former_name: Some("Level".to_owned()), ..known(3, "Rank") };
        let deleted = KnownAttribute { deleted: true, ..known(4, "Points") };
        let names = of(&[known(1, "Tier"), known(5, "twin"), known(6, "twin"), renamed, deleted]);
        for (name, expect) in [
            ("twin", "several attributes named \"twin\": 5, 6; let"),
            ("Level", "no attribute named \"Level\" any more: attribute 3 is named \"Rank\" now"),
            ("Points", "no attribute named \"Points\" any more: attribute 4 was deleted"),
            ("tier ", "no attribute named \"tier \"; it has \"Tier\", and case and spaces count"),
            ("none", "no attribute named \"none\"; it has \"Rank\", \"Tier\", \"twin\""),
            (
                "17",
                "no attribute named \"17\"; it has \"Rank\", \"Tier\", \"twin\", and a text names attributes",
            ),
        ] {
            let problem = names.id(name).expect_err(name);
            assert!(problem.contains(expect), "{problem}");
        }
        assert!(of(&[]).id("a\nb").expect_err("none").ends_with("named \"a\\nb\"; it has none"));
    }

    #[test]
    fn a_new_attribute_may_have_the_name_of_an_old_one() {
        let renamed = KnownAttribute { former_name: Some("Tier".to_owned()), ..known(3, "Rank") };
        let names = of(&[KnownAttribute { deleted: true, ..known(1, "Tier") }, renamed, known(9, "Tier")]);
        assert_eq!(names.id("Tier"), Ok(9));
    }

    #[test]
    fn an_explanation_is_short_whatever_the_names_are() {
        let many: Vec<KnownAttribute> =
            (0..500).map(|id| known(id, &format!("{id:03}{}", "😀".repeat(252)))).collect();
        let problem = of(&many).id(&"x".repeat(300)).expect_err("none");
        assert!(problem.chars().count() < 900 && problem.ends_with("and 490 more"), "{problem}");
    }
}
