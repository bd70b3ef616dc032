//! All requests of a run, page by page.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use maud::{Markup, html};
use serde::Deserialize;

use super::opened_run::open;
use super::table::{Kind, table};
use crate::ledger::audit::RequestRow;
use crate::web::failure::PageError;
use crate::web::format::{duration, moment, number, reason, segment, state};
use crate::web::layout::{Page, Tab, page};
use crate::web::site::Site;

/// Requests on a page.
const PAGE_ROWS: i64 = 100;

/// Which requests are asked for.
#[derive(Debug, Deserialize)]
pub(crate) struct Position {
    /// Those after this one.
    #[serde(default)]
    after: i64,
}

/// The page.
pub(crate) async fn show(
    State(site): State<Arc<Site>>,
    Path((name, id)): Path<(String, String)>,
    Query(position): Query<Position>,
) -> Result<Markup, PageError> {
    let (session, run) = open(&site, &name, &id).await?;
    let mut requests = session.audit().requests_after(run.id, position.after, PAGE_ROWS + 1).await?;
    session.keep();
    let has_more = i64::try_from(requests.len()).is_ok_and(|rows| rows > PAGE_ROWS);
    requests.truncate(usize::try_from(PAGE_ROWS).unwrap_or_default());
    let address = format!("/syncs/{}/runs/{}", segment(&name), run.id);
    let content = html! {
        div.title { h1 { "Requests of run " (run.id) } }
        p { a href=(address) { "Run " (run.id) } " made them." }
        @if requests.is_empty() { p { "There are none" @if position.after > 0 { " after this one" } "." } }
        @else { (list("Requests", &requests)) }
        nav.pages aria-label="Pages" {
            @if position.after > 0 { a href={ (address) "/requests" } { "First " (PAGE_ROWS) } }
            @if let (true, Some(last)) = (has_more, requests.last()) {
                a rel="next" href={ (address) "/requests?after=" (last.id) } { "Next " (PAGE_ROWS) }
            }
        }
    };
    let frame = Page {
        title: &format!("Requests of run {} · {name}", run.id),
        sync: Some((&name, Tab::Runs)),
        refresh: None,
        signed_in: site.access.has_token(),
    };
    Ok(page(&frame, &content))
}

/// A table of requests.
pub(super) fn list(caption: &str, requests: &[RequestRow]) -> Markup {
    let columns = [
        ("Request", Kind::Text),
        ("Outcome", Kind::Text),
        ("Status", Kind::Text),
        ("Sent", Kind::Text),
        ("Took", Kind::Number),
        ("Attempt", Kind::Number),
        ("Values", Kind::Number),
        ("Error", Kind::Text),
    ];
    let row = |request: &RequestRow| {
        let took = request.answered_at.map(|at| (at - request.sent_at).num_milliseconds());
        vec![
            html! { (request.id) },
            state(&request.outcome),
            status(request.http_status),
            moment(request.sent_at),
            html! { @if let Some(took) = took { (duration(took)) } },
            html! { (number(request.attempt)) },
            html! { (number(request.items)) },
            html! { @if let Some(error) = &request.error { (reason(Some(error))) } },
        ]
    };
    table(caption, &columns, &requests.iter().map(row).collect::<Vec<_>>())
}

/// The status of a response.
pub(super) fn status(status: Option<i64>) -> Markup {
    html! { @match status { Some(status) => (status), None => span.none { "no response" } } }
}
