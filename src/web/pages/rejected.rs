//! The rejected values of a sync by reason, and one by one.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, Query, State};
use chrono::{DateTime, Utc};
use maud::{Markup, html};
use serde::Deserialize;

use super::groups::{self, Counted};
use super::table::{Kind, table};
use crate::ledger::audit::{ReasonGroup, Rejection};
use crate::record::Key;
use crate::web::failure::PageError;
use crate::web::format::{counted, reason, segment, value, when};
use crate::web::layout::{Page, Tab, page};
use crate::web::site::Site;

/// Values on a page.
const PAGE_ROWS: i64 = 100;

/// Which values are asked for. A key is written as `CUSTOMER.ATTRIBUTE`.
#[derive(Debug, Deserialize)]
pub(crate) struct Position {
    /// Only those after this key.
    after: Option<String>,
    /// Only those with the same reason as this key has.
    like: Option<String>,
}

/// The page.
pub(crate) async fn show(
    State(site): State<Arc<Site>>,
    Path(name): Path<String>,
    Query(position): Query<Position>,
) -> Result<Markup, PageError> {
    let now = Utc::now();
    let sync = site.sync(&name)?;
    let (after, like) = (key(position.after.as_deref())?, key(position.like.as_deref())?);
    let (mut reasons, mut values, mut names) = (Vec::new(), Vec::new(), BTreeMap::new());
    if let Some(session) = site.ledgers.session(&sync).await.map_err(PageError::Unreadable)? {
        if let Some(store_id) = session.store_id {
            reasons = session.audit().rejected_by_reason(store_id).await?;
            if !reasons.is_empty() {
                values = session.audit().rejected_after(store_id, after, like, PAGE_ROWS + 1).await?;
                names = session.attribute_names().await?;
            }
        }
        session.keep();
    }
    let has_more = i64::try_from(values.len()).is_ok_and(|rows| rows > PAGE_ROWS);
    values.truncate(usize::try_from(PAGE_ROWS).unwrap_or_default());
    let address = format!("/syncs/{}/rejected", segment(&name));
    let content = html! {
        div.title { h1 { "Rejected values" } }
        @if reasons.is_empty() {
            p { "The store has rejected no value that is still desired." }
        } @else {
            (explanation(&address, &reasons))
            (groups::reasons("Rejected values by reason", &reasons, Counted::Values, |key| example(&address, key), now))
            h2 id="values" {
                @if like.is_some() { "Values with this reason" } @else { "Values" }
                @if after.is_some() { ", continued" }
            }
            (list(&name, &values, &names, now))
            nav.pages aria-label="Pages" {
                @if after.is_some() || like.is_some() { a href=(address) { "All rejected values" } }
                @if has_more && let Some(last) = values.last() {
                    a rel="next" href=(next_page(&address, last, like)) { "Next " (PAGE_ROWS) }
                }
            }
        }
    };
    let frame = Page {
        title: &format!("Rejected values · {name}"),
        sync: Some((&name, Tab::Rejected)),
        refresh: None,
        signed_in: site.access.has_token(),
    };
    Ok(page(&frame, &content))
}

fn explanation(address: &str, reasons: &[ReasonGroup]) -> Markup {
    let rows: i64 = reasons.iter().map(|group| group.rows).sum();
    let acknowledged: i64 = reasons.iter().map(|group| group.acknowledged).sum();
    html! {
        p {
            strong { (counted(rows, "value")) }
            " are rejected"
            @if acknowledged > 0 { ", of which " (counted(acknowledged, "value")) " are acknowledged" }
            ". A rejected value is not sent again until it changes in the source. "
            a href={ (address) ".csv" } download { "Download all as CSV" }
        }
        ul.needs.calm {
            li { "The value is wrong: correct it in the source. The next sync sends it." }
            li { "The cause was in the store, and is mended: " code { "attrsync rejected --retry" } " requeues the values." }
            li { "It is known, and stays so: " code { "attrsync rejected --accept KEY" } " acknowledges a value." }
        }
    }
}

fn example(address: &str, key: Key) -> Markup {
    html! {
        a href={ (address) "?like=" (key.customer_id) "." (key.attribute_id) "#values" } {
            "customer " (key.customer_id) " and alike"
        }
    }
}

fn next_page(address: &str, last: &Rejection, like: Option<Key>) -> String {
    let like = like.map_or(String::new(), |key| format!("&like={}.{}", key.customer_id, key.attribute_id));
    format!("{address}?after={}.{}{like}#values", last.customer_id, last.attribute_id)
}

fn list(name: &str, values: &[Rejection], names: &BTreeMap<i64, String>, now: DateTime<Utc>) -> Markup {
    let columns = [
        ("Customer", Kind::Text),
        ("Attribute", Kind::Text),
        ("Value", Kind::Text),
        ("Reason", Kind::Text),
        ("Rejected", Kind::Text),
        ("Run", Kind::Text),
    ];
    let row = |row: &Rejection| {
        vec![
            groups::customer(name, row.customer_id),
            groups::attribute(row.attribute_id, names),
            value(Some(&row.value)),
            html! {
                (reason(row.reason.as_deref()))
                @if row.acknowledged { span.note { "acknowledged" } }
            },
            when(row.since, now),
            html! { a href={ "/syncs/" (segment(name)) "/runs/" (row.run_id) } { (row.run_id) } },
        ]
    };
    html! {
        @if values.is_empty() {
            p { "There are no more." }
        } @else {
            (table("Rejected values", &columns, &values.iter().map(row).collect::<Vec<_>>()))
        }
    }
}

/// Reads `CUSTOMER.ATTRIBUTE`.
fn key(text: Option<&str>) -> Result<Option<Key>, PageError> {
    let Some(text) = text else { return Ok(None) };
    let ids = text.split_once('.').map(|(customer, attribute)| (customer.parse(), attribute.parse()));
    match ids {
        Some((Ok(customer), Ok(attribute))) => Ok(Some(Key::new(customer, attribute))),
        _ => Err(PageError::BadRequest("A key is written as CUSTOMER.ATTRIBUTE, such as 12.3.".to_owned())),
    }
}
