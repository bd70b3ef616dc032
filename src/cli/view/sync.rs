//! The report of a run, as text and as JSON.

use std::time::Duration;

use serde_json::{Value, json};

use super::paint::Paint;
use super::text::{counted, duration, number, tame};
use super::warnings;
use crate::cli::exit::Exit;
use crate::engine::Report;
use crate::record::RunStatus;

/// The engine's report and what the command adds to it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ending<'a> {
    /// The engine's report.
    pub(crate) report: &'a Report,
    /// How long the command took.
    pub(crate) took: Duration,
}

impl Ending<'_> {
    /// Returns how many requests the ledger saved, compared with sending every value. Returns 0 if the run ended early,
    /// because the next run makes the requests that this one did not.
    fn requests_saved(&self) -> u64 {
        if !matches!(self.report.status, RunStatus::Succeeded | RunStatus::Partial) {
            return 0;
        }
        let made = u64::try_from(self.report.counts.requests).unwrap_or(0);
        self.report.requests_without_ledger.saturating_sub(made)
    }
}

/// The summary as a person reads it.
pub(crate) fn text(ending: Ending<'_>, paint: Paint) -> String {
    let report = ending.report;
    let counts = &report.counts;
    let head = format!("run {} {} in {}", report.run_id, report.status, duration(ending.took));
    let mut lines = vec![match report.status {
        RunStatus::Succeeded => paint.good(&head),
        RunStatus::Partial => paint.notable(&head),
        _ => paint.bad(&head),
    }];
    let mut line = |name: &str, value: i64, note: String| {
        lines.push(format!("  {name:<14}{:>12}{note}", number(value)));
    };
    let some = |count: i64, text: &str| {
        if count > 0 { format!("  ({} {text})", number(count)) } else { String::new() }
    };
    line("planned", counts.planned, String::new());
    line("confirmed", counts.confirmed, some(counts.altered, "kept by the store in another form"));
    let new = if counts.rejected > 0 { "  new in this run" } else { "" };
    line("rejected", counts.rejected, new.to_owned());
    if counts.still_rejected > 0 {
        line(
            "still rejected",
            counts.still_rejected,
            format!(
                "  rejected in an earlier run and unchanged since{}",
                some(counts.acknowledged, "acknowledged")
            ),
        );
    }
    line("unknown", counts.unknown, String::new());
    line("deferred", counts.deferred, String::new());
    line("invalid", counts.invalid, String::new());
    line("unchanged", counts.unchanged, String::new());
    if counts.no_value > 0 {
        line("no value", counts.no_value, "  NULL in the source".to_owned());
    }
    if counts.orphans > 0 {
        line("orphans", counts.orphans, "  in the ledger, no longer in the source; left alone".to_owned());
    }
    let saved = match ending.requests_saved() {
        0 => String::new(),
        saved => format!("  ({} saved by sending only what changed)", counted(saved, "call")),
    };
    line("calls", counts.requests, saved);
    if let Some(message) = &report.message {
        lines.push(tame(message));
    }
    lines.extend(warnings::lines(&report.warnings, paint));
    lines.join("\n") + "\n"
}

/// What to do next, for stderr.
pub(crate) fn hint(report: &Report) -> Option<String> {
    let counts = &report.counts;
    report.hint.clone().or_else(|| match report.status {
        _ if counts.deferred > 0 => Some("run `attrsync sync` again: it sends the deferred values".to_owned()),
        _ if counts.rejected + counts.still_rejected > counts.acknowledged => Some(
            "`attrsync rejected` lists them; they are sent again when they change, or after `attrsync rejected \
             --retry`"
                .to_owned(),
        ),
        _ if counts.invalid + counts.unknown > 0 => Some(format!("`attrsync runs {}` lists them", report.run_id)),
        _ => None,
    })
}

/// The report for programs. Keys are only ever added.
pub(crate) fn json(ending: Ending<'_>) -> Value {
    let report = ending.report;
    let exit = Exit::of_run(report);
    json!({
        "run_id": report.run_id,
        "status": report.status.as_str(),
        "exit_code": exit as u8,
        "needs_attention": exit != Exit::Done,
        "counts": report.counts,
        "requests": report.counts.requests,
        "requests_saved": ending.requests_saved(),
        "duration_ms": u64::try_from(ending.took.as_millis()).unwrap_or(u64::MAX),
        "message": report.message,
        "warnings": warnings::json(&report.warnings),
        "hint": hint(report),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Counts;

    fn report(counts: Counts) -> Report {
        Report {
            run_id: 7,
            status: RunStatus::Partial,
            counts,
            requests_without_ledger: 300,
            message: None,
            hint: None,
            warnings: Vec::new(),
        }
    }

    fn ending(report: &Report) -> Ending<'_> {
        Ending { report, took: Duration::from_millis(3400) }
    }

    #[test]
    fn requests_that_are_still_to_come_are_not_saved() {
        let whole = report(Counts { requests: 100, ..Counts::default() });
        assert_eq!(ending(&whole).requests_saved(), 200);
        for status in [RunStatus::Failed, RunStatus::Stopped] {
            assert_eq!(ending(&Report { status, ..whole.clone() }).requests_saved(), 0);
        }
    }

    #[test]
    fn the_summary_separates_new_from_still_rejected() {
        let counts = Counts {
            planned: 1000,
            confirmed: 999,
            altered: 2,
            rejected: 1,
            still_rejected: 3,
            unchanged: 2000,
            requests: 100,
            ..Counts::default()
        };
        assert_eq!(
            text(ending(&report(counts)), Paint::default()),
            "\
run 7 partial in 3.4 s
  planned              1,000
  confirmed              999  (2 kept by the store in another form)
  rejected                 1  new in this run
  still rejected           3  rejected in an earlier run and unchanged since
  unknown                  0
  deferred                 0
  invalid                  0
  unchanged            2,000
  calls                  100  (200 calls saved by sending only what changed)
"
        );
    }

    #[test]
    fn every_bad_end_says_what_to_do() {
        let none = Counts::default();
        for (counts, word) in [
            (Counts { still_rejected: 1, ..none }, "attrsync rejected"),
            (Counts { deferred: 1, rejected: 1, ..none }, "again"),
            (Counts { invalid: 1, ..none }, "attrsync runs 7"),
        ] {
            assert!(hint(&report(counts)).unwrap_or_default().contains(word), "{word}");
        }
        assert_eq!(hint(&report(none)), None);
    }

    #[test]
    fn programs_get_the_exit_code_too() {
        let report = report(Counts { planned: 1, rejected: 1, ..Counts::default() });
        assert_eq!(json(ending(&report))["exit_code"], 3);
    }
}
