//! Values that the source does not desire: their row has left it, or is NULL. They are kept, or their delete is planned.

use super::found::Missing;
use super::{Diff, PlanPage};
use crate::record::{Action, Belief, Change, EntryRow};

impl Diff {
    /// Takes the planned deletes back, because the source could not be read whole. The values count as kept.
    pub const fn keep_missing(&mut self) {
        let deletes = std::mem::replace(&mut self.counts.deletes, 0);
        let of_null = std::mem::replace(&mut self.null_deletes, 0);
        let pinned = std::mem::replace(&mut self.pinned_deletes, 0);
        self.counts.planned -= deletes;
        self.counts.pinned += pinned;
        self.counts.orphans += deletes - pinned - of_null;
        self.counts.stored_without_row += deletes - pinned;
        self.parts.remove_deletes();
    }

    /// Counts an entry without a row, or plans its delete.
    pub(super) fn add_orphan(&mut self, entry: &EntryRow<'_>, out: &mut PlanPage) {
        if self.may_be_stored(entry) {
            self.extents.add_stored(entry.key.attribute_id);
        }
        if let Some((entry, pin)) = self.pinned(Some(*entry), None) {
            return self.add_pinned(entry, pin, out);
        }
        let kept = i64::from(matches!(self.add_missing(entry, out), Missing::Kept));
        self.counts.orphans += kept;
        self.counts.stored_without_row += kept;
    }

    /// Plans the delete of a value that the source does not desire, if it may be stored and is not kept.
    pub(super) fn add_missing(&mut self, entry: &EntryRow<'_>, out: &mut PlanPage) -> Missing {
        let key = entry.key;
        if !self.may_be_stored(entry) {
            return Missing::NotStored;
        }
        if !self.policy.missing.deletes(key.attribute_id) {
            return Missing::Kept;
        }
        let is_rejected = entry.belief == Belief::Rejected && entry.value.is_none();
        if is_rejected && !self.policy.full && !self.is_requeued(key) {
            self.counts.still_rejected += 1;
            self.counts.acknowledged += i64::from(entry.acknowledged);
            return Missing::StillRejected;
        }
        self.counts.deletes += 1;
        self.add_change(self.delete_of(entry), Some(*entry), out);
        Missing::Deleted
    }

    /// Returns the change that deletes the value of an entry.
    pub(super) fn delete_of(&self, entry: &EntryRow<'_>) -> Change {
        Change {
            key: entry.key,
            action: Action::Delete,
            value: None,
            previous_value: entry.last_known().map(str::to_owned),
            previous_in_doubt: entry.belief == Belief::Unconfirmed,
            source_value: None,
            value_id: entry.value_id,
            in_doubt_until: self.in_doubt_until(*entry),
        }
    }
}
