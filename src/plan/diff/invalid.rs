//! Rows that cannot be sent.

use super::{Diff, PlanPage};
use crate::record::{INVALID_ROWS_KEPT, InvalidRow, SourceRow};

/// The part of an invalid value that is kept, in characters.
const INVALID_VALUE_KEPT: usize = 300;

impl Diff {
    /// Counts a row that cannot be sent, and adds it to the page unless enough rows were kept.
    pub(super) fn add_invalid(&mut self, row: SourceRow<'_>, reason: String, out: &mut PlanPage) {
        self.counts.invalid += 1;
        if self.invalid_kept < INVALID_ROWS_KEPT {
            self.invalid_kept += 1;
            let value = row.value.map(|value| value.chars().take(INVALID_VALUE_KEPT).collect());
            let SourceRow { customer_id, attribute_id, .. } = row;
            out.add_invalid(InvalidRow { customer_id, attribute_id, value, reason });
        }
    }
}
