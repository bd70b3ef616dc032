//! A store that is a sandbox in the same process.
//!
//! Only HTTP is left out: bodies, headers, pages and the rate limiter are those of the real client. It uses tokio's
//! time, so that hours pass at once while that is paused.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::timeout;

use crate::config::Secret;
use crate::destination::bigcommerce::mask::Mask;
use crate::destination::bigcommerce::pacing::InFlight;
use crate::destination::bigcommerce::transport::{RawResponse, Transport};
use crate::destination::bigcommerce::{BigCommerce, Method, headers};
use crate::destination::{
    Attribute, CustomerAddress, Destination, Echo, Item, ReadError, Response, ValueList, ValuePage,
};
use crate::duration_text::duration;
use crate::record::{Key, StoreName};
use crate::sandbox::exchange::{Delivery, SharedModel, exchange, lock, start_clock};
use crate::sandbox::{Model, Received, route, wire};

/// A store that is a [`Model`] in the same process.
#[derive(Debug)]
pub struct SandboxDestination(BigCommerce);

impl SandboxDestination {
    /// Makes a client of this store with the store's own token. It waits `request_timeout` for a response and leaves
    /// the share `quota_reserve` of the quota to other apps. Must be called within a tokio runtime.
    #[must_use]
    pub fn new(model: Arc<Mutex<Model>>, request_timeout: Duration, quota_reserve: f64) -> Self {
        start_clock(&model);
        let (hash, token) = {
            let mut model = lock(&model);
            model.options.client_timeout = request_timeout;
            (model.options.hash.clone(), model.options.token.expose().to_owned())
        };
        let name = StoreName::new("https://sandbox", &*hash);
        let base = format!("/stores/{hash}/v3");
        let mask = Mask::new(Secret::new(&*token));
        let transport = InProcess { model, base, token, request_timeout };
        Self(BigCommerce::over(Box::new(transport), mask, name, quota_reserve, request_timeout))
    }
}

#[async_trait]
impl Destination for SandboxDestination {
    async fn acquire_permit(&self) {
        self.0.acquire_permit().await;
    }

    async fn upsert(&self, items: &[Item<'_>]) -> Response {
        self.0.upsert(items).await
    }

    async fn delete(&self, ids: &[i64]) -> Response {
        self.0.delete(ids).await
    }

    async fn fetch(&self, keys: &[Key]) -> Result<Vec<Echo>, ReadError> {
        self.0.fetch(keys).await
    }

    async fn values(&self, list: &ValueList, page: u64) -> Result<ValuePage, ReadError> {
        self.0.values(list, page).await
    }

    async fn attributes(&self) -> Result<Vec<Attribute>, ReadError> {
        self.0.attributes().await
    }

    async fn customers(&self, ids: &[i64]) -> Result<Vec<i64>, ReadError> {
        self.0.customers(ids).await
    }

    async fn customers_by_email(&self, addresses: &[&str]) -> Result<Vec<CustomerAddress>, ReadError> {
        self.0.customers_by_email(addresses).await
    }
}

/// Passes requests to the model.
struct InProcess {
    model: SharedModel,
    base: String,
    token: String,
    request_timeout: Duration,
}

#[async_trait]
impl Transport for InProcess {
    async fn send(
        &self,
        in_flight: InFlight<'_>,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<RawResponse, Response> {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let request = route(Received {
            method: method.as_str(),
            path: &format!("{}{path}", self.base),
            query,
            token: Some(self.token.clone()),
            content_type: Some("application/json"),
            body: body.as_deref().unwrap_or_default(),
        });
        let reason = match timeout(self.request_timeout, exchange(&self.model, request)).await {
            Ok(Delivery::Complete(response)) => {
                let headers = headers::from_pairs(wire::headers(&response));
                in_flight.end(headers::ending(response.status, &headers));
                return Ok(RawResponse::new(response.status, &headers, wire::body(&response)));
            }
            Ok(Delivery::Truncated(_)) => "the response's body was truncated".to_owned(),
            Ok(Delivery::Reset | Delivery::Silent) => "the connection was reset".to_owned(),
            Err(_) => format!("no response within {}", duration(self.request_timeout)),
        };
        Err(Response::Lost { reason })
    }
}

#[cfg(test)]
mod tests;
