//! The options of a sandbox, with a switch for every behaviour of the real API that is not known.
//!
//! The defaults are the most likely behaviour. Each switch selects another interpretation of the API's documentation,
//! so that tests can show that a client is correct under all of them.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::faults::Faults;
use crate::config::Secret;

/// The definition of a customer attribute.
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
    /// Makes a definition from id, name and type.
    #[must_use]
    pub fn new(id: i64, name: &str, kind: &str) -> Self {
        Self { id, name: name.to_owned(), kind: kind.to_owned() }
    }
}

/// What the size limit of a request counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counting {
    /// Items of the array, as the API most likely does.
    Items,
    /// Distinct customers, as its documentation says today.
    Customers,
}

/// How a request above the size limit is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SizeRefusal {
    /// By the status 413.
    TooLarge,
    /// By 422 with the limit in the title.
    Unprocessable,
}

/// The limits of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The largest size of a request.
    pub max_per_request: usize,
    /// What the size counts.
    pub counting: Counting,
    /// The most values that one request deletes. A request for more is refused by 414, or by 422.
    pub max_deleted: usize,
    /// How a larger request is refused.
    pub size_refusal: SizeRefusal,
    /// The largest number of writes in flight.
    pub max_in_flight: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_per_request: 10,
            max_deleted: 50,
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
    /// The number of them that other apps use, evenly over the window.
    pub others: u32,
    /// Whether a 429 also has `X-Retry-After`.
    pub retry_after: bool,
}

impl Default for QuotaRule {
    fn default() -> Self {
        Self { requests: 150, window_ms: 30_000, others: 0, retry_after: false }
    }
}

/// How a 422 names the bad item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// By its index: `3.value`.
    Index,
    /// By its field only: `value`.
    FieldOnly,
    /// By the index of its neighbour.
    WrongIndex,
}

/// What happens if a request has the same key twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RepeatedPair {
    /// The last item is stored, and each is echoed.
    LastWins,
    /// The request is refused.
    Refused,
}

/// The form in which values are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Keeping {
    /// Without white space at both ends.
    pub trim: bool,
    /// Values of number attributes as the shortest decimal: `10.0` as `10`.
    pub numbers: bool,
    /// Characters of four bytes as `?`.
    pub narrow: bool,
    /// An empty string removes the value.
    pub drop_empty: bool,
}

/// The switches of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// How a bad item is named.
    pub blame: Blame,
    /// All bad items are named, not only the first.
    pub report_all: bool,
    /// The items before the first bad one are applied.
    pub apply_before_bad: bool,
    /// What happens if a request has the same key twice.
    pub repeated_pair: RepeatedPair,
    /// The form in which values are stored.
    pub keeping: Keeping,
    /// A value that contains this text is refused.
    pub reject_marker: String,
    /// A request with a value that contains this text has a response of 500.
    pub poison_marker: String,
    /// A delete of a stored value that contains this text is refused.
    pub undeletable_marker: String,
    /// A delete has a response of 204, and nothing is deleted.
    pub deletes_nothing: bool,
    /// The token is revoked: 401.
    pub revoked: bool,
    /// The token lacks the scope: 403.
    pub scope_missing: bool,
    /// Every write has a response of this status and is not applied.
    pub fixed_status: Option<u16>,
    /// Every write is echoed as if it were applied, and is not.
    pub forgets: bool,
    /// Each page of a list of values is of another order, as if others wrote between the pages.
    pub shifts_pages: bool,
    /// `date_modified:min` is ignored.
    pub ignores_modified: bool,
    /// A request for the customers with this e-mail address, among others, is refused.
    pub refused_email: Option<String>,
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
            undeletable_marker: "!keep".to_owned(),
            deletes_nothing: false,
            revoked: false,
            scope_missing: false,
            fixed_status: None,
            forgets: false,
            shifts_pages: false,
            ignores_modified: false,
            refused_email: None,
        }
    }
}

/// The options of a sandbox.
#[derive(Debug, Clone)]
pub struct SandboxOptions {
    /// The store's hash.
    pub hash: String,
    /// The token that may read and write.
    pub token: Secret,
    /// A token that may only read.
    pub read_only_token: Option<Secret>,
    /// The customers have the ids 1 to this.
    pub customers: i64,
    /// The attributes that the store defines.
    pub attributes: Vec<AttributeSpec>,
    /// The latency of a request.
    pub latency: Duration,
    /// The share by which the latency varies, 0 to 1.
    pub jitter: f64,
    /// The client's time-out: slow and late requests take longer.
    pub client_timeout: Duration,
    /// The limits of a write.
    pub limits: Limits,
    /// The rate quota.
    pub quota: QuotaRule,
    /// The switches.
    pub rules: Rules,
    /// The faults that occur at random.
    pub faults: Faults,
    /// The seed of the faults: the same seed and the same requests have the same faults.
    pub seed: u64,
    /// The date at the model's time 0, for the dates of values.
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
