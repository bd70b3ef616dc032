//! The configuration of a command that reads the ledger only.

use std::path::Path;

use super::*;

/// Reads the annotated file for a command that reads the ledger only.
fn audit(text: &str, env: Environment<'_>) -> Result<AuditConfig, ConfigErrors> {
    AuditConfig::parse(text, Path::new("/etc/shop"), env)
}

#[test]
fn reading_the_ledger_needs_neither_the_source_nor_the_token() {
    let config = audit(ANNOTATED, &nothing).expect("nothing that the ledger needs is missing");
    assert_eq!(config.store, None);
    assert!(config.source.expect_err("no address").contains("DATABASE_URL is not set"));
    let config = audit(ANNOTATED, &|_| Ok(String::new())).expect("an empty variable is as good as none");
    assert!(config.source.is_err());
    let hash_only = |name: &str| match name {
        "BIGCOMMERCE_STORE_HASH" => environment(name),
        _ => nothing(name),
    };
    assert_eq!(audit(ANNOTATED, &hash_only).expect("enough").store.expect("a store").hash, "abc123");
    assert!(audit(ANNOTATED, &environment).expect("all of it").source.is_ok());
}

#[test]
fn reading_the_ledger_excuses_nothing_else() {
    let ledger = ANNOTATED.replace("\"sqlite:ledger.db\"", "\"${LEDGER_URL}\"");
    for (text, words) in [
        (ledger.as_str(), "LEDGER_URL is not set"),
        (&with("hash = ", "hsah = "), "store.hash"),
        (&with("\"t0ps3cret\"", "\"\""), "store.access_token"),
        (&with("\"postgres://", "\"mysql://"), "source.url"),
    ] {
        let errors = audit(text, &nothing).expect_err(words).to_string();
        assert!(errors.contains(words), "{words}: {errors}");
    }
}
