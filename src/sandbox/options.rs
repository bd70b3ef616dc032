//! What a sandbox is made of, and the switches for everything that is not known of the real service.
//!
//! The defaults are what the service most likely does. Each switch stands for another reading of its
//! documentation, so that a client can be shown to be right under all of them.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::faults::Faults;
use crate::config::Secret;

/// A customer attribute to define.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttributeSpec {
    /// Its id.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// `string`, `number` or `date`.
    pub kind: String,
}

impl AttributeSpec {
    /// An attribute of this id, name and type.
    #[must_use]
    pub fn new(id: i64, name: &str, kind: &str) -> Self {
        Self { id, name: name.to_owned(), kind: kind.to_owned() }
    }
}

/// What the limit of a call counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counting {
    /// Items of the array, as the service most likely does.
    Items,
    /// Distinct customers, as its documentation says today.
    Customers,
}

/// How a call that is too big is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SizeRefusal {
    /// By the status 413.
    TooLarge,
    /// By 422 with a title that tells the limit.
    Unprocessable,
}

/// The limits of the write call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// At most so many in a call.
    pub max_per_call: usize,
    /// So many of what.
    pub counting: Counting,
    /// How a bigger call is refused.
    pub size_refusal: SizeRefusal,
    /// At most so many write calls in flight.
    pub max_in_flight: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_per_call: 10,
            counting: Counting::Items,
            size_refusal: SizeRefusal::TooLarge,
            max_in_flight: 3,
        }
    }
}

/// The store's rate quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuotaRule {
    /// Requests in a window.
    pub requests: u32,
    /// The window in milliseconds.
    pub window_ms: u64,
    /// How many of them other apps use up, evenly over the window.
    pub others: u32,
    /// Whether a refusal also carries `X-Retry-After`.
    pub retry_after: bool,
}

impl Default for QuotaRule {
    fn default() -> Self {
        Self { requests: 150, window_ms: 30_000, others: 0, retry_after: false }
    }
}

/// How a 422 names the item that it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// By its index: `3.value`.
    Index,
    /// Not at all: `value`.
    FieldOnly,
    /// By the index of its neighbour.
    WrongIndex,
}

/// What the same pair twice in a call does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RepeatedPair {
    /// The last one stays, and each is echoed.
    LastWins,
    /// The call is refused.
    Refused,
}

/// In which form values are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Keeping {
    /// Without white space at the ends.
    pub trim: bool,
    /// Values of number attributes as the shortest decimal: `10.0` as `10`.
    pub numbers: bool,
    /// Characters of four bytes as `?`.
    pub narrow: bool,
    /// The empty string as no value at all.
    pub drop_empty: bool,
}

/// The switches of the write call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// How a bad item is named.
    pub blame: Blame,
    /// All bad items are named, not only the first.
    pub report_all: bool,
    /// The items before the first bad one are applied.
    pub apply_before_bad: bool,
    /// What a repeated pair does.
    pub repeated_pair: RepeatedPair,
    /// In which form values are kept.
    pub keeping: Keeping,
    /// A value with this in it is refused.
    pub reject_marker: String,
    /// A value with this in it makes the whole call answer 500.
    pub poison_marker: String,
    /// The token does not hold any more: 401.
    pub revoked: bool,
    /// The token lacks the scope: 403.
    pub scope_missing: bool,
    /// Every write is answered by this status and not applied.
    pub fixed_status: Option<u16>,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            blame: Blame::Index,
            report_all: false,
            apply_before_bad: false,
            repeated_pair: RepeatedPair::LastWins,
            keeping: Keeping::default(),
            reject_marker: "!reject".to_owned(),
            poison_marker: "!poison".to_owned(),
            revoked: false,
            scope_missing: false,
            fixed_status: None,
        }
    }
}

/// What a sandbox is made of.
#[derive(Debug, Clone)]
pub struct SandboxOptions {
    /// The store's hash.
    pub hash: String,
    /// The token that may write.
    pub token: Secret,
    /// A token that may only read.
    pub read_only_token: Option<Secret>,
    /// The customers have the ids 1 to this.
    pub customers: i64,
    /// The attributes that the store defines.
    pub attributes: Vec<AttributeSpec>,
    /// How long a call takes.
    pub latency: Duration,
    /// The share by which a call's time varies, 0 to 1.
    pub jitter: f64,
    /// How long the client waits for an answer: slow and late requests are made longer than that.
    pub client_timeout: Duration,
    /// The limits of a write call.
    pub limits: Limits,
    /// The rate quota.
    pub quota: QuotaRule,
    /// The switches.
    pub rules: Rules,
    /// What goes wrong by chance.
    pub faults: Faults,
    /// What chance is drawn from: the same seed and the same requests give the same faults.
    pub seed: u64,
    /// The wall-clock time at the model's zero, for the dates of values.
    pub started_at: DateTime<Utc>,
}

impl Default for SandboxOptions {
    fn default() -> Self {
        Self {
            hash: "sandbox".to_owned(),
            token: Secret::new("sandbox-token"),
            read_only_token: None,
            customers: 1000,
            attributes: vec![
                AttributeSpec::new(1, "loyalty_tier", "string"),
                AttributeSpec::new(2, "lifetime_value", "number"),
                AttributeSpec::new(3, "last_order", "date"),
            ],
            latency: Duration::from_millis(50),
            jitter: 0.0,
            client_timeout: Duration::from_secs(60),
            limits: Limits::default(),
            quota: QuotaRule::default(),
            rules: Rules::default(),
            faults: Faults::default(),
            seed: 1,
            started_at: DateTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600),
        }
    }
}
