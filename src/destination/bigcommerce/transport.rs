//! The port that carries requests to the store: HTTP, or a sandbox in the same process.

use std::time::Duration;

use async_trait::async_trait;
use reqwest::Method;
use reqwest::header::HeaderMap;

use super::headers;
use super::mask::Mask;
use super::pacing::{InFlight, Pacer};
use crate::clock::{Clock as _, SystemClock};
use crate::destination::Response;

/// Sends requests and returns their responses with the bodies as text.
#[async_trait]
pub(crate) trait Transport: Send + Sync {
    /// Sends one request. `path` follows `/v3` and has the query. Ends `in_flight` as soon as the response's headers
    /// are there.
    ///
    /// # Errors
    /// [`Response::Lost`] or [`Response::NotSent`] if no complete response arrived.
    async fn send(
        &self,
        in_flight: InFlight<'_>,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<RawResponse, Response>;
}

/// A transport with the mask and the rate limiter of its store.
pub(super) struct PacedTransport {
    pub(super) transport: Box<dyn Transport>,
    pub(super) mask: Mask,
    pub(super) pacer: Pacer,
}

impl PacedTransport {
    pub(super) async fn acquire_permit(&self) {
        self.pacer.acquire_permit().await;
    }

    /// Sends one request, for which the caller has acquired a permit.
    ///
    /// # Errors
    /// As [`Transport::send`].
    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<RawResponse, Response> {
        let received = self.transport.send(self.pacer.start_request(), method, path, body).await?;
        let request_id = received.request_id.map(|id| headers::cut_request_id(&self.mask.clean(id)));
        let redirect = received.redirect.map(|to| self.mask.clean(to).into_owned());
        Ok(RawResponse { request_id, redirect, ..received })
    }
}

/// A complete response, with its body as text. Body and request id may have the token.
pub(crate) struct RawResponse {
    /// The HTTP status.
    pub(crate) status: u16,
    /// The store's id of the request.
    pub(crate) request_id: Option<String>,
    /// How long the response asks to wait, if it is no success.
    pub(crate) wait: Option<Duration>,
    /// Where it redirects to: scheme, host and port.
    pub(crate) redirect: Option<String>,
    /// The body.
    pub(crate) text: String,
}

impl RawResponse {
    /// A response with these headers and this body.
    pub(crate) fn new(status: u16, headers: &HeaderMap, text: String) -> Self {
        let wait = headers::wait(status, headers, SystemClock.now());
        let redirect = (300..400).contains(&status).then(|| headers::redirect(headers)).flatten();
        Self { status, request_id: headers::request_id(headers), wait, redirect, text }
    }
}
