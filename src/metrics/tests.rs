use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{DateTime, TimeDelta};

use super::*;
use crate::attention::{Attention, PastRun};
use crate::destination::Allowance;
use crate::push::EndedRequest;
use crate::record::{RequestMethod, RunStatus};

/// The value of each series: `name{labels}`.
type Samples = BTreeMap<String, f64>;

/// Reads the text format strictly: every series belongs to a metric with a help and a type before it, and is there once.
fn parse(text: &str) -> Samples {
    let (mut samples, mut families) = (Samples::new(), BTreeSet::new());
    let (mut name, mut kind) = (String::new(), String::new());
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (family, help) = rest.split_once(' ').expect("a help");
            assert!(families.insert(family.to_owned()) && !help.is_empty(), "{family} is there twice");
            name = family.to_owned();
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (family, of_kind) = rest.split_once(' ').expect("a type");
            assert_eq!(family, name);
            assert_eq!(of_kind == "counter", family.ends_with("_total"), "{family}");
            kind = of_kind.to_owned();
        } else {
            let (series, value) = line.rsplit_once(' ').expect("a value");
            let suffix = series.strip_prefix(&name).expect("the metric of the lines before");
            let suffix = suffix.split('{').next().unwrap_or_default();
            let allowed: &[&str] = if kind == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
            assert!(allowed.contains(&suffix), "{series}");
            let value = value.parse().expect("a number");
            assert!(samples.insert(series.to_owned(), value).is_none(), "{series} is there twice");
        }
    }
    samples
}

fn at(seconds: i64) -> DateTime<chrono::Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
}

fn ended(class: &'static str, millis: u64) -> Progress {
    Progress::Pushing(Notice::RequestEnded(EndedRequest {
        request_id: 1,
        method: RequestMethod::Put,
        first_request_id: 1,
        attempt: 1,
        values: 10,
        response: String::new(),
        class,
        took: Duration::from_millis(millis),
    }))
}

#[tokio::test(start_paused = true)]
async fn what_happens_in_a_run_is_counted() {
    let (metrics, waits) = (Metrics::new(), Waits::default());
    metrics.add("main");
    metrics.watch("main", &waits);
    let observe = |progress| metrics.observe("main", &progress);
    let planned = Counts { planned: 30, deferred: 30, ..Counts::default() };
    let counted = |confirmed, rejected, unknown| {
        let deferred = 30 - confirmed - rejected - unknown;
        Progress::Pushing(Notice::Counted(Counts { confirmed, rejected, unknown, deferred, ..planned }))
    };
    observe(Progress::Opened(7));
    observe(Progress::Planned(planned));
    observe(counted(0, 0, 10));
    observe(ended("2xx", 250));
    observe(counted(9, 1, 10));
    observe(ended("5xx", 70));
    observe(ended("not_sent", 0));
    let now = Duration::from_secs(9);
    observe(Progress::Allowed(Allowance { now: 42, next_window: now, each_window: 100, window: now }));
    let pause = waits.begin(WaitReason::Backoff, None, "");
    tokio::time::advance(Duration::from_secs(4)).await;

    let active = parse(&metrics.render(&[]));
    let value = |samples: &Samples, series: &str| samples.get(series).copied();
    for (series, expected) in [
        ("attrsync_changes_total{outcome=\"confirmed\",sync=\"main\"}", 9.0),
        ("attrsync_changes_total{outcome=\"rejected\",sync=\"main\"}", 1.0),
        ("attrsync_changes_total{outcome=\"unknown\",sync=\"main\"}", 0.0),
        ("attrsync_requests_total{class=\"2xx\",sync=\"main\"}", 1.0),
        ("attrsync_requests_total{class=\"5xx\",sync=\"main\"}", 1.0),
        ("attrsync_requests_total{class=\"not_sent\",sync=\"main\"}", 1.0),
        ("attrsync_request_duration_seconds_count{sync=\"main\"}", 2.0),
        ("attrsync_request_duration_seconds_bucket{sync=\"main\",le=\"0.1\"}", 1.0),
        ("attrsync_request_duration_seconds_bucket{sync=\"main\",le=\"0.3\"}", 2.0),
        ("attrsync_wait_seconds_total{reason=\"backoff\",sync=\"main\"}", 4.0),
        ("attrsync_store_quota_left_requests{sync=\"main\"}", 42.0),
        ("attrsync_runs_total{status=\"failed\",sync=\"main\"}", 0.0),
    ] {
        assert_eq!(value(&active, series), Some(expected), "{series}");
    }

    tokio::time::advance(Duration::from_secs(2)).await;
    drop(pause);
    observe(Progress::Ended(RunStatus::Failed));
    metrics.watch("main", &Waits::default());
    let after = parse(&metrics.render(&[]));
    for (series, expected) in [
        ("attrsync_changes_total{outcome=\"unknown\",sync=\"main\"}", Some(10.0)),
        ("attrsync_changes_total{outcome=\"deferred\",sync=\"main\"}", Some(10.0)),
        ("attrsync_wait_seconds_total{reason=\"backoff\",sync=\"main\"}", Some(6.0)),
        ("attrsync_store_quota_left_requests{sync=\"main\"}", None),
        ("attrsync_runs_total{status=\"failed\",sync=\"main\"}", Some(1.0)),
    ] {
        assert_eq!(value(&after, series), expected, "{series}");
    }
    metrics.remove("main");
    assert!(!metrics.render(&[]).contains("main"));
    // Its run goes on after a reload that has removed it.
    observe(counted(10, 1, 10));
    observe(Progress::Ended(RunStatus::Succeeded));
    metrics.watch("main", &Waits::default());
    assert!(!metrics.render(&[]).contains("main"));
}

