//! Log lines on stderr.
//!
//! `-v` adds lines of attrsync itself. Other crates write errors only, because their other lines may hold headers,
//! values or whole statements.

use tracing::Level;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, fmt};

use super::view::console::{Console, LogFormat};
use crate::ledger::LEDGER_REPLACED;

/// Starts logging. A second start in the same process, which happens in tests, has no effect.
pub(super) fn start(console: &Console, verbose: u8) {
    let writer = console.clone();
    let lines = fmt::layer().with_writer(move || writer.log_writer());
    let lines = match console.format() {
        LogFormat::Text => lines.with_ansi(console.colours_logs()).with_target(verbose > 1).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    let filter = targets(verbose, console.is_quiet());
    let _ = tracing_subscriber::registry().with(lines.with_filter(filter)).try_init();
}

fn targets(verbose: u8, quiet: bool) -> Targets {
    let own = match (quiet, verbose) {
        (true, _) => Level::ERROR,
        (false, 0) => Level::WARN,
        (false, 1) => Level::INFO,
        (false, 2) => Level::DEBUG,
        (false, _) => Level::TRACE,
    };
    let targets = Targets::new().with_default(Level::ERROR).with_target(env!("CARGO_CRATE_NAME"), own);
    // A lost or replaced ledger is told also when quiet.
    if quiet { targets.with_target(LEDGER_REPLACED, Level::WARN) } else { targets }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbosity_adds_only_our_own_lines() {
        let loudest = targets(9, false);
        assert!(loudest.would_enable("attrsync::engine", &Level::TRACE));
        assert!(!loudest.would_enable("hyper::proto", &Level::INFO));
        assert!(!loudest.would_enable("sqlx::query", &Level::WARN));
        assert!(loudest.would_enable("hyper::proto", &Level::ERROR));
        assert!(!targets(0, false).would_enable("attrsync", &Level::INFO));
        assert!(!targets(0, true).would_enable("attrsync", &Level::WARN));
        assert!(targets(0, true).would_enable(LEDGER_REPLACED, &Level::WARN));
    }
}
