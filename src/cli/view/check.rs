//! The findings of `attrsync check`, one line each.

use serde_json::{Value, json};

use super::paint::Paint;
use super::text::{invalid_key, number, tame};
use super::warnings;
use crate::cli::exit::Exit;
use crate::engine::Survey;
use crate::record::Warning;
use crate::source::postgres::{RowCount, SourceShape, Unsampled};

/// One thing that was checked.
#[derive(Debug)]
pub(crate) struct Finding {
    /// What was checked.
    pub(crate) name: &'static str,
    /// Whether it is in order.
    pub(crate) ok: bool,
    /// What was found, or what is wrong.
    pub(crate) detail: String,
    /// What to do about it.
    pub(crate) hint: Option<String>,
    /// What a person should look at.
    pub(crate) warnings: Vec<Warning>,
    /// What a person should look at, although nothing is wrong with the set-up, in a line.
    pub(crate) attention: Option<String>,
}

impl Finding {
    /// In order.
    pub(crate) fn good(name: &'static str, detail: impl std::fmt::Display) -> Self {
        Self { name, ok: true, detail: detail.to_string(), hint: None, warnings: Vec::new(), attention: None }
    }

    /// Not in order.
    pub(crate) fn bad(name: &'static str, problem: impl Into<String>, hint: Option<String>) -> Self {
        Self { name, ok: false, detail: problem.into(), hint, warnings: Vec::new(), attention: None }
    }

    /// Adds warnings.
    pub(crate) fn warn(self, warnings: Vec<Warning>) -> Self {
        Self { warnings, ..self }
    }
}

/// Describes the source in one line.
pub(crate) fn shape(shape: &SourceShape) -> String {
    let columns: Vec<String> = shape.columns.iter().map(|(name, kind)| format!("{name} {kind}")).collect();
    let standby = if shape.standby { ", a standby" } else { "" };
    format!("Postgres {}{standby}; {}", shape.server_version, columns.join(", "))
}

/// Says how many rows there are, and what a sync would make of those that were looked at.
pub(crate) fn rows(rows: RowCount, survey: &Survey, attributes_known: bool) -> String {
    let counts = &survey.counts;
    if counts.source_rows == 0 {
        return row_count(rows);
    }
    if !attributes_known {
        return format!("{}; not looked at, because the store's attributes are not known", row_count(rows));
    }
    let sendable = number(counts.source_rows - counts.invalid - counts.no_value);
    let seen = match rows {
        RowCount::Exactly(count) if i64::try_from(count) == Ok(counts.source_rows) => String::new(),
        _ => format!("of {} that were looked at, ", number(counts.source_rows)),
    };
    let other = |count: i64, words: &str| match count {
        0 => String::new(),
        count => format!(", {} {words}", number(count)),
    };
    let (invalid, no_value) = (other(counts.invalid, "invalid"), other(counts.no_value, "without a value"));
    let summary = format!("{}; {seen}{sendable} can be sent{invalid}{no_value}", row_count(rows));
    let sample = &survey.invalid_sample;
    let named = sample.iter().map(|row| format!("{}: {}", invalid_key(row), row.reason));
    let more = usize::try_from(counts.invalid).is_ok_and(|invalid| invalid > sample.len());
    let more = more.then(|| "…; `attrsync plan` lists the invalid rows".to_owned());
    [summary].into_iter().chain(named).chain(more).collect::<Vec<_>>().join("\n")
}

/// Says how many rows there are, and why none was looked at.
pub(crate) fn rows_unsampled(rows: RowCount, unsampled: &Unsampled) -> String {
    let why = match unsampled {
        Unsampled::Slow => "their values were not read, because that takes longer than 10 seconds".to_owned(),
        Unsampled::Unreadable(problem) => {
            format!("a value cannot be read: {problem}. A sync finds such rows and sends the others")
        }
    };
    format!("{}; {why}", row_count(rows))
}

fn row_count(rows: RowCount) -> String {
    match rows {
        RowCount::Exactly(0) => "none: the source is empty".to_owned(),
        RowCount::Exactly(count) => number(count),
        RowCount::MoreThan(count) => format!("more than {}", number(count)),
        RowCount::NotCounted => "not counted".to_owned(),
    }
}

