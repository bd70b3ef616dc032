//! Whether what the store shows proves that it holds what was sent. Values are matched by key, never by position.

use crate::destination::Echo;
use crate::record::{PlannedChange, Verdict};

/// Returns what the echoes of an accepted request prove for one change. `None`: nothing; the value has to be read back.
#[must_use]
pub fn verdict(planned: &PlannedChange, echoes: &[Echo]) -> Option<Verdict> {
    let mut of_key = echoes.iter().filter(|echo| echo.key == planned.change.key);
    let echo = of_key.next()?;
    if of_key.any(|another| another.value != echo.value) {
        return None;
    }
    if echo.value == planned.value() {
        return Some(confirmed(echo, None));
    }
    // The store may have skipped the write and show what it held before. If the last value is in doubt, it is not known
    // what the store held.
    let was_there = was_there(planned, &echo.value) || planned.is_in_doubt;
    // Nothing instead of a value is no form of it, unless it was made of spaces.
    let shows_nothing = echo.value.is_empty() && !planned.value().trim().is_empty();
    if (was_there || shows_nothing) && !is_kept_so(planned, &echo.value) {
        return None;
    }
    Some(confirmed(echo, Some(echo.value.clone())))
}

/// Whether the ledger knew that the store held this value before.
fn was_there(planned: &PlannedChange, shown: &str) -> bool {
    planned.change.previous_value.as_deref() == Some(shown)
}

/// Whether the store keeps the sent value as `shown`: it showed the same in an earlier run. The value that it held
/// before proves that only if it can be a form of the sent value, because a store that skips a write shows it every time.
fn is_kept_so(planned: &PlannedChange, shown: &str) -> bool {
    planned.observed_value.as_deref() == Some(shown)
        && (!was_there(planned, shown) || may_be_form_of(shown, planned.value()))
}

/// Whether a store may keep `sent` as `shown`: the same number, or the same text apart from case and spaces.
#[must_use]
pub fn may_be_form_of(shown: &str, sent: &str) -> bool {
    let number = |text: &str| text.trim().parse::<f64>().ok();
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
    words(shown) == words(sent) || number(shown).is_some_and(|shown| number(sent) == Some(shown))
}

/// Whether a store that holds `sent` may show it as `shown`, in a list: as it is, in another form, or as another form of the same
/// date.
#[must_use]
pub fn may_show(shown: &str, sent: &str) -> bool {
    shown == sent || may_be_form_of(shown, sent) || is_same_day(shown, sent)
}

/// Whether both begin with the same date, `2026-12-31`. In which form a store shows dates is not documented.
fn is_same_day(shown: &str, sent: &str) -> bool {
    let day = |text: &str| text.get(..10).map(str::to_owned);
    let is_date = |day: &String| {
        day.bytes().enumerate().all(|(at, byte)| match at {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        })
    };
    day(sent).filter(is_date).is_some_and(|sent| day(shown) == Some(sent))
}

/// Returns what reading the key back proves for one change.
#[must_use]
pub fn read_back_verdict(planned: &PlannedChange, values: &[Echo]) -> Verdict {
    let mut of_key = values.iter().filter(|echo| echo.key == planned.change.key);
    let Some(first) = of_key.next() else {
        if planned.value().is_empty() {
            return Verdict::Confirmed { value_id: None, stored_value: None };
        }
        return unknown("the response left it out, and read back the store shows no value", None);
    };
    if of_key.any(|another| another.value != first.value) {
        return unknown("the store shows two values for it", None);
    }
    if first.value == planned.value() {
        return confirmed(first, None);
    }
    if is_kept_so(planned, &first.value) {
        return confirmed(first, Some(first.value.clone()));
    }
    let reason = if was_there(planned, &first.value) {
        "the store responded with success, and read back it still holds the value from before"
    } else {
        "read back, the store shows another value than was sent"
    };
    unknown(reason, Some(first.value.clone()))
}

fn confirmed(echo: &Echo, stored_value: Option<String>) -> Verdict {
    Verdict::Confirmed { value_id: echo.value_id, stored_value }
}

fn unknown(reason: &str, observed_value: Option<String>) -> Verdict {
    Verdict::Unknown { reason: reason.to_owned(), observed_value }
}
