//! What a response means, and what to do next. Pure: no I/O, no clock.
//!
//! [`meaning`] is the one table from responses to their meanings. [`echo`] compares what the store shows with what was
//! sent, and [`absence`] with what was deleted. [`words`] removes the positions of items from the store's words. [`bisection`] finds the bad values of a
//! refused batch. [`CircuitBreaker`] says when to stop.

pub mod absence;
pub mod bisection;
mod circuit_breaker;
pub mod echo;
pub mod item_errors;
pub mod words;

use std::time::Duration;

pub use self::circuit_breaker::CircuitBreaker;
use crate::destination::{Body, Echo, ErrorFields, Response};
use crate::record::RequestOutcome;

/// The longest wait at once that a store can ask for.
const WAIT_MAX: Duration = Duration::from_secs(300);

/// What a response means for its request.
#[derive(Debug, PartialEq, Eq)]
pub enum Meaning<'a> {
    /// 2xx: confirm by echo.
    Accepted(&'a [Echo]),
    /// 2xx with errors of single items: confirm by echo, and reject what is named and not echoed.
    Partial {
        /// The echoes.
        echoes: &'a [Echo],
        /// The errors.
        errors: &'a [ErrorFields],
    },
    /// 2xx with a body that shows nothing: read the values back.
    Unreadable,
    /// The request is larger than the store accepts.
    TooLarge {
        /// Whether the store says so itself, and not something before it.
        by_the_store: bool,
    },
    /// Something in the batch is refused, and nothing of it was applied. The list has the indexes of the items that
    /// the store named.
    Refused(Vec<usize>),
    /// Something before the store, such as a firewall, refused the request with this status. If reads succeed, the
    /// content of the request is the cause; of some statuses only if other writes succeed as well
    /// ([`concerns_writes`]).
    Filtered(u16),
    /// No other request can succeed either. The text says what to do about it.
    Fatal(&'static str),
    /// The store asks for fewer requests. The time says how long to wait, if the store named one.
    Limited(Option<Duration>),
    /// The request may or may not have been applied, or may still be.
    InDoubt,
    /// Nothing left this machine.
    NotSent,
    /// Nothing left this machine, and nothing will until a person changes something. The text says what to do about it.
    CannotBeSent(&'static str),
}

impl Meaning<'_> {
    /// The outcome of the request, as the ledger records it.
    #[must_use]
    pub const fn outcome(&self) -> RequestOutcome {
        match self {
            Self::Accepted(_) | Self::Partial { .. } => RequestOutcome::Accepted,
            Self::TooLarge { .. } | Self::Refused(_) | Self::Filtered(_) => RequestOutcome::Refused,
            Self::Fatal(_) => RequestOutcome::Fatal,
            Self::Limited(_) => RequestOutcome::Limited,
            Self::Unreadable | Self::InDoubt => RequestOutcome::InDoubt,
            Self::NotSent | Self::CannotBeSent(_) => RequestOutcome::NotSent,
        }
    }
}

/// Returns what the response to a write of `items` values means.
#[must_use]
pub fn meaning(response: &Response, items: usize) -> Meaning<'_> {
    let received = match response {
        Response::Received(received) => received,
        Response::Lost { .. } => return Meaning::InDoubt,
        Response::NotSent { may_pass: true, .. } => return Meaning::NotSent,
        Response::NotSent { hint, .. } => return Meaning::CannotBeSent(hint),
    };
    match (received.status, &received.body) {
        (200..=299, Body::Echoes(echoes)) => Meaning::Accepted(echoes),
        (200..=299, Body::Partial { echoes, errors, .. }) => Meaning::Partial { echoes, errors },
        (200..=299, _) => Meaning::Unreadable,
        (413 | 414, body) => Meaning::TooLarge { by_the_store: matches!(body, Body::Problem { .. }) },
        (400 | 422, Body::Problem { title, errors }) if is_about_size(title, errors) => {
            Meaning::TooLarge { by_the_store: true }
        }
        (400 | 422, Body::Problem { errors, .. }) => Meaning::Refused(item_errors::positions(errors, items)),
        (300..=399 | 403..=406 | 415 | 501 | 505, Body::Unreadable(_) | Body::Redirect { .. }) => {
            Meaning::Filtered(received.status)
        }
        (429, _) => Meaning::Limited(asked_wait(response)),
        (408 | 409 | 423, _) => Meaning::InDoubt,
        (status @ (300..=399 | 401 | 403..=405 | 415 | 501 | 505 | 507), _) => Meaning::Fatal(advice(status)),
        (status @ 400..=499, Body::Problem { .. }) => Meaning::Fatal(advice(status)),
        _ => Meaning::InDoubt,
    }
}

