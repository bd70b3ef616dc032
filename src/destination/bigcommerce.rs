//! A BigCommerce store over HTTP.
//!
//! [`client`] sends one request over HTTP, [`wire`] reads the response's body (with [`tree`]), [`headers`] its headers.
//! [`pacing`] is the rate limiter, with the accounting of [`quota`]. [`paging`] reads the pages of a list.
//! [`transport`] is the seam where the simulation puts a sandbox in the place of HTTP.

mod client;
pub(crate) mod headers;
pub(crate) mod pacing;
mod paging;
pub(crate) mod quota;
pub(crate) mod transport;
mod tree;
pub(crate) mod wire;

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
pub(crate) use reqwest::Method;

use self::client::Client;
use self::pacing::Pacer;
use self::transport::{RawResponse, Transport};
use super::{Attribute, Destination, Echo, HttpResponse, Item, ReadError, Response};
use crate::config::Secret;
use crate::record::{Key, StoreName};

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

/// A BigCommerce store over HTTP.
pub struct BigCommerce {
    transport: Box<dyn Transport>,
    pacer: Pacer,
    name: StoreName,
}

impl BigCommerce {
    /// Prepares requests to a store. Sends nothing.
    ///
    /// # Errors
    /// An address, hash or token that cannot be used, or a system without CA certificates.
    pub fn new(options: BigCommerceOptions) -> Result<Self, BigCommerceError> {
        let (name, reserve, timeout) = (options.name.clone(), options.quota_reserve, options.request_timeout);
        Ok(Self::over(Box::new(Client::new(options)?), name, reserve, timeout))
    }

    /// A store that is reached through this transport.
    pub(crate) fn over(
        transport: Box<dyn Transport>,
        name: StoreName,
        quota_reserve: f64,
        request_timeout: Duration,
    ) -> Self {
        // The caller of a write may record its intent between the permit and the request.
        Self { transport, pacer: Pacer::new(quota_reserve, request_timeout * 2), name }
    }

    async fn request(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<RawResponse, Response> {
        self.transport.send(self.pacer.start_request(), method, path, body).await
    }
}

impl fmt::Debug for BigCommerce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BigCommerce").field("name", &self.name).finish_non_exhaustive()
    }
}

#[async_trait]
impl Destination for BigCommerce {
    async fn acquire_permit(&self) {
        self.pacer.acquire_permit().await;
    }

    async fn upsert(&self, items: &[Item<'_>]) -> Response {
        let body = match wire::upsert_body(items) {
            Ok(body) => body,
            Err(error) => {
                return Response::NotSent { reason: format!("the request could not be written: {error}") };
            }
        };
        let path = "/customers/attribute-values";
        match self.request(Method::PUT, path, Some(body)).await {
            Ok(RawResponse { status, request_id, wait, text }) => {
                let body = wire::upsert_response(status, &text);
                Response::Received(HttpResponse { status, request_id, wait, body })
            }
            Err(response) => response,
        }
    }

    async fn fetch(&self, keys: &[Key]) -> Result<Vec<Echo>, ReadError> {
        let keys: BTreeSet<Key> = keys.iter().copied().collect();
        let mut echoes = Vec::new();
        for path in paging::value_paths(&keys) {
            let rows = paging::all_pages(self, &path, wire::echo).await?;
            echoes.extend(rows.into_iter().filter(|echo| keys.contains(&echo.key)));
        }
        Ok(echoes)
    }

    async fn attributes(&self) -> Result<Vec<Attribute>, ReadError> {
        paging::all_pages(self, "/customers/attributes", wire::attribute).await
    }

    async fn customers(&self, ids: &[i64]) -> Result<Vec<i64>, ReadError> {
        let ids: BTreeSet<i64> = ids.iter().copied().collect();
        let mut found = BTreeSet::new();
        for path in paging::customer_paths(&ids) {
            found.extend(paging::all_pages(self, &path, wire::customer).await?);
        }
        Ok(found.intersection(&ids).copied().collect())
    }
}
