//! The name of a store.

use std::fmt;

use url::Url;

/// A store, named by the API's address and the store's hash.
///
/// The address is a part of the name because what a sandbox confirmed says nothing about the live store.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StoreName {
    /// The API's address as [`StoreName::new`] writes it: `https://api.bigcommerce.com`.
    pub api_url: String,
    /// The store's hash.
    pub hash: String,
}

impl StoreName {
    /// Names a store, so that two spellings of one address are equal: scheme and host become lower case, the default
    /// port and trailing slashes are dropped, and the hash becomes lower case, as BigCommerce writes it. An address that is
    /// not a URL stays as it is. Two host names of one machine stay two stores.
    #[must_use]
    pub fn new(api_url: &str, hash: impl Into<String>) -> Self {
        let url = Url::parse(api_url);
        let api_url = url.as_ref().map_or(api_url, Url::as_str).trim_end_matches('/').to_owned();
        Self { api_url, hash: hash.into().to_ascii_lowercase() }
    }

    /// Returns a digest of the name (FNV-1a), the same on every machine.
    #[must_use]
    pub fn digest(&self) -> String {
        let bytes = self.api_url.bytes().chain([0]).chain(self.hash.bytes());
        let digest = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |digest, byte| {
            (digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        format!("{digest:016x}")
    }
}

impl fmt::Display for StoreName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "store {} at {}", self.hash, self.api_url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_address_name_one_store() {
        let of = |api_url| StoreName::new(api_url, "abc").api_url;
        for (api_url, expect) in [
            ("https://api.bigcommerce.com", "https://api.bigcommerce.com"),
            ("HTTPS://API.BigCommerce.com:443/", "https://api.bigcommerce.com"),
            ("http://LOCALHOST:80//", "http://localhost"),
            ("http://127.0.0.1:8080/", "http://127.0.0.1:8080"),
            ("https://api.example.com:80", "https://api.example.com:80"),
            ("https://proxy.example.com/Shop/", "https://proxy.example.com/Shop"),
            ("no address", "no address"),
        ] {
            assert_eq!(of(api_url), expect);
        }
        assert_ne!(StoreName::new("https://a", "x"), StoreName::new("https://a", "y"));
        assert_eq!(StoreName::new("https://a", "ABC1"), StoreName::new("https://a", "abc1"));
    }

    #[test]
    fn another_name_has_another_digest() {
        let digest = |api_url: &str, hash: &str| {
            StoreName { api_url: api_url.to_owned(), hash: hash.to_owned() }.digest()
        };
        assert_eq!(digest("https://a", "x"), "1e73c6b4f1d4073d");
        assert_ne!(digest("https://a", "x"), digest("https://a", "y"));
        assert_ne!(digest("https://a", "x"), digest("https://ax", ""));
    }
}
