//! Whether what the store says proves that it holds what was sent. Matched by key, never by position.

use crate::destination::Echo;
use crate::record::{PlannedChange, Verdict};

/// What the echoes of a 200 prove for one change. `None`: nothing; the store has to be asked.
#[must_use]
pub fn judge(change: &PlannedChange, echoes: &[Echo]) -> Option<Verdict> {
    let echo = only(change, echoes)?;
    if echo.value == change.value() {
        return Some(confirmed(echo, None));
    }
    // What was there before may still be there: the write may have been passed over. After a value that went unanswered
    // nobody knows what was there, or in what form.
    let was_there =
        change.change.previous_value.as_ref() == Some(&echo.value) || change.in_doubt_value.is_some();
    if was_there && change.observed_value.as_ref() != Some(&echo.value) {
        return None;
    }
    Some(confirmed(echo, Some(echo.value.clone())))
}

/// What reading the key back proves for one change.
#[must_use]
pub fn judge_read_back(change: &PlannedChange, shown: &[Echo]) -> Verdict {
    let mut of_key = shown.iter().filter(|echo| echo.key == change.key());
    let Some(first) = of_key.next() else {
        if change.value().is_empty() {
            return Verdict::Confirmed { value_id: None, stored_value: None };
        }
        return unknown("the answer left it out, and read back the store shows no value", None);
    };
    if of_key.any(|echo| echo.value != first.value) {
        return unknown("the store shows two values for it", None);
    }
    if first.value == change.value() {
        return confirmed(first, None);
    }
    if change.observed_value.as_ref() == Some(&first.value) {
        return confirmed(first, Some(first.value.clone()));
    }
    unknown("read back, the store shows another value than was sent", Some(first.value.clone()))
}

/// The echo of a change's key, if all that there are agree.
fn only<'a>(change: &PlannedChange, echoes: &'a [Echo]) -> Option<&'a Echo> {
    let mut of_key = echoes.iter().filter(|echo| echo.key == change.key());
    let first = of_key.next()?;
    of_key.all(|echo| echo.value == first.value).then_some(first)
}

fn confirmed(echo: &Echo, stored_value: Option<String>) -> Verdict {
    Verdict::Confirmed { value_id: echo.value_id, stored_value }
}

fn unknown(reason: &str, observed_value: Option<String>) -> Verdict {
    Verdict::Unknown { reason: reason.to_owned(), observed_value }
}
