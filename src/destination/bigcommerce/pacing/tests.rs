use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::FutureExt;
use tokio::time::sleep;

use super::super::quota::Rate;
use super::*;

const S: Duration = Duration::from_secs(1);

/// A store that counts requests in windows.
struct Store {
    opened: Mutex<(Instant, u64)>,
    quota: u64,
    /// Whether a window opens with the first request after the last window, not by the clock.
    lazy: bool,
    exceeded: AtomicU64,
    served: AtomicU64,
}

const WINDOW: Duration = Duration::from_secs(30);

impl Store {
    fn new(quota: u64, lazy: bool) -> Self {
        let (exceeded, served) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { opened: Mutex::new((Instant::now(), 0)), quota, lazy, exceeded, served }
    }

    /// Counts a request and returns what the headers would report.
    fn count(&self) -> Rate {
        let mut window = self.opened.lock().unwrap();
        let now = Instant::now();
        while now >= window.0 + WINDOW {
            *window = (if self.lazy { now } else { window.0 + WINDOW }, 0);
        }
        window.1 += 1;
        self.served.fetch_add(1, Ordering::Relaxed);
        if window.1 > self.quota {
            self.exceeded.fetch_add(1, Ordering::Relaxed);
        }
        let left = self.quota.saturating_sub(window.1);
        Rate { window: WINDOW, reset: window.0 + WINDOW - now, quota: self.quota, left }
    }
}

/// One request, which takes random times to the store and back.
async fn request(pacer: &Pacer, store: &Store, random: &Mutex<fastrand::Rng>, slowest_ms: u64) {
    let some_time = || Duration::from_millis(random.lock().unwrap().u64(0..=slowest_ms));
    let (to_store, from_store) = (some_time(), some_time());
    pacer.acquire_permit().await;
    let in_flight = pacer.start_request();
    sleep(to_store).await;
    let rate = store.count();
    sleep(from_store).await;
    in_flight.end(Ending::Responded { rate: Some(rate), good: true });
}

/// Three workers send requests for ten minutes. Returns how many were served.
async fn ten_minutes(quota: u64, reserve: f64, lazy: bool, slowest_ms: u64, seed: u64) -> u64 {
    let pacer = Arc::new(Pacer::new(reserve, S * 120));
    let store = Arc::new(Store::new(quota, lazy));
    let random = Arc::new(Mutex::new(fastrand::Rng::with_seed(seed)));
    let end = Instant::now() + WINDOW * 20;
    let workers: Vec<_> = (0..3)
        .map(|_| {
            let (pacer, store, random) = (pacer.clone(), store.clone(), random.clone());
            tokio::spawn(async move {
                while Instant::now() < end {
                    request(&pacer, &store, &random, slowest_ms).await;
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await.unwrap();
    }
    assert_eq!(store.exceeded.load(Ordering::Relaxed), 0, "quota {quota}, seed {seed}, lazy {lazy}");
    store.served.load(Ordering::Relaxed)
}

#[tokio::test(start_paused = true)]
async fn a_reported_quota_is_never_exceeded() {
    for seed in 0..20 {
        for lazy in [false, true] {
            for quota in [1, 2, 7, 150] {
                let served = ten_minutes(quota, 0.0, lazy, 300, seed).await;
                let most = quota * 20;
                assert!(
                    served * 100 >= most * 90,
                    "only {served} of {most} requests were made (seed {seed})"
                );
            }
            ten_minutes(20, 0.2, lazy, 12_000, seed).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_reserve_is_left_to_other_apps() {
    let served = ten_minutes(150, 0.2, false, 50, 1).await;
    // The workers may see the end of the time in the 21st window.
    assert!((120 * 19..=120 * 20 + 3).contains(&served), "{served}");
}

#[tokio::test(start_paused = true)]
async fn permits_are_granted_in_order() {
    let pacer = Arc::new(Pacer::new(0.0, S * 120));
    pacer.acquire_permit().await;
    let in_flight = pacer.start_request();
    let order = Arc::new(Mutex::new(Vec::new()));
    let waiting: Vec<_> = (0..5)
        .map(|number| {
            let (pacer, order) = (pacer.clone(), order.clone());
            tokio::spawn(async move {
                pacer.acquire_permit().await;
                order.lock().unwrap().push(number);
                pacer.start_request().end(Ending::Lost);
            })
        })
        .collect();
    tokio::task::yield_now().await;
    in_flight.end(Ending::Lost);
    for task in waiting {
        task.await.unwrap();
    }
    assert_eq!(*order.lock().unwrap(), [0, 1, 2, 3, 4]);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_waiter_leaves_nothing_behind() {
    let pacer = Pacer::new(0.0, S * 120);
    pacer.acquire_permit().await;
    let in_flight = pacer.start_request();
    for _ in 0..10 {
        assert!(pacer.acquire_permit().now_or_never().is_none());
    }
    in_flight.end(Ending::Lost);
    assert!(pacer.acquire_permit().now_or_never().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_dropped_request_is_no_longer_in_flight() {
    let pacer = Pacer::new(0.0, S * 120);
    pacer.acquire_permit().await;
    drop(pacer.start_request());
    assert!(pacer.acquire_permit().now_or_never().is_some());
}

#[tokio::test(start_paused = true)]
async fn an_unused_first_permit_blocks_until_it_expires() {
    let pacer = Pacer::new(0.0, S * 120);
    let start = Instant::now();
    pacer.acquire_permit().await;
    pacer.acquire_permit().await;
    let waited = start.elapsed();
    assert!(waited >= S * 120 && waited < S * 121, "{waited:?}");
}
