//! A store that cannot be read at the start is tried again for `give_up_after`, unless that cannot help.

use std::sync::atomic::Ordering;
use std::time::Duration;

use attrsync::config::PushConfig;
use attrsync::destination::Response;
use attrsync::engine::EngineError;
use attrsync::record::RunStatus;
use attrsync::sandbox::Fault;
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
    assert!(message.contains("times in 10 min"), "{message}");
    assert!(message.contains("503 (the store's request id: 4f1)"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn a_store_whose_certificate_is_not_trusted_is_asked_once() {
    let ledger = MemoryStore::new().lock(&store()).expect("the lock is free");
    let odd = OddStore::new();
    odd.trusted.store(0, Ordering::SeqCst);
    let (_ask, stop) = watch::channel(false);
    let started = Instant::now();
    let error = sync(&ledger, &odd, &["gold"], &PushConfig::default(), stop).await.expect_err("fails");
    let EngineError::Store(gave_up) = error else { panic!("{error}") };
    assert_eq!((gave_up.tries, started.elapsed()), (1, Duration::ZERO));
    assert!(matches!(gave_up.error.0, Response::NotSent { hint: "check the clock", .. }), "{gave_up:?}");
}

#[tokio::test(start_paused = true)]
async fn a_certificate_that_expires_while_a_run_pushes_ends_the_run_at_once() {
    // The list of attributes is read, and whether the store holds values already. Then a write, a read-back or an existence check finds the certificate expired; a
    // value that is refused alone is sent twice before.
    for (trusted, fault, value, status) in [
        (2, Fault::None, "gold", RunStatus::Failed),
        (3, Fault::Missing, "gold", RunStatus::Partial),
        (4, Fault::None, "no !reject", RunStatus::Partial),
    ] {
        let ledger = MemoryStore::new().lock(&store()).expect("the lock is free");
        let odd = OddStore::new();
        odd.trusted.store(trusted, Ordering::SeqCst);
        odd.model.lock().expect("no panic").script.push_back(fault);
        let (_ask, stop) = watch::channel(false);
        let started = Instant::now();
        let report = sync(&ledger, &odd, &[value], &PushConfig::default(), stop).await.expect("ends");
        assert_eq!(
            (report.status, report.counts.planned),
            (status, 1),
            "{:?}: {fault:?} {value}",
            report.message
        );
        assert!(started.elapsed() < Duration::from_secs(1), "{:?}: {fault:?} {value}", started.elapsed());
    }
}
