//! What a run waited for, and how the store responded to it.

use maud::{Markup, html};

use super::request_list;
use super::table::{Kind, table};
use crate::ledger::audit::{RequestRow, ResponseGroup};
use crate::record::WaitTotal;
use crate::web::format::{duration, number, state};

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

/// The requests of a run by response, and the newest of those that failed. All of them are at the address `all`.
pub(super) fn requests(responses: &[ResponseGroup], failed: &[RequestRow], all: &str) -> Markup {
    let columns = [
        ("Outcome", Kind::Text),
        ("Status", Kind::Text),
        ("Requests", Kind::Number),
        ("Values", Kind::Number),
    ];
    let row = |group: &ResponseGroup| {
        vec![
            state(&group.outcome),
            request_list::status(group.http_status),
            html! { (number(group.requests)) },
            html! { (number(group.items)) },
        ]
    };
    html! {
        @if !responses.is_empty() {
            section {
                h2 { "Requests" }
                (table("Requests by response", &columns, &responses.iter().map(row).collect::<Vec<_>>()))
                @if !failed.is_empty() {
                    h3 { "Newest requests that the store did not accept" }
                    (request_list::list("Newest requests that the store did not accept", failed))
                }
                p { a href=(all) { "All requests" } }
            }
        }
    }
}
