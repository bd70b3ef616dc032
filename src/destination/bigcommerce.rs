//! A BigCommerce store over HTTP.
//!
//! [`client`] sends one request over HTTP, maybe through a [`proxy`]; [`connection`] explains why that failed. [`wire`],
//! [`write_response`] and [`problem`] read the response's body (with [`tree`]), [`headers`] its headers. [`mask`] removes the token from both.
//! [`pacing`] is the rate limiter, with the accounting of [`quota`]. [`paging`] reads the pages of a list.
//! [`transport`] is the port that carries requests: HTTP, or a sandbox in the simulation.

mod client;
mod connection;
pub(crate) mod headers;
pub(crate) mod mask;
mod mend;
pub(crate) mod pacing;
mod paging;
pub(crate) mod problem;
mod proxy;
pub(crate) mod quota;
pub(crate) mod transport;
mod tree;
pub(crate) mod wire;
pub(crate) mod write_response;

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
pub(crate) use reqwest::Method;

use self::client::Client;
pub use self::client::{BigCommerceError, BigCommerceOptions};
use self::mask::Mask;
use self::pacing::Pacer;
pub use self::proxy::UnusableProxy;
use self::transport::{PacedTransport, RawResponse, Transport};
use self::tree::Tree;
use super::{Allowance, Attribute, Body, Destination, Echo, HttpResponse, Item, ReadError, Response};
use super::{CustomerAddress, ValueList, ValuePage};
use crate::record::{Key, StoreName};
use crate::waits::Waits;

/// The path of the values.
const VALUES: &str = "/customers/attribute-values";

/// A BigCommerce store over HTTP.
pub struct BigCommerce {
    transport: PacedTransport,
    name: StoreName,
}

impl BigCommerce {
    /// Prepares requests to a store. Sends nothing.
    ///
    /// # Errors
    /// An address, hash or token that cannot be used, or a system without CA certificates.
    pub fn new(options: BigCommerceOptions) -> Result<Self, BigCommerceError> {
        let (name, reserve, timeout) = (options.name.clone(), options.quota_reserve, options.request_timeout);
        let mask = Mask::new(options.token.clone());
        Ok(Self::over(Box::new(Client::new(options)?), mask, name, reserve, timeout))
    }

    /// A store that is reached through this transport.
    pub(crate) fn over(
        transport: Box<dyn Transport>,
        mask: Mask,
        name: StoreName,
        quota_reserve: f64,
        request_timeout: Duration,
    ) -> Self {
        // The caller of a write may record its intent between the permit and the request.
        let pacer = Pacer::new(quota_reserve, request_timeout * 2);
        Self { transport: PacedTransport { transport, mask, pacer }, name }
    }

    /// Sends a request that writes or deletes `items` values, and reads its response.
    async fn write(&self, method: Method, path: &str, body: Option<Vec<u8>>, items: usize) -> Response {
        match self.transport.send(method, path, body).await {
            Ok(RawResponse { status, request_id, wait, redirect: Some(to), .. }) => {
                Response::Received(HttpResponse { status, request_id, wait, body: Body::Redirect { to } })
            }
            Ok(RawResponse { status, request_id, wait, text, .. }) => {
                let body = write_response::read(status, &text, items, &self.transport.mask);
                Response::Received(HttpResponse { status, request_id, wait, body })
            }
            Err(response) => response,
        }
    }

    /// Notes in `waits` when the rate quota makes requests wait.
    #[must_use]
    pub fn with_waits(mut self, waits: Waits) -> Self {
        self.transport.pacer = self.transport.pacer.with_waits(waits);
        self
    }
}

impl fmt::Debug for BigCommerce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BigCommerce").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Removes addresses from the title of a problem, because titles are shown where addresses must not be.
fn without_addresses(error: ReadError, asked: &BTreeSet<&str>) -> ReadError {
    match error {
        ReadError(Response::Received(HttpResponse {
            body: Body::Problem { title, errors },
            status,
            request_id,
            wait,
        })) => {
            let title = mask::without_values(&title, asked.iter().copied());
            let body = Body::Problem { title, errors };
            ReadError(Response::Received(HttpResponse { status, request_id, wait, body }))
        }
        error => error,
    }
}

#[async_trait]
impl Destination for BigCommerce {
    async fn acquire_permit(&self) {
        self.transport.acquire_permit().await;
    }

    async fn upsert(&self, items: &[Item<'_>]) -> Response {
        let body = match wire::upsert_body(items) {
            Ok(body) => body,
            Err(error) => {
                return Response::not_sent(format!("the request could not be written: {error}"));
            }
        };
        match self.write(Method::PUT, VALUES, Some(body), items.len()).await {
            Response::Received(HttpResponse {
                status,
                request_id,
                wait,
                body: Body::Problem { title, errors },
            }) => {
                let title = mask::without_values(&title, items.iter().map(|item| item.value));
                let body = Body::Problem { title, errors };
                Response::Received(HttpResponse { status, request_id, wait, body })
            }
            response => response,
        }
    }

    async fn delete(&self, ids: &[i64]) -> Response {
        let listed = ids.iter().map(i64::to_string).collect::<Vec<_>>().join(",");
        self.write(Method::DELETE, &format!("{VALUES}?id:in={listed}"), None, ids.len()).await
    }

    async fn fetch(&self, keys: &[Key]) -> Result<Vec<Echo>, ReadError> {
        let keys: BTreeSet<Key> = keys.iter().copied().collect();
        let mut echoes = Vec::new();
        for (path, most) in paging::value_paths(&keys) {
            let rows = paging::all_pages(&self.transport, &path, most, wire::echo).await?;
            echoes.extend(rows.into_iter().filter(|echo| keys.contains(&echo.key)));
        }
        Ok(echoes)
    }

    async fn values(&self, list: &ValueList, page: u64) -> Result<ValuePage, ReadError> {
        let path = paging::list_path(list);
        let (values, is_last) = paging::one_page(&self.transport, &path, page, wire::echo).await?;
        Ok(ValuePage { values, is_last })
    }

    async fn attributes(&self) -> Result<Vec<Attribute>, ReadError> {
        let read = |item: &Tree<'_>| wire::attribute(item, &self.transport.mask);
        paging::all_pages(&self.transport, "/customers/attributes", paging::ATTRIBUTES_MAX, read).await
    }

    async fn customers(&self, ids: &[i64]) -> Result<Vec<i64>, ReadError> {
        let ids: BTreeSet<i64> = ids.iter().copied().collect();
        let mut found = BTreeSet::new();
        for (path, most) in paging::customer_paths(&ids) {
            found.extend(paging::all_pages(&self.transport, &path, most, wire::customer).await?);
        }
        Ok(found.intersection(&ids).copied().collect())
    }

    async fn customers_by_email(&self, addresses: &[&str]) -> Result<Vec<CustomerAddress>, ReadError> {
        let asked: BTreeSet<&str> = addresses.iter().copied().collect();
        let mut found = Vec::new();
        for (path, most) in paging::email_paths(&asked) {
            let listed = paging::all_pages(&self.transport, &path, most, wire::customer_address).await;
            let listed = listed.map_err(|error| without_addresses(error, &asked))?;
            // A customer that was not asked for proves nothing.
            found.extend(listed.into_iter().filter(|listed| asked.contains(listed.address.as_str())));
        }
        Ok(found)
    }

    fn allowance(&self) -> Option<Allowance> {
        self.transport.pacer.allowance()
    }
}
