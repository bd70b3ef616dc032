//! One run: how it ended or how far it is, its plan, its waits, its requests, and what failed.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, State};
use chrono::{DateTime, Utc};
use maud::{Markup, html};

use super::groups::{self, Counted};
use super::opened_run::open;
use super::plan;
use super::progress::progress;
use super::requests;
use super::table::{Kind, table};
use crate::ledger::LedgerError;
use crate::ledger::audit::{
    AuditLog, BeliefEditRow, COUNTED_MAX, PlanGroup, ReasonGroup, RequestRow, ResponseGroup, RunList, RunRow,
};
use crate::record::{RunStatus, WaitTotal};
use crate::web::failure::PageError;
use crate::web::format::{Level, counted, duration, number, reason, segment, state, when, words};
use crate::web::layout::{Page, Tab, page};
use crate::web::site::Site;

/// The most rows of a list of single requests or belief edits.
const LIST_ROWS: i64 = 20;

/// What the page shows of a run.
struct Shown {
    run: RunRow,
    plan: Vec<PlanGroup>,
    waits: Vec<WaitTotal>,
    responses: Vec<ResponseGroup>,
    failed: Vec<RequestRow>,
    failures: Vec<ReasonGroup>,
    invalid: Vec<ReasonGroup>,
    edits: Vec<BeliefEditRow>,
    /// The newest sync that has planned all rows, if the run was blocked.
    newest_plan: Option<i64>,
}

impl Shown {
    async fn read(audit: &AuditLog, run: RunRow) -> Result<Self, LedgerError> {
        let id = run.id;
        let counts = &run.counts;
        let may_have_failures = counts.rejected + counts.unknown + counts.deferred > 0;
        Ok(Self {
            plan: if counts.planned > 0 { audit.plan_by_attribute(id).await? } else { Vec::new() },
            waits: audit.waits(id).await?,
            responses: audit.requests_by_response(id).await?,
            failed: audit.failed_requests(id, LIST_ROWS).await?,
            failures: if may_have_failures { audit.failures_by_reason(id).await? } else { Vec::new() },
            invalid: if counts.invalid > 0 { audit.invalid_by_reason(id).await? } else { Vec::new() },
            edits: audit.list(RunList::BELIEF_EDITS, id, LIST_ROWS).await?,
            newest_plan: if is_blocked(&run) { audit.newest_planned(run.store_id).await? } else { None },
            run,
        })
    }
}

/// The page.
pub(crate) async fn show(
    State(site): State<Arc<Site>>,
    Path((name, id)): Path<(String, String)>,
) -> Result<Markup, PageError> {
    let sync = site.sync(&name)?;
    let (session, run) = open(&site, &name, &id).await?;
    let names = session.attribute_names().await?;
    let shown = Shown::read(session.audit(), run).await?;
    session.keep();
    let (id, now) = (shown.run.id, Utc::now());
    let live = sync.running.as_ref().filter(|live| live.run_id == Some(id));
    let requests = format!("/syncs/{}/runs/{id}/requests", segment(&name));
    let content = html! {
        (head(&name, &shown, now))
        (progress(&shown.run, live))
        (counts(&shown.run))
        (failures(&name, &shown, now))
        (plan::by_attribute(&shown.run, &shown.plan, &names))
        (requests::waits(&shown.waits))
        (requests::requests(&shown.responses, &shown.failed, &requests))
        (edits(&name, &shown.edits, &names))
    };
    let is_live = shown.run.finished_at.is_none() && shown.run.status != "interrupted";
    let frame = Page {
        title: &format!("Run {id} · {name}"),
        sync: Some((&name, Tab::Runs)),
        refresh: is_live.then_some(2),
        signed_in: site.access.has_token(),
    };
    Ok(page(&frame, &content))
}

/// Whether it compares source and ledger.
fn plans(run: &RunRow) -> bool {
    ["sync", "plan", "apply", "undo"].contains(&run.kind.as_str())
}

/// Whether it left its plan to a person.
fn is_kept(run: &RunRow) -> bool {
    is_blocked(run) || run.status == RunStatus::Saved.as_str()
}

/// Whether a guard stopped it.
fn is_blocked(run: &RunRow) -> bool {
    run.status == RunStatus::Blocked.as_str()
}

/// What a person can do about a plan that a guard stopped.
fn ways_on(name: &str, shown: &Shown) -> Markup {
    let id = shown.run.id;
    html! {
        @match shown.newest_plan.filter(|newest| *newest > id) {
            Some(newest) => p {
                "This plan is outdated: "
                a href={ "/syncs/" (segment(name)) "/runs/" (newest) } { "run " (newest) } " has planned all rows since."
            },
            None => ul.needs.calm {
                li { "If the source is wrong, correct it. The next sync plans anew. Nothing was sent, so nothing has to be mended in the store." }
                li { "If the plan is right this once, " code { "attrsync apply " (id) } " sends exactly this plan. It can be applied until a later sync has planned all rows." }
                li { "If such plans are right in general, raise the limit in the section " code { "[guard]" } " of the configuration." }
            },
        }
    }
}

