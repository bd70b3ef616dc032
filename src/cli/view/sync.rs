//! The report of a run, as text and as JSON.

use std::time::Duration;

use serde_json::{Value, json};

use super::applied;
use super::guard;
use super::paint::Paint;
use super::text::{counted, duration, invalid_key, number, tame, whole_seconds};
use super::{undone, warnings};
use crate::cli::exit::Exit;
use crate::engine::{Course, Report, Undone};
use crate::record::{RunStatus, WaitTotal};

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
    line("planned", counts.planned, some(counts.deletes, "to delete"));
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
    if report.course.undone.is_none() {
        line("invalid", counts.invalid, invalid_keys(report));
        let by_digest = if report.by_digest { "  (digest: your table is as in the run before)" } else { "" };
        line("unchanged", counts.unchanged, by_digest.to_owned());
    }
    if counts.pinned > 0 {
        let what = "  restored by an undo; the source's values are ignored until they change";
        line("pinned", counts.pinned, what.to_owned());
    }
    if counts.no_value > 0 {
        line("no value", counts.no_value, "  NULL in the source".to_owned());
    }
    if counts.orphans > 0 {
        let what = "  in the store, no longer in your table; the store keeps them ([missing])";
        line("orphans", counts.orphans, what.to_owned());
    }
    let saved = match ending.requests_saved() {
        0 => String::new(),
        saved => format!("  ({} saved by sending only what changed)", counted(saved, "call")),
    };
    line("calls", counts.requests, saved);
    lines.extend(more_than_planned(report).map(|why| format!("{:28}{why}", "")));
    lines.extend(waited(report));
    if let Some(interrupted) = report.course.interrupted {
        lines.push(format!("run {interrupted} was interrupted; this run went on"));
    }
    lines.extend(report.course.applied.iter().flat_map(|applied| applied::lines(applied, paint)));
    lines.extend(report.course.undone.iter().flat_map(|undone| undone::lines(undone, paint)));
    match report.exceeded.as_slice() {
        [] => lines.extend(report.message.as_deref().map(tame)),
        exceeded => lines.extend(guard::lines(exceeded, paint)),
    }
    lines.extend(warnings::lines(&report.warnings, paint));
    lines.join("\n") + "\n"
}

