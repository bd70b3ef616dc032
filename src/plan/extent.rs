//! How much of what the store holds a plan would change, by attribute. A guard compares it with its limits.

use super::mangled::is_mangled;
use crate::record::{Action, Belief, Change, EntryRow};

/// How many changes of a kind are kept for a person to look at.
const SAMPLE: usize = 3;

/// Changes of one kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Concerned {
    /// How many there are.
    pub count: i64,
    /// The first of them.
    pub sample: Vec<Change>,
}

impl Concerned {
    fn add(&mut self, change: &Change) {
        self.count += 1;
        if self.sample.len() < SAMPLE {
            self.sample.push(change.clone());
        }
    }

    fn merge(&mut self, other: &Self) {
        self.count += other.count;
        let room = SAMPLE - self.sample.len();
        self.sample.extend(other.sample.iter().take(room).cloned());
    }
}

/// What a plan would do to the values of one attribute, or of all. A value that is only sent again is no change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Extent {
    /// The values that the store may hold.
    pub stored: i64,
    /// Values that the store does not hold yet.
    pub creates: Concerned,
    /// Values that would become another value.
    pub updates: Concerned,
    /// Those of the updates that would become empty.
    pub emptied: Concerned,
    /// Those of the updates that look like a damaged form of the value.
    pub mangled: Concerned,
    /// Values that would be deleted.
    pub deletes: Concerned,
}

/// The extents of all attributes.
#[derive(Debug, Default)]
pub struct Extents {
    attributes: Vec<(i64, Extent)>,
    /// Where the last attribute is. In key order the next one follows it, for nearly every customer.
    at: usize,
}

impl Extents {
    /// Counts an entry whose value the store may hold.
    pub(super) fn add_stored(&mut self, attribute_id: i64) {
        self.of(attribute_id).stored += 1;
    }

    /// Counts a change. `stored` is the entry, if the store may hold its value.
    pub(super) fn add_change(&mut self, change: &Change, stored: Option<&EntryRow<'_>>) {
        let extent = self.of(change.key.attribute_id);
        let Some(entry) = stored else { return extent.creates.add(change) };
        if change.action == Action::Delete {
            return extent.deletes.add(change);
        }
        let new = change.value.as_deref().unwrap_or_default();
        let old = match entry.belief {
            Belief::Rejected => entry.stored_value,
            _ => entry.value,
        };
        if old == Some(new) {
            return;
        }
        extent.updates.add(change);
        let old = old.unwrap_or_default();
        if new.is_empty() {
            extent.emptied.add(change);
        } else if is_mangled(old, new) {
            extent.mangled.add(change);
        }
    }

    /// The extent of each attribute, by its id.
    pub fn iter(&self) -> impl Iterator<Item = (i64, &Extent)> {
        let mut attributes: Vec<_> = self.attributes.iter().map(|(id, extent)| (*id, extent)).collect();
        attributes.sort_by_key(|(id, _)| *id);
        attributes.into_iter()
    }

    /// The extent of the whole plan.
    #[must_use]
    pub fn total(&self) -> Extent {
        let mut total = Extent::default();
        for (_, Extent { stored, creates, updates, emptied, mangled, deletes }) in self.iter() {
            total.stored += stored;
            total.creates.merge(creates);
            total.updates.merge(updates);
            total.emptied.merge(emptied);
            total.mangled.merge(mangled);
            total.deletes.merge(deletes);
        }
        total
    }

    /// The extent of an attribute, which is added if it is new.
    fn of(&mut self, attribute_id: i64) -> &mut Extent {
        let is_at = |at: usize| self.attributes.get(at).is_some_and(|(id, _)| *id == attribute_id);
        let next = if self.at + 1 < self.attributes.len() { self.at + 1 } else { 0 };
        if is_at(next) {
            self.at = next;
        } else if !is_at(self.at) {
            let found = self.attributes.iter().position(|(id, _)| *id == attribute_id);
            self.at = found.unwrap_or_else(|| {
                self.attributes.push((attribute_id, Extent::default()));
                self.attributes.len() - 1
            });
        }
        &mut self.attributes[self.at].1
    }
}
