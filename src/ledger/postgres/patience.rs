//! How long a run waits for its database. One whose route was dropped says nothing more, and the kernel gives such a
//! connection up after some 15 minutes, in which the run would hang in an open write, the store's calls long over.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::timeout;

use crate::ledger::{LedgerError, Result};

/// How long a write or a page of the plan may take: the longest take some seconds on a busy disk, but somebody may have
/// locked a table to rebuild it. The server ends the session of a client that it does not hear after 25 s, so that of a dead
/// route nothing is to be hoped for by then. What has to walk through a whole plan or all entries is not bounded.
pub(super) const PATIENCE: Duration = Duration::from_secs(300);

/// The time is counted in these: a process that was stopped, or whose machine slept, has waited for one of them.
const TURN: Duration = Duration::from_secs(1);

/// What is left of a run's patience with its session: all or nothing.
#[derive(Debug, Default)]
pub(super) struct Patience {
    lost: AtomicBool,
}

impl Patience {
    /// Waits for the database, at most for so long. Afterwards nothing is waited for any more: what was begun on the
    /// session was left in the middle.
    ///
    /// # Errors
    /// No answer came; or what the work failed with.
    pub(super) async fn wait<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        self.left()?;
        let mut work = pin!(work);
        for _ in 0..PATIENCE.as_secs() / TURN.as_secs() {
            if let Ok(done) = timeout(TURN, &mut work).await {
                return done;
            }
        }
        self.lost.store(true, Ordering::Relaxed);
        Err(silent())
    }

    /// Fails where nothing is waited for any more.
    pub(super) fn left(&self) -> Result<()> {
        if self.lost.load(Ordering::Relaxed) { Err(silent()) } else { Ok(()) }
    }
}

pub(super) fn silent() -> LedgerError {
    let problem = format!(
        "no answer came for {} seconds: it cannot be reached, or somebody has locked its tables",
        PATIENCE.as_secs()
    );
    LedgerError::Database { doing: "reach its database", source: problem.into() }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, poll_fn};
    use std::task::Poll;

    use tokio::time::{Instant, advance, sleep};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_silent_database_is_waited_for_once() {
        let (patience, began) = (Patience::default(), Instant::now());
        let slow = patience.wait(async {
            sleep(PATIENCE - TURN).await;
            Ok(5)
        });
        assert_eq!(slow.await.expect("is waited for"), 5);
        assert_eq!(began.elapsed(), PATIENCE - TURN);

        let began = Instant::now();
        let error = patience.wait(pending::<Result<()>>()).await.expect_err("is given up");
        assert_eq!(began.elapsed(), PATIENCE);
        assert!(
            crate::causes::with_causes(&error).contains("reach its database: no answer came for 300 seconds")
        );
        assert!(
            patience.wait(async { Ok(()) }).await.is_err(),
            "what is left in the middle is not gone on with"
        );
        assert_eq!(began.elapsed(), PATIENCE, "and not waited for");
    }

    #[tokio::test(start_paused = true)]
    async fn a_process_that_was_stopped_has_not_waited() {
        let patience = Patience::default();
        let mut turns = 0;
        // The timer wakes it, ten minutes later; the answer, long there, is seen in the turn after.
        let work = poll_fn(|_| {
            turns += 1;
            if turns < 3 { Poll::Pending } else { Poll::Ready(Ok(())) }
        });
        let (waited, ()) = tokio::join!(patience.wait(work), advance(Duration::from_secs(6_000)));
        waited.expect("it goes on");
    }
}
