//! The position of the merge in a page.

use crate::record::{EntryPage, EntryRow, SourcePage, SourceRow};

/// A page that is being read.
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
    /// Continues with the next page; `None` is the end.
    pub fn next_page(&mut self, page: Option<P>) {
        match page {
            Some(page) => (self.page, self.at) = (page, 0),
            None => self.ended = true,
        }
    }
}

impl Cursor<SourcePage> {
    pub(super) fn peek(&self) -> Option<SourceRow<'_>> {
        (self.at < self.page.len()).then(|| self.page.row(self.at))
    }

    /// The row after the one that [`peek`](Self::peek) shows, if it is on the same page.
    pub(super) fn peek_beyond(&self) -> Option<SourceRow<'_>> {
        (self.at + 1 < self.page.len()).then(|| self.page.row(self.at + 1))
    }
}

impl Cursor<EntryPage> {
    pub(super) fn peek(&self) -> Option<EntryRow<'_>> {
        (self.at < self.page.len()).then(|| self.page.row(self.at))
    }
}