/// Returns what the response to a delete of `items` values means. A success needs no body, because a read has to prove it.
#[must_use]
pub fn meaning_of_delete(response: &Response, items: usize) -> Meaning<'_> {
    let Response::Received(received) = response else { return meaning(response, items) };
    match (meaning(response, items), &received.body) {
        (Meaning::Unreadable, Body::Unreadable(text)) if text.trim().is_empty() => Meaning::Accepted(&[]),
        (Meaning::Accepted(_) | Meaning::Partial { .. }, _) => Meaning::Accepted(&[]),
        (meaning, _) => meaning,
    }
}

/// Returns how long the store asks to wait before the request is sent again: at most five minutes at once.
#[must_use]
pub fn asked_wait(response: &Response) -> Option<Duration> {
    let Response::Received(received) = response else { return None };
    received.wait.map(|wait| wait.min(WAIT_MAX))
}

/// Whether a status without a body of the API may concern every write, although reads succeed: a way to the store that
/// passes no writes responds so, and a firewall that blocks some content does as well.
#[must_use]
pub const fn concerns_writes(status: u16) -> bool {
    !matches!(status, 403 | 404 | 406)
}

/// Returns what to do about a status after which nothing else can succeed.
#[must_use]
pub const fn advice(status: u16) -> &'static str {
    match status {
        401 => "the store does not accept the access token: set [store] access_token to a valid one",
        402 => "the store's trial or plan has ended: look at its account in the control panel",
        403 => {
            "the access token lacks a scope: give its API account `Customers: modify` (store_v2_customers); \
             a plan limit of the store can be the cause too"
        }
        404 => "there is no such store or path: check [store] hash and api_url",
        300..=399 => {
            "the address redirects, and a token is never sent on: set [store] api_url to the API itself"
        }
        405 | 406 | 415 | 501 | 505 => "the server does not speak this API: check [store] api_url",
        507 => "the store's plan has no room left: ask BigCommerce",
        _ => {
            "the store refuses every request of this kind: check [store], then ask BigCommerce with the request id"
        }
    }
}

/// Whether a refusal is about the number of items, whichever they are.
fn is_about_size(title: &str, errors: &[(String, String)]) -> bool {
    // An error of an item is about the item.
    errors.iter().all(|(field, _)| words::position(field).is_none())
        && std::iter::once(title).chain(errors.iter().map(|(_, text)| text.as_str())).any(words::limit_items)
}

/// Returns the size to try after a request of `carried` values was refused for its size. `known` is the size that was
/// believed to fit. If the request was larger than `known`, its refusal teaches nothing: `None`.
#[must_use]
pub fn learn_size(carried: usize, known: Option<usize>) -> Option<usize> {
    /// What the service most likely counts: ten array items.
    const FIRST: usize = 10;
    match known {
        Some(size) if carried > size => None,
        _ if carried > FIRST => Some(FIRST),
        _ => Some((carried / 2).max(1)),
    }
}

/// Returns the pause before the `n`-th repetition (from 1): doubles from `first` up to `most`, then jittered to between
/// half and all of it. `random` is in 0..1.
#[must_use]
pub fn backoff(n: u32, first: Duration, most: Duration, random: f64) -> Duration {
    let doubled = first.saturating_mul(2_u32.saturating_pow(n.saturating_sub(1).min(30)));
    doubled.min(most).mul_f64(0.5 + random / 2.0)
}

#[cfg(test)]
mod tests;
