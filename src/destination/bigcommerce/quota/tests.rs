use super::*;

const S: Duration = Duration::from_secs(1);
const LIFE: Duration = Duration::from_secs(120);

fn rate(quota: u64, left: u64, reset: Duration) -> Rate {
    Rate { window: S * 30, reset, quota, left }
}

fn told(rate: Rate) -> Ending {
    Ending::Answered { rate: Some(rate), good: true }
}

const SILENT: Ending = Ending::Answered { rate: None, good: true };

/// A quota that was told at `start`, by a call that took no time.
fn known(reserve: f64, start: Instant, rate: Rate) -> Quota {
    let mut quota = Quota::new(reserve, LIFE);
    call(&mut quota, start, told(rate));
    quota
}

fn call(quota: &mut Quota, now: Instant, ending: Ending) {
    assert_eq!(quota.ask(now), Ruling::Granted);
    quota.begin();
    quota.end(now, now, ending);
}

/// How many calls are granted at once.
fn burst(quota: &mut Quota, now: Instant) -> usize {
    (0..1000).take_while(|_| quota.ask(now) == Ruling::Granted).count()
}

#[test]
fn the_first_call_goes_alone() {
    let start = Instant::now();
    let mut quota = Quota::new(0.0, LIFE);
    assert_eq!(quota.ask(start), Ruling::Granted);
    assert_eq!(quota.ask(start), Ruling::Wait(Some(start + LIFE)), "a grant is out");
    quota.begin();
    assert_eq!(quota.ask(start), Ruling::Wait(None), "a call is in flight");
    quota.end(start + S, start, Ending::Lost);
    assert_eq!(burst(&mut quota, start + S), 1, "the lost call told nothing");
}

#[test]
fn a_good_answer_without_headers_frees_the_way() {
    let start = Instant::now();
    let mut quota = Quota::new(0.2, LIFE);
    call(&mut quota, start, Ending::Answered { rate: None, good: false });
    assert_eq!(burst(&mut quota, start), 1);
    quota.begin();
    quota.end(start, start, SILENT);
    assert_eq!(burst(&mut quota, start), 1000);
}

#[test]
fn the_reserve_is_left_and_the_window_is_waited_for() {
    let start = Instant::now();
    let mut quota = known(0.2, start, rate(150, 40, S * 10));
    assert_eq!(burst(&mut quota, start), 10);
    assert_eq!(quota.ask(start), Ruling::Wait(Some(start + S * 10 + MARGIN)));
    for _ in 0..10 {
        quota.begin();
        quota.end(start + S, start, Ending::Lost);
    }
    assert_eq!(burst(&mut quota, start + S * 2), 0, "lost calls may have been counted");
    assert_eq!(burst(&mut quota, start + S * 11), 120, "a fresh window");
}

#[test]
fn calls_in_flight_are_deducted_from_a_fresh_window() {
    let start = Instant::now();
    let mut quota = known(0.0, start, rate(5, 3, S * 10));
    assert_eq!(burst(&mut quota, start), 3);
    (0..3).for_each(|_| quota.begin());
    assert_eq!(burst(&mut quota, start + S * 11), 2);
}

#[test]
fn answers_out_of_order_count_by_the_lowest() {
    let start = Instant::now();
    let mut quota = known(0.0, start, rate(100, 4, S * 10));
    assert_eq!(burst(&mut quota, start), 4);
    (0..4).for_each(|_| quota.begin());
    for left in [0, 3, 1, 2] {
        quota.end(start + S, start, told(rate(100, left, S * 9)));
    }
    assert_eq!(burst(&mut quota, start + S), 0);
}

#[test]
fn a_late_answer_of_an_older_window_changes_nothing() {
    let start = Instant::now();
    let mut quota = known(0.0, start, rate(100, 90, S * 10));
    assert_eq!(quota.ask(start), Ruling::Granted);
    quota.begin();
    call(&mut quota, start + S * 12, told(rate(100, 50, S * 28)));
    quota.end(start + S * 13, start, told(rate(100, 1, S * 10)));
    assert_eq!(burst(&mut quota, start + S * 13), 50);
}

#[test]
fn what_others_take_from_an_assumed_window_is_believed() {
    let start = Instant::now();
    let mut quota = known(0.0, start, rate(100, 0, S * 10));
    let later = start + S * 50;
    call(&mut quota, later, told(rate(100, 7, S * 20)));
    assert_eq!(burst(&mut quota, later), 7);
}

#[test]
fn tiny_and_huge_quotas_never_stand_still() {
    for (quota, reserve) in [(0, 0.0), (0, 0.95), (1, 0.95), (1, 0.0), (2, 0.95), (3, 0.2)] {
        let start = Instant::now();
        let mut state = known(reserve, start, rate(quota, 0, S * 30));
        for window in 1..20u32 {
            let now = start + S * 30 * window + MARGIN;
            call(&mut state, now, told(rate(quota, quota.saturating_sub(1), S * 30 - MARGIN)));
            assert!(burst(&mut state, now) < 3);
            state.granted.clear();
        }
    }
    let start = Instant::now();
    let mut huge = known(0.2, start, rate(16_101_495, 16_101_489, S));
    assert_eq!(burst(&mut huge, start), 1000);
    let mut most = known(0.95, start, rate(u64::MAX, u64::MAX, S));
    assert_eq!(burst(&mut most, start), 1000);
}

#[test]
fn a_grant_that_is_never_used_expires() {
    let start = Instant::now();
    let mut quota = known(0.0, start, Rate { window: S * 600, reset: S * 600, quota: 9, left: 2 });
    assert_eq!(quota.ask(start), Ruling::Granted);
    for second in 1..60 {
        // Traffic goes on over the grant that lies there.
        call(&mut quota, start + S * second, told(rate(9, 2, S * 600)));
    }
    assert_eq!(burst(&mut quota, start + S * 60), 1);
    assert_eq!(quota.ask(start + S * 60), Ruling::Wait(Some(start + LIFE)));
    assert_eq!(burst(&mut quota, start + LIFE), 1);
}

#[test]
fn a_call_that_was_not_sent_costs_nothing() {
    let start = Instant::now();
    let mut quota = known(0.0, start, rate(9, 2, S * 10));
    call(&mut quota, start, Ending::Unsent);
    assert_eq!(burst(&mut quota, start), 2);
}
