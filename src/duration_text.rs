//! Durations as a person reads them, the same in every message.

use std::time::Duration;

/// Returns a duration in its two largest units: `1 h 2 min`, `5 min`, `3.4 s`, `120 ms`.
pub(crate) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (large, small) = match seconds {
        0 => return format!("{} ms", duration.as_millis()),
        1..60 => return format!("{:.1}", duration.as_secs_f64()).trim_end_matches(".0").to_owned() + " s",
        60..3600 => ((seconds / 60, "min"), (seconds % 60, "s")),
        _ => ((seconds / 3600, "h"), (seconds % 3600 / 60, "min")),
    };
    match small.0 {
        0 => format!("{} {}", large.0, large.1),
        _ => format!("{} {} {} {}", large.0, large.1, small.0, small.1),
    }
}

/// Returns a duration in whole seconds: `41 s`, `2 min 5 s`, `1 h 2 min`.
pub(crate) fn whole_seconds(time: Duration) -> String {
    match time.as_secs() {
        0 => "0 s".to_owned(),
        seconds => duration(Duration::from_secs(seconds)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_has_fitting_units() {
        for (millis, shown) in [
            (120, "120 ms"),
            (1000, "1 s"),
            (3400, "3.4 s"),
            (60_400, "1 min"),
            (62_000, "1 min 2 s"),
            (3_600_000, "1 h"),
            (3_720_000, "1 h 2 min"),
        ] {
            assert_eq!(duration(Duration::from_millis(millis)), shown);
        }
        assert_eq!(whole_seconds(Duration::from_millis(900)), "0 s");
        assert_eq!(whole_seconds(Duration::from_millis(1_900)), "1 s");
    }
}
