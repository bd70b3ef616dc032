//! What a sync needs a person for, each with what to do.

use maud::{Markup, html};

use crate::attention::{Attention, Standing, State};
use crate::ledger::LedgerError;
use crate::ledger::audit::AuditLog;
use crate::one_line::one_line;
use crate::web::format::{Level, labelled, segment, with_commands, words};
use crate::web::syncs::{SyncInfo, UnusableFile};

/// The worst of what a sync needs a person for.
pub(super) fn level(sync: &SyncInfo, standing: &Result<Standing, String>) -> Level {
    match standing {
        Err(_) => Level::Bad,
        Ok(_) if sync.problem.is_some() => Level::Bad,
        Ok(standing) => match standing.state() {
            State::Fine => Level::Good,
            State::NeedsAttention => Level::Attention,
            State::Blocked | State::Failing => Level::Bad,
        },
    }
}

/// The level in words.
pub(super) fn state(sync: &SyncInfo, standing: &Result<Standing, String>) -> Markup {
    let words = match standing {
        Err(_) => "ledger unreadable",
        Ok(_) if sync.problem.is_some() => "cannot run",
        Ok(standing) => standing.state().words(),
    };
    labelled(level(sync, standing), words)
}

/// Why the run ended that a need is about, in the words of the run.
pub(super) async fn message(audit: &AuditLog, standing: &Standing) -> Result<Option<String>, LedgerError> {
    let run_id = standing.needs.iter().find_map(|need| match need {
        Attention::Failing { run_id, .. } | Attention::Blocked { run_id } => Some(*run_id),
        _ => None,
    });
    let Some(run_id) = run_id else { return Ok(None) };
    Ok(audit.run(run_id).await?.and_then(|run| run.message))
}

/// The list of needs; empty if there are none. `message` is that of the failing run.
pub(super) fn list(sync: &SyncInfo, standing: &Result<Standing, String>, message: Option<&str>) -> Markup {
    let needs = standing.as_ref().map_or(&[][..], |standing| &standing.needs);
    html! {
        @if level(sync, standing) != Level::Good {
            ul class=(if level(sync, standing) == Level::Bad { "needs bad" } else { "needs" }) {
                @if let Err(reason) = standing {
                    li {
                        strong { "The ledger cannot be read." } " " (with_commands(&one_line(reason)))
                        span.to-do { "Runs need the same ledger: " code { "attrsync check" } " says what is wrong with it." }
                    }
                }
                @if let Some(problem) = &sync.problem {
                    li { strong { "No run can start." } " " (with_commands(&one_line(problem))) }
                }
                @for need in needs {
                    li {
                        strong { a href=(page(sync, need)) { (sentence(need)) } }
                        @if let (Attention::Failing { .. } | Attention::Blocked { .. }, Some(message)) = (need, message) {
                            (words(message))
                        }
                        span.to-do { (with_commands(&need.what_to_do())) }
                    }
                }
            }
        }
    }
}

/// A file that cannot be used, with what to do.
pub(super) fn unusable(file: &UnusableFile) -> Markup {
    html! {
        section.needing {
            h2 { (file.name) }
            ul class="needs bad" {
                li {
                    strong { "The configuration " (one_line(&file.file)) " cannot be used." }
                    " " @if file.stays_in_force { "What it said before stays in force." } @else { "Its sync does not run." }
                    @for line in file.problem.lines() { p { (with_commands(&one_line(line.trim()))) } }
                    span.to-do {
                        "Correct the file; " code { "attrsync serve --check" } " says whether it can be used. Then let the process \
                         read it again: send it a SIGHUP, or restart it."
                    }
                }
            }
        }
    }
}

/// The page that shows most about a need.
fn page(sync: &SyncInfo, need: &Attention) -> String {
    let name = segment(&sync.name);
    match need {
        Attention::Failing { run_id, .. }
        | Attention::Blocked { run_id }
        | Attention::Unknown { run_id, .. } => {
            format!("/syncs/{name}/runs/{run_id}")
        }
        Attention::Rejected(_) => format!("/syncs/{name}/rejected"),
        Attention::Invalid { .. } => format!("/syncs/{name}/invalid"),
        Attention::Drift(_) => format!("/syncs/{name}/drift"),
        _ => format!("/syncs/{name}"),
    }
}

/// A need with a capital letter.
fn sentence(need: &Attention) -> String {
    let text = need.to_string();
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}
