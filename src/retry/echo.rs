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
    let was_there =
        planned.change.previous_value.as_ref() == Some(&echo.value) || planned.in_doubt_value.is_some();
    if was_there && planned.observed_value.as_ref() != Some(&echo.value) {
        return None;
    }
    Some(confirmed(echo, Some(echo.value.clone())))
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
    if planned.observed_value.as_ref() == Some(&first.value) {
        return confirmed(first, Some(first.value.clone()));
    }
    unknown("read back, the store shows another value than was sent", Some(first.value.clone()))
}

fn confirmed(echo: &Echo, stored_value: Option<String>) -> Verdict {
    Verdict::Confirmed { value_id: echo.value_id, stored_value }
}

fn unknown(reason: &str, observed_value: Option<String>) -> Verdict {
    Verdict::Unknown { reason: reason.to_owned(), observed_value }
}
