//! A BigCommerce store over HTTP.
//!
//! [`client`] makes one call, [`wire`] reads its body (by [`tree`]) and [`headers`] its headers, [`pacing`] keeps to the
//! store's rate quota by the accounting of [`quota`], [`paging`] walks through lists. What an answer means is
//! judged elsewhere.

mod client;
mod headers;
mod pacing;
mod quota;
mod paging;
mod tree;
pub(crate) mod wire;

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::Method;

use self::client::{Client, RawResponse};
use self::pacing::Pacer;
use super::{Attribute, Destination, Echo, HttpResponse, Item, ReadError, Response};
use crate::config::Secret;
use crate::record::{Key, StoreName};

/// Where the store is and how to speak with it.
#[derive(Debug, Clone)]
pub struct BigCommerceOptions {
    /// Address and hash.
    pub name: StoreName,
    /// The API account's token.
    pub token: Secret,
    /// How long to wait for a whole answer.
    pub request_timeout: Duration,
    /// The share of the store's rate quota that is left to other apps, 0 to 0.95.
    pub quota_reserve: f64,
    /// How many calls are in flight at most; so many connections are kept.
    pub workers: usize,
}

/// Why a store cannot be spoken with. Nothing was sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BigCommerceError {
    /// The API's address cannot be used. It is not shown, since it may hold a password.
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
    #[error("[store] access_token holds characters that no token has: check for line breaks")]
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
    client: Client,
    pacer: Pacer,
    name: StoreName,
}

impl BigCommerce {
    /// Prepares to speak with a store. Nothing is sent yet.
    ///
    /// # Errors
    /// An address, hash or token that cannot be used, or a system without CA certificates.
    pub fn new(options: BigCommerceOptions) -> Result<Self, BigCommerceError> {
        let name = options.name.clone();
        let pacer = Pacer::new(options.quota_reserve, options.request_timeout * 2);
        Ok(Self { client: Client::new(options)?, pacer, name })
    }
}

impl fmt::Debug for BigCommerce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BigCommerce").field("name", &self.name).finish_non_exhaustive()
    }
}

#[async_trait]
impl Destination for BigCommerce {
    async fn ready(&self) {
        self.pacer.ready().await;
    }

    async fn upsert(&self, items: &[Item<'_>]) -> Response {
        let body = match wire::upsert_body(items) {
            Ok(body) => body,
            Err(error) => {
                return Response::NotSent { reason: format!("the request could not be written: {error}") };
            }
        };
        let path = "/customers/attribute-values";
        match self.client.call(&self.pacer, Method::PUT, path, Some(body)).await {
            Ok(RawResponse { status, request_id, wait, text }) => {
                let body = wire::upsert_reply(status, &text);
                Response::Received(HttpResponse { status, request_id, wait, body })
            }
            Err(reply) => reply,
        }
    }

    async fn fetch(&self, keys: &[Key]) -> Result<Vec<Echo>, ReadError> {
        let keys: BTreeSet<Key> = keys.iter().copied().collect();
        let mut echoes = Vec::new();
        for path in paging::value_paths(&self.client, &keys) {
            let rows = paging::all_pages(&self.client, &self.pacer, &path, wire::echo).await?;
            echoes.extend(rows.into_iter().filter(|echo| keys.contains(&echo.key)));
        }
        Ok(echoes)
    }

    async fn attributes(&self) -> Result<Vec<Attribute>, ReadError> {
        paging::all_pages(&self.client, &self.pacer, "/customers/attributes", wire::attribute).await
    }

    async fn customers(&self, ids: &[i64]) -> Result<Vec<i64>, ReadError> {
        let ids: BTreeSet<i64> = ids.iter().copied().collect();
        let mut found = BTreeSet::new();
        for path in paging::customer_paths(&ids) {
            found.extend(paging::all_pages(&self.client, &self.pacer, &path, wire::customer).await?);
        }
        Ok(found.intersection(&ids).copied().collect())
    }
}
