//! A polite stop and `max_duration` are heard while the run reads from a store that does not respond.

use std::sync::atomic::Ordering;
use std::time::Duration;

use attrsync::config::PushConfig;
use attrsync::record::RunStatus;
use attrsync::sandbox::Fault;
use attrsync::testing::memory_ledger::MemoryStore;
use tokio::sync::watch;
use tokio::time::Instant;

use super::store::{OddStore, sync};
use crate::ledger::postgres::store;

/// Syncs with a store that responds to no read, and ends the run by a stop or by its time. Returns the run's status and
/// how long it took.
async fn end_within_a_read(values: &[&str], fault: Fault, by_time: bool) -> (RunStatus, Duration) {
    let ledger = MemoryStore::new().lock(&store()).expect("the lock is free");
    let odd = OddStore::new();
    odd.silent_reads.store(true, Ordering::SeqCst);
    odd.model.lock().expect("no panic").script.push_back(fault);
    let max_duration = by_time.then_some(Duration::from_secs(30));
    let config = PushConfig { max_duration, ..PushConfig::default() };
    let (ask, stop) = watch::channel(false);
    let started = Instant::now();
    let asking = async {
        if !by_time {
            tokio::time::sleep(Duration::from_secs(30)).await;
            ask.send_replace(true);
        }
        std::future::pending::<()>().await;
    };
    let report = tokio::select! {
        report = sync(&ledger, &odd, values, &config, stop) => report.expect("ends"),
        () = asking => unreachable!("asking never ends"),
    };
    assert!(odd.reads.load(Ordering::SeqCst) > 0, "the run reads");
    (report.status, started.elapsed())
}

#[tokio::test(start_paused = true)]
async fn a_stop_and_the_end_of_the_time_are_heard_while_values_are_read_back() {
    for by_time in [false, true] {
        let (status, took) = end_within_a_read(&["gold", "silver"], Fault::Missing, by_time).await;
        assert!(matches!(status, RunStatus::Partial | RunStatus::Stopped), "{status:?}");
        assert!(took < Duration::from_secs(31), "{took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_and_the_end_of_the_time_are_heard_while_customers_are_checked() {
    for by_time in [false, true] {
        let (status, took) = end_within_a_read(&["no !reject", "gold"], Fault::None, by_time).await;
        assert_eq!(status, RunStatus::Partial, "every value has its outcome");
        assert!(took < Duration::from_secs(31), "{took:?}");
    }
}
