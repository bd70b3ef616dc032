//! How stores stand at the moment.

use chrono::{DateTime, Utc};
use prometheus::proto::MetricFamily;
use prometheus::{GaugeVec, Opts, Registry};

use super::described::{
    ACTIVE, ATTENTION, BUILD, Described, LAST_DURATION, LAST_START, LAST_STATUS, LAST_SUCCESS, NEXT, QUOTA,
    READABLE, ROWS, UNCONFIRMED, USABLE,
};
use crate::attention::{Attention, PastRun, Standing};

/// The gauges of one look at the ledgers.
pub(super) struct Gauges {
    registry: Registry,
    attention: GaugeVec,
    last_success: GaugeVec,
    next: GaugeVec,
    unconfirmed: GaugeVec,
    last_status: GaugeVec,
    last_start: GaugeVec,
    last_duration: GaugeVec,
    active: GaugeVec,
    rows: GaugeVec,
    readable: GaugeVec,
    usable: GaugeVec,
    quota: GaugeVec,
}

impl Gauges {
    /// Makes gauges without a value, except that of the version.
    pub(super) fn new() -> Self {
        const VALID: &str = "names and labels are valid, and each is registered once";
        let registry = Registry::new();
        let gauge = |described: Described| {
            let opts = Opts::new(described.name, described.help);
            let gauge = GaugeVec::new(opts, described.labels).expect(VALID);
            registry.register(Box::new(gauge.clone())).expect(VALID);
            gauge
        };
        gauge(BUILD).with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1.0);
        Self {
            attention: gauge(ATTENTION),
            last_success: gauge(LAST_SUCCESS),
            next: gauge(NEXT),
            unconfirmed: gauge(UNCONFIRMED),
            last_status: gauge(LAST_STATUS),
            last_start: gauge(LAST_START),
            last_duration: gauge(LAST_DURATION),
            active: gauge(ACTIVE),
            rows: gauge(ROWS),
            readable: gauge(READABLE),
            usable: gauge(USABLE),
            quota: gauge(QUOTA),
            registry,
        }
    }

    /// Sets the gauges of a sync.
    pub(super) fn set(&self, sync: &str, standing: Option<&Standing>) {
        self.readable.with_label_values(&[sync]).set(truth(standing.is_some()));
        self.usable.with_label_values(&[sync]).set(1.0);
        let Some(standing) = standing else { return };
        for kind in Attention::KINDS {
            let count = standing.needs.iter().find(|need| need.kind() == kind).map_or(0, Attention::count);
            self.attention.with_label_values(&[sync, kind]).set(number(count));
        }
        if let Some(run) = &standing.last_run {
            self.last_status.with_label_values(&[sync, run.status.as_str()]).set(1.0);
            self.last_start.with_label_values(&[sync]).set(seconds(run.started_at));
            if let Some(took) = run.duration() {
                self.last_duration.with_label_values(&[sync]).set(number(took.num_milliseconds()) / 1e3);
            }
        }
        let is_active = standing.last_run.as_ref().is_some_and(PastRun::is_active);
        self.active.with_label_values(&[sync]).set(truth(is_active));
        let optional = [
            (&self.last_success, standing.last_success_at.map(seconds)),
            (&self.next, standing.next.first().copied().map(seconds)),
            (&self.unconfirmed, standing.oldest_unconfirmed_at.map(seconds)),
            (&self.rows, standing.source_rows.map(number)),
        ];
        for (gauge, value) in optional {
            if let Some(value) = value {
                gauge.with_label_values(&[sync]).set(value);
            }
        }
    }

    /// Sets that the configuration of a sync cannot be used.
    pub(super) fn set_unusable(&self, sync: &str) {
        self.usable.with_label_values(&[sync]).set(0.0);
    }

    /// Sets what the store's rate quota allows now.
    #[allow(clippy::cast_precision_loss)] // A quota is far below 2^52.
    pub(super) fn quota_left(&self, sync: &str, left: u64) {
        self.quota.with_label_values(&[sync]).set(left as f64);
    }

    pub(super) fn gather(&self) -> Vec<MetricFamily> {
        self.registry.gather()
    }
}

const fn truth(is_true: bool) -> f64 {
    if is_true { 1.0 } else { 0.0 }
}

#[allow(clippy::cast_precision_loss)] // Counts and milliseconds are far below 2^52.
fn number(number: i64) -> f64 {
    number as f64
}

/// The time as Prometheus writes it: seconds since 1970.
fn seconds(at: DateTime<Utc>) -> f64 {
    number(at.timestamp_millis()) / 1e3
}
