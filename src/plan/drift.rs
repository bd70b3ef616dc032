//! Whether what a read showed contradicts what the ledger believes of a value.

use chrono::{DateTime, Utc};

use crate::record::{Belief, Entry, IN_DOUBT_MAX};

/// Whether a read can contradict an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparable {
    /// It is confirmed, and no request of attrsync can explain a difference.
    Yes,
    /// Something was sent that nothing has confirmed, or a request may still be applied.
    No,
    /// The store refused the value, or a read showed that it holds none: what it holds now is not ours.
    Never,
}

/// Returns whether a read can contradict the entry. An in-doubt window that ends later than it can means that the clock was
/// set back: then it lasts at most as long as the longest one.
#[must_use]
pub fn comparable(entry: &Entry, now: DateTime<Utc>) -> Comparable {
    match entry.belief {
        Belief::Rejected | Belief::Absent => Comparable::Never,
        Belief::Unconfirmed => Comparable::No,
        Belief::Confirmed => {
            let until = entry.in_doubt_until.map(|until| until.min(now + IN_DOUBT_MAX));
            if until.is_some_and(|until| until > now) { Comparable::No } else { Comparable::Yes }
        }
    }
}

/// Returns whether the store holds what the entry says, if it holds this value, or none. The value that was sent and the
/// form in which the store keeps it are equally good. No value is as good as an empty one.
#[must_use]
pub fn agrees(entry: &Entry, shown: Option<&str>) -> bool {
    let shown = shown.unwrap_or_default();
    [&entry.value, &entry.stored_value].into_iter().any(|value| value.as_deref() == Some(shown))
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::record::Key;

    fn entry(belief: Belief, value: &str, stored_value: Option<&str>) -> Entry {
        Entry {
            key: Key::new(1, 2),
            value: Some(value.to_owned()),
            stored_value: stored_value.map(str::to_owned),
            observed_value: None,
            value_id: None,
            belief,
            reason: None,
            acknowledged: false,
            run_id: 1,
            updated_at: DateTime::UNIX_EPOCH,
            in_doubt_until: None,
        }
    }

    #[test]
    fn both_forms_of_a_value_agree() {
        for (value, stored, shown, expect) in [
            ("a", None, Some("a"), true),
            ("a", None, Some("b"), false),
            ("a", None, None, false),
            ("a", None, Some(""), false),
            (" a ", Some("a"), Some("a"), true),
            (" a ", Some("a"), Some(" a "), true),
            (" a ", Some("a"), Some("b"), false),
            ("", None, None, true),
            ("a", Some(""), None, true),
        ] {
            let entry = entry(Belief::Confirmed, value, stored);
            assert_eq!(agrees(&entry, shown), expect, "{value:?} {stored:?} {shown:?}");
        }
    }

    #[test]
    fn nothing_that_a_request_explains_is_drift() {
        let now = DateTime::UNIX_EPOCH + TimeDelta::days(20_000);
        let at = |seconds| Some(now + TimeDelta::seconds(seconds));
        for (belief, in_doubt_until, expect) in [
            (Belief::Confirmed, None, Comparable::Yes),
            (Belief::Confirmed, at(-1), Comparable::Yes),
            (Belief::Confirmed, at(0), Comparable::Yes),
            (Belief::Confirmed, at(1), Comparable::No),
            (Belief::Confirmed, at(90_000), Comparable::No),
            (Belief::Unconfirmed, None, Comparable::No),
            (Belief::Rejected, None, Comparable::Never),
            (Belief::Absent, None, Comparable::Never),
        ] {
            let entry = Entry { in_doubt_until, ..entry(belief, "a", None) };
            assert_eq!(comparable(&entry, now), expect, "{belief} {in_doubt_until:?}");
        }
    }
}
