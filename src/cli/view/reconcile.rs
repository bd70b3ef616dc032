//! The report of a reading of the store, as text and as JSON.

use std::io;
use std::time::Duration;

use serde_json::json;

use super::document::Document;
use super::paint::Paint;
use super::text::{brief, duration, number, tame};
use crate::cli::exit::Exit;
use crate::engine::{Finding, FindingKind, Reconciled};
use crate::record::RunStatus;

/// The engine's report and what the command adds to it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ending<'a> {
    /// The engine's report.
    pub(crate) reconciled: &'a Reconciled,
    /// How long the command took.
    pub(crate) took: Duration,
}

/// The lines of the report: what is counted, and what that means.
const LINES: [(FindingKind, &str, &str); 8] = [
    (FindingKind::Equal, "equal", "adopted: the store holds what your table asks for"),
    (FindingKind::Different, "different", "adopted: the next sync sends the value of your table"),
    (FindingKind::UnknownToSource, "unknown", "in the store, not in your table: never touched"),
    (FindingKind::Invalid, "invalid", "not adopted: the row of your table cannot be sent"),
    (FindingKind::DriftOverwrite, "drift", "the next sync sends the value of your table"),
    (FindingKind::DriftReport, "drift, left", "reported, and left as it is"),
    (FindingKind::DriftAccept, "drift, kept", "accepted until your table has another value"),
    (FindingKind::DriftReturn, "drift, over", "the store holds again what was confirmed"),
];

/// The report as a person reads it.
pub(crate) fn text(ending: Ending<'_>, adopt: bool, paint: Paint) -> String {
    let Ending { reconciled, took } = ending;
    let head = format!("run {} {} in {}", reconciled.run_id, reconciled.status, duration(took));
    let mut lines = vec![match reconciled.status {
        RunStatus::Succeeded if reconciled.count(FindingKind::DriftReport) == 0 => paint.good(&head),
        RunStatus::Succeeded => paint.notable(&head),
        _ => paint.bad(&head),
    }];
    let mut line = |name: &str, value: u64, note: &str| {
        let note = if note.is_empty() { String::new() } else { format!("  {note}") };
        lines.push(format!("  {name:<14}{:>12}{note}", number(value)));
    };
    line("read", reconciled.values, &how(reconciled));
    if adopt {
        for (kind, name, note) in &LINES[..3] {
            line(name, reconciled.count(*kind), note);
        }
    }
    line("agree", reconciled.agreeing, "the store holds what the ledger has confirmed");
    if !LINES[4..7].iter().any(|(kind, ..)| reconciled.count(*kind) > 0) {
        line("drift", 0, "");
    }
    for (kind, name, note) in &LINES[3..] {
        if reconciled.count(*kind) > 0 {
            line(name, reconciled.count(*kind), note);
        }
    }
    if reconciled.unconfirmed > 0 {
        line("unconfirmed", reconciled.unconfirmed, "not compared: the next sync sends them");
    }
    if !adopt && reconciled.not_in_ledger > 0 {
        line("not ours", reconciled.not_in_ledger, "in the store, never sent or adopted: not touched");
    }
    if let Some(page) = reconciled.continued_after {
        lines.push(format!("went on after page {page}, where the run before had ended"));
    }
    if reconciled.status != RunStatus::Succeeded {
        lines.push(tame(&reconciled.message));
    }
    lines.extend(reconciled.sample.iter().filter(|finding| finding.kind != FindingKind::Equal).map(shown));
    lines.join("\n") + "\n"
}

/// How the values were read.
fn how(reconciled: &Reconciled) -> String {
    let noun = |count: u64, one: &str| if count == 1 { one.to_owned() } else { format!("{one}s") };
    let (pages, direct) = (reconciled.pages, reconciled.direct_reads);
    let pages = format!("values on {} {}", number(pages), noun(pages, "page"));
    match direct {
        0 => pages,
        direct => format!("{pages}, {} {}", number(direct), noun(direct, "direct read")),
    }
}

/// A finding in one line.
fn shown(finding: &Finding) -> String {
    let value = |value: &Option<String>| value.as_deref().map_or("no value".to_owned(), brief);
    let name = LINES.iter().find(|(kind, ..)| *kind == finding.kind).map_or("", |(_, name, _)| *name);
    let expected = match finding.kind {
        FindingKind::UnknownToSource | FindingKind::Invalid => String::new(),
        FindingKind::Different | FindingKind::Equal => {
            format!(", your table asks for {}", value(&finding.expected))
        }
        _ => format!(", confirmed was {}", value(&finding.expected)),
    };
    format!("  {name}: {}: the store holds {}{expected}", finding.key, value(&finding.observed))
}

/// What to do next, for stderr.
pub(crate) fn hint(reconciled: &Reconciled, adopt: bool) -> Option<String> {
    if reconciled.status == RunStatus::Stopped {
        return Some("run the same command again: it goes on from here".to_owned());
    }
    if reconciled.count(FindingKind::DriftReport) > 0 {
        let way = "[drift] policy = \"overwrite\" lets a sync put it right, \"accept\" lets it stand";
        return Some(format!("{way}; `attrsync explain CUSTOMER` shows one"));
    }
    if reconciled.count(FindingKind::DriftOverwrite) > 0 {
        return Some("`attrsync sync` puts the drift right".to_owned());
    }
    if adopt && reconciled.count(FindingKind::Different) > 0 {
        return Some("`attrsync plan` shows what the next sync sends".to_owned());
    }
    None
}

/// Adds the counts for programs. Keys are only ever added.
pub(crate) fn fields<P>(document: &mut Document<P>, ending: Ending<'_>, exit: Exit)
where
    P: FnMut(&str) -> io::Result<bool>,
{
    let Ending { reconciled, took } = ending;
    document.field("run_id", &reconciled.run_id);
    document.field("status", &reconciled.status);
    document.field("exit_code", &(exit as u8));
    document.field("needs_attention", &(exit != Exit::Done));
    let count = |kind| reconciled.count(kind);
    document.field(
        "counts",
        &json!({
            "values": reconciled.values,
            "pages": reconciled.pages,
            "direct_reads": reconciled.direct_reads,
            "equal": count(FindingKind::Equal),
            "different": count(FindingKind::Different),
            "unknown_to_source": count(FindingKind::UnknownToSource),
            "invalid": count(FindingKind::Invalid),
            "agreeing": reconciled.agreeing,
            "drift_overwrite": count(FindingKind::DriftOverwrite),
            "drift_report": count(FindingKind::DriftReport),
            "drift_accept": count(FindingKind::DriftAccept),
            "drift_return": count(FindingKind::DriftReturn),
            "unconfirmed": reconciled.unconfirmed,
            "not_in_ledger": reconciled.not_in_ledger,
        }),
    );
    document.field("continued_after_page", &reconciled.continued_after);
    document.field("duration_ms", &u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
    document.field("message", &reconciled.message);
}
