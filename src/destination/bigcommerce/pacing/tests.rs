use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::FutureExt;
use tokio::time::sleep;

use super::super::headers::Rate;
use super::*;

const S: Duration = Duration::from_secs(1);

/// A store that counts calls in windows and answers after a while.
struct Store {
    opened: Mutex<(Instant, u64)>,
    quota: u64,
    /// Whether a window opens with the first call after the last one, not by the clock.
    lazy: bool,
    overdrawn: AtomicU64,
    served: AtomicU64,
}

const WINDOW: Duration = Duration::from_secs(30);

impl Store {
    fn new(quota: u64, lazy: bool) -> Self {
        let (overdrawn, served) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { opened: Mutex::new((Instant::now(), 0)), quota, lazy, overdrawn, served }
    }

    /// Counts a call and says what the headers would.
    fn count(&self) -> Rate {
        let mut window = self.opened.lock().unwrap();
        let now = Instant::now();
        while now >= window.0 + WINDOW {
            *window = (if self.lazy { now } else { window.0 + WINDOW }, 0);
        }
        window.1 += 1;
        self.served.fetch_add(1, Ordering::Relaxed);
        if window.1 > self.quota {
            self.overdrawn.fetch_add(1, Ordering::Relaxed);
        }
        let left = self.quota.saturating_sub(window.1);
        Rate { window: WINDOW, reset: window.0 + WINDOW - now, quota: self.quota, left }
    }
}

/// One call: some time there, some time at work, some time back.
async fn call(pacer: &Pacer, store: &Store, random: &Mutex<fastrand::Rng>, slowest_ms: u64) {
    let some_time = || Duration::from_millis(random.lock().unwrap().u64(0..=slowest_ms));
    let (there, back) = (some_time(), some_time());
    pacer.ready().await;
    let flight = pacer.begin();
    sleep(there).await;
    let rate = store.count();
    sleep(back).await;
    flight.end(Ending::Answered { rate: Some(rate), good: true });
}

/// Three workers push for ten minutes. Returns the calls served.
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
                    call(&pacer, &store, &random, slowest_ms).await;
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await.unwrap();
    }
    assert_eq!(store.overdrawn.load(Ordering::Relaxed), 0, "quota {quota}, seed {seed}, lazy {lazy}");
    store.served.load(Ordering::Relaxed)
}

#[tokio::test(start_paused = true)]
async fn a_quota_that_is_told_is_never_overdrawn() {
    for seed in 0..20 {
        for lazy in [false, true] {
            for quota in [1, 2, 7, 150] {
                let served = ten_minutes(quota, 0.0, lazy, 300, seed).await;
                let most = quota * 20;
                assert!(served * 100 >= most * 90, "only {served} of {most} calls were made (seed {seed})");
            }
            ten_minutes(20, 0.2, lazy, 12_000, seed).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_reserve_is_left_to_others() {
    let served = ten_minutes(150, 0.2, false, 50, 1).await;
    // The 21st window may have begun when the workers see that the time is over.
    assert!((120 * 19..=120 * 20 + 3).contains(&served), "{served}");
}

#[tokio::test(start_paused = true)]
async fn whoever_asked_first_goes_first() {
    let pacer = Arc::new(Pacer::new(0.0, S * 120));
    pacer.ready().await;
    let flight = pacer.begin();
    let order = Arc::new(Mutex::new(Vec::new()));
    let waiting: Vec<_> = (0..5)
        .map(|number| {
            let (pacer, order) = (pacer.clone(), order.clone());
            tokio::spawn(async move {
                pacer.ready().await;
                order.lock().unwrap().push(number);
                pacer.begin().end(Ending::Lost);
            })
        })
        .collect();
    tokio::task::yield_now().await;
    flight.end(Ending::Lost);
    for task in waiting {
        task.await.unwrap();
    }
    assert_eq!(*order.lock().unwrap(), [0, 1, 2, 3, 4]);
}

#[tokio::test(start_paused = true)]
async fn a_waiter_that_is_dropped_leaves_nothing_behind() {
    let pacer = Pacer::new(0.0, S * 120);
    pacer.ready().await;
    let flight = pacer.begin();
    for _ in 0..10 {
        assert!(pacer.ready().now_or_never().is_none());
    }
    flight.end(Ending::Lost);
    assert!(pacer.ready().now_or_never().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_half_way_is_over() {
    let pacer = Pacer::new(0.0, S * 120);
    pacer.ready().await;
    drop(pacer.begin());
    assert!(pacer.ready().now_or_never().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_first_grant_that_nobody_uses_blocks_for_its_life_only() {
    let pacer = Pacer::new(0.0, S * 120);
    let start = Instant::now();
    pacer.ready().await;
    pacer.ready().await;
    let waited = start.elapsed();
    assert!(waited >= S * 120 && waited < S * 121, "{waited:?}");
}
