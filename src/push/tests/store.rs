//! What reaches the store, and its responses.

use std::time::Duration;

use crate::destination::{Body, Echo, HttpResponse, Response};
use crate::record::Key;

/// A request on the wire.
#[derive(Debug, Clone)]
pub(super) struct Sent {
    pub(super) request_id: i64,
    pub(super) items: Vec<(Key, String)>,
    /// The ids of a delete, whose items are empty texts.
    pub(super) ids: Vec<i64>,
}

impl Sent {
    pub(super) fn customers(&self) -> Vec<i64> {
        self.items.iter().map(|(key, _)| key.customer_id).collect()
    }
}

pub(super) fn received(status: u16, body: Body) -> Response {
    Response::Received(HttpResponse { status, request_id: None, wait: None, body })
}

/// 204 without a body.
pub(super) fn deleted(_: &Sent) -> Response {
    received(204, Body::Unreadable(String::new()))
}

/// 200 with an echo of everything that was sent.
pub(super) fn accepted(sent: &Sent) -> Response {
    let echo = |(key, value): &(Key, String)| Echo {
        key: *key,
        value: value.clone(),
        value_id: Some(key.customer_id),
    };
    received(200, Body::Echoes(sent.items.iter().map(echo).collect()))
}

/// A response in the API's error form.
pub(super) fn problem(status: u16, title: &str) -> Response {
    received(status, Body::Problem { title: title.to_owned(), errors: Vec::new() })
}

/// A response with HTML.
pub(super) fn html(status: u16) -> Response {
    received(status, Body::Unreadable("<html>no</html>".to_owned()))
}

pub(super) fn limited(wait: Option<u64>) -> Response {
    let body = Body::Unreadable(String::new());
    Response::Received(HttpResponse {
        status: 429,
        request_id: None,
        wait: wait.map(Duration::from_secs),
        body,
    })
}

pub(super) fn lost() -> Response {
    Response::Lost { reason: "timed out".to_owned() }
}

/// A store that refuses each request with one of these customers.
pub(super) fn refusing(bad: &[i64]) -> impl Fn(&Sent) -> Response {
    let bad = bad.to_vec();
    move |sent| {
        if sent.customers().iter().any(|customer| bad.contains(customer)) {
            problem(422, "Invalid value")
        } else {
            accepted(sent)
        }
    }
}
