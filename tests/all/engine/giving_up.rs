//! A store that cannot be read at the start is tried again for `give_up_after`.

use std::sync::atomic::Ordering;

use attrsync::config::PushConfig;
use attrsync::record::RunStatus;
use attrsync::testing::memory_ledger::MemoryStore;
use tokio::sync::watch;
use tokio::time::Instant;

use super::store::{OddStore, sync};
use crate::ledger::postgres::store;

#[tokio::test(start_paused = true)]
async fn a_store_in_maintenance_at_the_start_costs_no_night() {
    let ledger = MemoryStore::new().lock(&store()).expect("the lock is free");
    let odd = OddStore::new();
    odd.failing.store(20, Ordering::SeqCst);
    let (_ask, stop) = watch::channel(false);
    let report = sync(&ledger, &odd, &["gold"], &PushConfig::default(), stop).await.expect("ends");
    assert_eq!((report.status, report.counts.confirmed), (RunStatus::Succeeded, 1));
}

#[tokio::test(start_paused = true)]
async fn a_run_that_gives_up_names_the_last_response() {
    let ledgers = MemoryStore::new();
    let ledger = ledgers.lock(&store()).expect("the lock is free");
    let odd = OddStore::new();
    odd.failing.store(usize::MAX, Ordering::SeqCst);
    let (_ask, stop) = watch::channel(false);
    let started = Instant::now();
    let error = sync(&ledger, &odd, &["gold"], &PushConfig::default(), stop).await.expect_err("fails");
    let took = started.elapsed();
    assert!((600..660).contains(&took.as_secs()), "{took:?}");
    let message = ledgers.runs(&store()).pop().and_then(|run| run.message).expect("a message");
    assert!(message.contains(&error.to_string()), "{message}");
    assert!(message.contains("times in 10m"), "{message}");
    assert!(message.contains("503 (the store's request id: 4f1)"), "{message}");
}
