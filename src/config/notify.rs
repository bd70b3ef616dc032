//! Reads `[notify]`.

use url::Url;

use super::address::Flaw;
use super::section::Section;
use super::{NotifyConfig, NotifyFormat, Secret};

/// Reads the section. A key with a problem has its default.
pub(super) fn read(section: &mut Section<'_>) -> NotifyConfig {
    let webhook = section.checked("webhook", target);
    let format = section.optional("format", "json", |text| match text {
        "json" => Ok(NotifyFormat::Json),
        "slack" => Ok(NotifyFormat::Slack),
        _ => Err(("is no format".to_owned(), "it is \"json\" or \"slack\"".to_owned())),
    });
    NotifyConfig { webhook, format: format.unwrap_or_default(), ping: section.checked("ping", target) }
}

/// Checks an address. The text may be a secret, so no problem repeats it.
fn target(text: &str) -> Result<Secret, Flaw> {
    let is_web = |url: &Url| matches!(url.scheme(), "https" | "http") && url.host().is_some();
    if Url::parse(text).is_ok_and(|url| is_web(&url)) {
        return Ok(Secret::new(text));
    }
    Err(("is no address".to_owned(), "it begins with https:// or http:// and a host".to_owned()))
}
