//! The one place that writes: results to stdout, everything else to stderr.
//!
//! A closed pipe (`| head`) is no error. If log lines are JSON, notes, hints and errors are JSON lines with the same
//! fields and a `kind`.

use std::io::{self, IsTerminal as _, Write};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use chrono::SecondsFormat;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use serde_json::{Value, json};

use super::paint::{ColorWhen, Paint};
use crate::cli::exit::Exit;
use crate::clock::{Clock as _, SystemClock};
use crate::one_line::{self, lines};
use crate::record::{RunStatus, Warning};

/// Room for the `^C` that a terminal shows, so that the line of progress does not wrap.
const SPARE: usize = 3;

/// How lines on stderr are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LogFormat {
    /// Text for people
    Text,
    /// One JSON object per line
    Json,
}

/// The two output streams of the process. Clones share the progress bar.
#[derive(Debug, Clone)]
pub(crate) struct Console {
    stdout: Paint,
    stderr: Paint,
    format: LogFormat,
    quiet: bool,
    json: bool,
    /// Whether the one JSON document of the command was written.
    json_written: Arc<AtomicBool>,
    /// The run that the command opened.
    run_id: Arc<OnceLock<i64>>,
    /// What the command does now.
    stage: Arc<Mutex<&'static str>>,
    /// The bar that is on the terminal now. Lines are written above it.
    bar: Arc<Mutex<Option<ProgressBar>>>,
    /// How many columns the terminal had when the bar was drawn.
    columns: Arc<AtomicUsize>,
}

impl Console {
    /// Decides about colours. `quiet` leaves out notes, hints, progress, and reports of what went well, but
    /// no warnings. `json`: the
    /// result is one JSON document, whatever goes wrong.
    pub(crate) fn new(when: ColorWhen, format: LogFormat, quiet: bool, json: bool) -> Self {
        Self {
            stdout: when.paint(io::stdout().is_terminal()),
            stderr: when.paint(io::stderr().is_terminal()),
            format,
            quiet,
            json,
            json_written: Arc::default(),
            run_id: Arc::default(),
            stage: Arc::new(Mutex::new("starting")),
            bar: Arc::default(),
            columns: Arc::default(),
        }
    }

    /// The colours for results.
    pub(crate) fn paint(&self) -> Paint {
        self.stdout
    }

    /// Whether log lines may be coloured.
    pub(crate) fn colours_logs(&self) -> bool {
        self.stderr.is_on()
    }

    /// How log lines are written.
    pub(crate) fn format(&self) -> LogFormat {
        self.format
    }

    /// How many columns the terminal of stdout has; `None` if stdout is none.
    pub(crate) fn width(&self) -> Option<usize> {
        terminal_size::terminal_size_of(io::stdout()).map(|(width, _)| usize::from(width.0))
    }

    /// Whether only results and errors are written.
    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Notes the run that the command opened, for [`failure`](Self::failure).
    pub(crate) fn run_opened(&self, run_id: i64) {
        // A command opens one run.
        let _ = self.run_id.set(run_id);
    }

    /// Notes what the command does now, for the message of a signal that stops it: `reading the ledger`.
    pub(crate) fn begin(&self, stage: &'static str) {
        *self.stage.lock().unwrap_or_else(PoisonError::into_inner) = stage;
    }

    /// What the command does now.
    pub(crate) fn stage(&self) -> &'static str {
        *self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The run that the command opened.
    pub(crate) fn opened_run(&self) -> Option<i64> {
        self.run_id.get().copied()
    }

    /// Writes the report of a command that does or verifies something to stdout: nothing if quiet and all is well.
    ///
    /// # Errors
    /// As [`out`](Self::out).
    pub(crate) fn report(&self, text: &str, exit: Exit) -> io::Result<()> {
        if self.quiet && exit == Exit::Done { Ok(()) } else { self.out(text) }
    }

