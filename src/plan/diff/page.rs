//! A page of the plan, with a limit of rows and of bytes.

use crate::record::{Change, InvalidRow};

/// The largest number of changes and invalid rows in a page. Saving a page costs a few round trips, whatever its size.
const PAGE_ROWS: usize = 8_000;

/// The approximate limit of text in a page, in bytes, so that a page of long values stays small.
const PAGE_BYTES: usize = 1 << 20;

/// Changes and invalid rows that are saved together.
#[derive(Debug, Default)]
pub struct PlanPage {
    /// Changes in key order.
    pub changes: Vec<Change>,
    /// Source rows that cannot be sent, in the order of the source.
    pub invalid: Vec<InvalidRow>,
    bytes: usize,
}

impl PlanPage {
    /// Returns whether the page must be saved before more rows are added.
    pub(super) const fn is_full(&self) -> bool {
        self.changes.len() + self.invalid.len() >= PAGE_ROWS || self.bytes >= PAGE_BYTES
    }

    /// Adds a change.
    pub(super) fn add_change(&mut self, change: Change) {
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
    fn a_page_is_full_at_either_limit() {
        let change = |value: &str| Change {
            key: Key::new(1, 1),
            action: Action::Create,
            value: Some(value.to_owned()),
            previous_value: Some(value.to_owned()),
            previous_in_doubt: false,
            source_value: None,
            value_id: None,
            in_doubt_until: None,
        };
        let fit = |value: &str| {
            let mut page = PlanPage::default();
            while !page.is_full() {
                page.add_change(change(value));
            }
            page.changes.len()
        };
        assert_eq!(fit("short"), PAGE_ROWS);
        assert_eq!(fit(&"x".repeat(1_020)), PAGE_BYTES.div_ceil(2 * 1_020));
    }
}