/// The keys of the first rows that could not be sent.
fn invalid_keys(report: &Report) -> String {
    let sample = &report.course.invalid_sample;
    // Rows that contradict each other have one key.
    let mut keys: Vec<String> = Vec::new();
    for key in sample.iter().map(invalid_key) {
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    if keys.is_empty() {
        return String::new();
    }
    let all = i64::try_from(sample.len()).is_ok_and(|shown| shown >= report.counts.invalid);
    format!("  not sent: {}{}", keys.join(", "), if all { "" } else { ", …" })
}

/// Why a run made more calls than its plan needs, with a number for each cause. `None` if no cause is known.
fn more_than_planned(report: &Report) -> Option<String> {
    let Course { planned_requests, extra, .. } = &report.course;
    let made = u64::try_from(report.counts.requests).unwrap_or(0);
    // Calls for values that had not been sent before. A run that ended early made fewer of them than were planned.
    let first = made.saturating_sub(extra.repeated + extra.bisection);
    let rest = first.saturating_sub(*planned_requests);
    let by_size = extra.learned_size.map(|size| {
        let size = counted(size as u64, "value");
        (rest, format!("because the store takes at most {size} a call, as this run learned"))
    });
    // Calls of the plan that carried only values in doubt are more only as far as nothing else explains it.
    let apart =
        || (rest.min(extra.in_doubt), "for values in doubt, which are sent apart from the others".to_owned());
    let causes = [
        by_size.unwrap_or_else(apart),
        (extra.repeated, "repeated".to_owned()),
        (extra.bisection, "to find rejected values".to_owned()),
    ];
    let more: u64 = causes.iter().map(|(count, _)| count).sum();
    let why = causes.iter().filter(|(count, _)| *count > 0);
    let why: Vec<_> = why.map(|(count, cause)| format!("{} {cause}", counted(*count, "call"))).collect();
    (more > 0).then(|| format!("{} more than planned: {}", number(more), why.join(", ")))
}

/// How long the run waited, and for what. `None` below a second.
fn waited(report: &Report) -> Option<String> {
    let time = |total: &WaitTotal| Duration::from_millis(total.milliseconds.unsigned_abs());
    let mut waits: Vec<&WaitTotal> = report.course.waits.iter().collect();
    waits.retain(|total| time(total) >= Duration::from_secs(1));
    waits.sort_by_key(|total| std::cmp::Reverse(total.milliseconds));
    let parts: Vec<String> =
        waits.iter().map(|total| format!("{} {}", total.reason, whole_seconds(time(total)))).collect();
    (!parts.is_empty()).then(|| format!("  {:<14}{:>12}  {}", "waited", "", parts.join(", ")))
}

/// What to do next, for stderr.
pub(crate) fn hint(report: &Report) -> Option<String> {
    let counts = &report.counts;
    let undone = report.course.undone.as_ref();
    let again = match undone {
        Some(Undone { of_run_id, .. }) => {
            format!("run `attrsync undo {of_run_id} --apply` again: it goes on with what is left")
        }
        None => "run `attrsync sync` again: it sends the deferred values".to_owned(),
    };
    let rejected = "`attrsync rejected` lists the rejected values; they are sent again when they change, or after \
                    `attrsync rejected --retry`";
    let what = match (counts.invalid > 0, counts.unknown > 0) {
        (true, true) if undone.is_some() => "the conflicts and the unknown values",
        (true, false) if undone.is_some() => "the conflicts",
        (true, true) => "the invalid rows and the unknown values",
        (true, false) => "the invalid rows",
        (false, _) => "the unknown values",
    };
    let listed = format!("`attrsync runs {}` lists {what}", report.run_id);
    let hints = [
        (counts.deferred > 0, again.as_str()),
        (counts.rejected + counts.still_rejected > counts.acknowledged, rejected),
        (counts.invalid + counts.unknown > 0, listed.as_str()),
    ];
    let hints: Vec<&str> = hints.iter().filter(|(applies, _)| *applies).map(|(_, hint)| *hint).collect();
    let of_report = report.hint.clone().filter(|_| undone.is_none() || report.status == RunStatus::Failed);
    of_report.or_else(|| (!hints.is_empty()).then(|| hints.join("; ")))
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
        "by_digest": report.by_digest,
        "counts": report.counts,
        "requests": report.counts.requests,
        "requests_saved": ending.requests_saved(),
        "requests_planned": report.course.planned_requests,
        "requests_repeated": report.course.extra.repeated,
        "requests_bisection": report.course.extra.bisection,
        "interrupted_run_id": report.course.interrupted,
        "waits": report.course.waits,
        "duration_ms": u64::try_from(ending.took.as_millis()).unwrap_or(u64::MAX),
        "applied": report.course.applied.as_ref().map(applied::json),
        "undone": report.course.undone.as_ref().map(undone::json),
        "message": report.message,
        "warnings": warnings::json(&report.warnings),
        "exceeded": guard::json(&report.exceeded),
        "hint": hint(report),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::push::ExtraRequests;
    use crate::record::{Counts, InvalidRow, WaitReason};

    fn report(counts: Counts) -> Report {
        Report {
            run_id: 7,
            status: RunStatus::Partial,
            counts,
            by_digest: false,
            requests_without_ledger: 300,
            message: None,
            hint: None,
            warnings: Vec::new(),
            exceeded: Vec::new(),
            course: Course { planned_requests: 1_000, ..Course::default() },
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

    /// The lines of a report that have this word, with single spaces.
    fn lines(report: &Report, word: &str) -> String {
        let text = text(ending(report), Paint::default());
        let lines = text.lines().filter(|line| line.contains(word));
        lines.flat_map(str::split_whitespace).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn more_calls_than_planned_are_explained_with_numbers_that_add_up() {
        let mut report = report(Counts { requests: 315, ..Counts::default() });
        report.course.planned_requests = 100;
        report.course.extra =
            ExtraRequests { repeated: 8, bisection: 4, learned_size: Some(10), in_doubt: 0 };
        assert_eq!(
            lines(&report, "more than planned"),
            "215 more than planned: 203 calls because the store takes at most 10 values a call, as this run learned, \
             8 calls repeated, 4 calls to find rejected values"
        );
        report.counts.requests = 100;
        assert_eq!(
            lines(&report, "more than planned"),
            "12 more than planned: 8 calls repeated, 4 calls to find rejected values",
            "88 of the plan's 100 calls were made"
        );
        report.counts.requests = 101;
        report.course.extra = ExtraRequests { in_doubt: 3, ..ExtraRequests::default() };
        assert_eq!(
            lines(&report, "more than planned"),
            "1 more than planned: 1 call for values in doubt, which are sent apart from the others"
        );
        report.course.extra = ExtraRequests::default();
        assert_eq!(lines(&report, "more than planned"), "", "no line without a cause");
    }

    #[test]
    fn invalid_rows_are_named_and_orphans_explained() {
        let row = |customer_id, attribute_id| InvalidRow {
            customer_id,
            attribute_id,
            value: Some("secret".to_owned()),
            reason: "longer than 255 characters".to_owned(),
        };
        let mut report = report(Counts { invalid: 4, orphans: 2, ..Counts::default() });
        report.course.invalid_sample =
            vec![row(Some(14), Some(1)), row(Some(14), Some(1)), row(None, Some(1))];
        assert_eq!(
            lines(&report, "invalid"),
            "invalid 4 not sent: customer 14 · attribute 1, customer NULL · attribute 1, …"
        );
        assert_eq!(
            lines(&report, "orphans"),
            "orphans 2 in the store, no longer in your table; the store keeps them ([missing])"
        );
    }

    #[test]
    fn a_run_that_compared_no_row_says_so() {
        let report =
            Report { by_digest: true, ..report(Counts { invalid: 1, unchanged: 9, ..Counts::default() }) };
        assert_eq!(lines(&report, "unchanged"), "unchanged 9 (digest: your table is as in the run before)");
        assert_eq!(json(ending(&report))["by_digest"], true);
    }

    #[test]
    fn waits_and_an_interrupted_run_are_told() {
        let mut report = report(Counts::default());
        let total = |reason, milliseconds| WaitTotal { reason, waits: 1, milliseconds };
        report.course.waits = vec![
            total(WaitReason::Backoff, 1_500),
            total(WaitReason::Ledger, 200),
            total(WaitReason::Quota, 41_000),
        ];
        report.course.interrupted = Some(6);
        assert_eq!(lines(&report, "waited"), "waited quota 41 s, backoff 1 s");
        assert_eq!(lines(&report, "interrupted"), "run 6 was interrupted; this run went on");
    }

    #[test]
    fn every_bad_end_says_what_to_do() {
        let none = Counts::default();
        for (counts, word) in [
            (Counts { still_rejected: 1, ..none }, "attrsync rejected"),
            (Counts { deferred: 1, rejected: 1, ..none }, "again"),
            (Counts { deferred: 1, rejected: 1, ..none }, "attrsync rejected"),
            (Counts { rejected: 1, invalid: 2, ..none }, "`attrsync runs 7` lists the invalid rows"),
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
