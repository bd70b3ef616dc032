//! A database that cannot be used now is tried again, with growing pauses, because a night must not be lost for a restart
//! of it, a lock or a recovery conflict.

use std::error::Error;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::duration_text::{duration, whole_seconds};
use crate::error_chain::with_causes;
use crate::record::WaitReason;
use crate::retry;
use crate::waits::Waits;

const PAUSE_FIRST: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// A first try that fails within this time has waited for the database: for its connection, or for a lock. One that
/// takes longer has read something.
const WAITED_MAX: Duration = Duration::from_secs(35);

/// How often and since when a database has failed.
#[derive(Debug)]
pub(crate) struct Tries {
    /// [`WaitReason::Source`] or [`WaitReason::Ledger`].
    reason: WaitReason,
    give_up_after: Duration,
    began: Instant,
    /// Since when the database is waited for.
    waited_since: Option<Instant>,
    failures: u32,
}

impl Tries {
    /// Begins the first try.
    pub(crate) fn new(reason: WaitReason, give_up_after: Duration) -> Self {
        Self { reason, give_up_after, began: Instant::now(), waited_since: None, failures: 0 }
    }

    /// Returns how much longer the database may be waited for.
    pub(crate) fn left(&self) -> Duration {
        let waited = self.waited_since.map_or(Duration::ZERO, |since| since.elapsed());
        self.give_up_after.saturating_sub(waited)
    }

    /// Waits before the next try, and returns `false` instead if the time is over. The read of a large table may take
    /// longer than that, so it is tried twice in any case, unless the time is zero.
    pub(crate) async fn wait(&mut self, error: &(dyn Error + Send + Sync), waits: &Waits) -> bool {
        let error = with_causes(error);
        let has_waited = self.began.elapsed() <= WAITED_MAX;
        self.waited_since.get_or_insert_with(|| if has_waited { self.began } else { Instant::now() });
        self.failures += 1;
        let left = self.left();
        if left.is_zero() {
            return false;
        }
        let pause = retry::backoff(self.failures, PAUSE_FIRST, PAUSE_MAX, fastrand::f64()).min(left);
        if self.failures == 1 {
            let most = duration(self.give_up_after);
            tracing::warn!(
                "the {} cannot be used now; trying again for at most {most}: {error}",
                self.reason
            );
        }
        let _waiting = waits.begin(self.reason, Some(left), format!("{error}; try {}", self.failures + 1));
        sleep(pause).await;
        true
    }

    /// How often and how long it was tried, for the message of the failure: ` (tried 5 times in 10 min)`, ` (tried once for
    /// 5 s)`; nothing for a single try that failed at once.
    pub(crate) fn count(&self) -> String {
        let elapsed = self.began.elapsed();
        let time = whole_seconds(elapsed);
        match self.failures {
            0 => String::new(),
            1 if elapsed < Duration::from_secs(1) => String::new(),
            1 => format!(" (tried once for {time})"),
            failures => format!(" (tried {failures} times in {time})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn down() -> std::io::Error {
        std::io::Error::other("connection refused")
    }

    #[tokio::test(start_paused = true)]
    async fn a_database_is_tried_again_until_the_patience_is_over() {
        let mut tries = Tries::new(WaitReason::Source, Duration::from_secs(600));
        let (start, waits) = (Instant::now(), Waits::default());
        while tries.wait(&down(), &waits).await {}
        assert_eq!(start.elapsed(), Duration::from_secs(600));
        assert!((20..60).contains(&tries.failures), "{} tries", tries.failures);
        let count = tries.count();
        assert!(count.starts_with(" (tried ") && count.ends_with(" times in 10 min)"), "{count}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_read_that_takes_longer_than_the_patience_is_tried_twice() {
        let mut tries = Tries::new(WaitReason::Source, Duration::from_secs(10));
        let waits = Waits::default();
        assert!(tries.wait(&down(), &waits).await, "once more");
        sleep(Duration::from_secs(3_600)).await;
        assert!(!tries.wait(&down(), &waits).await, "not for ever");
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_of_a_first_try_that_waited_counts() {
        let (waits, mut tries) = (Waits::default(), Tries::new(WaitReason::Source, Duration::from_secs(60)));
        sleep(Duration::from_secs(30)).await;
        assert!(tries.wait(&down(), &waits).await);
        let left = tries.left();
        assert!((29..30).contains(&left.as_secs()), "{left:?}");
        sleep(left).await;
        assert!(!tries.wait(&down(), &waits).await);
        assert_eq!(tries.count(), " (tried 2 times in 1 min)");
        let mut tries = Tries::new(WaitReason::Source, Duration::from_secs(5));
        sleep(Duration::from_secs(5)).await;
        assert!(!tries.wait(&down(), &waits).await);
        assert_eq!(tries.count(), " (tried once for 5 s)");
    }

    #[tokio::test(start_paused = true)]
    async fn no_patience_is_no_second_try() {
        let mut tries = Tries::new(WaitReason::Ledger, Duration::ZERO);
        assert!(!tries.wait(&down(), &Waits::default()).await);
        assert_eq!(tries.count(), "");
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_is_noted_with_its_reason_and_its_end() {
        let (waits, mut tries) = (Waits::default(), Tries::new(WaitReason::Ledger, Duration::from_secs(60)));
        let failure = down();
        let mut waiting = std::pin::pin!(tries.wait(&failure, &waits));
        assert!(futures_util::poll!(waiting.as_mut()).is_pending());
        let noted = waits.current().expect("a wait");
        assert_eq!((noted.reason, noted.at_most), (WaitReason::Ledger, Some(Duration::from_secs(60))));
        assert_eq!(noted.detail, "connection refused; try 2");
    }
}
