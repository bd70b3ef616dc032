//! What a run waited for, and how the store responded to it.

use maud::{Markup, html};

use super::table::{Kind, table};
use crate::ledger::audit::{RequestRow, ResponseGroup};
use crate::record::WaitTotal;
use crate::web::format::{duration, moment, number, reason, state};

/// How long a run waited, by reason.
pub(super) fn waits(waits: &[WaitTotal]) -> Markup {
    let columns = [("Waited for", Kind::Text), ("Waits", Kind::Number), ("In all", Kind::Number)];
    let row = |wait: &WaitTotal| {
        vec![
            html! { (wait.reason.as_str().replace('_', " ")) },
            html! { (number(wait.waits)) },
            html! { (duration(wait.milliseconds)) },
        ]
    };
    html! {
        @if !waits.is_empty() {
            section { h2 { "Waits" } (table("Waits by reason", &columns, &waits.iter().map(row).collect::<Vec<_>>())) }
        }
    }
}

/// The requests of a run by response, and the newest of those that failed.
pub(super) fn requests(responses: &[ResponseGroup], failed: &[RequestRow]) -> Markup {
    let status = |status: Option<i64>| html! { @match status { Some(status) => (status), None => span.none { "no response" } } };
    let columns = [
        ("Outcome", Kind::Text),
        ("Status", Kind::Text),
        ("Requests", Kind::Number),
        ("Values", Kind::Number),
    ];
    let row = |group: &ResponseGroup| {
        vec![
            state(&group.outcome),
            status(group.http_status),
            html! { (number(group.requests)) },
            html! { (number(group.items)) },
        ]
    };
    let failed_columns = [
        ("Request", Kind::Text),
        ("Outcome", Kind::Text),
        ("Status", Kind::Text),
        ("Sent", Kind::Text),
        ("Took", Kind::Number),
        ("Attempt", Kind::Number),
        ("Values", Kind::Number),
        ("Error", Kind::Text),
    ];
    let failed_row = |request: &RequestRow| {
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
    html! {
        @if !responses.is_empty() {
            section {
                h2 { "Requests" }
                (table("Requests by response", &columns, &responses.iter().map(row).collect::<Vec<_>>()))
                @if !failed.is_empty() {
                    h3 { "Newest requests that the store did not accept" }
                    (table("Newest requests that the store did not accept", &failed_columns, &failed.iter().map(failed_row).collect::<Vec<_>>()))
                }
            }
        }
    }
}
