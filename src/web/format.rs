//! Numbers, times, values and states as the pages show them.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use maud::{Markup, html};

use crate::duration_text;
use crate::one_line::one_line;

/// `12,345`.
pub(super) fn number(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = if number < 0 { "−".to_owned() } else { String::new() };
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 value`, `2 values`.
pub(super) fn counted(count: i64, noun: &str) -> String {
    format!("{} {noun}{}", number(count), if count == 1 { "" } else { "s" })
}

/// A duration in its two largest units: `120 ms`, `3.4 s`, `1 min 2 s`, `1 h 2 min`.
pub(super) fn duration(milliseconds: i64) -> String {
    duration_text::duration(Duration::from_millis(milliseconds.max(0).unsigned_abs()))
}

/// How far two times are apart, in one unit: `now`, `40 s`, `12 min`, `6 h`, `3 d`.
fn distance(between: TimeDelta) -> String {
    match between.num_seconds().abs() {
        seconds @ 0..60 => format!("{seconds} s"),
        seconds @ 60..3_600 => format!("{} min", seconds / 60),
        seconds @ 3_600..172_800 => format!("{} h", seconds / 3_600),
        seconds => format!("{} d", seconds / 86_400),
    }
}

/// A time to the second, for programs too.
pub(super) fn moment(at: DateTime<Utc>) -> Markup {
    html! {
        time datetime=(at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)) {
            (at.format("%Y-%m-%d %H:%M:%S"))
        }
    }
}

/// A time with its distance from now: `2026-01-02 03:04:05 6 h ago`.
pub(super) fn when(at: DateTime<Utc>, now: DateTime<Utc>) -> Markup {
    html! { span.when { (moment(at)) " " span.ago { (relative(at, now)) } } }
}

/// The distance of a time from now, and below it the time to the minute.
pub(super) fn since(at: DateTime<Utc>, now: DateTime<Utc>) -> Markup {
    html! {
        span.since {
            (relative(at, now))
            time.note datetime=(at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)) {
                (at.format("%Y-%m-%d %H:%M"))
            }
        }
    }
}

/// The distance of a time from now: `6 h ago`.
pub(super) fn relative(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let distance = distance(now - at);
    if at > now { format!("in {distance}") } else { format!("{distance} ago") }
}

/// A value of a customer. What could change the direction of the text around it is escaped.
pub(super) fn value(value: Option<&str>) -> Markup {
    html! {
        @match value {
            None => span.none { "no value" },
            Some("") => span.none { "empty" },
            Some(text) => code.value { (one_line(text)) },
        }
    }
}

/// Words that came from outside, on one line.
pub(super) fn words(text: &str) -> Markup {
    html! { span.words { (one_line(text)) } }
}

/// A text in which commands are between backquotes.
pub(super) fn with_commands(text: &str) -> Markup {
    html! {
        @for (index, part) in text.split('`').enumerate() {
            @if index % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}

/// A reason, or a dash for none.
pub(super) fn reason(reason: Option<&str>) -> Markup {
    html! {
        @match reason {
            Some(text) => span.words.reason { (one_line(text)) },
            None => span.none { "no reason" },
        }
    }
}

/// How good a state is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    /// Neither good nor bad.
    Neutral,
    /// As it should be.
    Good,
    /// Under way.
    Live,
    /// A person should look at it.
    Attention,
    /// It failed.
    Bad,
}

impl Level {
    /// The level of a run's status, of an outcome, or of a belief.
    pub(super) fn of(word: &str) -> Self {
        match word {
            "succeeded" | "confirmed" | "accepted" => Self::Good,
            "running" | "planning" | "sending" => Self::Live,
            "partial" | "stopped" | "rejected" | "unknown" | "unconfirmed" | "limited" | "in_doubt"
            | "refused" => Self::Attention,
            "failed" | "interrupted" | "blocked" | "fatal" => Self::Bad,
            _ => Self::Neutral,
        }
    }

    /// The name of its style, and a sign that says the same without colour.
    const fn style(self) -> (&'static str, &'static str) {
        match self {
            Self::Neutral => ("neutral", "○"),
            Self::Good => ("good", "✓"),
            Self::Live => ("live", "▶"),
            Self::Attention => ("attention", "▲"),
            Self::Bad => ("bad", "✕"),
        }
    }
}

/// A state as a word with its sign and colour.
pub(super) fn state(word: &str) -> Markup {
    labelled(Level::of(word), &word.replace('_', " "))
}

/// Words with the sign and colour of a level.
pub(super) fn labelled(level: Level, words: &str) -> Markup {
    let (style, sign) = level.style();
    html! {
        span class={ "state " (style) } { span.sign aria-hidden="true" { (sign) } " " (words) }
    }
}

/// A part of an address, with everything escaped that has a meaning there.
pub(super) fn segment(text: &str) -> String {
    text.bytes().fold(String::new(), |mut segment, byte| {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.') {
            segment.push(char::from(byte));
        } else {
            segment.push_str(&format!("%{byte:02X}"));
        }
        segment
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_grouped_and_named() {
        assert_eq!((number(-1_234_567), counted(1, "value")), ("−1,234,567".into(), "1 value".into()));
        assert_eq!((counted(2_000, "value"), duration(-5)), ("2,000 values".into(), "0 ms".into()));
    }

    #[test]
    fn values_are_escaped() {
        let shown = value(Some("<b>\u{202e}\n")).into_string();
        assert_eq!(shown, r#"<code class="value">&lt;b&gt;\u{202e}\n</code>"#);
        assert_eq!(segment("a b/ü"), "a%20b%2F%C3%BC");
    }
}
