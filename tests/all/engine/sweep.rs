//! The sweep after a nightly sync: each value is read back once in a time, and what was modified lately at once.

use std::time::Duration;

use attrsync::engine::FindingKind;
use attrsync::record::{Key, RunKind, Warning};

use super::live::Live;

const NIGHT: Duration = Duration::from_secs(24 * 60 * 60);

/// A store with this many synced customers. The store lists nothing as modified, so that only the sweep finds anything.
async fn swept(customers: i64) -> Live {
    let live = Live::new(customers);
    live.sync().await;
    live.model().options.rules.ignores_modified = true;
    live
}

#[tokio::test(start_paused = true)]
async fn each_value_is_read_once_in_the_time() {
    let mut live = swept(1_000).await;
    live.drift.sweep = Some(NIGHT * 10);
    for customer in 1..=10 {
        live.others_set(customer * 97, Some("theirs"));
    }
    let (mut found, mut agreeing, mut most) = (0, 0, 0);
    for _ in 0..=10 {
        let swept = live.sweep_after(NIGHT).await.expect("something is due");
        found += swept.count(FindingKind::DriftOverwrite);
        agreeing += swept.agreeing;
        most = most.max(swept.agreeing);
    }
    assert_eq!((found, agreeing), (10, 990), "each value once");
    assert!(most <= 120, "{most} in one night");
    assert_eq!(live.sync().await.counts.confirmed, 10);
    assert!((1..=1_000).all(|customer| live.value(customer).as_deref() == Some("gold")));
}

#[tokio::test(start_paused = true)]
async fn frequent_syncs_sweep_once_an_hour_and_an_empty_ledger_never() {
    let live = Live::new(50);
    assert!(live.sweep_after(NIGHT).await.is_none());
    live.sync().await;
    assert!(live.sweep_after(NIGHT).await.is_some());
    assert!(live.sweep_after(Duration::from_secs(300)).await.is_none());
    assert!(live.sweep_after(Duration::from_secs(3_600)).await.is_some());
    let mut live = Live::new(50);
    live.drift.sweep = None;
    live.sync().await;
    assert!(live.sweep_after(NIGHT).await.is_none());
}

#[tokio::test(start_paused = true)]
async fn what_was_modified_is_found_in_the_next_night() {
    let live = Live::new(2_000);
    live.sync().await;
    live.sweep_after(NIGHT).await.expect("the first look");
    live.others_set(1_700, Some("theirs"));
    let second = live.sweep_after(NIGHT).await.expect("a sweep");
    assert_eq!(second.count(FindingKind::DriftOverwrite), 1, "{second:?}");
    assert_eq!(live.ledger.runs(&live.name).pop().expect("a run").kind, RunKind::Reconcile);
    assert_eq!(live.sync().await.counts.confirmed, 1);
    assert_eq!(live.value(1_700).as_deref(), Some("gold"));
    assert_eq!(live.sweep_after(NIGHT).await.expect("a sweep").drifted(), 0, "our own write is no drift");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_does_not_honour_the_filter_is_not_paged_through() {
    let live = swept(2_000).await;
    live.sweep_after(NIGHT).await.expect("the first look");
    live.others_set(1_700, Some("theirs"));
    let second = live.sweep_after(NIGHT).await.expect("a sweep");
    assert_eq!((second.pages, second.drifted()), (0, 0), "{second:?}");
}

#[tokio::test(start_paused = true)]
async fn a_first_plan_says_that_the_store_holds_values_already() {
    let live = Live::new(100);
    for customer in 1..=3 {
        live.others_set(customer, Some("theirs"));
    }
    let report = live.sync().await;
    assert_eq!(report.warnings, [Warning::StoreHoldsValues { stored: 3, asked: 40 }]);
    assert!(report.warnings[0].to_string().contains("attrsync reconcile --adopt"));
    live.model().set_value(Key::new(4, 1), Some("theirs"));
    assert_eq!(live.sync().await.warnings, [], "the ledger knows the values now");
    assert_eq!(Live::new(100).sync().await.warnings, [], "an empty store");
}
