//! Reads a response's headers: the rate quota, how long to wait, the request's id.
//!
//! Every header is optional. A header that cannot be read is treated as absent.

use std::time::{Duration, SystemTime};

use chrono::{DateTime, Utc};
use reqwest::Url;
use reqwest::header::{DATE, HeaderMap, HeaderName, HeaderValue, LOCATION, RETRY_AFTER};

use super::quota::{Ending, Rate};

const WINDOW_MS: &str = "x-rate-limit-time-window-ms";
const RESET_MS: &str = "x-rate-limit-time-reset-ms";
const QUOTA: &str = "x-rate-limit-requests-quota";
const LEFT: &str = "x-rate-limit-requests-left";
const X_RETRY_AFTER: &str = "x-retry-after";
const REQUEST_ID: &str = "x-request-id";

/// Windows are limited to these lengths, so that pacing neither spins nor waits longer than five minutes at once for a
/// quota that is used up. The store's have 30 seconds.
const WINDOW_BOUNDS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));

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

/// Reads how long a response of this status asks to wait; a success asks for no wait. The window's reset counts only
/// for a 429 whose quota is used up: a 429 with requests left is about concurrency or load, and waiting for the next
/// window would not help. `now` is the reference of a date if the response has no date of its own.
pub(super) fn wait(status: u16, headers: &HeaderMap, now: DateTime<Utc>) -> Option<Duration> {
    if status < 300 {
        return None;
    }
    let reset = match count(headers, LEFT) {
        Some(left) if left > 0 => None,
        _ if status == 429 => millis(headers, RESET_MS),
        _ => None,
    };
    let after = [X_RETRY_AFTER, RETRY_AFTER.as_str()];
    let after = after.iter().filter_map(|name| retry_after(headers, name, now));
    reset.into_iter().chain(after).max().map(|wait| wait.min(WAIT_MAX))
}

/// Reads the longest wait of all headers of this name.
fn retry_after(headers: &HeaderMap, name: &str, now: DateTime<Utc>) -> Option<Duration> {
    let texts = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    texts.filter_map(|text| date_wait(headers, text.trim(), now).or_else(|| longest_seconds(text))).max()
}

/// Reads an HTTP date as the time from the response's own date to it. A clock that is wrong here does no harm then.
fn date_wait(headers: &HeaderMap, text: &str, now: DateTime<Utc>) -> Option<Duration> {
    let until = date(text)?;
    let sent = headers.get(DATE).and_then(|sent| date(sent.to_str().ok()?.trim()));
    Some(until.duration_since(sent.unwrap_or_else(|| SystemTime::from(now))).unwrap_or_default())
}

/// Reads a date as HTTP writes it, or as e-mail or RFC 3339 do: with an offset, or without the day of the week.
fn date(text: &str) -> Option<SystemTime> {
    let other = || {
        let text = text.replace(" UTC", " GMT");
        DateTime::parse_from_rfc2822(&text).or_else(|_| DateTime::parse_from_rfc3339(&text)).ok()
    };
    httpdate::parse_http_date(text).ok().or_else(|| other().map(SystemTime::from))
}

/// Reads seconds, which may have a fraction. A gateway may join several headers with commas.
fn longest_seconds(text: &str) -> Option<Duration> {
    text.split(',').filter_map(|part| seconds(part.trim())).max()
}

/// Reads a decimal number of seconds, or of the unit behind it: `3s`, `200 ms`. A negative number is 0.
fn seconds(text: &str) -> Option<Duration> {
    let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = match &text[number.len()..] {
        "" | "s" | "sec" | "secs" | "second" | "seconds" => 1.0,
        "ms" => 0.001,
        "m" | "min" | "mins" | "minute" | "minutes" => 60.0,
        _ => return None,
    };
    let text = number.trim_end();
    let is_decimal = text.starts_with(|c: char| c.is_ascii_digit() || c == '-')
        && text.ends_with(|c: char| c.is_ascii_digit())
        && !text.contains(['e', 'E']);
    let seconds: f64 = text.parse().ok().filter(|_| is_decimal)?;
    Some(Duration::from_secs_f64((seconds * factor).clamp(0.0, WAIT_MAX.as_secs_f64())))
}

/// Reads the store's id of the request.
pub(super) fn request_id(headers: &HeaderMap) -> Option<String> {
    let id = headers.get(REQUEST_ID)?.to_str().ok()?.trim();
    (!id.is_empty()).then(|| id.to_owned())
}

/// Reads where a redirect leads: scheme, host and port, or `another path` of the same host. The rest of the address may
/// repeat the request.
pub(super) fn redirect(headers: &HeaderMap) -> Option<String> {
    let to = headers.get(LOCATION)?.to_str().ok()?;
    match Url::parse(to) {
        Ok(url) if url.host().is_some() => Some(url.origin().ascii_serialization()),
        _ => Some("another path".to_owned()),
    }
}