fn head(name: &str, shown: &Shown, now: DateTime<Utc>) -> Markup {
    let run = &shown.run;
    let is_bad = Level::of(&run.status) == Level::Bad;
    html! {
        div.title { h1 { "Run " (run.id) } (state(&run.status)) }
        @if let Some(message) = &run.message { p class=(if is_bad { "message bad" } else { "message" }) { (words(message)) } }
        @if is_blocked(run) { (ways_on(name, shown)) }
        dl.facts {
            div { dt { "Kind" } dd { (run.kind) ", " (run.trigger) } }
            @if let Some(of) = run.of_run_id {
                @match run.kind.as_str() {
                    "undo" => div { dt { "Undoes" } dd { "run " (of) } },
                    _ => div { dt { "Applies" } dd { "the plan of run " (of) } },
                }
            }
            div { dt { "Started" } dd { (when(run.started_at, now)) } }
            @if let Some(took) = run.duration_ms { div { dt { "Took" } dd { (duration(took)) } } }
            @if let (Some(planned_at), true) = (run.planned_at, plans(run)) {
                div { dt { "Planned after" } dd { (duration((planned_at - run.started_at).num_milliseconds())) } }
            }
            div { dt { "Version" } dd { (run.version) } }
        }
    }
}

/// The counts of a run that are not 0, and always the rows and the plan.
fn counts(run: &RunRow) -> Markup {
    let counts = &run.counts;
    let shown = [
        ("Rows", counts.source_rows, true),
        ("Unchanged", counts.unchanged, false),
        ("No value", counts.no_value, false),
        ("Planned", counts.planned, true),
        ("Deletes", counts.deletes, false),
        ("Confirmed", counts.confirmed, true),
        ("Altered", counts.altered, false),
        ("Rejected", counts.rejected, false),
        ("Unknown", counts.unknown, false),
        ("Deferred", counts.deferred, false),
        ("Still rejected", counts.still_rejected, false),
        ("Acknowledged", counts.acknowledged, false),
        ("Invalid rows", counts.invalid, false),
        ("Orphans", counts.orphans, false),
        ("Pinned", counts.pinned, false),
        ("Requests", counts.requests, true),
    ];
    html! {
        @if plans(run) {
            dl.counts {
                @for (name, count, is_always) in shown {
                    @if is_always || count > 0 { div { dt { (name) } dd { (number(count)) } } }
                }
            }
        }
    }
}

fn failures(name: &str, shown: &Shown, now: DateTime<Utc>) -> Markup {
    let counts = &shown.run.counts;
    let listed: i64 = shown.failures.iter().map(|group| group.rows).sum();
    let deferred = shown.failures.iter().filter(|group| group.outcome == "deferred");
    let unsent = (counts.deferred - deferred.map(|group| group.rows).sum::<i64>()).max(0);
    html! {
        @if !shown.failures.is_empty() || counts.rejected + counts.unknown > listed || unsent > 0 {
            section {
                h2 { "Not confirmed" }
                @if !shown.failures.is_empty() {
                    (groups::reasons("Changes that are not confirmed, by reason", &shown.failures, Counted::Changes, |key| groups::customer(name, key.customer_id), now))
                }
                @if counts.planned > COUNTED_MAX && counts.rejected + counts.unknown > listed {
                    p.note {
                        "Only the first " (counted(COUNTED_MAX, "change")) " of the plan were looked at: "
                        code { "attrsync runs " (shown.run.id) } " lists every failure."
                    }
                }
                @if unsent > 0 && shown.run.finished_at.is_some() {
                    p.note {
                        (counted(unsent, "change")) @if unsent == 1 { " was" } @else { " were" } " not sent."
                        @if !is_kept(&shown.run) { " The next sync plans anew." }
                    }
                }
            }
        }
        @if !shown.invalid.is_empty() {
            section {
                h2 { "Invalid rows" }
                (groups::reasons("Rows that cannot be sent, by reason", &shown.invalid, Counted::Rows, |key| groups::customer(name, key.customer_id), now))
                @if counts.invalid > crate::record::INVALID_ROWS_KEPT {
                    p.note { "The run had " (number(counts.invalid)) " invalid rows and kept " (number(crate::record::INVALID_ROWS_KEPT)) " of them." }
                }
            }
        }
    }
}

fn edits(name: &str, edits: &[BeliefEditRow], names: &BTreeMap<i64, String>) -> Markup {
    let columns = [
        ("Edit", Kind::Text),
        ("Customer", Kind::Text),
        ("Attribute", Kind::Text),
        ("Entries", Kind::Number),
        ("Reason", Kind::Text),
    ];
    let row = |edit: &BeliefEditRow| {
        vec![
            html! { (edit.edit.replace('_', " ")) },
            html! { @match edit.customer_id { Some(id) => (groups::customer(name, id)), None => span.none { "any" } } },
            html! { @match edit.attribute_id { Some(id) => (groups::attribute(id, names)), None => span.none { "any" } } },
            html! { (number(edit.count)) },
            reason(Some(&edit.reason)),
        ]
    };
    html! {
        @if !edits.is_empty() {
            section {
                h2 { "Belief edits" }
                (table("Belief edits", &columns, &edits.iter().map(row).collect::<Vec<_>>()))
                @if i64::try_from(edits.len()).is_ok_and(|rows| rows == LIST_ROWS) {
                    p.note { "Only the first " (number(LIST_ROWS)) " are listed." }
                }
            }
        }
    }
}
