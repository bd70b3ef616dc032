//! Reads `sync.toml` into a typed and checked configuration. All problems are reported at once, each with its key.
//!
//! References to the environment are replaced after the file was parsed. No error repeats a text that may be a secret.

mod address;
mod columns;
mod drift;
mod file;
mod guard;
mod interpolate;
mod known;
mod missing;
mod notify;
mod problem;
mod query;
mod read;
mod read_guard;
mod schedule;
mod section;
mod serve;
mod source_columns;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::env::VarError;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use chrono::TimeDelta;

use crate::record::{DriftPolicy, OnMissing, StoreName};
use crate::schedule::Schedule;

pub(crate) use address::{is_loopback, table_parts};
pub use guard::{GuardConfig, Share};
pub use problem::{ConfigErrors, Problem};
pub use source_columns::{AttributeRef, CustomerColumn, SourceColumns, ValueColumns, WideColumn};

/// The annotated `sync.toml`: every key with its default.
pub const ANNOTATED: &str = include_str!("../sync.toml");

/// The longest `request_timeout` that is allowed.
pub(crate) const REQUEST_TIMEOUT_MAX: Duration = Duration::from_secs(10 * 60);

/// Returns variables of the environment by their names, as [`std::env::var`] does.
pub type Environment<'a> = &'a dyn Fn(&str) -> Result<String, VarError>;

/// A token, or an address that may contain a password. `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Makes a secret of a text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns the text, for the place that sends it.
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

/// The whole configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// How `serve`, the status and the metrics call this sync.
    pub name: String,
    /// When `serve` starts syncs, if it is to start some on time.
    pub schedule: Option<Schedule>,
    /// How `serve` hears of changes of the source, if it is to hear of them.
    pub on_change: Option<OnChange>,
    /// Where the desired values are read.
    pub source: SourceConfig,
    /// The store that is kept in step.
    pub store: StoreConfig,
    /// Where the ledger is.
    pub ledger: LedgerConfig,
    /// How changes are pushed.
    pub push: PushConfig,
    /// How much a run may change.
    pub guard: GuardConfig,
    /// What happens to values whose row has left the source.
    pub missing: MissingConfig,
    /// Who is told of a change of state.
    pub notify: NotifyConfig,
    /// What is done about values that others changed in the store.
    pub drift: DriftConfig,
    /// How `serve` is reached; or the variable of the environment that it needs and that is not set.
    pub serve: Result<ServeConfig, String>,
}

/// The configuration of a command that reads the ledger only. It needs neither the source's address nor the token.
#[derive(Debug, Clone)]
pub struct AuditConfig {
    /// How `serve`, the status and the metrics call this sync.
    pub name: String,
    /// When `serve` starts syncs, if it is to start some on time.
    pub schedule: Option<Schedule>,
    /// How `serve` hears of changes of the source, if it is to hear of them.
    pub on_change: Option<OnChange>,
    /// Where the desired values are read; or the variable of the environment that it needs and that is not set.
    pub source: Result<SourceConfig, String>,
    /// The store; `None` if it needs a variable of the environment that is not set.
    pub store: Option<StoreName>,
    /// Where the ledger is.
    pub ledger: LedgerConfig,
}

/// `[schedule] listen` and `debounce`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnChange {
    /// The channel on which the source notifies of changes.
    pub channel: String,
    /// The shortest time between two runs on change.
    pub debounce: Duration,
}

impl OnChange {
    /// The channel of the shipped configuration.
    pub const CHANNEL: &str = "attrsync";
}

/// `[source]`
#[derive(Debug, Clone)]
pub struct SourceConfig {
    /// An address as libpq takes it: `postgres://…`, or `host=… dbname=…`.
    pub url: Secret,
    /// The table or query that is read.
    pub relation: Relation,
    /// The columns of the relation.
    pub columns: SourceColumns,
    /// How long to try again while the database cannot be read.
    pub give_up_after: Duration,
}

