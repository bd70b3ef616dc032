//! Reads `[drift]`.

use std::time::Duration;

use super::DriftConfig;
use super::address::Flaw;
use super::section::Section;
use crate::record::DriftPolicy;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Reads the section. A key with a problem has its default.
pub(super) fn read(section: &mut Section<'_>) -> DriftConfig {
    let default = DriftConfig::default();
    let policy = section.checked("policy", policy).unwrap_or(default.policy);
    let sweep = section.optional("sweep", "30d", sweep).unwrap_or(default.sweep);
    section.called("drift.attributes");
    let names = section.keys().into_iter();
    let policies = names.filter_map(|name| Some((name.clone(), section.checked(&name, self::policy)?)));
    let attributes = policies.collect();
    DriftConfig { policy, attributes, sweep }
}

fn policy(text: &str) -> Result<DriftPolicy, Flaw> {
    DriftPolicy::from_word(text).ok_or_else(|| {
        ("is no policy".to_owned(), "it is \"overwrite\", \"report\" or \"accept\"".to_owned())
    })
}

fn sweep(text: &str) -> Result<Option<Duration>, Flaw> {
    let hint = "write a time from \"1h\" to \"365d\", or \"off\"".to_owned();
    if text == "off" {
        return Ok(None);
    }
    match humantime::parse_duration(text) {
        Ok(time) if (DAY / 24..=DAY * 365).contains(&time) => Ok(Some(time)),
        Ok(_) => Err(("is out of range".to_owned(), hint)),
        Err(_) => Err(("is neither a time nor off".to_owned(), hint)),
    }
}
