//! The parts of a plan, which are sent one after the other.

use super::change::{Action, Change};

/// A part of a plan. A request carries changes of one part only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlanPart {
    /// Values to create or to update.
    Upserts,
    /// Values to delete.
    Deletes,
    /// Values to create or to update. An older request for each of them may still be applied.
    UpsertsInDoubt,
    /// Values to delete. An older request for each of them may still be applied.
    DeletesInDoubt,
}

impl PlanPart {
    /// All parts, in the order in which they are sent: what has to wait comes last.
    pub const ALL: [Self; 4] = [Self::Upserts, Self::Deletes, Self::UpsertsInDoubt, Self::DeletesInDoubt];

    /// The part that a change belongs to.
    #[must_use]
    pub fn of(change: &Change) -> Self {
        Self::with(change.action == Action::Delete, change.in_doubt_until.is_some())
    }

    /// The part of changes that delete or do not, and that are in doubt or not.
    #[must_use]
    pub const fn with(deletes: bool, in_doubt: bool) -> Self {
        match (deletes, in_doubt) {
            (false, false) => Self::Upserts,
            (true, false) => Self::Deletes,
            (false, true) => Self::UpsertsInDoubt,
            (true, true) => Self::DeletesInDoubt,
        }
    }

    /// Whether its changes delete values.
    #[must_use]
    pub const fn deletes(self) -> bool {
        matches!(self, Self::Deletes | Self::DeletesInDoubt)
    }

    /// Whether older requests for its changes are in doubt.
    #[must_use]
    pub const fn in_doubt(self) -> bool {
        matches!(self, Self::UpsertsInDoubt | Self::DeletesInDoubt)
    }
}

/// The parts that a plan has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PlanParts([bool; 4]);

impl PlanParts {
    /// Adds a part.
    pub const fn add(&mut self, part: PlanPart) {
        self.0[part as usize] = true;
    }

    /// Removes the parts that delete.
    pub const fn remove_deletes(&mut self) {
        self.0[PlanPart::Deletes as usize] = false;
        self.0[PlanPart::DeletesInDoubt as usize] = false;
    }

    /// The first of these parts after `before`, or of all.
    #[must_use]
    pub fn next(self, before: Option<PlanPart>) -> Option<PlanPart> {
        let rest = PlanPart::ALL.into_iter().skip(before.map_or(0, |before| before as usize + 1));
        rest.into_iter().find(|part| self.0[*part as usize])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_plan_follow_each_other() {
        let mut parts = PlanParts::default();
        assert_eq!(parts.next(None), None);
        parts.add(PlanPart::DeletesInDoubt);
        parts.add(PlanPart::Upserts);
        assert_eq!(parts.next(None), Some(PlanPart::Upserts));
        assert_eq!(parts.next(Some(PlanPart::Upserts)), Some(PlanPart::DeletesInDoubt));
        assert_eq!(parts.next(Some(PlanPart::DeletesInDoubt)), None);
        parts.remove_deletes();
        assert_eq!(parts.next(Some(PlanPart::Upserts)), None);
        for part in PlanPart::ALL {
            assert_eq!(PlanPart::with(part.deletes(), part.in_doubt()), part);
        }
    }
}
