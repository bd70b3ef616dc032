//! Stores and their attributes.

use std::fmt;

/// A store: what a sandbox confirmed says nothing of the live store, so the address is a part of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StoreName {
    /// The API's address, normalised.
    pub api_url: String,
    /// The store's hash.
    pub hash: String,
}

impl StoreName {
    /// The name of a store. Two spellings of one address give one name: scheme and host become lower-case, the scheme's default
    /// port and a trailing slash are dropped.
    #[must_use]
    pub fn new(api_url: &str, hash: &str) -> Self {
        Self { api_url: normalised(api_url), hash: hash.to_owned() }
    }
}

impl fmt::Display for StoreName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "store {} at {}", self.hash, self.api_url)
    }
}

fn normalised(url: &str) -> String {
    let url = url.trim_end_matches('/');
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (scheme, path_at) = (scheme.to_ascii_lowercase(), rest.find('/').unwrap_or(rest.len()));
    let (host, path) = rest.split_at(path_at);
    let host = host.to_ascii_lowercase();
    let port = if scheme == "https" { ":443" } else { ":80" };
    format!("{scheme}://{}{path}", host.strip_suffix(port).unwrap_or(&host))
}

/// An attribute as the store defines it, or did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownAttribute {
    /// The store's id.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// Its type: `string`, `number` or `date`.
    pub kind: String,
    /// Whether the store no longer defines it.
    pub deleted: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_address_are_one_store() {
        let same = ["https://API.example.com/", "HTTPS://api.example.com:443", "https://api.example.com"];
        for url in same {
            assert_eq!(StoreName::new(url, "abc").api_url, "https://api.example.com", "{url}");
        }
        for (url, normal) in [
            ("http://127.0.0.1:80/Base/", "http://127.0.0.1/Base"),
            ("http://127.0.0.1:443", "http://127.0.0.1:443"),
            ("https://h:8080//", "https://h:8080"),
            ("http://[::1]:80", "http://[::1]"),
        ] {
            assert_eq!(StoreName::new(url, "abc").api_url, normal);
        }
    }
}
