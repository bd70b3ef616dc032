//! Times as the SQLite ledger writes them: RFC 3339 in UTC with microseconds, so that text order is time order.

use chrono::{DateTime, SecondsFormat, Utc};

use super::failure::Failure;

/// Formats a time.
pub(super) fn text(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// Parses a time that the ledger, or a person with an SQL prompt, wrote.
pub(super) fn parse(text: &str) -> Result<DateTime<Utc>, Failure> {
    DateTime::parse_from_rfc3339(text)
        .map(|at| at.with_timezone(&Utc))
        .map_err(|_| Failure::Wrong(format!("\"{text}\" in the ledger is not a time in RFC 3339 form")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_kept_to_the_microsecond() {
        let at = DateTime::from_timestamp_micros(1_767_323_045_000_007).expect("in range");
        assert_eq!(text(at), "2026-01-02T03:04:05.000007Z");
        assert_eq!(parse(&text(at)).ok(), Some(at));
        assert!(parse("yesterday").is_err());
    }
}
