//! Reads a response's headers: the rate quota, how long to wait, the request's id.
//!
//! Every header is optional. A header that cannot be read is treated as absent.

use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};

use super::quota::{Ending, Rate};

const WINDOW_MS: &str = "x-rate-limit-time-window-ms";
const RESET_MS: &str = "x-rate-limit-time-reset-ms";
const QUOTA: &str = "x-rate-limit-requests-quota";
const LEFT: &str = "x-rate-limit-requests-left";
const X_RETRY_AFTER: &str = "x-retry-after";
const REQUEST_ID: &str = "x-request-id";

/// Windows are limited to these lengths, so that pacing neither spins nor sleeps for ever.
const WINDOW_BOUNDS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(3600));

/// The longest wait that is reported. The engine limits it further.
const WAIT_MAX: Duration = Duration::from_secs(24 * 3600);

/// The longest request id that is kept; the store's have 32 characters.
const REQUEST_ID_MAX: usize = 100;

/// Reads the rate quota from its four headers; `None` unless all are there.
fn rate(headers: &HeaderMap) -> Option<Rate> {
    let window = millis(headers, WINDOW_MS)?.clamp(WINDOW_BOUNDS.0, WINDOW_BOUNDS.1);
    let reset = millis(headers, RESET_MS)?.min(window);
    Some(Rate { window, reset, quota: count(headers, QUOTA)?, left: count(headers, LEFT)? })
}

/// Returns how a request with this response ended, for the rate limiter.
pub(crate) fn ending(status: u16, headers: &HeaderMap) -> Ending {
    Ending::Responded { rate: rate(headers), good: status < 400 }
}

/// Reads how long a 429 asks to wait. The window's reset counts only if the quota is used up: a 429 with requests left
/// is about concurrency or load, and waiting for the next window would not help.
pub(super) fn wait(headers: &HeaderMap) -> Option<Duration> {
    let reset = match count(headers, LEFT) {
        Some(left) if left > 0 => None,
        _ => millis(headers, RESET_MS),
    };
    let after = |name| count(headers, name).map(Duration::from_secs);
    let longest = [reset, after(X_RETRY_AFTER), after(RETRY_AFTER.as_str())].into_iter().flatten().max();
    longest.map(|wait| wait.min(WAIT_MAX))
}

/// Reads the store's id of the request.
pub(super) fn request_id(headers: &HeaderMap) -> Option<String> {
    let id = headers.get(REQUEST_ID)?.to_str().ok()?.trim();
    (!id.is_empty()).then(|| id.chars().take(REQUEST_ID_MAX).collect())
}

/// Makes headers from names in lower case and values. A value that is not valid is left out.
pub(crate) fn from_pairs(pairs: Vec<(&'static str, String)>) -> HeaderMap {
    let header = |(name, value)| Some((HeaderName::from_static(name), HeaderValue::try_from(value).ok()?));
    pairs.into_iter().filter_map(header).collect()
}

fn millis(headers: &HeaderMap, name: &str) -> Option<Duration> {
    count(headers, name).map(Duration::from_millis)
}

/// Reads a number. A negative one, which may report an exceeded quota, is 0.
fn count(headers: &HeaderMap, name: &str) -> Option<u64> {
    let number: i64 = headers.get(name)?.to_str().ok()?.trim().parse().ok()?;
    Some(u64::try_from(number).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            map.insert(name, HeaderValue::from_str(value).unwrap());
        }
        map
    }

    #[test]
    fn the_rate_is_read_whatever_the_case_of_its_headers() {
        let map = headers(&[
            ("X-Rate-Limit-Time-Window-Ms", "30000"),
            ("x-rate-limit-time-reset-ms", " 15000 "),
            ("X-RATE-LIMIT-REQUESTS-QUOTA", "16101495"),
            ("X-Rate-Limit-Requests-Left", "-2"),
        ]);
        let rate = rate(&map).unwrap();
        assert_eq!(rate.window, Duration::from_secs(30));
        assert_eq!(rate.reset, Duration::from_secs(15));
        assert_eq!((rate.quota, rate.left), (16_101_495, 0));
    }

    #[test]
    fn the_rate_needs_all_four_headers() {
        let all = [(WINDOW_MS, "30000"), (RESET_MS, "1"), (QUOTA, "150"), (LEFT, "149")];
        assert!(rate(&headers(&all)).is_some());
        for index in 0..all.len() {
            let mut some = all.to_vec();
            some[index].1 = "soon";
            assert_eq!(rate(&headers(&some)), None);
            some.remove(index);
            assert_eq!(rate(&headers(&some)), None);
        }
    }

    #[test]
    fn the_length_of_a_window_is_bounded() {
        let of = |window, reset| {
            let pairs = [(WINDOW_MS, window), (RESET_MS, reset), (QUOTA, "1"), (LEFT, "0")];
            rate(&headers(&pairs)).map(|rate| (rate.window, rate.reset))
        };
        assert_eq!(of("0", "99999"), Some((Duration::from_secs(1), Duration::from_secs(1))));
        let longest = i64::MAX.to_string();
        assert_eq!(of(&longest, &longest), Some((WINDOW_BOUNDS.1, WINDOW_BOUNDS.1)));
    }

    #[test]
    fn the_longest_wait_counts() {
        let wait = |pairs: &[(&str, &str)]| wait(&headers(pairs)).map(|wait| wait.as_millis());
        assert_eq!(wait(&[]), None);
        assert_eq!(wait(&[(RESET_MS, "15000"), (LEFT, "0")]), Some(15_000));
        assert_eq!(wait(&[(RESET_MS, "15000")]), Some(15_000));
        assert_eq!(wait(&[(RESET_MS, "15000"), (X_RETRY_AFTER, "20"), (LEFT, "0")]), Some(20_000));
        assert_eq!(wait(&[(RESET_MS, "15000"), ("Retry-After", "3"), (LEFT, "0")]), Some(15_000));
        assert_eq!(wait(&[("Retry-After", "Wed, 21 Oct 2026 07:28:00 GMT")]), None);
        assert_eq!(wait(&[(X_RETRY_AFTER, "soon"), (RESET_MS, "1e3")]), None);
        assert_eq!(wait(&[(X_RETRY_AFTER, "9999999999")]), Some(WAIT_MAX.as_millis()));
    }

    #[test]
    fn with_requests_left_the_reset_does_not_count() {
        let map = headers(&[(RESET_MS, "15000"), (LEFT, "35")]);
        assert_eq!(wait(&map), None);
        let map = headers(&[(RESET_MS, "15000"), (LEFT, "35"), (X_RETRY_AFTER, "2")]);
        assert_eq!(wait(&map), Some(Duration::from_secs(2)));
    }
}
