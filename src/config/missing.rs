//! Reads `[missing]`.

use super::MissingConfig;
use super::address::Flaw;
use super::section::Section;
use crate::record::OnMissing;

/// Reads what happens to values without a row. A key with a problem has its default.
pub(super) fn read(section: &mut Section<'_>) -> MissingConfig {
    let action = section.called("missing").optional("action", "keep", on_missing).unwrap_or_default();
    let section = section.called("missing.attributes");
    let names = section.keys().into_iter();
    let attributes = names.filter_map(|name| section.checked(&name, on_missing).map(|action| (name, action)));
    MissingConfig { action, attributes: attributes.collect() }
}

fn on_missing(text: &str) -> Result<OnMissing, Flaw> {
    OnMissing::from_word(text)
        .ok_or_else(|| (format!("is {text:?}"), "write \"keep\" or \"delete\"".to_owned()))
}
