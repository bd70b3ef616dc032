//! Every metric with its meaning. The documents, the dashboard and the alert rules are compared with this list.

/// A metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Described {
    /// Its name. A histogram has three series with this beginning.
    pub name: &'static str,
    /// `counter`, `gauge` or `histogram`.
    pub kind: &'static str,
    /// Its labels.
    pub labels: &'static [&'static str],
    /// What it tells, in one sentence without a full stop.
    pub help: &'static str,
}

const fn counter(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Described {
    Described { name, kind: "counter", labels, help }
}

const fn gauge(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Described {
    Described { name, kind: "gauge", labels, help }
}

pub(super) const RUNS: Described =
    counter("attrsync_runs_total", &["sync", "status"], "Runs that ended in this process, by their status");
pub(super) const CHANGES: Described = counter(
    "attrsync_changes_total",
    &["sync", "outcome"],
    "Changes of the runs of this process, by their outcome",
);
pub(super) const REQUESTS: Described = counter(
    "attrsync_requests_total",
    &["sync", "class"],
    "Write requests of this process, by the class of the HTTP status, or lost or not_sent",
);
pub(super) const DURATION: Described = Described {
    name: "attrsync_request_duration_seconds",
    kind: "histogram",
    labels: &["sync"],
    help: "Time from sending a write request to the end of its response, or to its loss",
};
pub(super) const WAITS: Described = counter(
    "attrsync_wait_seconds_total",
    &["sync", "reason"],
    "Time that the runs of this process waited, by reason",
);
pub(super) const BUILD: Described =
    gauge("attrsync_build_info", &["version"], "1, with the version of attrsync");
pub(super) const READABLE: Described =
    gauge("attrsync_ledger_readable", &["sync"], "1 if the ledger can be read, else 0");
pub(super) const USABLE: Described = gauge(
    "attrsync_config_usable",
    &["sync"],
    "1 if the configuration file can be used as it is now, else 0",
);
pub(super) const ACTIVE: Described =
    gauge("attrsync_run_active", &["sync"], "1 while a sync is going on, else 0");
pub(super) const LAST_STATUS: Described =
    gauge("attrsync_last_run_status", &["sync", "status"], "1 for the status of the newest sync");
pub(super) const LAST_START: Described =
    gauge("attrsync_last_run_timestamp_seconds", &["sync"], "When the newest sync started");
pub(super) const LAST_DURATION: Described = gauge(
    "attrsync_last_run_duration_seconds",
    &["sync"],
    "How long the newest sync took, once it has ended",
);
pub(super) const LAST_SUCCESS: Described = gauge(
    "attrsync_last_success_timestamp_seconds",
    &["sync"],
    "When the newest whole sync ended that sent all that could be sent",
);
pub(super) const NEXT: Described =
    gauge("attrsync_next_run_timestamp_seconds", &["sync"], "The next scheduled time");
pub(super) const UNCONFIRMED: Described = gauge(
    "attrsync_oldest_unconfirmed_change_timestamp_seconds",
    &["sync"],
    "When the oldest change was planned that is not confirmed, if there is one",
);
pub(super) const ROWS: Described =
    gauge("attrsync_source_rows", &["sync"], "Rows of the source in the newest whole plan");
pub(super) const QUOTA: Described = gauge(
    "attrsync_store_quota_left_requests",
    &["sync"],
    "Requests that the store's rate quota allows now without the reserve, while a sync of this process is going on",
);
pub(super) const ATTENTION: Described = gauge(
    "attrsync_needs_attention",
    &["sync", "kind"],
    "How many values, rows or times need attention, or 1 if the store itself does, by kind",
);

/// All metrics, in the order of the documents.
pub const DESCRIBED: [Described; 18] = [
    ATTENTION,
    LAST_SUCCESS,
    NEXT,
    UNCONFIRMED,
    LAST_STATUS,
    LAST_START,
    LAST_DURATION,
    ACTIVE,
    ROWS,
    READABLE,
    USABLE,
    RUNS,
    CHANGES,
    REQUESTS,
    DURATION,
    WAITS,
    QUOTA,
    BUILD,
];
