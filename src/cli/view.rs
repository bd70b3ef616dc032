//! All printing: results to stdout, talk to stderr, a progress bar only on a terminal.
//!
//! What is printed is made by pure functions in the files below; here is the one place that writes. A reader that has
//! gone away (`| head`) is no error: what is left to say is simply not said. Where log lines are JSON, so is all talk: the
//! same fields, and `kind`.

pub(super) mod audit;
pub(super) mod check;
pub(super) mod explain;
pub(super) mod plan;
pub(super) mod progress;
pub(super) mod sync;
pub(super) mod table;
pub(super) mod text;

use std::io::{IsTerminal as _, Write};
use std::sync::{Mutex, OnceLock, PoisonError};

use chrono::{SecondsFormat, Utc};
use clap::builder::styling::{AnsiColor, Style};
use serde::Serialize;

use super::failure::Failure;
use super::trace::Format;

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum When {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// In any case.
    Always,
    /// Not at all.
    Never,
}

/// Colours a word, or leaves it as it is.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Paint(bool);

impl Paint {
    /// What is created, or in order.
    pub(super) fn good(self, text: &str) -> String {
        self.styled(text, AnsiColor::Green.on_default())
    }

    /// What is changed, or needs a look.
    pub(super) fn notable(self, text: &str) -> String {
        self.styled(text, AnsiColor::Yellow.on_default())
    }

    /// What failed.
    pub(super) fn bad(self, text: &str) -> String {
        self.styled(text, AnsiColor::Red.on_default().bold())
    }

    /// What matters most.
    pub(super) fn strong(self, text: &str) -> String {
        self.styled(text, Style::new().bold())
    }

    fn styled(self, text: &str, style: Style) -> String {
        if self.0 { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Colours {
    stdout: Paint,
    stderr: Paint,
}

static COLOURS: OnceLock<Colours> = OnceLock::new();

/// How talk is written, as log lines are.
static TALK: OnceLock<Format> = OnceLock::new();

/// The bar that is on the terminal now: lines go above it.
static BAR: Mutex<Option<indicatif::ProgressBar>> = Mutex::new(None);

/// Whether nothing is said but errors.
static QUIET: OnceLock<bool> = OnceLock::new();

/// Decides on colours, on how talk is written, and on how much there is of it, once.
pub(super) fn start(when: When, talk: Format, quiet: bool) {
    let _ = TALK.set(talk);
    let _ = QUIET.set(quiet);
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
        || std::env::var_os("TERM").is_some_and(|value| value == "dumb");
    let on = |terminal: bool| match when {
        When::Auto => terminal && !plain,
        When::Always => true,
        When::Never => false,
    };
    let stdout = Paint(on(std::io::stdout().is_terminal()));
    let stderr = Paint(on(std::io::stderr().is_terminal()));
    let _ = COLOURS.set(Colours { stdout, stderr });
}

/// The colours for results.
pub(super) fn paint() -> Paint {
    COLOURS.get().copied().unwrap_or_default().stdout
}

/// Whether lines on stderr may be coloured.
pub(super) fn coloured_stderr() -> bool {
    COLOURS.get().copied().unwrap_or_default().stderr.0
}

/// Writes a result to stdout.
///
/// # Errors
/// It could not be written, as to a full disk. A closed pipe is none.
pub(super) fn out(text: &str) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// Writes a result to stdout as one JSON document.
///
/// # Errors
/// As [`out`].
pub(super) fn json(value: &impl Serialize) -> Result<(), Failure> {
    out(&format!("{}\n", serde_json::to_string_pretty(value)?))
}

/// Says something on stderr.
pub(super) fn note(text: &str) {
    if !is_quiet() {
        talk(&Line { level: "INFO", kind: "note", message: text }, |_| text.to_owned());
    }
}

fn is_quiet() -> bool {
    QUIET.get().copied().unwrap_or_default()
}

/// Says on stderr what failed.
pub(super) fn error(text: &str) {
    let line = Line { level: "ERROR", kind: "error", message: text };
    talk(&line, |paint| format!("{} {text}", paint.bad("error:")));
}

/// Says on stderr what to do next.
pub(super) fn hint(text: &str) {
    if !is_quiet() {
        way_out(text);
    }
}

/// Says on stderr what to do about an error.
pub(super) fn way_out(text: &str) {
    let line = Line { level: "INFO", kind: "hint", message: text };
    talk(&line, |paint| format!("{} {text}", paint.strong("hint:")));
}

/// Something to say, in the words of a log line.
#[derive(Serialize)]
struct Line<'a> {
    level: &'static str,
    kind: &'static str,
    message: &'a str,
}

#[derive(Serialize)]
struct TimedLine<'a> {
    timestamp: String,
    #[serde(flatten)]
    line: &'a Line<'a>,
    target: &'static str,
}

fn talk(line: &Line<'_>, as_text: impl Fn(Paint) -> String) {
    let told = match TALK.get() {
        Some(Format::Json) => {
            let timestamp = Utc::now().to_rfc3339_opts(SecondsFormat::Micros, true);
            serde_json::to_string(&TimedLine { timestamp, line, target: env!("CARGO_CRATE_NAME") }).ok()
        }
        Some(Format::Text) | None => None,
    };
    let text = told.unwrap_or_else(|| as_text(COLOURS.get().copied().unwrap_or_default().stderr));
    say(&format!("{text}\n"));
}

fn say(text: &str) {
    // Nobody is left to be told when stderr is gone.
    let write = || drop(std::io::stderr().lock().write_all(text.as_bytes()));
    match &*BAR.lock().unwrap_or_else(PoisonError::into_inner) {
        Some(bar) => bar.suspend(write),
        None => write(),
    }
}

/// Puts log lines above the bar.
#[derive(Debug, Default)]
pub(super) struct LogWriter;

impl Write for LogWriter {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        say(&String::from_utf8_lossy(line));
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
