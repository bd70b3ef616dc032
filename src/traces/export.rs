//! Sends spans to a collector, in the background: a run never waits for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry::{Key, Value};
use opentelemetry_otlp::SpanExporter as OtlpExporter;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};

use super::run::RunTrace;
use super::{TracedRun, endpoint_variable, first_set};

/// How long the end of a process waits for spans that were not sent yet.
const END_MAX: Duration = Duration::from_secs(5);

const PROTOCOLS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"];

/// What sends the traces of a process, if the environment names an endpoint.
///
/// Ended spans wait in a bounded queue, and a thread sends them. Spans that find the queue full are lost.
#[derive(Debug)]
pub struct Traces {
    provider: Option<SdkTracerProvider>,
    failure: FirstFailure,
}

impl Traces {
    /// Starts to send what will be traced. Without an endpoint nothing starts; with one that cannot be used neither, and
    /// a warning says so.
    #[must_use]
    pub fn start() -> Self {
        let failure = FirstFailure::default();
        Self { provider: endpoint_variable().and_then(|endpoint| provider(endpoint, &failure)), failure }
    }

    /// Prepares the trace of a run.
    #[must_use]
    pub fn run(&self, run: &TracedRun<'_>) -> RunTrace {
        let tracer = self.provider.as_ref().map(|provider| provider.tracer(env!("CARGO_PKG_NAME")));
        RunTrace::new(tracer, run)
    }

    /// Sends what waits, for a few seconds at most.
    pub async fn end(&self) {
        let Some(provider) = self.provider.clone() else { return };
        let sent = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(END_MAX)).await;
        if let Ok(Err(error)) = sent {
            self.failure.tell(&error);
        }
    }
}

fn provider(endpoint: &str, failure: &FirstFailure) -> Option<SdkTracerProvider> {
    if let Some((variable, protocol)) = first_set(&PROTOCOLS).filter(|(_, name)| name != "http/protobuf") {
        tracing::warn!(
            "no traces are sent: {variable} is {protocol:?}, and attrsync speaks http/protobuf only"
        );
        return None;
    }
    // Fails only if a provider is installed already, which serves as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let Ok(exporter) = OtlpExporter::builder().with_http().build() else {
        // The error shows the address, which may hold a password.
        tracing::warn!(
            "no traces are sent: {endpoint} or another variable OTEL_EXPORTER_OTLP_* cannot be used; an endpoint looks \
             like http://127.0.0.1:4318"
        );
        return None;
    };
    let exporter = Exporter { otlp: exporter, failure: failure.clone() };
    Some(SdkTracerProvider::builder().with_resource(resource()).with_batch_exporter(exporter).build())
}

/// What the environment says of this process. Its name is `attrsync` unless the environment has another one.
fn resource() -> Resource {
    let found = Resource::builder().build();
    let name = found.get(&Key::from_static_str("service.name"));
    let is_unnamed = name.is_none_or(|name| name.as_str().starts_with("unknown_service"));
    let name = if is_unnamed { Value::from(env!("CARGO_PKG_NAME")) } else { return found };
    Resource::builder().with_service_name(name).build()
}

/// Tells people of the first failure only.
#[derive(Debug, Clone, Default)]
struct FirstFailure(Arc<AtomicBool>);

impl FirstFailure {
    fn tell(&self, error: &OTelSdkError) {
        if !self.0.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                %error,
                "traces could not be sent, and are lost while that lasts; runs go on. Look at the collector, and at \
                 OTEL_EXPORTER_OTLP_ENDPOINT. This is not said again"
            );
        }
    }
}

#[derive(Debug)]
struct Exporter {
    otlp: OtlpExporter,
    failure: FirstFailure,
}

impl SpanExporter for Exporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.otlp.export(batch).await.inspect_err(|error| self.failure.tell(error))
    }

    fn shutdown(&self) -> OTelSdkResult {
        self.otlp.shutdown()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.otlp.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.otlp.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.otlp.set_resource(resource);
    }
}
