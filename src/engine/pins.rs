//! The pins of a store, read beside its entries. Without pins, that is one short query.

use std::collections::VecDeque;

use crate::ledger::{LedgerReader, Result};
use crate::record::{EntryPage, Filter, Key, Pin};

/// How many pins are read at a time.
const PAGE_ROWS: usize = 2_000;

/// Gives pages of entries, in key order, their pins.
pub(super) struct Pins<'a> {
    ledger: &'a dyn LedgerReader,
    filter: &'a Filter,
    page: VecDeque<Pin>,
    after: Option<Key>,
    is_read: bool,
}

impl<'a> Pins<'a> {
    pub(super) const fn new(ledger: &'a dyn LedgerReader, filter: &'a Filter) -> Self {
        Self { ledger, filter, page: VecDeque::new(), after: None, is_read: false }
    }

    /// Gives the entries of the next page their pins.
    pub(super) async fn give(&mut self, page: &mut EntryPage) -> Result<()> {
        let Some(last) = page.len().checked_sub(1).map(|last| page.row(last).key) else { return Ok(()) };
        loop {
            if self.page.is_empty() && !self.is_read {
                let pins = self.ledger.pins(self.filter, self.after, PAGE_ROWS).await?;
                self.is_read = pins.len() < PAGE_ROWS;
                self.after = pins.last().map(|pin| pin.key);
                self.page = pins.into();
            }
            match self.page.pop_front() {
                Some(pin) if pin.key <= last => page.pin(pin),
                Some(later) => {
                    self.page.push_front(later);
                    return Ok(());
                }
                None => return Ok(()),
            }
        }
    }
}
