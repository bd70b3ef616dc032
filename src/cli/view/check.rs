//! The findings of `attrsync check`, one line each.

use serde_json::{Value, json};

use super::paint::Paint;
use super::text::{number, tame};
use crate::cli::exit::Exit;
use crate::source::postgres::SourceShape;

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
}

impl Finding {
    /// In order.
    pub(crate) fn good(name: &'static str, detail: impl std::fmt::Display) -> Self {
        Self { name, ok: true, detail: detail.to_string(), hint: None }
    }

    /// Not in order.
    pub(crate) fn bad(name: &'static str, problem: impl Into<String>, hint: Option<String>) -> Self {
        Self { name, ok: false, detail: problem.into(), hint }
    }
}

/// Describes the source in one line.
pub(crate) fn shape(shape: &SourceShape) -> String {
    let columns: Vec<String> = shape.columns.iter().map(|(name, kind)| format!("{name} {kind}")).collect();
    let standby = if shape.standby { ", a standby" } else { "" };
    let rows = shape.estimated_rows.map_or(String::new(), |rows| format!("; about {} rows", number(rows)));
    format!("Postgres {}{standby}; {}{rows}", shape.server_version, columns.join(", "))
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
    }
    text
}

/// The findings for programs. Keys are only ever added.
pub(crate) fn json(findings: &[Finding], exit: Exit) -> Value {
    json!({
        "exit_code": exit as u8,
        "needs_attention": exit != Exit::Done,
        "ok": findings.iter().all(|finding| finding.ok),
        "checks": findings.iter().map(|finding| json!({
            "name": finding.name,
            "ok": finding.ok,
            "detail": finding.detail,
            "hint": finding.hint,
        })).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
