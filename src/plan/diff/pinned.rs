//! Values that an undo has restored. Their pins let the diff ignore what the source desired at the undo.

use super::found::Found;
use super::{Diff, PlanPage};
use crate::record::{Action, Belief, EntryRow, Key, Pin};

/// The most pins that one run ends. The next run ends the others.
const PINS_ENDED_MAX: usize = 1_000_000;

impl Diff {
    /// Returns the keys whose pins end, because the source desires something else now.
    #[must_use]
    pub fn ended_pins(&self) -> &[Key] {
        &self.ended_pins
    }

    /// Returns whether the plan sends a value again that an undo has restored: the source does not desire it.
    #[must_use]
    pub const fn sends_pinned(&self) -> bool {
        self.sends_pinned
    }

    /// Returns the entry and its pin, if the source still desires what the pin ignores. A value that the store refuses
    /// cannot be kept, so its pin ends too.
    pub(super) fn pinned<'a>(
        &mut self,
        entry: Option<EntryRow<'a>>,
        desired: Option<&str>,
    ) -> Option<(EntryRow<'a>, &'a Pin)> {
        let entry = entry?;
        let pin = entry.pin?;
        if pin.source_value.as_deref() == desired && entry.belief != Belief::Rejected {
            return Some((entry, pin));
        }
        if self.ended_pins.len() < PINS_ENDED_MAX {
            self.ended_pins.push(entry.key);
        }
        None
    }

    /// Counts a pinned value, or plans to send it again.
    pub(super) fn add_pinned(&mut self, entry: EntryRow<'_>, pin: &Pin, out: &mut PlanPage) {
        let is_defined = self.policy.attributes.contains(&entry.key.attribute_id);
        let found = match &pin.value {
            _ if !is_defined => Found::Unchanged,
            Some(value) => self.compare_value(entry.key, value, Some(entry)),
            None if self.may_be_stored(&entry) => Found::Changed(self.delete_of(&entry)),
            None => Found::Unchanged,
        };
        let Found::Changed(change) = found else {
            self.counts.pinned += 1;
            return;
        };
        self.sends_pinned = true;
        if change.action == Action::Delete {
            self.counts.deletes += 1;
            self.pinned_deletes += 1;
        }
        self.add_change(change, Some(entry), out);
    }
}