#[test]
fn a_configuration_that_cannot_be_used_is_shown_with_or_without_its_sync() {
    let metrics = Metrics::new();
    let standing = standing();
    let observed = ["main", "eu"].map(|sync| Observed { sync, standing: Some(&standing) });
    metrics.set_unusable(["eu".to_owned(), "broken".to_owned()]);
    let shown = parse(&metrics.render(&observed));
    let usable = |sync: &str| shown.get(&format!("attrsync_config_usable{{sync=\"{sync}\"}}")).copied();
    assert_eq!([usable("main"), usable("eu"), usable("broken")], [Some(1.0), Some(0.0), Some(0.0)]);
    metrics.set_unusable([]);
    assert!(!metrics.render(&observed).contains("broken"));
}

/// A store with a value for every gauge.
fn standing() -> Standing {
    let run = PastRun {
        id: 7,
        status: RunStatus::Partial,
        started_at: at(1_000),
        finished_at: Some(at(1_090)),
        filtered: false,
        counts: Counts::default(),
    };
    Standing {
        last_run: Some(run),
        last_success_at: Some(at(1_090)),
        source_rows: Some(500),
        oldest_unconfirmed_at: Some(at(900)),
        pins: 0,
        next: vec![at(5_000), at(9_000)],
        needs: vec![Attention::Rejected(3)],
    }
}

#[test]
fn every_described_metric_is_shown_and_no_other() {
    let metrics = Metrics::new();
    metrics.add("eu \"1\"\\\n");
    let window = Duration::from_secs(30);
    let allowance = Allowance { now: 1, next_window: window, each_window: 1, window };
    metrics.observe("eu \"1\"\\\n", &Progress::Allowed(allowance));
    let standing = standing();
    let text = metrics.render(&[Observed { sync: "eu \"1\"\\\n", standing: Some(&standing) }]);
    let samples = parse(&text);
    assert!(samples.keys().any(|series| series.contains(r#"sync="eu \"1\"\\\n""#)), "{text}");
    for Described { name, kind, labels, help } in DESCRIBED {
        assert!(text.contains(&format!("# HELP {name} {help}\n# TYPE {name} {kind}\n")), "{name}");
        let series = samples.keys().find(|series| series.starts_with(name)).expect("a series");
        assert!(labels.iter().all(|label| series.contains(&format!("{label}=\""))), "{series}: {labels:?}");
    }
    assert_eq!(text.matches("# HELP ").count(), DESCRIBED.len());
}

#[test]
fn how_a_store_stands_is_shown_in_base_units() {
    let standing = standing();
    let lost = Observed { sync: "lost", standing: None };
    let samples =
        parse(&Metrics::new().render(&[Observed { sync: "main", standing: Some(&standing) }, lost]));
    for (series, expected) in [
        ("attrsync_needs_attention{kind=\"rejected\",sync=\"main\"}", Some(3.0)),
        ("attrsync_needs_attention{kind=\"failing\",sync=\"main\"}", Some(0.0)),
        ("attrsync_last_success_timestamp_seconds{sync=\"main\"}", Some(1_090.0)),
        ("attrsync_next_run_timestamp_seconds{sync=\"main\"}", Some(5_000.0)),
        ("attrsync_oldest_unconfirmed_change_timestamp_seconds{sync=\"main\"}", Some(900.0)),
        ("attrsync_last_run_status{status=\"partial\",sync=\"main\"}", Some(1.0)),
        ("attrsync_last_run_duration_seconds{sync=\"main\"}", Some(90.0)),
        ("attrsync_run_active{sync=\"main\"}", Some(0.0)),
        ("attrsync_ledger_readable{sync=\"main\"}", Some(1.0)),
        ("attrsync_ledger_readable{sync=\"lost\"}", Some(0.0)),
        ("attrsync_run_active{sync=\"lost\"}", None),
    ] {
        assert_eq!(samples.get(series).copied(), expected, "{series}");
    }
}
