//! `[guard]`: how much a run may change before a person has to agree.

use std::fmt;

/// A share of some values, 0 or more.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Share(f64);

impl Share {
    /// Makes a share of a number of hundredths.
    #[must_use]
    pub const fn percent(percent: f64) -> Self {
        Self(percent / 100.0)
    }

    /// Whether `part` of `whole` is more than this share.
    #[must_use]
    #[allow(clippy::cast_precision_loss)] // Counts of rows are far below 2^52.
    pub fn is_exceeded_by(self, part: i64, whole: i64) -> bool {
        whole > 0 && part as f64 / whole as f64 > self.0
    }

    /// Returns the larger of two shares.
    #[must_use]
    pub const fn max(self, other: Self) -> Self {
        if self.0 < other.0 { other } else { self }
    }

    /// Returns the smallest round share that `part` of `whole` does not exceed: a multiple of five percent.
    #[must_use]
    #[allow(clippy::cast_precision_loss)]
    pub fn round_above(part: i64, whole: i64) -> Self {
        let percent = part as f64 * 100.0 / whole.max(1) as f64;
        Self::percent((percent / 5.0).ceil() * 5.0)
    }
}

/// `30%`.
impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The product is rounded, because 0.07 × 100 is a little more than 7.
        write!(f, "{}%", (self.0 * 1e8).round() / 1e6)
    }
}

/// `[guard]`
#[derive(Debug, Clone, PartialEq)]
pub struct GuardConfig {
    /// Whether there are limits and a canary at all.
    pub enabled: bool,
    /// A limit applies only if more values than this are concerned.
    pub min_values: i64,
    /// The share of the values that may get another value.
    pub max_updates: Share,
    /// The share of the values that may be deleted.
    pub max_deletes: Share,
    /// The share of the values that may become empty.
    pub max_emptied: Share,
    /// The share of the values that may be cut, or get other characters around the same letters and digits.
    pub max_mangled: Share,
    /// The share of the rows that may be invalid.
    pub max_invalid: Share,
    /// The share of the rows or values that may be fewer than after the last finished sync.
    pub max_shrink: Share,
    /// The share of the values that may be added.
    pub max_growth: Share,
    /// How many customers are sent and read back before the rest; 0 for none.
    pub canary: usize,
}

impl Default for GuardConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            min_values: 100,
            max_updates: Share::percent(30.0),
            max_deletes: Share::percent(5.0),
            max_emptied: Share::percent(5.0),
            max_mangled: Share::percent(5.0),
            max_invalid: Share::percent(10.0),
            max_shrink: Share::percent(20.0),
            max_growth: Share::percent(100.0),
            canary: 100,
        }
    }
}

impl GuardConfig {
    /// Returns a configuration without any limit and without a canary.
    #[must_use]
    pub fn off() -> Self {
        Self { enabled: false, ..Self::default() }
    }

    /// Returns how many customers are sent and read back before the rest; `None` if there is no canary.
    #[must_use]
    pub fn canary_customers(&self) -> Option<usize> {
        Some(self.canary).filter(|canary| self.enabled && *canary > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_exceeded_only_by_more_than_itself() {
        let share = Share::percent(30.0);
        assert!(!share.is_exceeded_by(300, 1_000) && share.is_exceeded_by(301, 1_000));
        assert!(!share.is_exceeded_by(5, 0), "nothing is no basis");
        for percent in 0..=100 {
            assert!(!Share::percent(f64::from(percent)).is_exceeded_by(i64::from(percent), 100), "{percent}");
        }
    }

    #[test]
    fn the_proposed_share_lets_the_figures_through() {
        for (part, whole, expect) in
            [(812, 1_000, "85%"), (300, 1_000, "30%"), (61, 1_000, "10%"), (5, 2, "250%")]
        {
            let proposed = Share::round_above(part, whole);
            assert_eq!(proposed.to_string(), expect);
            assert!(!proposed.is_exceeded_by(part, whole));
        }
    }
}
