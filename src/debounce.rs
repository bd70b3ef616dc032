//! Gathers notifications of the source until a run makes up for them.
//!
//! A lone change is due almost at once. `debounce` is the shortest time between two runs on change: what is notified
//! meanwhile is gathered. A burst is due once it is over: when nothing was notified for `debounce`, and after ten times
//! `debounce` at the latest.
//!
//! Nothing here does I/O or reads a clock. Times are those since any fixed start, by a clock that never goes back.

use std::time::Duration;

use crate::record::{NOTIFIED_MAX, Notified};

/// How long a lone notification waits for others of the same change.
const GATHER: Duration = Duration::from_millis(50);

/// How many times `debounce` a burst is gathered.
const BURST_MAX: u32 = 10;

/// What was notified, and when a run is to make up for it.
///
/// Everything that was notified is waiting, or was returned by [`due`](Self::due) for a run.
#[derive(Debug, Clone)]
pub struct Debounce {
    debounce: Duration,
    waiting: Option<Waiting>,
    /// No run is due before this time.
    not_before: Duration,
}

/// Notifications that no run has been started for.
#[derive(Debug, Clone)]
struct Waiting {
    notified: Notified,
    /// How many customers were notified, with repetitions. A notification of everything counts as one.
    count: usize,
    first: Duration,
    last: Duration,
}

impl Debounce {
    /// Nothing is notified yet.
    #[must_use]
    pub const fn new(debounce: Duration) -> Self {
        Self { debounce, waiting: None, not_before: Duration::ZERO }
    }

    /// Takes note of a notification, also while a run is active: that run may have read the rows before.
    pub fn notify(&mut self, notified: Notified, now: Duration) {
        let count = match &notified {
            Notified::Customers(customers) if customers.is_empty() => return,
            Notified::Customers(customers) => customers.len(),
            Notified::Everything => 1,
        };
        match &mut self.waiting {
            None => self.waiting = Some(Waiting { notified, count, first: now, last: now }),
            Some(waiting) => {
                waiting.notified.add(notified);
                waiting.count = waiting.count.saturating_add(count);
                waiting.last = now;
            }
        }
    }

    /// When a run is due, unless more is notified before; `None` if nothing is waiting.
    #[must_use]
    pub fn due_at(&self) -> Option<Duration> {
        let waiting = self.waiting.as_ref()?;
        let (quiet, longest) = match waiting.count > NOTIFIED_MAX {
            false => (GATHER.min(self.debounce), self.debounce),
            true => (self.debounce, self.debounce.saturating_mul(BURST_MAX)),
        };
        let gathered = waiting.last.saturating_add(quiet).min(waiting.first.saturating_add(longest));
        Some(gathered.max(self.not_before))
    }

    /// Returns what a run is to make up for, if one is due. The run is asked for now.
    pub fn due(&mut self, now: Duration) -> Option<Notified> {
        if self.due_at()? > now {
            return None;
        }
        self.not_before = now.saturating_add(self.debounce);
        self.waiting.take().map(|waiting| waiting.notified)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn customers(ids: impl IntoIterator<Item = i64>) -> Notified {
        ids.into_iter().collect()
    }

    fn debounce(notifications: &[(u64, Notified)]) -> Debounce {
        let mut debounce = Debounce::new(SECOND);
        for (at, notified) in notifications {
            debounce.notify(notified.clone(), millis(*at));
        }
        debounce
    }

    #[test]
    fn a_lone_change_is_due_almost_at_once_and_changes_that_follow_each_other_within_a_second() {
        let lone = |at| (at, customers([7]));
        let every = |step: usize, count: u64| (0..count).map(|n| lone(n * step as u64)).collect::<Vec<_>>();
        for (notifications, due_at) in [
            (vec![], None),
            (vec![(0, Notified::NOTHING)], None),
            (vec![lone(0)], Some(50)),
            (vec![(0, Notified::Everything)], Some(50)),
            (vec![lone(0), lone(40)], Some(90)),
            (every(40, 30), Some(1_000)),
            (every(40, 1_000), Some(1_000)),
            // A burst is waited for, but not for ever.
            (every(1, 1_001), Some(2_000)),
            (every(1, 5_000), Some(5_999)),
            (every(1, 20_000), Some(10_000)),
        ] {
            let debounce = debounce(&notifications);
            assert_eq!(debounce.due_at(), due_at.map(millis), "{} notifications", notifications.len());
        }
    }

    #[test]
    fn two_runs_on_change_are_apart() {
        let mut debounce = debounce(&[(5_000, customers([1]))]);
        assert_eq!(debounce.due(millis(5_049)), None);
        assert_eq!(debounce.due(millis(5_050)), Some(customers([1])));
        assert_eq!(debounce.due_at(), None);
        debounce.notify(customers([2]), millis(5_100));
        assert_eq!(debounce.due_at(), Some(millis(6_050)));
        // The run before took longer than that: what was notified during it is due once it has ended.
        assert_eq!(debounce.due(millis(60_000)), Some(customers([2])));
    }

    #[test]
    fn a_hundred_thousand_notifications_in_a_second_are_one_run_over_everything() {
        let mut debounce = Debounce::new(SECOND);
        let mut runs = Vec::new();
        for n in 0..100_000_u64 {
            let now = Duration::from_micros(10 * n);
            debounce.notify(customers([i64::try_from(n).expect("a small number")]), now);
            runs.extend(debounce.due(now));
        }
        runs.extend(debounce.due(10 * SECOND));
        assert_eq!(runs, [Notified::Everything]);
    }

    #[test]
    fn without_debounce_a_change_is_due_at_once() {
        let mut debounce = Debounce::new(Duration::ZERO);
        debounce.notify(customers([1]), SECOND);
        assert_eq!(debounce.due(SECOND), Some(customers([1])));
    }

    /// Whether a run for what was notified reads this customer.
    fn covers(notified: &Notified, customer: i64) -> bool {
        match notified {
            Notified::Everything => true,
            Notified::Customers(customers) => customers.contains(&customer),
        }
    }

    fn notified() -> impl Strategy<Value = Notified> {
        prop_oneof![
            8 => proptest::collection::btree_set(1_i64..3_000, 0..400).prop_map(Notified::Customers),
            1 => Just(Notified::Everything),
        ]
    }

    proptest! {
        /// Whatever is notified, a run that is asked for afterwards makes up for it.
        #[test]
        fn nothing_that_was_notified_is_lost(
            notifications in proptest::collection::vec((0_u64..3_000, notified()), 0..60),
        ) {
            let mut debounce = Debounce::new(SECOND);
            let mut now = Duration::ZERO;
            // What no run was asked for yet.
            let (mut open, mut all_open) = (BTreeSet::new(), false);
            for (pause, notified) in notifications.into_iter().chain([(600_000, Notified::NOTHING)]) {
                now += millis(pause);
                if let Some(run) = debounce.due(now) {
                    prop_assert!(open.iter().all(|customer| covers(&run, *customer)));
                    prop_assert!(!all_open || run == Notified::Everything);
                    (open, all_open) = (BTreeSet::new(), false);
                }
                match &notified {
                    Notified::Everything => all_open = true,
                    Notified::Customers(customers) => open.extend(customers.iter().copied()),
                }
                debounce.notify(notified, now);
            }
            prop_assert!(open.is_empty() && !all_open, "{open:?} {all_open} in {debounce:?}");
        }
    }
}
