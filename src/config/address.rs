//! Checks addresses and names: the store's API, its hash and token, databases, a table's name.
//!
//! Each check returns the value, or a problem and a hint. Neither repeats a text that may contain a password.

use std::path::{Path, PathBuf};

use url::{Host, Url};

use super::{LedgerConfig, Secret, StoreConfig};
use crate::database::Address;
pub(super) use crate::database::Flaw;

fn flaw<T>(problem: impl Into<String>, hint: impl Into<String>) -> Result<T, Flaw> {
    Err((problem.into(), hint.into()))
}

/// Checks the address of a Postgres database.
pub(super) fn postgres_url(text: &str) -> Result<Secret, Flaw> {
    Address::parse(text, &|_| None).map(|_| Secret::new(text))
}

/// Checks the ledger's address: `sqlite:PATH`, relative to `folder`, or a `postgres://` address.
pub(super) fn ledger(text: &str, folder: &Path) -> Result<LedgerConfig, Flaw> {
    const SHAPE: &str = "it must be sqlite:ledger.db or postgres://user:password@host:5432/database";
    if Address::is_meant_by(text) {
        return postgres_url(text).map(LedgerConfig::Postgres);
    }
    let Some(path) = text.strip_prefix("sqlite:") else {
        return flaw("is neither sqlite: nor postgres:", SHAPE);
    };
    let path = path.strip_prefix("//").unwrap_or(path);
    if path.is_empty() || path.ends_with(['/', '\\']) {
        return flaw("has no file name", SHAPE);
    }
    if path == "~" || path.starts_with("~/") {
        return flaw(
            "begins with ~, which only a shell replaces",
            format!("write sqlite:${{HOME}}{}", &path[1..]),
        );
    }
    if path.contains(":memory:") {
        return flaw("is in memory only", "the ledger must outlive the run: name a file");
    }
    if path.contains(['?', '\0']) {
        return flaw("has options after the file's name", "write only the file's name");
    }
    Ok(LedgerConfig::Sqlite(sqlite_path(path, folder)))
}

fn sqlite_path(path: &str, folder: &Path) -> PathBuf {
    folder.join(path.strip_prefix("./").unwrap_or(path))
}

/// Checks the store's hash.
pub(super) fn store_hash(text: &str) -> Result<String, Flaw> {
    let is_hash = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if is_hash(text) && text.len() <= 64 {
        return Ok(text.to_owned());
    }
    let bare = text.trim_matches(['{', '}', '<', '>']);
    let bare = bare.strip_prefix("stores/").or_else(|| bare.strip_prefix("store-")).unwrap_or(bare);
    if is_hash(bare) && bare.len() <= 16 {
        return flaw("has more than the hash itself", format!("write \"{bare}\""));
    }
    flaw(
        "is not a store hash",
        "it is the letters and digits after stores/ in the API path, or after store- in the control panel's address",
    )
}

/// Checks the API account's token: any text that can be sent in a header.
pub(super) fn access_token(text: &str) -> Result<Secret, Flaw> {
    if text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(Secret::new(text));
    }
    flaw(
        "has a character that no token has (a space, a line break or a letter outside of ASCII)",
        "copy it again from the API account's page",
    )
}

/// Checks the API's address: scheme, host, port.
pub(super) fn api_url(text: &str) -> Result<String, Flaw> {
    const SHAPE: &str = "the live one is https://api.bigcommerce.com";
    let url = match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => url,
        Ok(_) => return flaw("is neither https:// nor http://", SHAPE),
        Err(url::ParseError::RelativeUrlWithoutBase) => {
            return flaw("does not begin with https://", SHAPE);
        }
        Err(error) => return flaw(format!("cannot be read as an address: {error}"), SHAPE),
    };
    if !url.username().is_empty() || url.password().is_some() {
        return flaw("has a user name or a password", "write the token in store.access_token");
    }
    if !url.path().trim_end_matches('/').is_empty() || url.query().is_some() || url.fragment().is_some() {
        return flaw(
            "has more than the scheme, the host and the port",
            format!("leave out the path; {SHAPE}"),
        );
    }
    Ok(url.origin().ascii_serialization())
}

impl StoreConfig {
    /// Returns whether the token would be sent over a network without encryption.
    #[must_use]
    pub fn sends_token_unencrypted(&self) -> bool {
        is_unencrypted(&self.name.api_url)
    }
}

/// Returns whether requests to this address cross a network without encryption.
fn is_unencrypted(api_url: &str) -> bool {
    Url::parse(api_url).is_ok_and(|url| url.scheme() != "https" && !is_loopback(&url))
}

/// Returns whether the address is on this machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        None => false,
    }
}

/// Splits a table's name as Postgres does: bare parts become lower case, quoted parts stay as they are.
///
/// # Errors
/// What is wrong with the name, for a person.
pub(crate) fn table_parts(text: &str) -> Result<Vec<String>, String> {
    let mut parts = Vec::new();
    let mut rest = text;
    loop {
        let (part, after) = if rest.starts_with('"') { quoted_part(rest)? } else { bare_part(rest)? };
        if part.len() > 63 {
            return Err("has a part longer than 63 bytes, the limit of Postgres".to_owned());
        }
        parts.push(part);
        match after.strip_prefix('.') {
            Some(next) => rest = next,
            None if after.is_empty() => break,
            None => return Err("is not one name".to_owned()),
        }
    }
    if parts.len() > 2 {
        return Err("has more parts than a schema and a table".to_owned());
    }
    Ok(parts)
}

