//! One customer: what the ledger believes of its values, and everything that happened to them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::extract::{Path, Query, State};
use chrono::{DateTime, Utc};
use maud::{Markup, html};
use serde::Deserialize;

use super::groups;
use super::timeline::timeline;
use crate::ledger::audit::{EntryHistory, PastInvalidRow};
use crate::record::{Belief, Entry, Pin};
use crate::web::failure::PageError;
use crate::web::format::{counted, moment, reason, segment, state, value, when};
use crate::web::layout::{Page, Tab, page};
use crate::web::site::Site;

/// The most changes and the most belief edits that are shown.
const HISTORY_ROWS: i64 = 200;

/// The customer that is searched for.
#[derive(Debug, Deserialize)]
pub(crate) struct Search {
    id: Option<String>,
}

/// The page: the search, and the customer if one is named.
pub(crate) async fn show(
    State(site): State<Arc<Site>>,
    Path(name): Path<String>,
    Query(search): Query<Search>,
) -> Result<Markup, PageError> {
    let sync = site.sync(&name)?;
    let text = search.id.as_deref().unwrap_or_default().trim();
    let id = text.parse::<i64>().ok().filter(|id| *id > 0);
    let (mut known, mut names) = (None, BTreeMap::new());
    if let Some(id) = id
        && let Some(session) = site.ledgers.session(&sync).await.map_err(PageError::Unreadable)?
    {
        if let Some(store_id) = session.store_id {
            known = Some(session.audit().explain(store_id, id, None, HISTORY_ROWS).await?);
            names = session.attribute_names().await?;
        }
        session.keep();
    }
    let content = html! {
        div.title { h1 { @match id { Some(id) => { "Customer " (id) }, None => "Customer" } } }
        form.search role="search" method="get" action={ "/syncs/" (segment(&name)) "/customer" } {
            label for="id" { "Customer id" }
            input id="id" name="id" inputmode="numeric" pattern="[0-9]*" value=(text) autocomplete="off";
            button type="submit" { "Show" }
        }
        @match (id, known) {
            (Some(_), Some(known)) => (customer(&name, &known, &names, Utc::now())),
            (Some(_), None) => p { "No run was made yet: the ledger knows no customer." },
            (None, _) if text.is_empty() => p.note { "The id is the store's number of the customer." },
            (None, _) => p.problem { "A customer id is a number, such as 12." },
        }
    };
    let title = id.map_or_else(|| format!("Customer · {name}"), |id| format!("Customer {id} · {name}"));
    let frame = Page {
        title: &title,
        sync: Some((&name, Tab::Customer)),
        refresh: None,
        signed_in: site.access.has_token(),
    };
    Ok(page(&frame, &content))
}

fn customer(name: &str, known: &EntryHistory, names: &BTreeMap<i64, String>, now: DateTime<Utc>) -> Markup {
    let attributes: BTreeSet<i64> = (known.entries.iter().map(|entry| entry.key.attribute_id))
        .chain(known.history.iter().map(|change| change.attribute_id))
        .chain(known.invalid.iter().filter_map(|past| past.row.attribute_id))
        .collect();
    let (nameless, _): (Vec<_>, Vec<_>) =
        known.invalid.iter().partition(|past| past.row.attribute_id.is_none());
    html! {
        @if known.is_empty() { p { "The ledger has nothing about this customer: no value was ever planned for it." } }
        @if known.customer_deleted { p.problem { "The store does not have this customer, as far as is known." } }
        @for past in nameless { (invalid(past)) }
        @for id in attributes {
            @let entry = known.entries.iter().find(|entry| entry.key.attribute_id == id);
            section.of-value {
                h2 { (groups::attribute(id, names)) }
                (believed(entry, known.pins.iter().find(|pin| pin.key.attribute_id == id), now))
                @for past in known.invalid.iter().filter(|past| past.row.attribute_id == Some(id)) { (invalid(past)) }
                (timeline(name, id, known, now))
            }
        }
        @if known.unlisted() > 0 {
            p.note { "Only the newest " (counted(HISTORY_ROWS, "change")) " are shown: " (counted(known.unlisted(), "more")) "." }
        }
    }
}

/// What the ledger believes of a value now.
fn believed(entry: Option<&Entry>, pin: Option<&Pin>, now: DateTime<Utc>) -> Markup {
    let Some(entry) = entry else { return html! { p.none { "Nothing was sent yet." } } };
    let stored = match entry.belief {
        Belief::Confirmed => "The store keeps it as",
        Belief::Unconfirmed | Belief::Rejected | Belief::Absent => "The store was last known to hold",
    };
    html! {
        dl.facts {
            div {
                dt { "Believed" }
                dd { (value(entry.value.as_deref())) " " (state(entry.belief.as_str())) @if entry.acknowledged { span.note { "acknowledged" } } }
            }
            @if let Some(other) = &entry.stored_value { div { dt { (stored) } dd { (value(Some(other))) } } }
            @if let Some(other) = &entry.observed_value { div { dt { "A read showed" } dd { (value(Some(other))) } } }
            @if entry.reason.is_some() { div { dt { "Reason" } dd { (reason(entry.reason.as_deref())) } } }
            @if let Some(pin) = pin {
                div {
                    dt { "Pinned" }
                    dd { "run " (pin.run_id) ", an undo, keeps it as long as the source says " (value(pin.source_value.as_deref())) }
                }
            }
            div { dt { "Recorded" } dd { (when(entry.updated_at, now)) } }
            @if let Some(until) = entry.in_doubt_until.filter(|until| *until > now) {
                div { dt { "In doubt" } dd { "an earlier request may still be applied until " (moment(until)) } }
            }
        }
    }
}

fn invalid(past: &PastInvalidRow) -> Markup {
    html! {
        p.problem {
            "Run " (past.run_id) " did not send " (value(past.row.value.as_deref())) ": " (reason(Some(&past.row.reason)))
        }
    }
}