/// The findings as a person reads them.
pub(crate) fn text(findings: &[Finding], paint: Paint) -> String {
    let mut text = String::new();
    for finding in findings {
        let mark = if finding.ok { paint.good("ok    ") } else { paint.bad("FAILED") };
        // Each problem of a list has a line of its own.
        let detail: Vec<String> = finding.detail.lines().map(tame).collect();
        text += &format!("{mark}  {:<13}  {}\n", finding.name, detail.join("\n                       "));
        if let Some(hint) = &finding.hint {
            text += &format!("        hint: {}\n", tame(hint));
        }
        for line in warnings::lines(&finding.warnings, paint) {
            text += &format!("        {line}\n");
        }
    }
    text
}

/// The findings for programs. Keys are only ever added.
pub(crate) fn json(findings: &[Finding], exit: Exit) -> Value {
    json!({
        "exit_code": exit as u8,
        "needs_attention": exit != Exit::Done || findings.iter().any(|finding| finding.attention.is_some()),
        "ok": findings.iter().all(|finding| finding.ok),
        "checks": findings.iter().map(|finding| json!({
            "name": finding.name,
            "ok": finding.ok,
            "detail": finding.detail,
            "hint": finding.hint,
            "warnings": warnings::json(&finding.warnings),
        })).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Counts, InvalidRow};

    #[test]
    fn each_finding_is_a_line_with_its_hint() {
        let findings =
            [Finding::good("source", "table t"), Finding::bad("token", "401", Some("check it".to_owned()))];
        assert_eq!(
            text(&findings, Paint::default()),
            "ok      source         table t\nFAILED  token          401\n        hint: check it\n"
        );
        assert_eq!(json(&findings, Exit::Failed)["ok"], false);
    }

    fn surveyed(counts: Counts, invalid_sample: Vec<InvalidRow>) -> Survey {
        Survey { counts, invalid_sample, warnings: Vec::new() }
    }

    #[test]
    fn rows_are_not_looked_at_while_the_attributes_are_unknown() {
        let counts = Counts { source_rows: 7, invalid: 7, ..Counts::default() };
        assert_eq!(
            rows(RowCount::Exactly(7), &surveyed(counts, Vec::new()), false),
            "7; not looked at, because the store's attributes are not known"
        );
    }

    #[test]
    fn the_first_invalid_rows_are_named() {
        let row = |customer_id| InvalidRow {
            customer_id: Some(customer_id),
            attribute_id: None,
            value: Some("secret".to_owned()),
            reason: "it has no attribute id".to_owned(),
        };
        let counts = Counts { source_rows: 9, invalid: 2, ..Counts::default() };
        assert_eq!(
            rows(RowCount::Exactly(9), &surveyed(counts, vec![row(4), row(5)]), true),
            "9; 7 can be sent, 2 invalid\n\
             customer 4 · attribute NULL: it has no attribute id\n\
             customer 5 · attribute NULL: it has no attribute id"
        );
    }

    #[test]
    fn rows_are_counted_and_never_guessed() {
        let seen = |source_rows, invalid, no_value| {
            surveyed(Counts { source_rows, invalid, no_value, ..Counts::default() }, Vec::new())
        };
        for (count, counts, shown) in [
            (RowCount::Exactly(0), seen(0, 0, 0), "none: the source is empty"),
            (
                RowCount::Exactly(1_070),
                seen(1_000, 0, 0),
                "1,070; of 1,000 that were looked at, 1,000 can be sent",
            ),
            (
                RowCount::Exactly(7),
                seen(7, 2, 1),
                "7; 4 can be sent, 2 invalid, 1 without a value\n…; `attrsync plan` lists the invalid rows",
            ),
            (
                RowCount::MoreThan(10_000),
                seen(1_000, 1, 0),
                "more than 10,000; of 1,000 that were looked at, 999 can be sent, 1 invalid\n\
                 …; `attrsync plan` lists the invalid rows",
            ),
        ] {
            assert_eq!(rows(count, &counts, true), shown);
        }
        let slow = rows_unsampled(RowCount::NotCounted, &Unsampled::Slow);
        assert!(slow.starts_with("not counted; their values were not read"), "{slow}");
    }
}
