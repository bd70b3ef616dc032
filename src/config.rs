//! `sync.toml` made into a typed, checked configuration. All problems are reported at once, each with its key.
//!
//! Strings may take values from the environment, which are filled in after the file was parsed. No error
//! repeats a text that may be a secret.

mod address;
mod interpolate;
mod known;
mod problem;
mod read;
mod section;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::record::StoreName;

pub(crate) use address::table_parts;
pub use problem::{ConfigErrors, Problem};

/// The annotated `sync.toml`: every key with its default.
pub const ANNOTATED: &str = include_str!("../sync.toml");

/// The longest `request_timeout` there may be.
pub(crate) const REQUEST_TIMEOUT_MAX: Duration = Duration::from_secs(10 * 60);

/// A token, or an address that may carry a password. It never shows itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps `text` secret from here on.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one place that has to send it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Everything that a command needs to know.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the desired values are.
    pub source: SourceConfig,
    /// The store to keep in step.
    pub store: StoreConfig,
    /// Where the ledger is.
    pub ledger: LedgerConfig,
    /// How to push.
    pub push: PushConfig,
}

/// `[source]`
#[derive(Debug, Clone)]
pub struct SourceConfig {
    /// A `postgres://` address as libpq users write it.
    pub url: Secret,
    /// What is read.
    pub relation: Relation,
}

/// What the desired values are read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Relation {
    /// A table or view, maybe with its schema: `shop.values`.
    Table(String),
    /// A query with the columns customer_id, attribute_id and value; no trailing semicolon.
    Query(String),
}

/// `[store]`
#[derive(Debug, Clone)]
pub struct StoreConfig {
    /// Address and hash.
    pub name: StoreName,
    /// The API account's token.
    pub access_token: Secret,
}

impl StoreConfig {
    /// Whether the token would travel in clear: the address is neither encrypted nor on this machine.
    #[must_use]
    pub fn sends_token_in_clear(&self) -> bool {
        address::is_in_clear(&self.name.api_url)
    }
}

/// `[ledger]`
#[derive(Debug, Clone)]
pub enum LedgerConfig {
    /// `sqlite:PATH`, the path made absolute against the configuration file's folder.
    Sqlite(PathBuf),
    /// `postgres://…`, in its own schema `attrsync`.
    Postgres(Secret),
}

/// `[push]`
#[derive(Debug, Clone, PartialEq)]
pub struct PushConfig {
    /// At most so many distinct customers in a call, 1 to 10.
    pub customers_per_request: usize,
    /// Calls in flight, 1 to 3.
    pub workers: usize,
    /// At most so many values in a call; learnt from the store where not set.
    pub values_per_request: Option<usize>,
    /// How often a call whose outcome is unknown is made before its batch is split.
    pub max_attempts: u32,
    /// The first pause after a failure; doubles up to `backoff_max`, with jitter.
    pub backoff: Duration,
    /// The longest pause after a failure.
    pub backoff_max: Duration,
    /// How long to wait for an answer.
    pub request_timeout: Duration,
    /// The share of the store's rate quota that is left to other apps, 0 to 0.95.
    pub quota_reserve: f64,
    /// After this time nothing new is begun.
    pub max_duration: Option<Duration>,
}

impl Default for PushConfig {
    fn default() -> Self {
        Self {
            customers_per_request: 10,
            workers: 3,
            values_per_request: None,
            max_attempts: 6,
            backoff: Duration::from_millis(500),
            backoff_max: Duration::from_secs(20),
            request_timeout: Duration::from_secs(60),
            quota_reserve: 0.2,
            max_duration: None,
        }
    }
}