impl SourceConfig {
    /// The default of `give_up_after`.
    pub const GIVE_UP_AFTER: Duration = Duration::from_secs(10 * 60);

    /// A source with the default of every other key.
    #[must_use]
    pub fn new(url: Secret, relation: Relation) -> Self {
        Self { url, relation, columns: SourceColumns::default(), give_up_after: Self::GIVE_UP_AFTER }
    }
}

/// The relation that holds the desired values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Relation {
    /// A table or view, optionally with its schema: `shop.values`.
    Table(String),
    /// A query, without a trailing semicolon.
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

/// `[ledger]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LedgerConfig {
    /// `sqlite:PATH`. The path is absolute; in the file it is relative to the file's folder.
    Sqlite(PathBuf),
    /// `postgres://…`, in its own schema `attrsync`.
    Postgres(Secret),
}

/// `[notify]`
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NotifyConfig {
    /// The address that is sent a notification when the state of the sync changes.
    pub webhook: Option<Secret>,
    /// The form of a notification.
    pub format: NotifyFormat,
    /// The address that is called after every whole sync that sent all that could be sent.
    pub ping: Option<Secret>,
}

/// The form of a notification.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum NotifyFormat {
    /// One JSON object with everything.
    #[default]
    Json,
    /// A text as Slack, Mattermost and others take it.
    Slack,
}

/// `[push]`
#[derive(Debug, Clone, PartialEq)]
pub struct PushConfig {
    /// The largest number of distinct customers in a request, 1 to 10.
    pub customers_per_request: usize,
    /// Requests in flight, 1 to 3.
    pub workers: usize,
    /// The largest number of values in a request; learned from the store if not set.
    pub values_per_request: Option<usize>,
    /// Attempts of a request that is in doubt, before its batch is split.
    pub max_attempts: u32,
    /// The first pause after a failure. It doubles up to `backoff_max`, with jitter.
    pub backoff: Duration,
    /// The longest pause after a failure.
    pub backoff_max: Duration,
    /// How long to wait for a complete response.
    pub request_timeout: Duration,
    /// How long to go on while nothing succeeds.
    pub give_up_after: Duration,
    /// The share of the store's rate quota that is left to other apps, 0 to 0.95.
    pub quota_reserve: f64,
    /// The time after which nothing more is sent.
    pub max_duration: Option<Duration>,
}

impl PushConfig {
    /// Returns how long a request may still be applied after it was sent.
    #[must_use]
    pub fn in_doubt_window(&self) -> TimeDelta {
        TimeDelta::from_std(self.request_timeout * 2).unwrap_or(TimeDelta::MAX)
    }
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
            give_up_after: Duration::from_secs(10 * 60),
            quota_reserve: 0.2,
            max_duration: None,
        }
    }
}

/// `[missing]`
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MissingConfig {
    /// What happens to values whose row has left the source, or became NULL.
    pub action: OnMissing,
    /// The same for single attributes, by id or name.
    pub attributes: BTreeMap<String, OnMissing>,
}

/// `[drift]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DriftConfig {
    /// What is done about drift.
    pub policy: DriftPolicy,
    /// The policies of single attributes, by the attribute's id or name.
    pub attributes: BTreeMap<String, DriftPolicy>,
    /// The time in which `serve` reads each value back once; `None` if it reads none.
    pub sweep: Option<Duration>,
}

impl Default for DriftConfig {
    fn default() -> Self {
        Self {
            policy: DriftPolicy::Overwrite,
            attributes: BTreeMap::new(),
            sweep: Some(Duration::from_secs(30 * 24 * 60 * 60)),
        }
    }
}

/// `[serve]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServeConfig {
    /// Where health, metrics and the status site are served.
    pub address: SocketAddr,
    /// What a person or a program must show to read them, and to trigger a run.
    pub token: Option<Secret>,
    /// The most runs at the same time.
    pub max_concurrent_runs: usize,
}

impl Default for ServeConfig {
    fn default() -> Self {
        Self {
            address: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9180),
            token: None,
            max_concurrent_runs: 4,
        }
    }
}
