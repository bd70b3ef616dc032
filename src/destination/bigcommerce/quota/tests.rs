use super::*;

const S: Duration = Duration::from_secs(1);
const LIFE: Duration = Duration::from_secs(120);

fn rate(quota: u64, left: u64, reset: Duration) -> Rate {
    Rate { window: S * 30, reset, quota, left }
}

fn reported(rate: Rate) -> Ending {
    Ending::Responded { rate: Some(rate), good: true }
}

const NO_QUOTA: Ending = Ending::Responded { rate: None, good: true };

/// A quota that a response reported at `start`.
fn known(reserve: f64, start: Instant, rate: Rate) -> Quota {
    let mut quota = Quota::new(reserve, LIFE);
    request(&mut quota, start, reported(rate));
    quota
}

fn later(at: Instant) -> Result<(), TryAgain> {
    Err(TryAgain { at: Some(at) })
}

fn request(quota: &mut Quota, now: Instant, ending: Ending) {
    assert_eq!(quota.try_acquire(now), Ok(()));
    quota.start_request();
    quota.end_request(now, now, ending);
}

/// How many permits are granted at once.
fn burst(quota: &mut Quota, now: Instant) -> usize {
    (0..1000).take_while(|_| quota.try_acquire(now).is_ok()).count()
}

#[test]
fn the_first_request_is_sent_alone() {
    let start = Instant::now();
    let mut quota = Quota::new(0.0, LIFE);
    assert_eq!(quota.try_acquire(start), Ok(()));
    assert_eq!(quota.try_acquire(start), later(start + LIFE), "a permit is unused");
    quota.start_request();
    assert_eq!(quota.try_acquire(start), Err(TryAgain { at: None }), "a request is in flight");
    quota.end_request(start + S, start, Ending::Lost);
    assert_eq!(burst(&mut quota, start + S), 1, "the lost request reported nothing");
}

#[test]
fn a_good_response_without_headers_lifts_the_limit() {
    let start = Instant::now();
    let mut quota = Quota::new(0.2, LIFE);
    request(&mut quota, start, Ending::Responded { rate: None, good: false });
    assert_eq!(burst(&mut quota, start), 1);
    quota.start_request();
    quota.end_request(start, start, NO_QUOTA);
    assert_eq!(burst(&mut quota, start), 1000);
}

#[test]
fn the_reserve_is_left_until_the_next_window() {
    let start = Instant::now();
    let mut quota = known(0.2, start, rate(150, 40, S * 10));
    assert_eq!(burst(&mut quota, start), 10);
    assert_eq!(quota.try_acquire(start), later(start + S * 10 + MARGIN));
    for _ in 0..10 {
        quota.start_request();
        quota.end_request(start + S, start, Ending::Lost);
    }
    assert_eq!(burst(&mut quota, start + S * 2), 0, "lost requests may have been counted");
    assert_eq!(burst(&mut quota, start + S * 11), 120, "a fresh window");
}

#[test]
fn requests_in_flight_are_deducted_from_a_fresh_window() {
    let start = Instant::now();
    let mut quota = known(0.0, start, rate(5, 3, S * 10));
    assert_eq!(burst(&mut quota, start), 3);
    (0..3).for_each(|_| quota.start_request());
    assert_eq!(burst(&mut quota, start + S * 11), 2);
}

#[test]
fn of_responses_out_of_order_the_lowest_counts() {
    let start = Instant::now();
    let mut quota = known(0.0, start, rate(100, 4, S * 10));
    assert_eq!(burst(&mut quota, start), 4);
    (0..4).for_each(|_| quota.start_request());
    for left in [0, 3, 1, 2] {
        quota.end_request(start + S, start, reported(rate(100, left, S * 9)));
    }
    assert_eq!(burst(&mut quota, start + S), 0);
}

#[test]
fn a_response_of_an_older_window_changes_nothing() {
    let start = Instant::now();
    let mut quota = known(0.0, start, rate(100, 90, S * 10));
    assert_eq!(quota.try_acquire(start), Ok(()));
    quota.start_request();
    request(&mut quota, start + S * 12, reported(rate(100, 50, S * 28)));
    quota.end_request(start + S * 13, start, reported(rate(100, 1, S * 10)));
    assert_eq!(burst(&mut quota, start + S * 13), 50);
}

#[test]
fn a_report_of_an_assumed_window_overrides_it() {
    let start = Instant::now();
    let mut quota = known(0.0, start, rate(100, 0, S * 10));
    let later = start + S * 50;
    request(&mut quota, later, reported(rate(100, 7, S * 20)));
    assert_eq!(burst(&mut quota, later), 7);
}

#[test]
fn tiny_and_huge_quotas_allow_some_requests() {
    for (quota, reserve) in [(0, 0.0), (0, 0.95), (1, 0.95), (1, 0.0), (2, 0.95), (3, 0.2)] {
        let start = Instant::now();
        let mut state = known(reserve, start, rate(quota, 0, S * 30));
        for window in 1..20u32 {
            let now = start + S * 30 * window + MARGIN;
            request(&mut state, now, reported(rate(quota, quota.saturating_sub(1), S * 30 - MARGIN)));
            assert!(burst(&mut state, now) < 3);
            state.permits.clear();
        }
    }
    let start = Instant::now();
    let mut huge = known(0.2, start, rate(16_101_495, 16_101_489, S));
    assert_eq!(burst(&mut huge, start), 1000);
    let mut most = known(0.95, start, rate(u64::MAX, u64::MAX, S));
    assert_eq!(burst(&mut most, start), 1000);
}

#[test]
fn a_permit_that_is_never_used_expires() {
    let start = Instant::now();
    let mut quota = known(0.0, start, Rate { window: S * 600, reset: S * 600, quota: 9, left: 2 });
    assert_eq!(quota.try_acquire(start), Ok(()));
    for second in 1..60 {
        // Other requests do not use the permit.
        request(&mut quota, start + S * second, reported(rate(9, 2, S * 600)));
    }
    assert_eq!(burst(&mut quota, start + S * 60), 1);
    assert_eq!(quota.try_acquire(start + S * 60), later(start + LIFE));
    assert_eq!(burst(&mut quota, start + LIFE), 1);
}

#[test]
fn a_request_that_was_not_sent_costs_nothing() {
    let start = Instant::now();
    let mut quota = known(0.0, start, rate(9, 2, S * 10));
    request(&mut quota, start, Ending::NotSent);
    assert_eq!(burst(&mut quota, start), 2);
}

#[test]
fn the_allowance_is_what_permits_are_granted_for() {
    for (quota, left, reserve) in [(150, 149, 0.2), (150, 30, 0.2), (7, 7, 0.95), (9, 4, 0.0)] {
        let start = Instant::now();
        let mut state = known(reserve, start, rate(quota, left, S * 30));
        let allowance = state.allowance(start).expect("the store told");
        assert_eq!(allowance.now, burst(&mut state, start) as u64, "{quota} {left} {reserve}");
        assert_eq!(allowance.next_window, S * 30 + MARGIN);
    }
    assert_eq!(Quota::new(0.2, LIFE).allowance(Instant::now()), None);
}
