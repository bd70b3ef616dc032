//! What an answer means, and what to do next. Pure: no I/O, no clock.
//!
//! [`meaning`] is the one table from answers to verdicts; [`echo`] judges what the store says it holds;
//! [`bisection`] finds the bad values of a refused batch; [`Breaker`] says when to give up.

pub mod echo;
pub mod bisection;

use std::time::Duration;

use crate::destination::{Body, Echo, HttpResponse, Response};

/// The longest wait at once that a store's 429 can ask for.
const WAIT_MAX: Duration = Duration::from_secs(300);

/// How much of the store's words is kept, in bytes.
const WORDS_MAX: usize = 2_048;

/// What a reply means for the batch that it answers.
#[derive(Debug, PartialEq, Eq)]
pub enum Meaning<'a> {
    /// 200: confirm by echo.
    Accepted(&'a [Echo]),
    /// The batch is larger than the store takes.
    TooLarge,
    /// Something in the batch is refused; nothing of it counts as written. Indexes of the items it names.
    Refused(Vec<usize>),
    /// Nothing else can succeed either; what to do about it.
    Fatal(&'static str),
    /// The store asks to be called less. How long to wait, if it says.
    Limited(Option<Duration>),
    /// The batch may or may not have been written.
    Unknown,
    /// Nothing left this machine.
    NotSent,
}

/// What a reply to a write of `items` values means.
#[must_use]
pub fn meaning(reply: &Response, items: usize) -> Meaning<'_> {
    let answer = match reply {
        Response::Received(answer) => answer,
        Response::Lost { .. } => return Meaning::Unknown,
        Response::NotSent { .. } => return Meaning::NotSent,
    };
    match (answer.status, &answer.body) {
        (200, Body::Echoes(echoes)) => Meaning::Accepted(echoes),
        (413, _) => Meaning::TooLarge,
        (400 | 422, Body::Problem { title, .. }) if speaks_of_size(title) => Meaning::TooLarge,
        (400 | 409 | 422, body) => Meaning::Refused(named(body, items)),
        (429, _) => Meaning::Limited(answer.wait.map(|wait| wait.min(WAIT_MAX))),
        (408 | 423, _) => Meaning::Unknown,
        (status, _) => advice(status).map_or(Meaning::Unknown, Meaning::Fatal),
    }
}

/// What to do about a status after which nothing else can succeed; `None` for every other status.
#[must_use]
pub fn advice(status: u16) -> Option<&'static str> {
    Some(match status {
        401 => "the store does not accept the access token: set [store] access_token to a valid one",
        403 => {
            "the access token lacks a scope: give its API account `Customers: modify` (store_v2_customers); \
             a plan limit of the store can be the cause too"
        }
        404 => "there is no such store or path: look at [store] hash and api_url",
        300..=399 => {
            "the address redirects, and a token is never sent on: set [store] api_url to the API itself"
        }
        405 | 406 | 415 | 501 | 505 => "the server does not speak this API: look at [store] api_url",
        507 => "the store's plan has no room left: ask BigCommerce",
        400..=499 if !matches!(status, 400 | 408 | 409 | 413 | 422 | 423 | 429) => {
            "the store refuses every call of this kind: look at [store], then ask BigCommerce with the request id"
        }
        _ => return None,
    })
}

/// Whether a refusal is about how many items there are, whichever they are.
fn speaks_of_size(title: &str) -> bool {
    let title = title.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| title.contains(word));
    has(&["batch size", "number of items"])
        || has(&["too many", "at most", "no more than"]) && has(&["items", "elements", "records", "entries"])
}

/// The items that a refusal names by `{index}.{field}`, rising. An index that the batch does not have names nothing.
fn named(body: &Body, items: usize) -> Vec<usize> {
    let Body::Problem { errors, .. } = body else { return Vec::new() };
    let mut named: Vec<usize> = errors
        .iter()
        .filter_map(|(field, _)| field.split('.').next()?.parse().ok())
        .filter(|index| *index < items)
        .collect();
    named.sort_unstable();
    named.dedup();
    named
}

