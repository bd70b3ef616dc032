//! Sends one HTTP request to the store and reads its response.
//!
//! No request is sent again and no redirect is followed, so the token is sent to the configured address only.

use std::error::Error;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url, redirect};

use super::connection;
use super::headers;
use super::mask::Mask;
use super::pacing::InFlight;
use super::proxy::{Proxy, UnusableProxy};
use super::quota::Ending;
use super::transport::{RawResponse, Transport};
use crate::config::{Secret, is_loopback};
use crate::destination::Response;
use crate::duration_text::duration;
use crate::error_chain::with_causes;
use crate::record::StoreName;

/// The largest body that is read: 500 values of 255 escaped characters have 1.6 MiB. What exceeds it is not read.
const BODY_MAX: usize = 2 * 1024 * 1024;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Shorter than the time after which the store's gateways close an idle connection.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

const AUTH_TOKEN: HeaderName = HeaderName::from_static("x-auth-token");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Where the store is, and how requests are made.
#[derive(Debug, Clone)]
pub struct BigCommerceOptions {
    /// Address and hash.
    pub name: StoreName,
    /// The API account's token.
    pub token: Secret,
    /// How long to wait for a complete response.
    pub request_timeout: Duration,
    /// The share of the store's rate quota that is left to other apps, 0 to 0.95.
    pub quota_reserve: f64,
    /// The largest number of write requests in flight. As many connections are kept open, and one for reads.
    pub workers: usize,
}

/// Why no requests can be made to a store. Nothing was sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BigCommerceError {
    /// The API's address cannot be used. It is not shown, because it may contain a password.
    #[error("[store] api_url cannot be used: {problem}; BigCommerce's is https://api.bigcommerce.com")]
    Address {
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The store's hash cannot be a part of an address.
    #[error("[store] hash {hash:?} is not a store hash: it has letters and digits only, such as n01g2yx1l4")]
    Hash {
        /// The hash.
        hash: String,
    },
    /// The token cannot be sent in a header.
    #[error("[store] access_token contains characters that no token has: check for line breaks")]
    Token,
    /// The environment names a proxy that cannot be used.
    #[error(transparent)]
    Proxy(#[from] UnusableProxy),
    /// TLS cannot be set up.
    #[error(
        "TLS could not be set up: {reason}; install the system's CA certificates (ca-certificates), or name a \
         file of them in SSL_CERT_FILE"
    )]
    Tls {
        /// What happened.
        reason: String,
    },
}

/// The connections to one store.
pub(super) struct Client {
    http: reqwest::Client,
    /// `{api_url}/stores/{hash}/v3`
    base: String,
    mask: Mask,
    proxy: Option<Proxy>,
    request_timeout: Duration,
}

impl Client {
    pub(super) fn new(options: BigCommerceOptions) -> Result<Self, BigCommerceError> {
        // Fails only if a provider is installed already, which serves as well.
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
            // Shorter than the time-out of the request, so that a request that never left is known as such.
            .connect_timeout(CONNECT_TIMEOUT.min(options.request_timeout.mul_f64(0.75)))
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(options.workers + 1)
            .tcp_nodelay(true);
        // The proxy that the environment names is for other machines.
        let environment = |name: &str| std::env::var(name).ok();
        if url.scheme() == "https" {
            check_authorities(&environment)?;
        }
        let proxy = if is_loopback(&url) { None } else { Proxy::of_environment(&url, &environment)? };
        builder = match &proxy {
            Some(proxy) => builder.proxy(proxy.for_all()?),
            None => builder.no_proxy(),
        };
        let http = builder.build().map_err(|error| BigCommerceError::Tls { reason: chain(&error) })?;
        let base = format!("{}/v3", url.as_str().trim_end_matches('/'));
        Ok(Self {
            http,
            base,
            mask: Mask::new(options.token),
            proxy,
            request_timeout: options.request_timeout,
        })
    }

    async fn receive(mut response: reqwest::Response) -> Result<RawResponse, reqwest::Error> {
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
        Ok(RawResponse::new(response.status().as_u16(), response.headers(), text))
    }

    fn lost(&self, error: reqwest::Error) -> Response {
        let reason = if error.is_timeout() {
            format!("no complete response within {}", duration(self.request_timeout))
        } else {
            format!("the connection failed before the response was complete: {}", self.reason(error))
        };
        Response::Lost { reason }
    }

    fn reason(&self, error: reqwest::Error) -> String {
        self.mask.clean(chain(&error.without_url())).into_owned()
    }
}

#[async_trait]
impl Transport for Client {
    async fn send(
        &self,
        in_flight: InFlight<'_>,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<RawResponse, Response> {
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        if let Some(body) = body {
            request = request.body(body);
        }
        match request.send().await {
            Ok(response) => {
                in_flight.end(headers::ending(response.status().as_u16(), response.headers()));
                Self::receive(response).await.map_err(|error| self.lost(error))
            }
            // Both kinds of error happen before a byte of the request is written.
            Err(error) if error.is_connect() || error.is_builder() => {
                in_flight.end(Ending::NotSent);
                Err(connection::failure(&error.without_url(), self.proxy.as_ref(), &self.mask))
            }
            Err(error) => {
                in_flight.end(Ending::Lost);
                Err(self.lost(error))
            }
        }
    }
}

/// Checks the file of the authorities that the environment names: without it, only the system's would be trusted.
fn check_authorities(environment: &dyn Fn(&str) -> Option<String>) -> Result<(), BigCommerceError> {
    let Some(file) = environment("SSL_CERT_FILE").filter(|file| !file.is_empty()) else { return Ok(()) };
    let opened = std::fs::File::open(&file);
    let tls = |error| BigCommerceError::Tls { reason: format!("SSL_CERT_FILE names {file}: {error}") };
    opened.map(drop).map_err(tls)
}

/// The causes of an error, outermost first. Its own text only says that a request failed.
fn chain(error: &reqwest::Error) -> String {
    error.source().map_or_else(|| error.to_string(), with_causes)
}

/// Joins address and hash to `{api_url}/stores/{hash}`, if both are valid.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_file_of_authorities_is_named() {
        assert_eq!(check_authorities(&|_| None), Ok(()));
        let error =
            check_authorities(&|name| (name == "SSL_CERT_FILE").then(|| "/nowhere/ca.pem".to_owned()));
        let shown = error.expect_err("no such file").to_string();
        assert!(shown.contains("SSL_CERT_FILE names /nowhere/ca.pem: No such file"), "{shown}");
    }
}
