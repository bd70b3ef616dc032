//! Traces by OTLP: a span for each run, and below it one for its plan, its batches and their requests.
//!
//! The standard `OTEL_*` variables of the environment configure it, and nothing is sent unless they name an endpoint. A
//! span holds ids, counts and kinds of responses: no values of customers, and no words of the store. Only a build with
//! the feature `otlp` sends traces; another one says so.

#[cfg(feature = "otlp")]
mod export;
#[cfg(not(feature = "otlp"))]
mod left_out;
#[cfg(feature = "otlp")]
mod run;

#[cfg(feature = "otlp")]
pub use self::export::Traces;
#[cfg(not(feature = "otlp"))]
pub use self::left_out::{RunTrace, Traces};
#[cfg(feature = "otlp")]
pub use self::run::RunTrace;
use crate::record::{RunKind, Trigger};
use crate::waits::Waits;

/// A run that is about to be opened.
#[derive(Debug, Clone)]
pub struct TracedRun<'a> {
    /// The name of its sync.
    pub sync: &'a str,
    /// What it does.
    pub kind: RunKind,
    /// What started it.
    pub trigger: Trigger,
    /// What it waits for.
    pub waits: &'a Waits,
}

/// The variables that name an endpoint. The first one that is set counts.
const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];

/// Returns the first of these variables that is set and not empty, with its value.
fn first_set<'a>(names: &[&'a str]) -> Option<(&'a str, String)> {
    let set = |name: &&'a str| {
        std::env::var(name).ok().filter(|value| !value.is_empty()).map(|value| (*name, value))
    };
    names.iter().find_map(set)
}

/// Returns the variable that names the endpoint, unless another one turns traces off.
fn endpoint_variable() -> Option<&'static str> {
    let is = |name: &str, word: &str| std::env::var(name).is_ok_and(|value| value.eq_ignore_ascii_case(word));
    if is("OTEL_SDK_DISABLED", "true") || is("OTEL_TRACES_EXPORTER", "none") {
        return None;
    }
    first_set(&ENDPOINTS).map(|(name, _)| name)
}
