//! Customers and attributes that the store no longer has.
//!
//! After three rejections in a row for one of them its existence is checked, so that the rest of its values need not be
//! rejected one by one.

use std::collections::{BTreeMap, BTreeSet};

use crate::record::Key;

/// Rejections in a row after which existence is checked.
const REJECTIONS: u32 = 3;

/// How many subjects are remembered. The plan is in customer order, so the lowest ones are done; forgetting one costs
/// requests and changes no outcome.
const REMEMBERED: usize = 1_000;

/// A customer or an attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// The customer with this id.
    Customer(i64),
    /// The attribute with this id.
    Attribute(i64),
}

/// The subjects whose values were rejected, and those that the store was found to have deleted.
#[derive(Debug, Default)]
pub(super) struct Deleted {
    rejections: BTreeMap<Subject, u32>,
    checked: BTreeSet<Subject>,
    deleted: BTreeSet<Subject>,
    is_checking: bool,
}

impl Deleted {
    /// Takes note of a rejected value.
    pub(super) fn rejected(&mut self, key: Key) {
        for subject in subjects(key) {
            *self.rejections.entry(subject).or_default() += 1;
        }
        // Customers sort before attributes, of which a store has fifty at most.
        if self.rejections.len() > REMEMBERED {
            self.rejections.pop_first();
        }
    }

    /// Takes note of a confirmed value: its customer and its attribute exist.
    pub(super) fn confirmed(&mut self, key: Key) {
        for subject in subjects(key) {
            self.rejections.remove(&subject);
        }
    }

    /// Why a value of this key is not sent, if its customer or attribute is deleted.
    pub(super) fn reason(&self, key: Key) -> Option<String> {
        let subject = subjects(key).into_iter().find(|subject| self.deleted.contains(subject))?;
        let name = match subject {
            Subject::Customer(id) => format!("customer {id}"),
            Subject::Attribute(id) => format!("attribute {id}"),
        };
        Some(format!("the store no longer has {name}; checked after {REJECTIONS} rejections in a row"))
    }

    /// Whether no subject is known to be deleted.
    pub(super) fn is_empty(&self) -> bool {
        self.deleted.is_empty()
    }

    /// Whether a check is under way.
    pub(super) const fn is_checking(&self) -> bool {
        self.is_checking
    }

    /// The subjects to check now, if there are any and no check is under way. Each is checked once a run.
    pub(super) fn due_for_check(&mut self) -> Option<Vec<Subject>> {
        if self.is_checking {
            return None;
        }
        let suspects = self.rejections.extract_if(.., |_, rejections| *rejections >= REJECTIONS);
        let subjects: Vec<_> =
            suspects.map(|(subject, _)| subject).filter(|subject| self.checked.insert(*subject)).collect();
        if self.checked.len() > REMEMBERED {
            self.checked.pop_first();
        }
        self.is_checking = !subjects.is_empty();
        self.is_checking.then_some(subjects)
    }

    /// Takes note of the end of a check.
    pub(super) const fn checked(&mut self) {
        self.is_checking = false;
    }

    /// Takes note of subjects that the store does not have.
    pub(super) fn found(&mut self, deleted: Vec<Subject>) {
        self.deleted.extend(deleted);
        while self.deleted.len() > REMEMBERED {
            self.deleted.pop_first();
        }
    }
}

fn subjects(key: Key) -> [Subject; 2] {
    [Subject::Customer(key.customer_id), Subject::Attribute(key.attribute_id)]
}
