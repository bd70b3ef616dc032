//! What this process did since it started.

use std::time::Duration;

use prometheus::{CounterVec, HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry};

use super::described::{CHANGES, DURATION, Described, REQUESTS, RUNS, WAITS};
use crate::destination::RESPONSE_CLASSES;
use crate::record::{RunStatus, WaitReason};

/// The upper bounds of the histogram, in seconds. A store that is well responds in 0.1 to 1 s, and 60 s is the default
/// time-out.
const BUCKETS: [f64; 14] = [0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0];

/// How a run can end.
const STATUSES: [RunStatus; 6] = [
    RunStatus::Succeeded,
    RunStatus::Partial,
    RunStatus::Failed,
    RunStatus::Stopped,
    RunStatus::Interrupted,
    RunStatus::Blocked,
];

/// The outcomes of changes.
const OUTCOMES: [&str; 4] = ["confirmed", "rejected", "unknown", "deferred"];

#[derive(Debug)]
pub(super) struct Counters {
    runs: IntCounterVec,
    changes: IntCounterVec,
    requests: IntCounterVec,
    duration: HistogramVec,
    waits: CounterVec,
}

impl Counters {
    /// Registers all counters.
    pub(super) fn new(registry: &Registry) -> Self {
        const VALID: &str = "names and labels are valid, and each is registered once";
        let opts = |described: Described| Opts::new(described.name, described.help);
        let histogram = HistogramOpts::new(DURATION.name, DURATION.help).buckets(BUCKETS.to_vec());
        let counters = Self {
            runs: IntCounterVec::new(opts(RUNS), RUNS.labels).expect(VALID),
            changes: IntCounterVec::new(opts(CHANGES), CHANGES.labels).expect(VALID),
            requests: IntCounterVec::new(opts(REQUESTS), REQUESTS.labels).expect(VALID),
            duration: HistogramVec::new(histogram, DURATION.labels).expect(VALID),
            waits: CounterVec::new(opts(WAITS), WAITS.labels).expect(VALID),
        };
        registry.register(Box::new(counters.runs.clone())).expect(VALID);
        registry.register(Box::new(counters.changes.clone())).expect(VALID);
        registry.register(Box::new(counters.requests.clone())).expect(VALID);
        registry.register(Box::new(counters.duration.clone())).expect(VALID);
        registry.register(Box::new(counters.waits.clone())).expect(VALID);
        counters
    }

    /// Makes every series of a sync.
    pub(super) fn add(&self, sync: &str) {
        for status in STATUSES {
            self.runs.with_label_values(&[sync, status.as_str()]);
        }
        for outcome in OUTCOMES {
            self.changes.with_label_values(&[sync, outcome]);
        }
        for class in RESPONSE_CLASSES {
            self.requests.with_label_values(&[sync, class]);
        }
        self.duration.with_label_values(&[sync]);
        for reason in WaitReason::ALL {
            self.waits.with_label_values(&[sync, reason.as_str()]);
        }
    }

    /// Removes every series of a sync. One that is not there needs no removal.
    pub(super) fn remove(&self, sync: &str) {
        for status in STATUSES {
            let _ = self.runs.remove_label_values(&[sync, status.as_str()]);
        }
        for outcome in OUTCOMES {
            let _ = self.changes.remove_label_values(&[sync, outcome]);
        }
        for class in RESPONSE_CLASSES {
            let _ = self.requests.remove_label_values(&[sync, class]);
        }
        let _ = self.duration.remove_label_values(&[sync]);
        for reason in WaitReason::ALL {
            let _ = self.waits.remove_label_values(&[sync, reason.as_str()]);
        }
    }

    pub(super) fn run_ended(&self, sync: &str, status: &str) {
        self.runs.with_label_values(&[sync, status]).inc();
    }

    /// Counts changes with a new outcome. A negative number is no count.
    pub(super) fn changes(&self, sync: &str, outcome: &str, count: i64) {
        if let Ok(count) = u64::try_from(count) {
            self.changes.with_label_values(&[sync, outcome]).inc_by(count);
        }
    }

    /// Counts a request that ended with a response of this class, or without one. What was not sent took no time.
    pub(super) fn request_ended(&self, sync: &str, class: &str, took: Duration) {
        self.requests.with_label_values(&[sync, class]).inc();
        if class != "not_sent" {
            self.duration.with_label_values(&[sync]).observe(took.as_secs_f64());
        }
    }

    pub(super) fn waited(&self, sync: &str, reason: WaitReason, milliseconds: i64) {
        if let Ok(milliseconds) = u64::try_from(milliseconds) {
            let time = Duration::from_millis(milliseconds);
            self.waits.with_label_values(&[sync, reason.as_str()]).inc_by(time.as_secs_f64());
        }
    }
}
