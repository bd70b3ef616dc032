//! What tests need from the machine beside a Postgres server.

/// Returns what was found, or `None` if it is missing and `ATTRSYNC_ALLOW_MISSING` names it. The variable is a list of
/// names, separated by commas: `pgbouncer`, `mount`.
///
/// Panics with `how_to_get_it` if it is missing and the variable does not name it.
pub(crate) fn needed<T>(name: &str, found: Option<T>, how_to_get_it: &str) -> Option<T> {
    let allowed = std::env::var("ATTRSYNC_ALLOW_MISSING").unwrap_or_default();
    let may_be_missing = allowed.split(',').any(|allowed| allowed.trim() == name);
    assert!(
        found.is_some() || may_be_missing,
        "{name} is missing: {how_to_get_it}, or set ATTRSYNC_ALLOW_MISSING={name} to test without it"
    );
    found
}
