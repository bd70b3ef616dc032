//! The port to the store: the requests that the engine makes, and the responses to them.
//!
//! An implementation reports a response as it is. [`crate::retry`] interprets it, by one table for all
//! implementations.

pub mod bigcommerce;
mod describe;

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use crate::record::{Filter, Key, KnownAttribute};

/// One value to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Item<'a> {
    /// Its customer and attribute.
    pub key: Key,
    /// The value, at most 255 code points.
    pub value: &'a str,
}

/// The store's copy of a value in its response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Echo {
    /// Its customer and attribute.
    pub key: Key,
    /// The value in the store's form.
    pub value: String,
    /// The store's id of the value. The API's description does not promise one.
    pub value_id: Option<i64>,
}

/// A customer attribute that the store defines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    /// The store's id.
    pub id: i64,
    /// Its name. The API's description does not say that it is unique.
    pub name: String,
    /// `string`, `number` or `date`.
    pub kind: String,
}

impl Attribute {
    /// Returns what the ledger keeps of it, if it never had another name.
    #[must_use]
    pub fn known(&self) -> KnownAttribute {
        let (id, name, kind) = (self.id, self.name.clone(), self.kind.clone());
        KnownAttribute { id, name, kind, former_name: None, deleted: false }
    }
}

/// The most customers that one list of values may name.
pub const LISTED_CUSTOMERS_MAX: usize = 40;

/// Which of the store's values a list has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ValueList {
    /// Those that the filter lets through. It names at most [`LISTED_CUSTOMERS_MAX`] customers.
    pub filter: Filter,
    /// Only those that were modified then or later. A store may not honour this.
    pub modified_since: Option<DateTime<Utc>>,
}

/// A page of a list of values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValuePage {
    /// The values, in an order that the API does not promise.
    pub values: Vec<Echo>,
    /// Whether no page follows.
    pub is_last: bool,
}

/// A customer with the e-mail address that the store has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomerAddress {
    /// The store's id.
    pub customer_id: i64,
    /// The address in lower case and without blanks around it.
    pub address: String,
}

/// The classes of responses, for counting: by the HTTP status, and without one.
pub const RESPONSE_CLASSES: [&str; 6] = ["2xx", "3xx", "4xx", "5xx", "lost", "not_sent"];

/// The result of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Response {
    /// A whole response arrived.
    Received(HttpResponse),
    /// The response did not arrive whole (a time-out, a reset, a truncated body). The request may have been applied.
    Lost {
        /// What happened, without any value or secret.
        reason: String,
    },
    /// Nothing left this machine, because no connection could be made.
    NotSent {
        /// What happened, without any value or secret.
        reason: String,
        /// What to check.
        hint: &'static str,
        /// Whether the same may succeed later without a change by a person.
        may_pass: bool,
    },
}

impl Response {
    /// The response to a request that was not sent for a reason on this machine, which may pass.
    #[must_use]
    pub fn not_sent(reason: impl Into<String>) -> Self {
        Self::NotSent { reason: reason.into(), hint: "run it again", may_pass: true }
    }
}

/// Shows a response in a few words: status and title, or the reason why there is none.
impl fmt::Display for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Received(HttpResponse { status, body: Body::Problem { title, .. }, .. })
                if !title.is_empty() =>
            {
                write!(f, "{status} {title}")
            }
            Self::Received(HttpResponse { status, body: Body::Redirect { to }, .. }) => {
                write!(f, "{status}, a redirect to {to}")
            }
            Self::Received(HttpResponse { status, body: Body::Invalid(problem), .. }) => {
                write!(f, "{status}, but {problem}")
            }
            Self::Received(HttpResponse { status, .. }) => write!(f, "{status}"),
            Self::Lost { reason } | Self::NotSent { reason, .. } => f.write_str(reason),
        }
    }
}

/// A response that arrived whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpResponse {
    /// The HTTP status.
    pub status: u16,
    /// The store's id of the request, if the response has one.
    pub request_id: Option<String>,
    /// How long the store asks to wait: the longest of the headers `Retry-After` and, for a 429, the quota's reset.
    /// A success has none.
    pub wait: Option<Duration>,
    /// The body.
    pub body: Body,
}

