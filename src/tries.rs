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

/// How often and since when a database has failed.
#[derive(Debug)]
pub(crate) struct Tries {
    /// [`WaitReason::Source`] or [`WaitReason::Ledger`].
    reason: WaitReason,
    give_up_after: Duration,
    first_failure: Option<Instant>,
    failures: u32,
}

impl Tries {
    pub(crate) const fn new(reason: WaitReason, give_up_after: Duration) -> Self {
        Self { reason, give_up_after, first_failure: None, failures: 0 }
    }

    /// Waits before the next try, and returns `false` instead if the time is over. A try may take longer than that,
    /// so there is a second one in any case, unless the time is zero.
    pub(crate) async fn wait(&mut self, error: &dyn Error, waits: &Waits) -> bool {
        let error = with_causes(error);
        let since = *self.first_failure.get_or_insert_with(Instant::now);
        self.failures += 1;
        let left = self.give_up_after.saturating_sub(since.elapsed());
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

    /// How often it was tried, for the message of the failure: ` (tried 5 times in 10 min)`; nothing for a single try.
    pub(crate) fn count(&self) -> String {
        match self.first_failure {
            Some(since) if self.failures > 1 => {
                format!(" (tried {} times in {})", self.failures, whole_seconds(since.elapsed()))
            }
            _ => String::new(),
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
