//! The reads of a source that are not over: a query is running, or is being cancelled.

use std::thread;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

/// How long it may take to cancel a query.
const CANCELLED_WITHIN: Duration = Duration::from_secs(5);

/// Counts the reads that are not over. Clones share the count.
#[derive(Debug, Clone)]
pub(super) struct OpenReads(watch::Sender<usize>);

impl Default for OpenReads {
    fn default() -> Self {
        Self(watch::Sender::new(0))
    }
}

impl OpenReads {
    /// Counts a read until the guard is dropped.
    pub(super) fn begin(&self) -> ReadGuard {
        self.0.send_modify(|open| *open += 1);
        ReadGuard(self.clone())
    }

    /// Waits until every read is over. Reads that were abandoned are cancelled, which takes a bounded time.
    pub(super) async fn ended(&self) {
        let mut open = self.0.subscribe();
        let none = open.wait_for(|open| *open == 0);
        // The sender is in `self`, so that this cannot fail. One second for the thread that has the session.
        let _ = timeout(CANCELLED_WITHIN + Duration::from_secs(1), none).await;
    }
}

/// A read that is not over.
#[derive(Debug)]
pub(super) struct ReadGuard(OpenReads);

impl ReadGuard {
    /// Lets the read end with this future, on a thread of its own: the runtime of the read is at its end. Takes a bounded
    /// time.
    pub(super) fn end_with(self, last: impl Future<Output = ()> + Send + 'static) {
        let run = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            if let Ok(runtime) = runtime {
                let ended = runtime.block_on(async { timeout(CANCELLED_WITHIN, last).await });
                if ended.is_err() {
                    tracing::warn!(
                        "the query of the source was not cancelled in time and may go on in its database"
                    );
                }
                // A pending name resolution must not keep the thread alive.
                runtime.shutdown_background();
            }
            drop(self);
        };
        if let Err(error) = thread::Builder::new().name("cancel".to_owned()).spawn(run) {
            tracing::warn!("the query of the source could not be cancelled: {error}");
        }
    }
}

impl Drop for ReadGuard {
    fn drop(&mut self) {
        self.0.0.send_modify(|open| *open -= 1);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn the_end_of_all_reads_is_waited_for() {
        let reads = OpenReads::default();
        reads.ended().await;
        let (first, second) = (reads.begin(), reads.begin());
        drop(first);
        let (sender, ended) = mpsc::channel();
        second.end_with(async move { sender.send(()).expect("is waited for") });
        reads.ended().await;
        assert_eq!(ended.try_recv(), Ok(()));
    }
}