/// Cuts an id to the length that is kept.
pub(super) fn cut_request_id(id: &str) -> String {
    id.chars().take(REQUEST_ID_MAX).collect()
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

    /// The wait of a response of this status at 07:00:00, in milliseconds.
    fn wait_ms(status: u16, pairs: &[(&str, &str)]) -> Option<u128> {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                HeaderValue::from_str(value).unwrap(),
            );
        }
        let now = DateTime::parse_from_rfc3339("2026-10-21T07:00:00Z").unwrap().to_utc();
        wait(status, &map, now).map(|wait| wait.as_millis())
    }

    #[test]
    fn the_longest_wait_counts() {
        let wait = |pairs: &[(&str, &str)]| wait_ms(429, pairs);
        assert_eq!(wait(&[]), None);
        assert_eq!(wait(&[(RESET_MS, "15000"), (LEFT, "0")]), Some(15_000));
        assert_eq!(wait(&[(RESET_MS, "15000")]), Some(15_000));
        assert_eq!(wait(&[(RESET_MS, "15000"), (X_RETRY_AFTER, "20"), (LEFT, "0")]), Some(20_000));
        assert_eq!(wait(&[(RESET_MS, "15000"), ("Retry-After", "3"), (LEFT, "0")]), Some(15_000));
        assert_eq!(wait(&[(X_RETRY_AFTER, "soon"), (RESET_MS, "1e3")]), None);
        assert_eq!(wait(&[(X_RETRY_AFTER, "9999999999")]), Some(WAIT_MAX.as_millis()));
    }

    #[test]
    fn retry_after_is_read_in_every_form() {
        let longest = Some(WAIT_MAX.as_millis());
        for (text, wait) in [
            ("0", Some(0)),
            ("-1", Some(0)),
            ("4.5", Some(4_500)),
            (" 7 ", Some(7_000)),
            ("1, 4", Some(4_000)),
            ("3s", Some(3_000)),
            ("3 seconds", Some(3_000)),
            ("250ms", Some(250)),
            ("2 min", Some(120_000)),
            ("3 s of rest", None),
            ("s", None),
            ("99999999999999999999999", longest),
            ("Wed, 21 Oct 2026 07:00:30 GMT", Some(30_000)),
            ("Wednesday, 21-Oct-26 07:00:30 GMT", Some(30_000)),
            ("Wed Oct 21 07:00:30 2026", Some(30_000)),
            ("Wed, 21 Oct 2026 07:00:30 +0000", Some(30_000)),
            ("Wed, 21 Oct 2026 09:00:30 +0200", Some(30_000)),
            ("21 Oct 2026 07:00:30 GMT", Some(30_000)),
            ("Wed, 21 Oct 2026 07:00:30 UTC", Some(30_000)),
            ("2026-10-21T07:00:30Z", Some(30_000)),
            ("Wed, 21 Oct 2026 06:59:00 GMT", Some(0)),
            ("Wed, 21 Oct 2037 07:28:00 GMT", longest),
            ("", None),
            ("soon", None),
            ("1e3", None),
            ("inf", None),
            ("NaN", None),
            ("-", None),
            ("Wed, 99 Oct 2026 07:00:30 GMT", None),
        ] {
            assert_eq!(wait_ms(429, &[("Retry-After", text)]), wait, "{text:?}");
            assert_eq!(wait_ms(503, &[("Retry-After", text)]), wait, "{text:?}");
        }
        assert_eq!(wait_ms(429, &[("Retry-After", "1"), ("Retry-After", "4")]), Some(4_000));
        assert_eq!(wait_ms(429, &[("Retry-After", "soon"), ("Retry-After", "2")]), Some(2_000));
    }

    #[test]
    fn a_date_counts_from_the_date_of_the_response() {
        let date = ("Date", "Wed, 21 Oct 2020 01:00:00 GMT");
        assert_eq!(wait_ms(429, &[date, ("Retry-After", "Wed, 21 Oct 2020 01:00:20 GMT")]), Some(20_000));
        assert_eq!(
            wait_ms(429, &[("Date", "?"), ("Retry-After", "Wed, 21 Oct 2026 07:00:20 GMT")]),
            Some(20_000)
        );
    }

    #[test]
    fn only_a_429_waits_for_the_reset_and_a_success_for_nothing() {
        let used_up = [(RESET_MS, "15000"), (LEFT, "0")];
        assert_eq!(wait_ms(503, &used_up), None);
        assert_eq!(wait_ms(200, &[("Retry-After", "20")]), None);
        assert_eq!(wait_ms(408, &[("Retry-After", "20")]), Some(20_000));
    }

    #[test]
    fn with_requests_left_the_reset_does_not_count() {
        assert_eq!(wait_ms(429, &[(RESET_MS, "15000"), (LEFT, "35")]), None);
        assert_eq!(wait_ms(429, &[(RESET_MS, "15000"), (LEFT, "35"), (X_RETRY_AFTER, "2")]), Some(2_000));
    }
}
