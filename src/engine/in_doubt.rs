//! How late a request may arrive: within twice its run's time-out of being sent, or never. Runs of before may have waited
//! longer than this one does.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::config::{PushConfig, REQUEST_TIMEOUT_MAX};
use crate::ledger::{LedgerReader, Result, TimeOut};

/// How long after it was sent a request of an earlier run may still arrive; no time where all of this store that could were
/// answered. A ledger that is distrusted may have forgotten some.
pub(super) async fn lateness(
    ledger: Option<&dyn LedgerReader>,
    push: &PushConfig,
    distrust: bool,
    now: DateTime<Utc>,
) -> Result<Duration> {
    let Some(ledger) = ledger else { return Ok(Duration::ZERO) };
    let longest = longest(push.request_timeout, &ledger.timeouts().await?, now);
    Ok(if distrust || ledger.has_unclear(now - longest).await? { longest } else { Duration::ZERO })
}

/// Of the time-outs of now and before, twice the longest of which a request may still be on its way.
fn longest(own: Duration, earlier: &[TimeOut], now: DateTime<Utc>) -> Duration {
    let matters = |timeout: &&TimeOut| {
        let ended = timeout.ended_at.and_then(|ended| (now - ended).to_std().ok());
        ended.is_none_or(|ago| ago < timeout.request_timeout * 2)
    };
    let earlier = earlier.iter().filter(matters).map(|timeout| timeout.request_timeout);
    earlier.fold(own, Duration::max).min(REQUEST_TIMEOUT_MAX) * 2
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn the_longest_counts_as_long_as_its_requests_may_arrive() {
        let now = DateTime::UNIX_EPOCH + TimeDelta::days(20_000);
        let seconds = Duration::from_secs;
        let timeout = |own, ago: Option<i64>| TimeOut {
            request_timeout: seconds(own),
            ended_at: ago.map(|ago| now - TimeDelta::seconds(ago)),
        };
        for (earlier, expected) in [
            (vec![], 20),
            (vec![timeout(60, None)], 120),
            (vec![timeout(60, Some(119))], 120),
            (vec![timeout(60, Some(120))], 20),
            (vec![timeout(5, Some(0)), timeout(30, Some(50)), timeout(60, Some(500))], 60),
            // The clock was set back; a ledger was written by hand.
            (vec![timeout(60, Some(-500))], 120),
            (vec![timeout(1_000_000, None)], 1_200),
        ] {
            assert_eq!(longest(seconds(10), &earlier, now), seconds(expected), "{earlier:?}");
        }
    }
}
