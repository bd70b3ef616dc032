//! The store's rate quota: a number of requests in a window, shared with other apps.

use super::options::QuotaRule;

/// The four rate headers of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// The window in milliseconds.
    pub window_ms: u64,
    /// Milliseconds until the window ends.
    pub reset_ms: u64,
    /// Requests allowed in a window.
    pub quota: u32,
    /// Requests left in this window.
    pub left: u32,
}

/// The use of the present window.
#[derive(Debug, Default)]
pub(super) struct Quota {
    window_start: u64,
    used: u32,
}

impl Quota {
    /// Counts one request, and returns what is left. The flag is false if nothing was left before.
    pub(super) fn take(&mut self, rule: &QuotaRule, now: u64) -> (bool, Rate) {
        let before = self.rate(rule, now);
        if before.left == 0 {
            return (false, before);
        }
        self.used += 1;
        (true, Rate { left: before.left - 1, ..before })
    }

    /// Returns what is left at this time.
    pub(super) fn rate(&mut self, rule: &QuotaRule, now: u64) -> Rate {
        let window_ms = rule.window_ms.max(1);
        if now >= self.window_start + window_ms {
            self.window_start = now - now % window_ms;
            self.used = 0;
        }
        let elapsed = now.saturating_sub(self.window_start);
        let others = u64::from(rule.others) * elapsed / window_ms;
        let taken = u64::from(self.used) + others;
        let left = u64::from(rule.requests).saturating_sub(taken);
        Rate {
            window_ms,
            reset_ms: window_ms - elapsed.min(window_ms),
            quota: rule.requests,
            left: u32::try_from(left).unwrap_or(u32::MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_window_follows() {
        let rule = QuotaRule { requests: 2, window_ms: 1000, others: 0, retry_after: false };
        let mut quota = Quota::default();
        assert_eq!(quota.take(&rule, 0), (true, Rate { window_ms: 1000, reset_ms: 1000, quota: 2, left: 1 }));
        assert!(quota.take(&rule, 10).0);
        assert_eq!(
            quota.take(&rule, 400),
            (false, Rate { window_ms: 1000, reset_ms: 600, quota: 2, left: 0 })
        );
        assert_eq!(quota.take(&rule, 1000).1.left, 1);
    }

    #[test]
    fn other_apps_use_their_share_evenly() {
        let rule = QuotaRule { requests: 100, window_ms: 1000, others: 50, retry_after: false };
        let mut quota = Quota::default();
        assert_eq!(quota.rate(&rule, 0).left, 100);
        assert_eq!(quota.rate(&rule, 500).left, 75);
        assert_eq!(quota.rate(&rule, 1500).left, 75);
    }
}
