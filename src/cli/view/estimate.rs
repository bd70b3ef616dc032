//! How long the calls of a plan take.

use std::time::Duration;

use super::text::{counted, duration, number, whole_seconds};
use crate::destination::Allowance;
use crate::engine::Forecast;

/// The assumed latency of a call.
pub(super) const ASSUMED_LATENCY: Duration = Duration::from_millis(300);

/// How long this many requests take with `workers` in flight, within what the store allows.
fn estimate(requests: u64, workers: usize, allowance: Option<Allowance>) -> Duration {
    let busy = latencies(requests, workers);
    let Some(Allowance { now, next_window, each_window, window }) = allowance else { return busy };
    let Some(rest) = requests.checked_sub(now).filter(|rest| *rest > 0) else { return busy };
    let each_window = each_window.max(1);
    let whole = (rest - 1) / each_window;
    let waited = window.saturating_mul(u32::try_from(whole).unwrap_or(u32::MAX)).saturating_add(next_window);
    busy.max(waited.saturating_add(latencies(rest - whole * each_window, workers)))
}

fn latencies(requests: u64, workers: usize) -> Duration {
    let rounds = requests.div_ceil(u64::try_from(workers.max(1)).unwrap_or(1));
    ASSUMED_LATENCY.saturating_mul(u32::try_from(rounds).unwrap_or(u32::MAX))
}

/// How long the calls of a plan take, with the wait for values in doubt.
pub(super) fn whole(forecast: &Forecast, workers: usize) -> Duration {
    let time = estimate(forecast.requests, workers, forecast.allowance);
    // They go last, so that the others are sent meanwhile.
    let in_doubt = Some(forecast.in_doubt_wait).filter(|wait| !wait.is_zero());
    in_doubt.map_or(time, |wait| time.max(wait.saturating_add(ASSUMED_LATENCY)))
}

/// The estimate in a sentence, with what it reckons with.
pub(super) fn sentence(forecast: &Forecast, workers: usize) -> String {
    let (requests, allowance) = (forecast.requests, forecast.allowance);
    let time = estimate(requests, workers, allowance);
    let in_doubt = forecast.in_doubt_wait;
    if in_doubt > time {
        return format!(
            "About {}: some values wait so long, because an older call for them may still be applied; {}.",
            whole_seconds(in_doubt.saturating_add(ASSUMED_LATENCY)),
            counted(requests, "call")
        );
    }
    let size = match forecast.limit.values {
        Some(values) => counted(values as u64, "value"),
        None => counted(forecast.limit.customers as u64, "customer"),
    };
    let requests_and_size = format!("{} of at most {size}", counted(requests, "call"));
    match allowance.filter(|_| time > latencies(requests, workers)) {
        Some(Allowance { each_window, window, .. }) => format!(
            "About {}: {requests_and_size}, and the store allows {} in {}.",
            whole_seconds(time),
            number(i64::try_from(each_window).unwrap_or(i64::MAX)),
            whole_seconds(window)
        ),
        None => format!(
            "About {}: {requests_and_size}, {workers} in flight, if a call takes {}.",
            duration(time),
            duration(ASSUMED_LATENCY)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_estimate_waits_for_the_windows_of_the_quota() {
        let s = Duration::from_secs;
        let allowance = Allowance { now: 119, next_window: s(28), each_window: 120, window: s(30) };
        for (requests, time) in [
            (3, Duration::from_millis(300)),
            (119, s(12)),
            (120, s(28) + ASSUMED_LATENCY),
            (303, s(28) + s(30) + ASSUMED_LATENCY * 22),
        ] {
            assert_eq!(estimate(requests, 3, Some(allowance)), time, "{requests}");
        }
        assert_eq!(estimate(303, 3, None), ASSUMED_LATENCY * 101);
        let none_left = Allowance { now: 0, each_window: 0, ..allowance };
        assert_eq!(estimate(2, 3, Some(none_left)), s(58) + ASSUMED_LATENCY);
    }
}
