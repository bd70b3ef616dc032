//! Log lines on stderr. Only attrsync's own are written, louder with `-v`; of third parties nothing but errors, since
//! what they log below that may hold headers, values, or a slow statement with its whole text.

use tracing::Level;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, fmt};

use super::view;

/// How a log line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// A line to read.
    Text,
    /// A JSON object a line.
    Json,
}

/// Starts logging.
pub(super) fn start(verbose: u8, quiet: bool, format: Format) {
    let lines = fmt::layer().with_writer(view::LogWriter::default);
    let lines = match format {
        Format::Text => lines.with_ansi(view::coloured_stderr()).with_target(verbose > 1).boxed(),
        Format::Json => lines.json().flatten_event(true).boxed(),
    };
    // A second start, as in tests of one process, leaves the first in place.
    let _ = tracing_subscriber::registry().with(lines.with_filter(targets(verbose, quiet))).try_init();
}

fn targets(verbose: u8, quiet: bool) -> Targets {
    let own = match (quiet, verbose) {
        (true, _) => Level::ERROR,
        (false, 0) => Level::WARN,
        (false, 1) => Level::INFO,
        (false, 2) => Level::DEBUG,
        (false, _) => Level::TRACE,
    };
    Targets::new().with_default(Level::ERROR).with_target(env!("CARGO_CRATE_NAME"), own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_lines_get_louder() {
        let loudest = targets(9, false);
        assert!(loudest.would_enable("attrsync::engine", &Level::TRACE));
        assert!(!loudest.would_enable("hyper::proto", &Level::INFO));
        assert!(!loudest.would_enable("sqlx::query", &Level::WARN));
        assert!(loudest.would_enable("hyper::proto", &Level::ERROR));
        assert!(!targets(0, false).would_enable("attrsync", &Level::INFO));
        assert!(!targets(0, true).would_enable("attrsync", &Level::WARN));
    }
}
