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

/// The first and the longest pause after a run that failed.
const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(5 * 60);

/// What was notified, and when a run is to make up for it.
///
/// Everything that was notified is waiting, or was returned by [`due`](Self::due) or [`take`](Self::take) for a run. A
/// run that failed brings it back with [`failed`](Self::failed).
#[derive(Debug, Clone)]
pub struct Debounce {
    debounce: Duration,
    waiting: Option<Waiting>,
    /// No run is due before this time.
    not_before: Duration,
    /// The runs that failed in a row.
    failures: u32,
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
        Self { debounce, waiting: None, not_before: Duration::ZERO, failures: 0 }
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

    /// Returns what a run is to make up for, if one is due. The run starts now. Not to be asked while a run of the same
    /// store is active.
    pub fn due(&mut self, now: Duration) -> Option<Notified> {
        if self.due_at()? <= now { self.take(now) } else { None }
    }

    /// Returns everything that is waiting, because a run over the whole source starts now and makes up for it.
    pub fn take(&mut self, now: Duration) -> Option<Notified> {
        let waiting = self.waiting.take()?;
        self.not_before = self.not_before.max(now.saturating_add(self.debounce));
        Some(waiting.notified)
    }

    /// Takes note that the run for what was returned has ended, and the source was read.
    pub const fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// Takes back what a run was started for, because it failed. The next run is due after a pause that grows.
    pub fn failed(&mut self, notified: Notified, now: Duration) {
        let doubled = RETRY_FIRST.saturating_mul(2_u32.saturating_pow(self.failures.min(30)));
        self.failures = self.failures.saturating_add(1);
        self.not_before = self.not_before.max(now.saturating_add(doubled.min(RETRY_MAX)));
        self.notify(notified, now);
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

    #[test]
    fn a_run_that_failed_is_repeated_after_growing_pauses() {
        let mut debounce = debounce(&[(0, customers([1]))]);
        let (mut now, mut pauses) = (millis(50), Vec::new());
        for _ in 0..12 {
            let notified = debounce.due(now).expect("it is due");
            assert_eq!(notified, customers([1]));
            debounce.failed(notified, now);
            let due_at = debounce.due_at().expect("it waits");
            pauses.push((due_at - now).as_secs());
            now = due_at;
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
        debounce.notify(customers([2]), now);
        let both = debounce.take(now).expect("both wait");
        assert_eq!(both, customers([1, 2]));
        debounce.succeeded();
        debounce.notify(customers([3]), now + 400 * SECOND);
        assert_eq!(debounce.due_at(), Some(now + 400 * SECOND + GATHER));
    }

    #[test]
    fn a_run_over_the_whole_source_makes_up_for_what_waits() {
        let mut debounce = debounce(&[(0, customers([1])), (10, customers([2]))]);
        assert_eq!(debounce.take(millis(20)), Some(customers([1, 2])));
        assert_eq!((debounce.take(millis(21)), debounce.due(10 * SECOND)), (None, None));
    }

    /// Something that happens to a store, after a pause.
    #[derive(Debug, Clone)]
    enum Step {
        Notify(Notified),
        EndRun { fails: bool },
        StartWholeRun,
    }

    fn step() -> impl Strategy<Value = (u64, Step)> {
        let notified = prop_oneof![
            8 => proptest::collection::btree_set(1_i64..3_000, 0..400).prop_map(Notified::Customers),
            1 => Just(Notified::Everything),
        ];
        let step = prop_oneof![
            5 => notified.prop_map(Step::Notify),
            3 => any::<bool>().prop_map(|fails| Step::EndRun { fails }),
            1 => Just(Step::StartWholeRun),
        ];
        (0_u64..3_000, step)
    }

    /// Which customers still have to be read: all, or these.
    fn covers(notified: &Notified, customer: i64) -> bool {
        match notified {
            Notified::Everything => true,
            Notified::Customers(customers) => customers.contains(&customer),
        }
    }

    proptest! {
        /// Whatever is notified, a run that starts afterwards and succeeds makes up for it.
        #[test]
        fn nothing_that_was_notified_is_lost(steps in proptest::collection::vec(step(), 0..60)) {
            let mut debounce = Debounce::new(SECOND);
            let mut now = Duration::ZERO;
            let mut running: Option<Notified> = None;
            // What no successful run has made up for.
            let (mut open, mut all_open) = (BTreeSet::new(), false);
            let mut in_run = (BTreeSet::new(), false);
            let end = |steps: Vec<(u64, Step)>| {
                let ends = [(0, Step::EndRun { fails: false }), (600_000, Step::EndRun { fails: false })];
                steps.into_iter().chain(ends).chain([(600_000, Step::EndRun { fails: false })])
            };
            for (pause, step) in end(steps) {
                now += millis(pause);
                if running.is_none() && let Some(notified) = debounce.due(now) {
                    in_run = (std::mem::take(&mut open), std::mem::take(&mut all_open));
                    running = Some(notified);
                }
                match step {
                    Step::Notify(notified) => {
                        match &notified {
                            Notified::Everything => all_open = true,
                            Notified::Customers(customers) => open.extend(customers.iter().copied()),
                        }
                        debounce.notify(notified, now);
                    }
                    Step::StartWholeRun if running.is_none() => {
                        if let Some(notified) = debounce.take(now) {
                            in_run = (std::mem::take(&mut open), std::mem::take(&mut all_open));
                            running = Some(notified);
                        }
                    }
                    Step::StartWholeRun => {}
                    Step::EndRun { fails } => {
                        let Some(notified) = running.take() else { continue };
                        let (customers, all) = std::mem::take(&mut in_run);
                        prop_assert!(customers.iter().all(|customer| covers(&notified, *customer)));
                        prop_assert!(!all || notified == Notified::Everything);
                        if fails {
                            debounce.failed(notified, now);
                            open.extend(customers);
                            all_open |= all;
                        } else {
                            debounce.succeeded();
                        }
                    }
                }
            }
            prop_assert!(open.is_empty() && !all_open, "{open:?} {all_open} in {debounce:?}");
        }
    }
}
