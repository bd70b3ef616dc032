//! The rows of the source that the newest sync could not send.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, Query, State};
use chrono::{DateTime, Utc};
use maud::{Markup, html};
use serde::Deserialize;

use super::groups::{self, Counted};
use super::table::{Kind, table};
use crate::ledger::audit::{ReasonGroup, RunRow};
use crate::record::{INVALID_ROWS_KEPT, InvalidRow};
use crate::web::failure::PageError;
use crate::web::format::{counted, number, reason, segment, value, when};
use crate::web::layout::{Page, Tab, page};
use crate::web::site::Site;

/// Rows on a page.
const PAGE_ROWS: i64 = 100;

/// Which rows are asked for.
#[derive(Debug, Deserialize)]
pub(crate) struct Position {
    /// Without so many rows at the beginning.
    #[serde(default)]
    skip: i64,
}

/// The newest plan and its invalid rows.
struct Shown {
    run: RunRow,
    reasons: Vec<ReasonGroup>,
    rows: Vec<InvalidRow>,
    names: BTreeMap<i64, String>,
}

/// The page.
pub(crate) async fn show(
    State(site): State<Arc<Site>>,
    Path(name): Path<String>,
    Query(position): Query<Position>,
) -> Result<Markup, PageError> {
    let sync = site.sync(&name)?;
    let skip = position.skip.clamp(0, INVALID_ROWS_KEPT);
    let mut shown = None;
    if let Some(session) = site.ledgers.session(&sync).await.map_err(PageError::Unreadable)? {
        let audit = session.audit();
        let newest = match session.store_id {
            Some(store_id) => audit.newest_planned(store_id).await?,
            None => None,
        };
        if let Some(id) = newest
            && let Some(run) = audit.run(id).await?
        {
            shown = Some(Shown {
                reasons: audit.invalid_by_reason(id).await?,
                rows: audit.invalid_rows_from(id, skip, PAGE_ROWS + 1).await?,
                names: session.attribute_names().await?,
                run,
            });
        }
        session.keep();
    }
    let frame = Page {
        title: &format!("Invalid rows · {name}"),
        sync: Some((&name, Tab::Invalid)),
        refresh: None,
        signed_in: site.access.has_token(),
    };
    let content = html! {
        div.title { h1 { "Invalid rows" } }
        @match shown {
            Some(shown) => (content(&name, shown, skip, Utc::now())),
            None => p { "No sync has planned yet." },
        }
    };
    Ok(page(&frame, &content))
}

fn content(name: &str, mut shown: Shown, skip: i64, now: DateTime<Utc>) -> Markup {
    let has_more = i64::try_from(shown.rows.len()).is_ok_and(|rows| rows > PAGE_ROWS);
    shown.rows.truncate(usize::try_from(PAGE_ROWS).unwrap_or_default());
    let (run, invalid) = (&shown.run, shown.run.counts.invalid);
    let address = format!("/syncs/{}/invalid", segment(name));
    html! {
        p {
            a href={ "/syncs/" (segment(name)) "/runs/" (run.id) } { "Run " (run.id) }
            " planned " (when(run.started_at, now)) " and found "
            @if invalid == 0 { "no row that it could not send." } @else {
                strong { (counted(invalid, "row")) } " that it could not send. Correct the source: the next sync sends what can be sent then."
            }
        }
        @if invalid > INVALID_ROWS_KEPT {
            p.note { "The ledger keeps the first " (number(INVALID_ROWS_KEPT)) " of them." }
        }
        @if !shown.reasons.is_empty() {
            (groups::reasons("Invalid rows by reason", &shown.reasons, Counted::Rows, |key| groups::customer(name, key.customer_id), now))
            h2 { "Rows" @if skip > 0 { " from " (number(skip + 1)) " on" } }
            (list(name, &shown))
            nav.pages aria-label="Pages" {
                @if skip > 0 { a rel="prev" href={ (address) "?skip=" ((skip - PAGE_ROWS).max(0)) } { "Previous " (PAGE_ROWS) } }
                @if has_more { a rel="next" href={ (address) "?skip=" (skip + PAGE_ROWS) } { "Next " (PAGE_ROWS) } }
            }
        }
    }
}

fn list(name: &str, shown: &Shown) -> Markup {
    let columns =
        [("Customer", Kind::Text), ("Attribute", Kind::Text), ("Value", Kind::Text), ("Reason", Kind::Text)];
    let null = || html! { span.none { "NULL" } };
    let row = |row: &InvalidRow| {
        vec![
            row.customer_id.map_or_else(null, |id| groups::customer(name, id)),
            row.attribute_id.map_or_else(null, |id| groups::attribute(id, &shown.names)),
            value(row.value.as_deref()),
            reason(Some(&row.reason)),
        ]
    };
    table("Invalid rows", &columns, &shown.rows.iter().map(row).collect::<Vec<_>>())
}
