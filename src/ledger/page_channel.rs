//! A channel of pages of entries between the thread that reads them and the plan that takes them.

use async_trait::async_trait;
use tokio::sync::mpsc;

use super::{EntryPages, LedgerError, Result};
use crate::record::EntryPage;

/// The operation that the scans of both databases name in errors.
pub(super) const READING: &str = "read its entries";

/// Pages that may wait to be taken.
const PAGES_AHEAD: usize = 8;

/// What the thread sends: pages, then `None`.
pub(super) type Sent = Result<Option<EntryPage>>;

/// Makes the two ends: for the thread, and for the plan.
pub(super) fn channel() -> (mpsc::Sender<Sent>, mpsc::Receiver<Sent>) {
    mpsc::channel(PAGES_AHEAD)
}

/// The pages as they arrive. Keeps the reader until the last page is taken.
#[derive(Debug)]
pub(super) struct ReceivedPages<Reader> {
    pages: mpsc::Receiver<Sent>,
    ended: bool,
    _reader: Reader,
}

impl<Reader> ReceivedPages<Reader> {
    pub(super) const fn new(pages: mpsc::Receiver<Sent>, reader: Reader) -> Self {
        Self { pages, ended: false, _reader: reader }
    }
}

#[async_trait]
impl<Reader: Send> EntryPages for ReceivedPages<Reader> {
    async fn next(&mut self) -> Result<Option<EntryPage>> {
        if self.ended {
            return Ok(None);
        }
        // A thread that ended without an end was cut off, which must not look like a short ledger.
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
    async fn a_reader_that_is_cut_off_is_an_error() {
        let (sender, pages) = channel();
        let mut received = ReceivedPages::new(pages, ());
        let mut page = EntryPage::with_capacity(1);
        page.push(EntryRow::confirmed(Key::new(1, 1), "a", None));
        sender.send(Ok(Some(page))).await.expect("there is room");
        drop(sender);
        assert!(received.next().await.expect("a page was read").is_some());
        let error = received.next().await.expect_err("no end was sent");
        assert!(matches!(error, LedgerError::Database { doing: READING, .. }), "{error}");
    }

    #[tokio::test]
    async fn the_end_stays_the_end() {
        let (sender, pages) = channel();
        let mut received = ReceivedPages::new(pages, ());
        sender.send(Ok(None)).await.expect("there is room");
        drop(sender);
        for _ in 0..2 {
            assert!(received.next().await.expect("the end was sent").is_none());
        }
    }
}
