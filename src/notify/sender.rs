//! Sends notifications and pings over HTTP, with retries and a bound.
//!
//! The addresses are secrets: a webhook's path is its password. Logs name the host only.

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{RequestBuilder, Url, redirect};

use super::notification::Notification;
use crate::config::{NotifyConfig, NotifyFormat, Secret, is_loopback};
use crate::error_chain::with_causes;

/// How long and how often a message is tried.
#[derive(Debug, Clone, Copy)]
pub struct Retries {
    /// The time for one attempt.
    pub timeout: Duration,
    /// The pauses between attempts.
    pub pauses: [Duration; 3],
}

impl Default for Retries {
    /// Half a minute in all.
    fn default() -> Self {
        Self { timeout: Duration::from_secs(5), pauses: [1, 3, 6].map(Duration::from_secs) }
    }
}

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Why no notification can be sent at all.
#[derive(Debug, thiserror::Error)]
pub enum NotifyError {
    /// An address cannot be used. It is not shown.
    #[error("[notify] {key} is no address that can be called")]
    Address {
        /// The key of the configuration.
        key: &'static str,
    },
    /// The client of HTTP cannot be made.
    #[error("TLS could not be set up for [notify]: {reason}")]
    Tls {
        /// What happened.
        reason: String,
    },
}

/// A message was not taken.
#[derive(Debug, thiserror::Error)]
#[error("[notify] {key} at {host} did not take it: {reason}")]
pub struct NotDelivered {
    key: &'static str,
    host: String,
    reason: String,
}

/// Sends notifications and pings.
#[derive(Debug)]
pub struct Sender {
    webhook: Option<Target>,
    format: NotifyFormat,
    ping: Option<Target>,
    retries: Retries,
}

/// An address with the client that calls it.
#[derive(Debug)]
struct Target {
    key: &'static str,
    http: reqwest::Client,
    url: Url,
}

/// Why an attempt did not succeed.
struct Refusal {
    reason: String,
    /// Whether another attempt may succeed.
    may_pass: bool,
}

impl Sender {
    /// Prepares what is configured; `None` if nothing is. Sends nothing.
    ///
    /// # Errors
    /// An address that cannot be used, or a system without CA certificates.
    pub fn new(config: &NotifyConfig, retries: Retries) -> Result<Option<Self>, NotifyError> {
        let target = |key, address: &Option<Secret>| {
            address.as_ref().map(|address| Target::new(key, address, retries.timeout)).transpose()
        };
        let (webhook, ping) = (target("webhook", &config.webhook)?, target("ping", &config.ping)?);
        let is_used = webhook.is_some() || ping.is_some();
        Ok(is_used.then_some(Self { webhook, format: config.format, ping, retries }))
    }

    /// Sends a notification, if there is a webhook.
    ///
    /// # Errors
    /// No attempt succeeded.
    pub async fn notify(&self, notification: &Notification) -> Result<(), NotDelivered> {
        let Some(webhook) = &self.webhook else { return Ok(()) };
        let body = notification.body(self.format).to_string();
        let request = || webhook.http.post(webhook.url.clone()).header(CONTENT_TYPE, JSON).body(body.clone());
        webhook.deliver(request, self.retries).await
    }

    /// Tells the dead man's switch of a good sync, if there is one.
    ///
    /// # Errors
    /// No attempt succeeded.
    pub async fn ping(&self) -> Result<(), NotDelivered> {
        let Some(ping) = &self.ping else { return Ok(()) };
        ping.deliver(|| ping.http.get(ping.url.clone()), self.retries).await
    }
}

impl Target {
    fn new(key: &'static str, address: &Secret, timeout: Duration) -> Result<Self, NotifyError> {
        // Fails only if a provider is installed already, which serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let url = Url::parse(address.expose()).map_err(|_| NotifyError::Address { key })?;
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("attrsync/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .retry(reqwest::retry::never())
            .timeout(timeout)
            .pool_max_idle_per_host(0);
        // The proxy that the environment names is for other machines.
        if is_loopback(&url) {
            builder = builder.no_proxy();
        }
        let http = builder.build().map_err(|error| NotifyError::Tls { reason: with_causes(&error) })?;
        Ok(Self { key, http, url })
    }

    /// Makes a request until it succeeds, fails for good, or all attempts are made.
    async fn deliver(
        &self,
        request: impl Fn() -> RequestBuilder,
        retries: Retries,
    ) -> Result<(), NotDelivered> {
        let mut pauses = retries.pauses.into_iter();
        loop {
            let Err(Refusal { reason, may_pass }) = attempt(request()).await else { return Ok(()) };
            match pauses.next().filter(|_| may_pass) {
                Some(pause) => tokio::time::sleep(pause).await,
                None => {
                    let host = self.url.host_str().unwrap_or_default().to_owned();
                    return Err(NotDelivered { key: self.key, host, reason });
                }
            }
        }
    }
}

async fn attempt(request: RequestBuilder) -> Result<(), Refusal> {
    let response = request.send().await.map_err(|error| {
        // The address is a secret.
        Refusal { reason: with_causes(&error.without_url()), may_pass: true }
    })?;
    let status = response.status();
    match status.as_u16() {
        200..=299 => Ok(()),
        300..=399 => Err(Refusal {
            reason: format!("{} redirects, which is not followed: write the final address", status.as_u16()),
            may_pass: false,
        }),
        408 | 429 | 500.. => Err(Refusal { reason: format!("status {}", status.as_u16()), may_pass: true }),
        _ => Err(Refusal { reason: format!("status {}", status.as_u16()), may_pass: false }),
    }
}
