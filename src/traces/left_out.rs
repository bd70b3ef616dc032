//! What a build without the feature `otlp` has in place of traces.

use super::{TracedRun, endpoint_variable};
use crate::engine::Progress;

/// Sends nothing.
#[derive(Debug)]
pub struct Traces;

impl Traces {
    /// Warns if the environment asks for traces.
    #[must_use]
    pub fn start() -> Self {
        if let Some(variable) = endpoint_variable() {
            tracing::warn!(
                "no traces are sent, although {variable} is set: this attrsync was built without the feature otlp"
            );
        }
        Self
    }

    /// Traces nothing.
    #[must_use]
    pub const fn run(&self, _: &TracedRun<'_>) -> RunTrace {
        RunTrace
    }

    /// Has nothing to send.
    #[allow(clippy::unused_async, reason = "the other build waits here")]
    pub async fn end(&self) {}
}

/// The trace of a run, which is left out.
#[derive(Debug)]
pub struct RunTrace;

impl RunTrace {
    /// Takes no note of it.
    pub const fn observe(&self, _: &Progress) {}
}
