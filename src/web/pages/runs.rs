//! The runs of a sync, the newest first.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use chrono::{DateTime, Utc};
use maud::{Markup, html};
use serde::Deserialize;

use super::needs;
use crate::attention::{Facts, Standing};
use crate::ledger::audit::RunRow;
use crate::web::failure::PageError;
use crate::web::format::{duration, number, segment, state, when};
use crate::web::layout::{Page, Tab, page};
use crate::web::site::Site;
use crate::web::syncs::SyncInfo;

/// Runs on a page.
const PAGE_ROWS: i64 = 50;

/// Which runs are asked for.
#[derive(Debug, Deserialize)]
pub(crate) struct Position {
    /// Only those before this one.
    before: Option<i64>,
}

/// The page.
pub(crate) async fn show(
    State(site): State<Arc<Site>>,
    Path(name): Path<String>,
    Query(position): Query<Position>,
) -> Result<Markup, PageError> {
    let sync = site.sync(&name)?;
    let session = site.ledgers.session(&sync).await.map_err(PageError::Unreadable)?;
    let (mut facts, mut runs, mut message) = (Facts::default(), Vec::new(), None);
    if let Some((session, store_id)) = session.as_ref().and_then(|session| Some((session, session.store_id?)))
    {
        facts = session.audit().facts(store_id).await?;
        runs = session.audit().runs_of(store_id, position.before, PAGE_ROWS + 1).await?;
    }
    let now = Utc::now();
    let standing = Standing::of(facts, sync.timing.clone(), now);
    if let Some(session) = session {
        message = needs::message(session.audit(), &standing).await?;
        session.keep();
    }
    let has_more = i64::try_from(runs.len()).is_ok_and(|rows| rows > PAGE_ROWS);
    runs.truncate(usize::try_from(PAGE_ROWS).unwrap_or_default());
    let is_live = sync.running.is_some() || runs.iter().any(|run| run.finished_at.is_none());
    let content = html! {
        (head(&sync, &Ok(standing), message.as_deref(), site.access.has_token(), now))
        @if runs.is_empty() {
            @if position.before.is_some() { p { "There is no earlier run." } } @else { p { "No run was made yet." } }
        } @else {
            (list(&name, &runs, now))
            nav.pages aria-label="Pages" {
                @if position.before.is_some() { a href={ "/syncs/" (segment(&name)) } { "Newest runs" } }
                @if has_more && let Some(last) = runs.last() {
                    a rel="next" href={ "/syncs/" (segment(&name)) "?before=" (last.id) } { "Earlier runs" }
                }
            }
        }
    };
    let frame = Page {
        title: &name,
        sync: Some((&name, Tab::Runs)),
        refresh: position.before.is_none().then_some(if is_live { 3 } else { 15 }),
        signed_in: site.access.has_token(),
    };
    Ok(page(&frame, &content))
}

fn head(
    sync: &SyncInfo,
    standing: &Result<Standing, String>,
    message: Option<&str>,
    can_trigger: bool,
    now: DateTime<Utc>,
) -> Markup {
    html! {
        div.title {
            h1 { (sync.name) }
            (needs::state(sync, standing))
            @if can_trigger {
                form method="post" action={ "/syncs/" (segment(&sync.name)) "/runs" } {
                    button type="submit" { "Run now" }
                }
            }
        }
        (needs::list(sync, standing, message))
        dl.facts {
            div { dt { "Store" } dd { (sync.store.hash) " " span.note { (sync.store.api_url) } } }
            div {
                dt { "Next" }
                dd {
                    @match sync.timing.as_ref().and_then(|timing| timing.next.first()) {
                        Some(next) => (when(*next, now)),
                        None => span.none { "not scheduled" },
                    }
                    @if sync.waiting { " " span.note { "a run waits for others to end" } }
                }
            }
            @if let Some(at) = standing.as_ref().ok().and_then(|standing| standing.last_success_at) {
                div { dt { "Last success" } dd { (when(at, now)) } }
            }
        }
    }
}

fn list(name: &str, runs: &[RunRow], now: DateTime<Utc>) -> Markup {
    let heads = ["Run", "Status", "Started", "Took", "Planned", "Confirmed", "Open", "Requests"];
    html! {
        table.runs role="table" {
            caption.hidden { "Runs" }
            thead role="rowgroup" {
                tr role="row" {
                    @for (index, head) in heads.iter().enumerate() {
                        th scope="col" role="columnheader" class=[(index > 2).then_some("number")] { (head) }
                    }
                }
            }
            tbody role="rowgroup" {
                @for run in runs {
                    tr role="row" {
                        th scope="row" role="rowheader" {
                            a href={ "/syncs/" (segment(name)) "/runs/" (run.id) } { (run.id) }
                            @if run.kind != "sync" { " " span.note { (run.kind) } }
                        }
                        td role="cell" data-label="Status" { (state(&run.status)) }
                        td role="cell" data-label="Started" {
                            (when(run.started_at, now))
                            @if run.trigger != "manual" { span.note { (run.trigger) } }
                        }
                        td.number role="cell" data-label="Took" {
                            @if let Some(took) = run.duration_ms { (duration(took)) }
                        }
                        td.number role="cell" data-label="Planned" { (number(run.counts.planned)) }
                        td.number role="cell" data-label="Confirmed" { (number(run.counts.confirmed)) }
                        td.number role="cell" data-label="Open" { (open(run)) }
                        td.number role="cell" data-label="Requests" { (number(run.counts.requests)) }
                    }
                }
            }
        }
        p.note { "Open: rejected and not acknowledged, unknown, deferred and invalid." }
    }
}

fn open(run: &RunRow) -> Markup {
    let open = if run.finished_at.is_some() {
        run.counts.need_attention() + run.counts.deferred
    } else {
        run.to_come + run.in_flight
    };
    html! { @if open > 0 { strong { (number(open)) } } @else { (number(open)) } }
}