/// A reply in the store's words, for the ledger and for a person: at most 2 KiB. Not for logs, since a store may
/// repeat a value in it.
#[must_use]
pub fn describe(reply: &Response) -> String {
    let Response::Received(HttpResponse { status, body, .. }) = reply else { return headline(reply) };
    let mut words = match body {
        Body::Echoes(_) => format!("{status}"),
        Body::Unreadable(excerpt) if excerpt.trim().is_empty() => format!("{status} with an empty body"),
        Body::Unreadable(excerpt) => {
            let line = excerpt.split_whitespace().collect::<Vec<_>>().join(" ");
            format!("{status} with a body that is no answer of this API: {line}")
        }
        Body::Problem { title, errors } => {
            let details: Vec<_> = errors.iter().map(|(field, text)| format!("{field}: {text}")).collect();
            let parts = [status.to_string(), title.trim().to_owned(), details.join("; ")];
            parts.iter().filter(|part| !part.is_empty()).map(String::as_str).collect::<Vec<_>>().join(" · ")
        }
    };
    words.truncate(words.floor_char_boundary(WORDS_MAX));
    words
}

/// A reply for a log line: its status, since the store may repeat a value in anything else.
#[must_use]
pub fn brief(reply: &Response) -> String {
    match reply {
        Response::Received(HttpResponse { status, .. }) => status.to_string(),
        Response::Lost { reason } | Response::NotSent { reason } => reason.clone(),
    }
}

/// A reply in a few words, for a person: status and title.
#[must_use]
pub fn headline(reply: &Response) -> String {
    reply.to_string()
}

/// The size to try after a request of `carried` values was refused for its size, where `known` is the size that
/// was believed to fit. `None`: nothing is learnt, since that request was bigger than what is known to fit.
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

/// The pause before the `n`-th repetition (from 1): doubles from `first` up to `most`, then jittered to between
/// half and all of it. `random` is in 0..1.
#[must_use]
pub fn backoff(n: u32, first: Duration, most: Duration, random: f64) -> Duration {
    let doubled = first.saturating_mul(2_u32.saturating_pow(n.saturating_sub(1).min(30)));
    doubled.min(most).mul_f64(0.5 + random / 2.0)
}

/// What to do about a store that does not answer.
pub const UNWELL: &str =
    "`attrsync runs` shows the answers; when the store is well again, run `attrsync sync`";

const NOTHING_BUT_REJECTIONS: &str = "`attrsync rejected` shows the reasons; when their cause is mended, in the source or the store, \
     run `attrsync rejected --retry` and `attrsync sync`";

/// When to give up on a store: many failures in a row, refusals to be called without end, or nothing but rejections.
#[derive(Debug, Clone)]
pub struct Breaker {
    failures_allowed: u32,
    failures: u32,
    heard: bool,
    limited: u32,
    confirmed: u64,
    rejected: u64,
}

impl Breaker {
    /// Rejections without one confirmation that stop a run.
    const REJECTIONS: u64 = 20;
    /// Answers of 429 in a row that stop a run.
    const LIMITED: u32 = 100;

    /// A breaker that lets every worker's batch use up its attempts, and some parts of a split batch theirs.
    #[must_use]
    pub fn new(max_attempts: u32, workers: usize) -> Self {
        let by_attempts = max_attempts.saturating_mul(workers as u32 + 1);
        let failures_allowed = by_attempts.max(18);
        Self { failures_allowed, failures: 0, heard: false, limited: 0, confirmed: 0, rejected: 0 }
    }

    /// A definite answer came: the store is there.
    pub fn answered(&mut self) {
        self.heard = true;
        self.failures = 0;
        self.limited = 0;
    }

    /// A call failed without a definite answer.
    pub fn failed(&mut self) {
        self.failures += 1;
    }

    /// The store asked to be called less.
    pub fn limited(&mut self) {
        self.limited += 1;
    }

    /// Values were decided.
    pub fn decided(&mut self, confirmed: u64, rejected: u64) {
        self.confirmed += confirmed;
        self.rejected += rejected;
    }

    /// How many calls in a row the store refused for being called too much.
    #[must_use]
    pub const fn limited_in_a_row(&self) -> u32 {
        self.limited
    }

    /// Whether calls failed and none ever had a definite answer.
    #[must_use]
    pub const fn heard_nothing(&self) -> bool {
        !self.heard && self.failures > 0
    }

    /// Why the run has to stop, if it has to, and what to do about it.
    #[must_use]
    pub fn tripped(&self) -> Option<(String, &'static str)> {
        if self.failures >= self.failures_allowed {
            return Some((format!("{} calls in a row failed", self.failures), UNWELL));
        }
        if self.limited >= Self::LIMITED {
            let why = format!("the store refused {} calls in a row for being called too often", self.limited);
            return Some((why, UNWELL));
        }
        (self.confirmed == 0 && self.rejected >= Self::REJECTIONS).then(|| {
            (
                format!("the store rejected {} values and confirmed none", self.rejected),
                NOTHING_BUT_REJECTIONS,
            )
        })
    }
}

#[cfg(test)]
mod tests;
