//! One HTTP call to the store: what is sent with each, and what became of it.
//!
//! Nothing is repeated here and no redirect is followed: the token goes to the configured address only. The
//! token is taken out of whatever the store writes back, since a gateway may echo what it was sent.

use std::error::Error;
use std::net::IpAddr;
use std::time::Duration;

use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url, redirect};

use super::headers::{self, Rate};
use super::pacing::{Flight, Pacer};
use super::quota::Ending;
use super::{BigCommerceError, BigCommerceOptions};
use crate::config::Secret;
use crate::destination::Response;

/// No answer of the API comes near it.
const BODY_MAX: usize = 8 * 1024 * 1024;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Below the time after which the store's gateways are known to close a connection that idles.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

const AUTH_TOKEN: HeaderName = HeaderName::from_static("x-auth-token");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// A token shorter than this is some test's; to take it out of texts would garble them.
const TOKEN_MIN: usize = 8;

/// The connections to one store.
pub(super) struct Client {
    http: reqwest::Client,
    /// `{api_url}/stores/{hash}/v3`
    base: String,
    token: Secret,
    request_timeout: Duration,
}

/// A whole answer.
pub(super) struct RawResponse {
    pub(super) status: u16,
    pub(super) request_id: Option<String>,
    pub(super) wait: Option<Duration>,
    /// The body, or its first 8 MiB.
    pub(super) text: String,
}

impl Client {
    pub(super) fn new(options: BigCommerceOptions) -> Result<Self, BigCommerceError> {
        // Fails only where a provider is installed already, which serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();

        let url = store_url(&options)?;
        let mut token = HeaderValue::from_str(options.token.expose()).map_err(|_| BigCommerceError::Token)?;
        token.set_sensitive(true);
        let mut headers = HeaderMap::new();
        headers.insert(AUTH_TOKEN, token);
        headers.insert(ACCEPT, JSON);
        headers.insert(CONTENT_TYPE, JSON);

        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("attrsync/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers)
            .redirect(redirect::Policy::none())
            .retry(reqwest::retry::never())
            .timeout(options.request_timeout)
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(options.workers + 1)
            .tcp_nodelay(true);
        if is_loopback(&url) {
            builder = builder.no_proxy();
        }
        let http = builder.build().map_err(|error| BigCommerceError::Tls { reason: chain(&error) })?;
        let base = format!("{}/v3", url.as_str().trim_end_matches('/'));
        Ok(Self { http, base, token: options.token, request_timeout: options.request_timeout })
    }

    /// The length of the address of `path`, query included.
    pub(super) fn address_len(&self, path: &str) -> usize {
        self.base.len() + path.len()
    }

    /// Makes one call. The pacer learns from its headers as soon as they are there.
    ///
    /// # Errors
    /// Whatever is not a whole answer: [`Response::Lost`] or [`Response::NotSent`].
    pub(super) async fn call(
        &self,
        pacer: &Pacer,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<RawResponse, Response> {
        let flight = pacer.begin();
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        if let Some(body) = body {
            request = request.body(body);
        }
        match request.send().await {
            Ok(response) => {
                land(flight, &response);
                self.receive(response).await.map_err(|error| self.lost(error))
            }
            // Everything that went wrong while the connection was made went wrong before a byte was written.
            Err(error) if error.is_connect() || error.is_builder() => {
                flight.end(Ending::Unsent);
                let reason = format!("no connection to the store could be made: {}", self.reason(error));
                Err(Response::NotSent { reason })
            }
            Err(error) => {
                flight.end(Ending::Lost);
                Err(self.lost(error))
            }
        }
    }

    async fn receive(&self, mut response: reqwest::Response) -> Result<RawResponse, reqwest::Error> {
        let status = response.status().as_u16();
        let request_id = headers::request_id(response.headers());
        let wait = (status == 429).then(|| headers::wait(response.headers())).flatten();
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            let room = BODY_MAX - bytes.len();
            bytes.extend_from_slice(&chunk[..chunk.len().min(room)]);
            if chunk.len() > room {
                break;
            }
        }
        let text = String::from_utf8(bytes)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
        let request_id = request_id.map(|id| self.without_token(id));
        Ok(RawResponse { status, request_id, wait, text: self.without_token(text) })
    }

    fn lost(&self, error: reqwest::Error) -> Response {
        let reason = if error.is_timeout() {
            format!("no whole answer came within {}", humantime::format_duration(self.request_timeout))
        } else {
            format!("the connection failed before the whole answer came: {}", self.reason(error))
        };
        Response::Lost { reason }
    }

    fn reason(&self, error: reqwest::Error) -> String {
        self.without_token(chain(&error.without_url()))
    }

    fn without_token(&self, text: String) -> String {
        let token = self.token.expose();
        if token.len() >= TOKEN_MIN && text.contains(token) { text.replace(token, "***") } else { text }
    }
}

/// Ends a call whose headers have come; its body no longer matters to the quota.
fn land(flight: Flight<'_>, response: &reqwest::Response) {
    let rate = Rate::read(response.headers());
    flight.end(Ending::Answered { rate, good: response.status().as_u16() < 400 });
}

/// The causes of an error, outermost first; its own sentence says no more than that a request failed.
fn chain(error: &reqwest::Error) -> String {
    let mut texts: Vec<String> = Vec::new();
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        if texts.last() != Some(&text) {
            texts.push(text);
        }
        source = cause.source();
    }
    if texts.is_empty() { error.to_string() } else { texts.join(": ") }
}

/// `{api_url}/stores/{hash}`, where both are fit to be put together.
fn store_url(options: &BigCommerceOptions) -> Result<Url, BigCommerceError> {
    let hash = &options.name.hash;
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if hash.is_empty() || !hash.chars().all(plain) {
        return Err(BigCommerceError::Hash { hash: hash.clone() });
    }
    let address = |problem| BigCommerceError::Address { problem };
    let url = Url::parse(&options.name.api_url).map_err(|_| address("it is not a URL"))?;
    if !matches!(url.scheme(), "https" | "http") || url.host().is_none() {
        return Err(address("it does not begin with https:// and a host"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(address("it has a user name or a password in it"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(address("it has a ? or a # in it"));
    }
    let joined = format!("{}/stores/{hash}", url.as_str().trim_end_matches('/'));
    Url::parse(&joined).map_err(|_| address("it is not a URL"))
}

/// A store on this machine is reached without the proxy that the environment names.
fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}
