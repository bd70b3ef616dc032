//! Reads `[guard]`.

use super::address::Flaw;
use super::section::Section;
use super::{GuardConfig, Share};

/// The largest share that is taken, in percent.
const PERCENT_MAX: f64 = 1_000_000.0;

/// Reads the section. A key with a problem has its default.
pub(super) fn read(section: &mut Section<'_>) -> GuardConfig {
    let default = GuardConfig::default();
    GuardConfig {
        enabled: section.flag("enabled").unwrap_or(default.enabled),
        min_values: section.integer("min_values", 0..=u32::MAX).map_or(default.min_values, i64::from),
        max_updates: section.checked("max_updates", share).unwrap_or(default.max_updates),
        max_deletes: section.checked("max_deletes", share).unwrap_or(default.max_deletes),
        max_emptied: section.checked("max_emptied", share).unwrap_or(default.max_emptied),
        max_mangled: section.checked("max_mangled", share).unwrap_or(default.max_mangled),
        max_invalid: section.checked("max_invalid", share).unwrap_or(default.max_invalid),
        max_shrink: section.checked("max_shrink", share).unwrap_or(default.max_shrink),
        max_growth: section.checked("max_growth", share).unwrap_or(default.max_growth),
        canary: section.integer("canary", 0..=100_000).map_or(default.canary, |number| number as usize),
    }
}

/// Checks a share: `30%` or `2.5%`.
fn share(text: &str) -> Result<Share, Flaw> {
    let percent = text.strip_suffix('%').and_then(|number| number.trim().parse::<f64>().ok());
    match percent.filter(|percent| (0.0..=PERCENT_MAX).contains(percent)) {
        Some(percent) => Ok(Share::percent(percent)),
        None => {
            let hint = "write a number from 0 to 1000000 with a percent sign: \"30%\", \"2.5%\"";
            Err(("is no share".to_owned(), hint.to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_has_a_percent_sign_and_is_shown_as_it_was_written() {
        for (text, expect) in [
            ("30%", Some("30%")),
            ("2.5 %", Some("2.5%")),
            ("7%", Some("7%")),
            ("0%", Some("0%")),
            ("250%", Some("250%")),
            ("0.1%", Some("0.1%")),
            ("30", None),
            ("0.3", None),
            ("-1%", None),
            ("NaN%", None),
            ("%", None),
        ] {
            assert_eq!(share(text).ok().map(|share| share.to_string()).as_deref(), expect, "{text}");
        }
    }
}