    /// Writes a report that may have warnings. If it is left out, they go to stderr.
    ///
    /// # Errors
    /// As [`out`](Self::out).
    pub(crate) fn report_or_warnings<'a>(
        &self,
        text: &str,
        exit: Exit,
        warnings: impl IntoIterator<Item = &'a Warning>,
    ) -> io::Result<()> {
        if self.quiet && exit == Exit::Done {
            for warning in warnings {
                self.warning(&warning.to_string());
            }
        }
        self.report(text, exit)
    }

    /// Writes a result to stdout.
    ///
    /// # Errors
    /// It could not be written, for example to a full disk.
    pub(crate) fn out(&self, text: &str) -> io::Result<()> {
        self.stream(text).map(drop)
    }

    /// Writes a part of a result to stdout. Returns whether it is still read.
    ///
    /// # Errors
    /// As [`out`](Self::out).
    pub(crate) fn stream(&self, text: &str) -> io::Result<bool> {
        let mut stdout = io::stdout().lock();
        match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
            written => written.map(|()| true),
        }
    }

    /// Writes a result to stdout as one JSON document.
    ///
    /// # Errors
    /// As [`out`](Self::out).
    pub(crate) fn json(&self, value: &impl Serialize) -> io::Result<()> {
        self.stream_json(&format!("{}\n", serde_json::to_string_pretty(value)?)).map(drop)
    }

    /// Writes a part of a JSON document to stdout. Returns whether it is still read.
    ///
    /// # Errors
    /// As [`out`](Self::out).
    pub(crate) fn stream_json(&self, text: &str) -> io::Result<bool> {
        self.json_written.store(true, Ordering::Relaxed);
        self.stream(&one_line::json(text))
    }

    /// Writes an error and what to do about it. If the result is to be JSON and none was written yet, it is the error.
    pub(crate) fn failure(&self, failure: &FailureReport<'_>) {
        self.error(failure.message);
        if let Some(hint) = failure.hint {
            self.remedy(hint);
        }
        if self.json && !self.json_written.load(Ordering::Relaxed) {
            // If stdout is closed, the message is on stderr.
            let _ = self.json(&failure.json(self.run_id.get().copied()));
        }
    }

    /// Writes a note about the result.
    pub(crate) fn note(&self, text: &str) {
        if !self.quiet {
            self.say("INFO", "note", text, &lines(text));
        }
    }

    /// Writes a hint: what to do next.
    pub(crate) fn hint(&self, text: &str) {
        if !self.quiet {
            self.remedy(text);
        }
    }

    /// Writes a hint about an error, also when quiet.
    pub(crate) fn remedy(&self, text: &str) {
        self.say("INFO", "hint", text, &format!("{} {}", self.stderr.strong("hint:"), lines(text)));
    }

    /// Writes a warning, also when quiet.
    pub(crate) fn warning(&self, text: &str) {
        self.say("WARN", "warning", text, &format!("{} {}", self.stderr.notable("warning:"), lines(text)));
    }

    /// Writes an error.
    pub(crate) fn error(&self, text: &str) {
        self.say("ERROR", "error", text, &format!("{} {}", self.stderr.bad("error:"), lines(text)));
    }

    /// The writer of log lines.
    pub(crate) fn log_writer(&self) -> LogWriter {
        LogWriter(self.clone())
    }

    /// Starts a line for progress below all other lines, if stderr is a terminal and progress may be shown.
    pub(super) fn start_bar(&self) -> Option<ProgressBar> {
        let style = ProgressStyle::with_template("{msg}").ok()?;
        let make = || ProgressBar::new_spinner().with_style(style);
        let bar = (io::stderr().is_terminal() && !self.quiet).then(make);
        self.bar.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&bar);
        bar
    }

    /// Draws the line of progress, which `line` makes for a number of columns.
    pub(super) fn draw(&self, bar: &ProgressBar, line: impl FnOnce(usize) -> String) {
        let shown = self.bar.lock().unwrap_or_else(PoisonError::into_inner);
        if shown.is_some() {
            let columns =
                terminal_size::terminal_size_of(io::stderr()).map_or(80, |(width, _)| width.0.into());
            if self.columns.swap(columns, Ordering::Relaxed) > columns {
                // A terminal that became narrower has wrapped the line, and the bar would clear only its first row.
                let _ = io::stderr().lock().write_all(b"\x1b[J");
            }
            bar.set_message(line(columns.saturating_sub(SPARE)));
            back_to_the_start();
        }
    }

    /// Removes the line of progress from the terminal.
    pub(crate) fn end_bar(&self) {
        if let Some(bar) = self.bar.lock().unwrap_or_else(PoisonError::into_inner).take() {
            bar.finish_and_clear();
        }
    }

    fn say(&self, level: &'static str, kind: &'static str, message: &str, text: &str) {
        let json = || {
            let timestamp = SystemClock.now().to_rfc3339_opts(SecondsFormat::Micros, true);
            let target = env!("CARGO_CRATE_NAME");
            serde_json::to_string(&Line { timestamp, level, kind, message, target }).ok()
        };
        let line = match self.format {
            LogFormat::Json => json().map(|json| one_line::json(&json)),
            LogFormat::Text => None,
        };
        self.write_stderr(&format!("{}\n", line.as_deref().unwrap_or(text)));
    }

    fn write_stderr(&self, text: &str) {
        // If stderr is closed, the message cannot be shown anywhere.
        let write = || drop(io::stderr().lock().write_all(text.as_bytes()));
        match &*self.bar.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(bar) => {
                bar.suspend(write);
                back_to_the_start();
            }
            None => write(),
        }
    }
}

/// Moves the cursor to the start of the line of progress. The line fills the terminal, so that the `^C` of a terminal
/// would begin another row, and the row above would no longer be cleared.
fn back_to_the_start() {
    let _ = io::stderr().lock().write_all(b"\r");
}

/// Why a command has no result, for a person and for programs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FailureReport<'a> {
    /// How the command ended, in the words of a run's status.
    pub(crate) status: RunStatus,
    /// The exit code.
    pub(crate) exit: Exit,
    /// What went wrong.
    pub(crate) message: &'a str,
    /// What to do about it.
    pub(crate) hint: Option<&'a str>,
}

impl FailureReport<'_> {
    /// The fields of a failed sync. Keys are only ever added.
    pub(crate) fn json(&self, run_id: Option<i64>) -> Value {
        json!({
            "run_id": run_id,
            "status": self.status.as_str(),
            "exit_code": self.exit as u8,
            "needs_attention": true,
            "message": self.message,
            "hint": self.hint,
        })
    }
}

/// A note, hint or error with the fields of a log line.
#[derive(Serialize)]
struct Line<'a> {
    timestamp: String,
    level: &'static str,
    kind: &'static str,
    message: &'a str,
    target: &'static str,
}

/// Writes log lines above the bar.
#[derive(Debug)]
pub(crate) struct LogWriter(Console);

impl Write for LogWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        let text = text.trim_end_matches('\n');
        let harmless = match self.0.format {
            LogFormat::Json => one_line::json(text),
            // The subscriber writes colours, and escapes those of others itself.
            LogFormat::Text if self.0.colours_logs() => one_line::coloured(text),
            LogFormat::Text => one_line::one_line(text),
        };
        self.0.write_stderr(&format!("{harmless}\n"));
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
