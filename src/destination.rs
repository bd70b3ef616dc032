//! The port to the store: what the engine may ask of it, and what it can learn from an answer.
//!
//! An implementation reports what came back and judges nothing: what an answer means is decided by
//! [`crate::retry`], so that every implementation is judged alike.

pub mod bigcommerce;
mod describe;

use std::time::Duration;

use async_trait::async_trait;

use crate::record::Key;

/// One value to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Item<'a> {
    /// KeyScope value.
    pub key: Key,
    /// The value, at most 255 code points.
    pub value: &'a str,
}

/// One value as the store says it holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Echo {
    /// KeyScope value.
    pub key: Key,
    /// The value in the store's form.
    pub value: String,
    /// The store's id of the value; the API's description does not promise one.
    pub value_id: Option<i64>,
}

/// A customer attribute that the store defines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    /// The store's id.
    pub id: i64,
    /// Its name; not known to be unique.
    pub name: String,
    /// `string`, `number` or `date`.
    pub kind: String,
}

/// What became of one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Response {
    /// A whole answer arrived.
    Received(HttpResponse),
    /// The request may have arrived, the answer did not: a time-out, a reset, a body that was cut off.
    Lost {
        /// What happened, without any value or secret.
        reason: String,
    },
    /// Nothing left this machine: no connection could be made.
    NotSent {
        /// What happened.
        reason: String,
    },
}

/// An answer, read but not judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpResponse {
    /// The HTTP status.
    pub status: u16,
    /// The store's id of the request, if it told one.
    pub request_id: Option<String>,
    /// How long the store asks to wait: the longer of the window's reset and retry-after. Given on 429 only.
    pub wait: Option<Duration>,
    /// What the body says.
    pub body: Body,
}

/// What an answer's body says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// A list of values. An item of the answer that could not be read is left out.
    Echoes(Vec<Echo>),
    /// An error in the API's shape.
    Problem {
        /// Its one-line title; may be empty.
        title: String,
        /// Its `errors`, in the order of the answer: `("0.customer_id", "invalid customer ID")`.
        errors: Vec<(String, String)>,
    },
    /// Something else: HTML, an empty body, JSON of another shape. The first 2 KiB of it.
    Unreadable(String),
}

/// A call that reads did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.headline())]
pub struct ReadError(pub Response);

/// A BigCommerce store, or something that behaves like one.
///
/// Calls may be made concurrently; the caller bounds how many writes are in flight. Every call that is made
/// after [`ready`](Self::ready) returned is one request to the store: an implementation never retries by itself.
#[async_trait]
pub trait Destination: Send + Sync {
    /// Waits until the store's rate quota allows one more call, and takes it from what is left.
    /// Asked before every write is begun, so that a begun write need not wait. Reads ask for themselves.
    async fn ready(&self);

    /// Writes the values: one request. `items` is not empty and has each key once.
    /// The reply may hold its echoes in any order, with keys missing, altered or repeated.
    async fn upsert(&self, items: &[Item<'_>]) -> Response;

    /// Reads the store's values of these keys, all pages. A key that the store has no value for is left out;
    /// a key may be there more than once; keys that were not asked for are left out.
    ///
    /// # Errors
    /// The first reply that was not a readable 200.
    async fn fetch(&self, keys: &[Key]) -> Result<Vec<Echo>, ReadError>;

    /// Lists the attributes that the store defines, all pages.
    ///
    /// # Errors
    /// The first reply that was not a readable 200.
    async fn attributes(&self) -> Result<Vec<Attribute>, ReadError>;

    /// Which of these customers the store has. At most 50 are asked for at once.
    ///
    /// # Errors
    /// A reply that was not a readable 200.
    async fn customers(&self, ids: &[i64]) -> Result<Vec<i64>, ReadError>;
}
