//! When a run gives up.

use std::time::Duration;

use crate::duration_text::whole_seconds;
use crate::record::Counts;

/// What to do about a store that does not respond, or not clearly.
const ADVICE_NO_RESPONSE: &str =
    "`attrsync runs last` shows the responses; when the store responds again, run `attrsync sync`";

/// What to do about a store that rejects every value.
const ADVICE_ONLY_REJECTIONS: &str = "`attrsync rejected` shows the reasons; when their cause is fixed, in the source or the store, \
     run `attrsync rejected --retry` and `attrsync sync`";

/// Stops a run after many failures in a row, if they have lasted long enough, and after nothing but rejections. Times are
/// those since the push started.
#[derive(Debug, Clone)]
pub struct CircuitBreaker {
    failures_allowed: u32,
    limited_allowed: u32,
    give_up_after: Duration,
    failures: Row,
    limited: Row,
    /// What the last response without success said.
    last: String,
}

/// Responses of a kind in a row.
#[derive(Debug, Clone, Copy, Default)]
struct Row {
    count: u32,
    first: Duration,
    last: Duration,
}

impl Row {
    const fn add(&mut self, at: Duration) {
        if self.count == 0 {
            self.first = at;
        }
        (self.count, self.last) = (self.count + 1, at);
    }

    const fn lasted(self) -> Duration {
        self.last.saturating_sub(self.first)
    }
}

impl CircuitBreaker {
    /// Rejections without one confirmation that stop a run.
    const REJECTIONS: i64 = 20;

    /// Returns a breaker that allows `max_attempts` × (`workers` + 1) failures in a row, and at least 18. So the batch
    /// of every slot can use up its attempts, and some parts of a split batch theirs. It allows a 429 for every slot.
    /// More of them stop the run only if they last longer than `give_up_after`.
    #[must_use]
    pub fn new(max_attempts: u32, workers: usize, give_up_after: Duration) -> Self {
        let slots = u32::try_from(workers).unwrap_or(u32::MAX).saturating_add(1);
        Self {
            failures_allowed: max_attempts.saturating_mul(slots).max(18),
            limited_allowed: slots,
            give_up_after,
            failures: Row::default(),
            limited: Row::default(),
            last: String::new(),
        }
    }

    /// Takes note of a definite response: the store is there.
    pub fn responded(&mut self) {
        (self.failures, self.limited) = (Row::default(), Row::default());
    }

    /// Takes note of a request without a definite response.
    pub fn failed(&mut self, response: String, at: Duration) {
        self.failures.add(at);
        self.last = response;
    }

    /// Takes note of a 429.
    pub fn limited(&mut self, response: String, at: Duration) {
        self.limited.add(at);
        self.last = response;
    }

    /// Returns the number of 429s in a row.
    #[must_use]
    pub const fn limited_in_a_row(&self) -> u32 {
        self.limited.count
    }

    /// Returns the last response without success, in words for a person.
    #[must_use]
    pub fn last_response(&self) -> &str {
        &self.last
    }

    /// Returns when `give_up_after` is over, if nothing has succeeded lately.
    #[must_use]
    pub fn end_of_waiting(&self) -> Option<Duration> {
        let rows = [self.failures, self.limited].into_iter().filter(|row| row.count > 0);
        rows.map(|row| row.first.saturating_add(self.give_up_after)).min()
    }

    /// Returns why a run has to stop that the store asks to wait for `asked`, and what to do about it, if
    /// `give_up_after` is over.
    #[must_use]
    pub fn tripped_by_wait(&self, asked: Duration, now: Duration) -> Option<(String, &'static str)> {
        self.end_of_waiting().filter(|end| *end <= now)?;
        let in_a_row =
            |count| if count == 1 { "a call".to_owned() } else { format!("{count} calls in a row") };
        let (row, what) = match (self.limited, self.failures) {
            (row, _) if row.count > 0 => {
                (row, format!("the store refused {} for being too many", in_a_row(row.count)))
            }
            (_, row) => (row, format!("{} failed", in_a_row(row.count))),
        };
        let why = format!(
            "{what} within {}, and the store asks to wait for {} more, longer than [push] give_up_after allows; the last \
             response: {}",
            whole_seconds(now.saturating_sub(row.first)),
            whole_seconds(asked),
            self.last
        );
        Some((why, ADVICE_NO_RESPONSE))
    }

