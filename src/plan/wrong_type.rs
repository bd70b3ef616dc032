//! Finds planned values that are no numbers or dates, although the type of their attribute says so.
//!
//! The API takes every value as text, and its description does not say what the store does with such a value. So they are
//! sent, and a person is told.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, NaiveDateTime};

use crate::record::{Change, WARNING_SAMPLES};

/// A type that restricts how a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Number,
    Date,
}

/// The values of one attribute that do not have its type.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// How many there are.
    pub count: u64,
    /// The customers of the first ones, with the values.
    pub sample: Vec<(i64, String)>,
}

/// The attributes whose values are checked, and what was found.
#[derive(Debug, Clone, Default)]
pub struct WrongTypes {
    kinds: BTreeMap<i64, Kind>,
    /// What was found, by attribute id.
    pub found: BTreeMap<i64, Found>,
}

impl WrongTypes {
    /// Checks the values of these attributes: their ids and types.
    pub fn new<'a>(attributes: impl Iterator<Item = (i64, &'a str)>) -> Self {
        let kind = |(id, kind)| match kind {
            "number" => Some((id, Kind::Number)),
            "date" => Some((id, Kind::Date)),
            _ => None,
        };
        Self { kinds: attributes.filter_map(kind).collect(), found: BTreeMap::new() }
    }

    /// The same without what was found.
    #[must_use]
    pub fn cleared(&self) -> Self {
        Self { kinds: self.kinds.clone(), found: BTreeMap::new() }
    }

    /// Checks a change.
    pub fn add(&mut self, change: &Change) {
        let (Some(kind), Some(value)) = (self.kinds.get(&change.key.attribute_id), &change.value) else {
            return;
        };
        let fits = match kind {
            Kind::Number => is_number(value),
            Kind::Date => is_date(value),
        };
        // An empty text empties a value of any type.
        if fits || value.is_empty() {
            return;
        }
        let found = self.found.entry(change.key.attribute_id).or_default();
        found.count += 1;
        if found.sample.len() < WARNING_SAMPLES {
            found.sample.push((change.key.customer_id, value.clone()));
        }
    }
}

/// Whether the text is a decimal number without an exponent and without separators of thousands.
fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    !(whole.is_empty() && fraction.is_empty())
        && whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit())
}

/// Whether the text is a date as ISO 8601 writes it, or a date with a time. Postgres writes a space between the two and
/// may shorten the zone.
fn is_date(text: &str) -> bool {
    let Some((date, time)) = text.split_at_checked(10) else { return false };
    if NaiveDate::parse_from_str(date, "%Y-%m-%d").is_err() {
        return false;
    }
    if time.is_empty() {
        return true;
    }
    let text = format!("{date}T{}", time.get(1..).unwrap_or_default());
    time.starts_with(['T', ' '])
        && (NaiveDateTime::parse_from_str(&text, "%Y-%m-%dT%H:%M:%S%.f").is_ok()
            || DateTime::parse_from_rfc3339(&text).is_ok()
            || DateTime::parse_from_str(&text, "%Y-%m-%dT%H:%M:%S%.f%#z").is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Action, Key};

    #[test]
    fn numbers_are_plain_decimals() {
        for good in ["0", "-12", "+3", "1234.50", ".5", "5.", "12345678901234567890"] {
            assert!(is_number(good), "{good}");
        }
        for bad in
            ["lots", "1,234.50", "1e+21", "NaN", "Infinity", "-", ".", "1.2.3", " 1", "1 ", "١", "0x10", "$5"]
        {
            assert!(!is_number(bad), "{bad}");
        }
    }

    #[test]
    fn dates_are_those_of_iso_8601() {
        for good in [
            "2026-12-31",
            "2024-02-29",
            "2026-02-01 08:00:00+00",
            "2026-02-01 08:00:00.25",
            "2026-02-01T08:00:00Z",
            "2026-02-01T08:00:00+05:30",
        ] {
            assert!(is_date(good), "{good}");
        }
        for bad in [
            "31/12/2026",
            "2026-02-30",
            "2026-1-2",
            "20261231",
            "infinity",
            "2026-12-31 tomorrow",
            "2026-12-31T25:00:00Z",
            "soon",
            "2026-12-3é",
            "0044-03-15 BC",
        ] {
            assert!(!is_date(bad), "{bad}");
        }
    }

    #[test]
    fn only_numbers_and_dates_are_checked_and_few_are_kept() {
        let mut types = WrongTypes::new([(1, "string"), (2, "number"), (3, "date")].into_iter());
        for customer in 1..=5 {
            for (attribute, value) in [(1, "lots"), (2, "lots"), (3, "2026-12-31"), (2, "")] {
                types.add(&Change {
                    key: Key::new(customer, attribute),
                    action: Action::Create,
                    value: Some(value.to_owned()),
                    previous_value: None,
                    previous_in_doubt: false,
                    source_value: None,
                    value_id: None,
                    in_doubt_until: None,
                });
            }
        }
        let sample = (1..=3).map(|customer| (customer, "lots".to_owned())).collect();
        assert_eq!(types.found, BTreeMap::from([(2, Found { count: 5, sample })]));
        assert!(types.cleared().found.is_empty());
    }
}
