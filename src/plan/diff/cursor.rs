//! The position of the merge in a page of a stream.

use crate::record::{EntryPage, EntryRow, SourcePage, SourceRow};

/// The current page of a stream, and the position in it.
#[derive(Debug)]
pub struct Cursor<P> {
    pub(super) page: P,
    pub(super) at: usize,
    pub(super) ended: bool,
}

impl<P: Default> Default for Cursor<P> {
    fn default() -> Self {
        Self { page: P::default(), at: 0, ended: false }
    }
}

impl<P> Cursor<P> {
    /// Moves to the next page; `None` means that the stream has ended.
    pub fn advance(&mut self, page: Option<P>) {
        match page {
            Some(page) => (self.page, self.at) = (page, 0),
            None => self.ended = true,
        }
    }
}

impl Cursor<SourcePage> {
    /// Returns the current row, or `None` at the end of the page.
    pub(super) fn peek(&self) -> Option<SourceRow<'_>> {
        (self.at < self.page.len()).then(|| self.page.row(self.at))
    }

    /// Returns the row after the current one, or `None` if it is not on this page.
    pub(super) fn peek_second(&self) -> Option<SourceRow<'_>> {
        (self.at + 1 < self.page.len()).then(|| self.page.row(self.at + 1))
    }
}

impl Cursor<EntryPage> {
    /// Returns the current entry, or `None` at the end of the page.
    pub(super) fn peek(&self) -> Option<EntryRow<'_>> {
        (self.at < self.page.len()).then(|| self.page.row(self.at))
    }
}