    /// Returns why the run has to stop, if it has to, and what to do about it.
    #[must_use]
    pub fn tripped(&self, counts: &Counts) -> Option<(String, &'static str)> {
        let is_over = |row: Row, allowed| row.count >= allowed && row.lasted() >= self.give_up_after;
        let within = |row: Row| match row.lasted().as_secs() {
            0 => String::new(),
            _ => format!(" within {}", whole_seconds(row.lasted())),
        };
        let why = if is_over(self.failures, self.failures_allowed) {
            format!("{} calls in a row failed{}", self.failures.count, within(self.failures))
        } else if is_over(self.limited, self.limited_allowed) {
            let count = self.limited.count;
            format!("the store refused {count} calls in a row for being too many{}", within(self.limited))
        } else {
            return (counts.confirmed == 0 && counts.rejected >= Self::REJECTIONS).then(|| {
                let why =
                    format!("the store rejected at least {} values and confirmed none", Self::REJECTIONS);
                (why, ADVICE_ONLY_REJECTIONS)
            });
        };
        Some((format!("{why}; the last response: {}", self.last), ADVICE_NO_RESPONSE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::destination::{Body, HttpResponse, Response};

    const MINUTE: Duration = Duration::from_secs(60);

    fn response(status: u16) -> String {
        let body = Body::Problem { title: "Busy".to_owned(), errors: Vec::new() };
        let request_id = Some("4f1".to_owned());
        Response::Received(HttpResponse { status, request_id, wait: None, body }).named()
    }

    #[test]
    fn many_failures_stop_a_run_only_if_they_last() {
        let none = Counts::default();
        let mut breaker = CircuitBreaker::new(6, 3, 10 * MINUTE);
        (0..500).for_each(|_| breaker.failed(response(503), MINUTE));
        assert_eq!(breaker.tripped(&none), None, "all within a moment");
        breaker.failed(response(503), 10 * MINUTE);
        assert_eq!(breaker.tripped(&none), None);
        breaker.failed(response(503), 11 * MINUTE);
        let (why, _) = breaker.tripped(&none).expect("it trips");
        assert_eq!(
            why,
            "502 calls in a row failed within 10 min; the last response: 503 Busy (the store's request id: 4f1)"
        );
        breaker.responded();
        assert_eq!(breaker.tripped(&none), None);
    }

    #[test]
    fn a_few_failures_stop_no_run_however_long_they_last() {
        let mut breaker = CircuitBreaker::new(6, 3, Duration::ZERO);
        (0..23).for_each(|minute| breaker.failed(response(503), minute * MINUTE));
        assert_eq!(breaker.tripped(&Counts::default()), None);
        breaker.failed(response(503), 24 * MINUTE);
        assert!(breaker.tripped(&Counts::default()).is_some());
    }

    #[test]
    fn waiting_for_the_quota_is_bounded_in_time_and_not_in_the_number_of_responses() {
        let mut breaker = CircuitBreaker::new(6, 3, 10 * MINUTE);
        (0..500).for_each(|_| breaker.limited(response(429), MINUTE));
        assert_eq!(breaker.tripped(&Counts::default()), None);
        breaker.limited(response(429), 12 * MINUTE);
        let (why, _) = breaker.tripped(&Counts::default()).expect("it trips");
        assert!(why.contains("for being too many within 11 min; the last response: 429 Busy"), "{why}");
    }

    #[test]
    fn nothing_but_rejections_stops_a_run() {
        let (breaker, none) = (CircuitBreaker::new(6, 3, MINUTE), Counts::default());
        assert_eq!(breaker.tripped(&Counts { rejected: 19, ..none }), None);
        let (why, _) = breaker.tripped(&Counts { rejected: 20, ..none }).expect("it trips");
        assert_eq!(why, "the store rejected at least 20 values and confirmed none", "more may be in flight");
        assert_eq!(breaker.tripped(&Counts { rejected: 500, confirmed: 1, ..none }), None);
    }
}