/// The body of a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// A list of values. Items that could not be read are left out.
    Echoes(Vec<Echo>),
    /// A list of values, beside errors of single items of the request.
    Partial {
        /// The values.
        echoes: Vec<Echo>,
        /// The errors.
        errors: Vec<ErrorFields>,
    },
    /// An error in the API's shape.
    Problem {
        /// Its one-line title; may be empty.
        title: String,
        /// Its `errors`, in the order of the body: `("0.customer_id", "invalid customer ID")`.
        errors: Vec<(String, String)>,
    },
    /// A redirect, which is not followed.
    Redirect {
        /// Where to: scheme, host and port.
        to: String,
    },
    /// A list that cannot be right, and what is wrong with it, without values.
    Invalid(String),
    /// Anything else (HTML, an empty body, JSON of another shape), cut to its first 2 KiB.
    Unreadable(String),
}

/// The fields of one error in a success, each with its path and as text: `("index", "3")`, `("message", "too long")`. A
/// path may begin with the position of an item: `("3.value", "too long")`.
pub type ErrorFields = Vec<(String, String)>;

/// How many requests a store's rate quota allows, without the share that is left to other apps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// In the rest of the present window.
    pub now: u64,
    /// The time until the next window begins.
    pub next_window: Duration,
    /// In each later window.
    pub each_window: u64,
    /// The length of a window.
    pub window: Duration,
}

/// A failed read. Its response is not a 200, or has an item that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.to_read())]
pub struct ReadError(pub Response);

/// A BigCommerce store, or a simulation of one.
///
/// Methods may be called concurrently; the caller limits how many writes are in flight. An implementation never sends
/// a request again by itself.
#[async_trait]
pub trait Destination: Send + Sync {
    /// Waits until the store's rate quota allows one more request, and takes the permit for it.
    ///
    /// The caller acquires a permit before it records the intent of a write, so that a recorded write never waits.
    /// Reads acquire their own permits. A permit that is not used expires.
    async fn acquire_permit(&self);

    /// Writes the values in one request. `items` is not empty and has each key once.
    /// The response may have its echoes in any order, with keys missing, altered or repeated.
    async fn upsert(&self, items: &[Item<'_>]) -> Response;

    /// Deletes the values with these ids in one request. `ids` is not empty and has each id once. An id that the store
    /// does not have is no error. A success proves nothing: only a read shows that a value is not there.
    async fn delete(&self, ids: &[i64]) -> Response;

    /// Reads the store's values of these keys, all pages. A key without a value is left out; a key may be there more
    /// than once.
    ///
    /// # Errors
    /// The first response that is not a readable 200.
    async fn fetch(&self, keys: &[Key]) -> Result<Vec<Echo>, ReadError>;

    /// Reads one page of a list of values; the first page has the number 1. The store's order of the values is not known,
    /// and values move between pages while others write, so that a value that no page shows may still be there.
    ///
    /// # Errors
    /// The response is not a readable 200.
    async fn values(&self, list: &ValueList, page: u64) -> Result<ValuePage, ReadError>;

    /// Lists the attributes that the store defines, all pages.
    ///
    /// # Errors
    /// The first response that is not a readable 200.
    async fn attributes(&self) -> Result<Vec<Attribute>, ReadError>;

    /// Returns those of the customers that exist in the store, in the order of their ids.
    ///
    /// # Errors
    /// The first response that is not a readable 200.
    async fn customers(&self, ids: &[i64]) -> Result<Vec<i64>, ReadError>;

    /// Returns the customers that have one of these e-mail addresses, which are in lower case, at most
    /// [`LISTED_CUSTOMERS_MAX`], and [askable](crate::record::is_askable). An address may be of several customers, or of none.
    ///
    /// # Errors
    /// The first response that is not a readable 200.
    async fn customers_by_email(&self, addresses: &[&str]) -> Result<Vec<CustomerAddress>, ReadError>;

    /// Returns what the rate quota allows, as far as the responses so far have told.
    fn allowance(&self) -> Option<Allowance> {
        None
    }
}