fn quoted_part(text: &str) -> Result<(String, &str), String> {
    let mut part = String::new();
    let mut rest = &text[1..];
    loop {
        let Some((before, after)) = rest.split_once('"') else {
            return Err("has a quote that is not closed".to_owned());
        };
        part.push_str(before);
        match after.strip_prefix('"') {
            Some(more) => {
                part.push('"');
                rest = more;
            }
            None if part.is_empty() || part.contains('\0') => return Err("has an empty part".to_owned()),
            None => return Ok((part, after)),
        }
    }
}

fn bare_part(text: &str) -> Result<(String, &str), String> {
    let is_inner = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '$' || !c.is_ascii();
    let (part, after) = text.split_at(text.find(|c| !is_inner(c)).unwrap_or(text.len()));
    if part.is_empty() {
        return Err("has an empty part, or a character that needs quotes".to_owned());
    }
    if part.starts_with(|c: char| c.is_ascii_digit() || c == '$') {
        return Err("has a part that begins with a digit, which needs quotes".to_owned());
    }
    Ok((part.to_ascii_lowercase(), after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_tables() {
        let good: [(&str, &[&str]); 5] = [
            ("customer_values", &["customer_values"]),
            ("Shop.Values", &["shop", "values"]),
            (r#""My Schema"."t""#, &["My Schema", "t"]),
            (r#"shop."a.b""c""#, &["shop", r#"a.b"c"#]),
            ("größe", &["größe"]),
        ];
        for (text, parts) in good {
            let expect: Vec<String> = parts.iter().map(|part| (*part).to_owned()).collect();
            assert_eq!(table_parts(text), Ok(expect), "{text}");
        }
        let long = "x".repeat(64);
        for bad in
            ["", ".", "a.", ".a", "a b", "a;b", "1a", "\"", "\"\"", "\"a", "a.b.c", "a'b", "\"a\"b", &long]
        {
            assert!(table_parts(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_address_of_a_database() {
        for good in [
            "postgres://u:p@h/db",
            "postgresql://h",
            "postgres://u@x:p@y@h:5432/db?sslmode=Verify-Full&application_name=a",
            "postgres://u:p%40%2f%23@h/db?host=/var/run&ssl-mode=disable",
            "host=h dbname=shop",
        ] {
            assert!(postgres_url(good).is_ok(), "{good}");
        }
        let (problem, hint) = postgres_url("postgres://u:p#hunter2@h/db").expect_err("an unescaped password");
        assert!(hint.contains("%40") && !format!("{problem} {hint}").contains("hunter2"), "{problem} {hint}");
    }

    #[test]
    fn the_address_of_the_api() {
        let good = [
            ("https://api.bigcommerce.com", "https://api.bigcommerce.com"),
            ("https://api.bigcommerce.com/", "https://api.bigcommerce.com"),
            ("https://API.bigcommerce.com:443", "https://api.bigcommerce.com"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("http://127.9.9.9:8080/", "http://127.9.9.9:8080"),
            ("http://[::1]:8080", "http://[::1]:8080"),
            ("http://localhost:1", "http://localhost:1"),
        ];
        for (text, expect) in good {
            assert_eq!(api_url(text).as_deref(), Ok(expect), "{text}");
        }
        let bad = [
            "api.bigcommerce.com",
            "ftp://api.bigcommerce.com",
            "https://",
            "https://api.bigcommerce.com/stores/abc/v3",
            "https://api.bigcommerce.com?x=1",
            "https://u:p@api.bigcommerce.com",
        ];
        for text in bad {
            assert!(api_url(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_unencrypted_address_is_recognised() {
        for text in [
            "http://api.bigcommerce.com",
            "http://localhost.example.com",
            "http://10.0.0.1",
            "http://0.0.0.0:80",
        ] {
            assert!(is_unencrypted(text), "{text}");
        }
        for text in
            ["https://proxy.example", "http://127.0.0.1:8080", "http://[::1]:8080", "http://localhost"]
        {
            assert!(!is_unencrypted(text), "{text}");
        }
    }

    #[test]
    fn a_pasted_hash_has_a_hint_with_the_bare_hash() {
        assert_eq!(store_hash("abc123"), Ok("abc123".to_owned()));
        for text in ["store-abc123", "{abc123}", "stores/abc123", "{store-abc123}"] {
            assert_eq!(store_hash(text).map_err(|flaw| flaw.1), Err("write \"abc123\"".to_owned()), "{text}");
        }
        for text in ["abc/123", "ab c", "https://store-abc123.mybigcommerce.com", "äbc", "{}"] {
            assert!(store_hash(text).is_err(), "{text}");
        }
    }

    #[test]
    fn where_the_ledger_is() {
        let at = |text| match ledger(text, Path::new("/etc/shop")) {
            Ok(LedgerConfig::Sqlite(path)) => Ok(path.display().to_string()),
            Ok(LedgerConfig::Postgres(_)) => Ok("postgres".to_owned()),
            Err((problem, _)) => Err(problem),
        };
        assert_eq!(at("sqlite:ledger.db").as_deref(), Ok("/etc/shop/ledger.db"));
        assert_eq!(at("sqlite:./ledger.db").as_deref(), Ok("/etc/shop/ledger.db"));
        assert_eq!(at("sqlite://ledger.db").as_deref(), Ok("/etc/shop/ledger.db"));
        assert_eq!(at("sqlite:///var/lib/ledger.db").as_deref(), Ok("/var/lib/ledger.db"));
        assert_eq!(at("sqlite:/var/lib/ledger.db").as_deref(), Ok("/var/lib/ledger.db"));
        assert_eq!(at("postgresql://u:p@h/db").as_deref(), Ok("postgres"));
        assert_eq!(at("host=h dbname=shop").as_deref(), Ok("postgres"));
        for bad in
            ["ledger.db", "sqlite:", "sqlite::memory:", "sqlite:a?mode=rwc", "mysql://h/db", "postgres:h"]
        {
            assert!(at(bad).is_err(), "{bad}");
        }
    }
}
