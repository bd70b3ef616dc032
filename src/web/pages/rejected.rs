//! The rejected values of a sync by reason, and one by one.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, Query, State};
use chrono::{DateTime, Utc};
use maud::{Markup, html};
use serde::Deserialize;

use super::groups::{self, Counted};
use super::table::{Kind, table};
use crate::ledger::LedgerError;
use crate::ledger::audit::{AuditLog, ReasonGroup, Rejection};
use crate::record::Key;
use crate::web::failure::PageError;
use crate::web::format::{counted, number, reason, segment, value, when};
use crate::web::layout::{Page, Tab, page};
use crate::web::site::Site;

/// Values on a page.
const PAGE_ROWS: i64 = 100;

/// So many rejected values are read at once and grouped here.
const FEW: i64 = 1_000;

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
            (reasons, values) = read(session.audit(), store_id, after, like).await?;
            names = session.attribute_names().await?;
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

/// Reads the reasons and the page of values. Rejected entries are found by a scan of all entries, so that as few queries as
/// possible are made: if there are only a few, one.
async fn read(
    audit: &AuditLog,
    store_id: i64,
    after: Option<Key>,
    like: Option<Key>,
) -> Result<(Vec<ReasonGroup>, Vec<Rejection>), LedgerError> {
    let all = audit.rejected_after(store_id, None, None, FEW + 1).await?;
    if i64::try_from(all.len()).is_ok_and(|rows| rows > FEW) {
        let values = audit.rejected_after(store_id, after, like, PAGE_ROWS + 1).await?;
        return Ok((audit.rejected_by_reason(store_id).await?, values));
    }
    let reasons = by_reason(&all);
    let key = |row: &Rejection| Key::new(row.customer_id, row.attribute_id);
    let alike = like.map(|like| all.iter().find(|row| key(row) == like).and_then(|row| row.reason.clone()));
    let is_shown = |row: &Rejection| {
        after.is_none_or(|after| key(row) > after)
            && alike.as_ref().is_none_or(|reason| row.reason == *reason)
    };
    let page = usize::try_from(PAGE_ROWS + 1).unwrap_or_default();
    Ok((reasons, all.into_iter().filter(is_shown).take(page).collect()))
}

/// The groups of all rejected values, the most frequent reason first.
fn by_reason(all: &[Rejection]) -> Vec<ReasonGroup> {
    let mut groups: BTreeMap<Option<&str>, ReasonGroup> = BTreeMap::new();
    for row in all {
        let group = groups.entry(row.reason.as_deref()).or_insert_with(|| ReasonGroup {
            reason: row.reason.clone(),
            rows: 0,
            acknowledged: 0,
            outcome: "rejected".to_owned(),
            example: Some(Key::new(row.customer_id, row.attribute_id)),
            newest: None,
        });
        group.rows += 1;
        group.acknowledged += i64::from(row.acknowledged);
        group.newest = group.newest.max(Some(row.since));
    }
    let mut groups: Vec<ReasonGroup> = groups.into_values().collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.rows));
    groups
}

fn explanation(address: &str, reasons: &[ReasonGroup]) -> Markup {
    let rows: i64 = reasons.iter().map(|group| group.rows).sum();
    let acknowledged: i64 = reasons.iter().map(|group| group.acknowledged).sum();
    html! {
        p {
            strong { (counted(rows, "rejected value")) }
            @if acknowledged > 0 { ", " (number(acknowledged)) " of them acknowledged" }
            ". A rejected value is not sent again until it changes in the source. "
            a href={ (address) ".csv" } download { "Download all as CSV" }
        }
        ul.needs.calm {
            li { "If a value is wrong, correct it in the source. The next sync sends it." }
            li { "If the cause was in the store, and is mended, " code { "attrsync rejected --retry" } " requeues the values." }
            li { "If it is known, and stays so, " code { "attrsync rejected --accept KEY" } " acknowledges a value." }
        }
    }
}

fn example(address: &str, key: Key) -> Markup {
    html! {
        a href={ (address) "?like=" (key.customer_id) "." (key.attribute_id) "#values" } {
            "customer " (key.customer_id) " and others"
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
            value(row.value.as_deref()),
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
