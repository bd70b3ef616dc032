//! Pages of entries that a thread of its own reads, as far as it may go ahead of whoever takes them.

use async_trait::async_trait;
use tokio::sync::mpsc;

use super::{EntryPages, LedgerError, Result};
use crate::record::EntryPage;

/// What the scans of both databases say they were doing when they failed.
pub(super) const READING: &str = "read its entries";

/// Pages that may wait to be taken.
const PAGES_AHEAD: usize = 8;

/// What the thread hands over: pages, then `None`.
pub(super) type Handed = Result<Option<EntryPage>>;

/// For the thread and for the one who takes the pages.
pub(super) fn channel() -> (mpsc::Sender<Handed>, mpsc::Receiver<Handed>) {
    mpsc::channel(PAGES_AHEAD)
}

/// The pages as they come. The reader is kept as long as somebody may want them.
#[derive(Debug)]
pub(super) struct HandedPages<Reader> {
    pages: mpsc::Receiver<Handed>,
    ended: bool,
    _reader: Reader,
}

impl<Reader> HandedPages<Reader> {
    pub(super) const fn new(pages: mpsc::Receiver<Handed>, reader: Reader) -> Self {
        Self { pages, ended: false, _reader: reader }
    }
}

#[async_trait]
impl<Reader: Send> EntryPages for HandedPages<Reader> {
    async fn next(&mut self) -> Result<Option<EntryPage>> {
        if self.ended {
            return Ok(None);
        }
        // A thread that ended without having said so was cut off: that must not look like a short ledger.
        let page = self.pages.recv().await.unwrap_or_else(|| {
            Err(LedgerError::Database { doing: READING, source: "the reader ended early".into() })
        })?;
        self.ended = page.is_none();
        Ok(page)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{EntryRow, Key};

    #[tokio::test]
    async fn a_reader_that_is_cut_off_is_not_the_end() {
        let (sender, pages) = channel();
        let mut handed = HandedPages::new(pages, ());
        let mut page = EntryPage::with_capacity(1);
        page.push(EntryRow::confirmed(Key::new(1, 1), "a", None));
        sender.send(Ok(Some(page))).await.expect("there is room");
        drop(sender);
        assert!(handed.next().await.expect("a page was read").is_some());
        let error = handed.next().await.expect_err("no end was told");
        assert!(matches!(error, LedgerError::Database { doing: READING, .. }), "{error}");
    }

    #[tokio::test]
    async fn the_end_stays_the_end() {
        let (sender, pages) = channel();
        let mut handed = HandedPages::new(pages, ());
        sender.send(Ok(None)).await.expect("there is room");
        drop(sender);
        for _ in 0..2 {
            assert!(handed.next().await.expect("the end was told").is_none());
        }
    }
}
