//! A page of the plan, bounded by rows and by bytes.

use crate::record::{Change, InvalidRow};

/// How many changes and invalid rows a page holds. Saving a page costs some round trips, whatever its size.
const PAGE_ROWS: usize = 8_000;

/// About how many bytes of text a page holds, so that long values make shorter pages.
const PAGE_BYTES: usize = 1 << 20;

/// A page of the plan.
#[derive(Debug, Default)]
pub struct PlanPage {
    /// Changes in key order.
    pub changes: Vec<Change>,
    /// Source rows that cannot be sent, in the order of the source.
    pub invalid: Vec<InvalidRow>,
    bytes: usize,
}

impl PlanPage {
    /// Whether it must be taken before more is added.
    pub(super) const fn is_full(&self) -> bool {
        self.changes.len() + self.invalid.len() >= PAGE_ROWS || self.bytes >= PAGE_BYTES
    }

    /// Adds a change.
    pub(super) fn change(&mut self, change: Change) {
        self.bytes +=
            [&change.value, &change.previous_value].into_iter().flatten().map(String::len).sum::<usize>();
        self.changes.push(change);
    }

    /// Adds a row that cannot be sent.
    pub(super) fn add_invalid(&mut self, row: InvalidRow) {
        self.bytes += row.reason.len() + row.value.as_ref().map_or(0, String::len);
        self.invalid.push(row);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Action, Key};

    #[test]
    fn a_page_is_bounded_by_rows_and_by_bytes() {
        let change = |value: &str| Change {
            key: Key::new(1, 1),
            action: Action::Create,
            value: Some(value.to_owned()),
            previous_value: Some(value.to_owned()),
            value_id: None,
            in_doubt_until: None,
        };
        let fit = |value: &str| {
            let mut page = PlanPage::default();
            while !page.is_full() {
                page.change(change(value));
            }
            page.changes.len()
        };
        assert_eq!(fit("short"), PAGE_ROWS);
        assert_eq!(fit(&"x".repeat(1_020)), PAGE_BYTES.div_ceil(2 * 1_020));
    }
}
