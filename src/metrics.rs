//! What a process counts, and how its stores stand, in the text format of Prometheus.
//!
//! Counters tell what this process did. They begin at 0 when it starts, as Prometheus expects. Gauges tell what the ledger
//! says, so that every process over one ledger shows the same.

mod counters;
mod described;
mod gauges;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use prometheus::{Registry, TextEncoder};

use self::counters::Counters;
pub use self::described::{DESCRIBED, Described};
use self::gauges::Gauges;
use crate::attention::Standing;
use crate::engine::Progress;
use crate::push::Notice;
use crate::record::{Counts, WaitReason};
use crate::waits::Waits;

/// A sync whose metrics are shown.
#[derive(Debug, Clone, Copy)]
pub struct Observed<'a> {
    /// Its name.
    pub sync: &'a str,
    /// How its store stands; `None` if its ledger cannot be read.
    pub standing: Option<&'a Standing>,
}

/// The metrics of a process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    counters: Counters,
    /// The newest run of each sync, as far as this process made it.
    runs: Mutex<BTreeMap<String, Run>>,
    /// The syncs whose configuration cannot be used as it is now.
    unusable: Mutex<BTreeSet<String>>,
}

/// A run that is active, or the last one.
#[derive(Debug, Default)]
struct Run {
    counts: Counts,
    waits: Waits,
    /// How long it has waited for each reason, in milliseconds, as far as that is counted.
    waited: HashMap<WaitReason, i64>,
    /// Requests that the store's rate quota allows now. Known only while the run is active.
    quota_left: Option<u64>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Makes metrics that have counted nothing.
    #[must_use]
    pub fn new() -> Self {
        let registry = Registry::new();
        let counters = Counters::new(&registry);
        Self { registry, counters, runs: Mutex::default(), unusable: Mutex::default() }
    }

    /// Shows the counters of a sync, at 0, before its first run: an increase from nothing to 1 is not seen.
    pub fn add(&self, sync: &str) {
        self.runs().entry(sync.to_owned()).or_default();
        self.counters.add(sync);
    }

    /// Shows nothing more of a sync, because it is no longer configured. Its run that goes on counts no more.
    pub fn remove(&self, sync: &str) {
        self.runs().remove(sync);
        self.counters.remove(sync);
    }

    /// Shows that the configurations of these syncs, and of no others, cannot be used as they are now.
    pub fn set_unusable(&self, syncs: impl IntoIterator<Item = String>) {
        *self.unusable.lock().unwrap_or_else(PoisonError::into_inner) = syncs.into_iter().collect();
    }

    /// Counts what the next run of a sync waits for, while it waits.
    pub fn watch(&self, sync: &str, waits: &Waits) {
        let mut runs = self.runs();
        let Some(run) = runs.get_mut(sync) else { return };
        run.count_waits(sync, &self.counters);
        *run = Run { waits: waits.clone(), ..Run::default() };
    }

    /// Counts what happens in a run.
    pub fn observe(&self, sync: &str, progress: &Progress) {
        let mut runs = self.runs();
        let Some(run) = runs.get_mut(sync) else { return };
        match progress {
            Progress::Opened(_) | Progress::Planning(_) | Progress::Reading(_) | Progress::LookingUp(_) => {}
            Progress::FoundInterrupted(_) => self.counters.run_ended(sync, "interrupted"),
            Progress::Planned(counts) => run.counts = *counts,
            Progress::Pushing(Notice::Counted(counts)) => {
                self.counters.changes(sync, "confirmed", counts.confirmed - run.counts.confirmed);
                self.counters.changes(sync, "rejected", counts.rejected - run.counts.rejected);
                run.counts = *counts;
            }
            Progress::Pushing(Notice::RequestEnded(request)) => {
                self.counters.request_ended(sync, request.class, request.took);
            }
            Progress::Pushing(_) => {}
            Progress::Allowed(allowance) => run.quota_left = Some(allowance.now),
            Progress::Ended(status) => {
                self.counters.run_ended(sync, status.as_str());
                self.counters.changes(sync, "unknown", run.counts.unknown);
                self.counters.changes(sync, "deferred", run.counts.deferred);
                run.count_waits(sync, &self.counters);
                (run.counts, run.quota_left) = (Counts::default(), None);
            }
        }
    }

    /// Returns all metrics as text.
    #[must_use]
    pub fn render(&self, syncs: &[Observed<'_>]) -> String {
        let gauges = Gauges::new();
        for Observed { sync, standing } in syncs {
            gauges.set(sync, *standing);
        }
        for sync in self.unusable.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            gauges.set_unusable(sync);
        }
        for (sync, run) in self.runs().iter_mut() {
            run.count_waits(sync, &self.counters);
            if let Some(left) = run.quota_left {
                gauges.quota_left(sync, left);
            }
        }
        let mut families = self.registry.gather();
        families.extend(gauges.gather());
        families.sort_by(|one, other| one.name().cmp(other.name()));
        // Only a metric without a value cannot be written, and none is gathered.
        TextEncoder::new().encode_to_string(&families).unwrap_or_default()
    }

    /// Locks the runs. They are consistent after every step, so a panic elsewhere does no harm to them.
    fn runs(&self) -> MutexGuard<'_, BTreeMap<String, Run>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Run {
    /// Counts what it waited since the last time.
    fn count_waits(&mut self, sync: &str, counters: &Counters) {
        for total in self.waits.totals() {
            let counted = self.waited.entry(total.reason).or_default();
            counters.waited(sync, total.reason, total.milliseconds - *counted);
            *counted = total.milliseconds;
        }
    }
}
